/**
 * Programs without an operating system, at EL1 and EL0, print the same here as on QEMU: exceptions with their syndromes,
 * system registers, exclusives and alignment, translation with every fault. Where QEMU 7.2 is known to differ from the
 * manual, the line is listed with what the manual says.
 */
import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, test } from 'node:test';
import { root } from '../../files.js';
import { compileTest, missingTool, runHere, runOnQemu } from './run.js';

const missing = missingTool();
const skip = missing === null ? false : `no ${missing}`;
const sources = path.join(root, 'test/conformance/baremetal');

interface Program {
  readonly name: string;
  readonly source: string;
  readonly defines?: readonly string[];
  readonly cpu?: string;
  /** Lines in which QEMU is wrong: how they begin, and what they must say here. */
  readonly qemuFaults?: readonly { readonly line: RegExp; readonly here: RegExp; readonly manual: string }[];
}

const alignment = 'DDI 0487, B2.7.2: an unaligned access of Device memory takes an Alignment fault';
const shareability = 'DDI 0487, PAR_EL1.SH: 0b10 for Device and for memory that is not cacheable at all';
const parFaults = [
  { line: /^at [rw]: x0=44/, here: /x0=44[0-9a-f]+b00$/, manual: shareability },
  { line: /^at [rw]: x0=4/, here: /x0=4[0-9a-f]+b00$/, manual: shareability },
];

const programs: readonly Program[] = [
  {
    name: 'exceptions',
    source: 'exceptions',
    qemuFaults: [
      {
        line: /^el0 daifset/,
        here: /esr=620cd3ea$/,
        manual:
          'DDI 0487, ISS for MSR: Op2 (6) is in bits 19:17, Op1 (3) in 16:14; QEMU has them the other way',
      },
      { line: /^el0 daifclr/, here: /esr=620ed3f4$/, manual: 'the same, with Op2 7' },
    ],
  },
  { name: 'registers', source: 'registers' },
  {
    name: 'memory',
    source: 'memory',
    qemuFaults: [
      { line: /^misaligned (load|pair|word|vector):/, here: /esr=96000021 far=/, manual: alignment },
      { line: /^misaligned (half|vector store):/, here: /esr=96000061 far=/, manual: alignment },
    ],
  },
  { name: 'translation, 4 KiB', source: 'translation', defines: ['GRANULE=12'], qemuFaults: parFaults },
  // A Cortex-A57 has no pages of 16 KiB.
  {
    name: 'translation, 16 KiB',
    source: 'translation',
    defines: ['GRANULE=14'],
    cpu: 'cortex-a76',
    qemuFaults: parFaults,
  },
  { name: 'translation, 64 KiB', source: 'translation', defines: ['GRANULE=16'], qemuFaults: parFaults },
];

function lines(text: string): string[] {
  return text.split('\n').map((line) => line.trim());
}

describe('bare-metal programs', { skip }, () => {
  for (const { name, source, defines, cpu, qemuFaults = [] } of programs) {
    test(`${name}: the same as on QEMU`, () => {
      const elf = compileTest(sources, source, defines);
      const here = lines(runHere(elf));
      const there = lines(runOnQemu(elf, cpu));
      const excused = new Set<RegExp>();
      const compared = here.map((line, index) => {
        if (line === there[index]) return line;
        const known = qemuFaults.find((fault) => fault.line.test(line) && fault.here.test(line));
        if (known === undefined) return line;
        excused.add(known.line);
        return there[index];
      });
      assert.deepEqual(compared, there);
      // A fault that QEMU no longer has must not stay in the list.
      assert.deepEqual(
        qemuFaults.filter(({ line }) => !excused.has(line)).map(({ manual }) => manual),
        [],
      );
      assert.ok(here.length > 30, 'the program printed next to nothing');
    });
  }
});
