/**
 * Programs without an operating system must print the same on this project's x86-64 board as on QEMU's: exceptions, gates, paging, modes,
 * and how CPUs start and interrupt each other. Where QEMU 7.2 does not do as the manuals say, the line is listed with their rule.
 */
import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, test } from 'node:test';
import { root } from '../../files.js';
import { loadArchitecture } from '../../../src/boot/index.js';
import type { CpuModel } from '../../../src/isa/x86_64/index.js';
import { differences } from './differences.js';
import { compileTest, missingTool, runHere, runOnQemu } from './run.js';

const missing = missingTool();
const skip = missing === null ? false : `no ${missing}`;
const sources = path.join(root, 'test/conformance/baremetal_x86');
await loadArchitecture('amd64');

interface Program {
  readonly name: string;
  readonly source: string;
  readonly cpus?: number;
  /** Whether it runs as an HVM guest, which has the devices of a PC. */
  readonly hvm?: boolean;
  /** The model of its CPU (default: `minimal`). */
  readonly cpu?: CpuModel;
  /** What the program asks for that is not there, and that QEMU lacks too. */
  readonly unimplemented?: readonly string[];
}

const programs: readonly Program[] = [
  { name: 'exceptions', source: 'exceptions', unimplemented: ['0f 20 /1', '0f 20 /5', '0f 34'] },
  { name: 'paging', source: 'paging' },
  { name: 'single steps and breakpoints', source: 'debug' },
  { name: 'the local APIC', source: 'local_apic' },
  { name: 'what the model v2 has beside', source: 'features', cpu: 'v2' },
  { name: 'two CPUs', source: 'smp', cpus: 2 },
  {
    name: 'interrupt controllers, timer and clock of a PC',
    source: 'legacy',
    hvm: true,
    unimplemented: ["shared_info's wall clock after the guest set the RTC"],
  },
];

const lines = (text: string): string[] => text.split('\n').map((line) => line.trim());

describe('bare-metal programs for x86-64', { skip }, () => {
  for (const { name, source, cpus = 1, hvm = false, cpu = 'minimal', unimplemented = [] } of programs) {
    test(`${name}: prints the same as on QEMU`, () => {
      const elf = compileTest(sources, source);
      const own = runHere(elf, cpus, 1, hvm, cpu);
      const here = lines(own.printed);
      const there = lines(runOnQemu(elf, cpus, cpu)).slice(0, -1);
      const known = differences[source] ?? [];
      const found = new Set<string>();
      const compared = here.map((line, index) => {
        const other = there[index] ?? '';
        if (line === other) return line;
        const reason = known.find((one) => one.explains(line, other));
        if (reason === undefined) return line;
        found.add(reason.why);
        return other;
      });
      assert.deepEqual(compared, there);
      // A difference that no longer exists must be removed from the list.
      assert.deepEqual(
        known.filter(({ why }) => !found.has(why)).map(({ why }) => why),
        [],
      );
      assert.deepEqual([...own.unimplemented.keys()].sort(), [...unimplemented].sort());
      assert.equal(own.stopped, 'shutdown');
      assert.ok(here.length > (cpus === 1 ? 30 : 8), 'the program printed next to nothing');
    });
  }
});
