/**
 * Compares the numbering of CPUs with Linux itself: dtc and iasl compile tables, QEMU boots Debian's kernels on them,
 * and the CPUs that Linux found are compared with the result of `numberCpus`. `node scripts/numbering.js` does the same
 * with more tables.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { numberingCases } from './linux/cases.js';
import type { NumberingCase } from './linux/cases.js';
import { compareWithLinux, isFor } from './linux/comparison.js';
import { debianLinux, kernelSpecs } from './linux/kernels.js';
import type { DebianLinux } from './linux/kernels.js';
import { LinuxMachine, missingMachine } from './linux/machine.js';
import type { LinuxArch } from './linux/machine.js';

interface Prepared {
  readonly arch: LinuxArch;
  readonly spec: string;
  /** A kernel, or why there is none. */
  readonly kernel: DebianLinux | string;
}

async function prepared(): Promise<Prepared[]> {
  const all: Prepared[] = [];
  for (const arch of ['arm64', 'amd64'] as const) {
    const missing = missingMachine(arch);
    for (const spec of kernelSpecs[arch]) {
      all.push({ arch, spec, kernel: missing ?? (await debianLinux(spec, arch)) });
    }
  }
  return all;
}

function testCase(one: NumberingCase, { arch, spec, kernel }: Prepared): void {
  const skip = typeof kernel === 'string' ? kernel : false;
  test(`${arch}, debian:${spec}: ${one.name}`, { skip }, (t) => {
    if (typeof kernel === 'string') return;
    const machine = new LinuxMachine(arch);
    t.after(() => {
      machine.close();
    });
    const { said, seen } = compareWithLinux(one, kernel, machine);
    assert.equal(said, seen);
  });
}

for (const one of await prepared()) {
  const { arch, kernel } = one;
  const cases = numberingCases.filter(({ arch: of, quick }) => of === arch && quick === true);
  for (const each of cases) if (typeof kernel === 'string' || isFor(each, kernel)) testCase(each, one);
}
