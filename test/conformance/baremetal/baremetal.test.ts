/**
 * Programs without an operating system, at EL1 and EL0, must print the same here as on QEMU: exceptions with syndromes,
 * system registers, exclusives and alignment, translation with every fault. Known differences of QEMU 7.2 from the
 * manual, or of this CPU from QEMU's Cortex-A57, are listed with the reason.
 */
import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, test } from 'node:test';
import { root } from '../../files.js';
import { compileTest, missingTool, runHere, runOnQemu } from './run.js';

const missing = missingTool();
const skip = missing === null ? false : `no ${missing}`;
const sources = path.join(root, 'test/conformance/baremetal');

/** Lines that differ from QEMU's: their start, the expected text here, and the reason. */
interface Difference {
  readonly line: RegExp;
  readonly here: RegExp;
  /** The manual's rule if QEMU is wrong, or the decision made here. */
  readonly why: string;
}

interface Program {
  readonly name: string;
  readonly source: string;
  readonly defines?: readonly string[];
  readonly cpu?: string;
  readonly cpus?: number;
  readonly differences?: readonly Difference[];
}

const alignment = 'DDI 0487, B2.7.2: an unaligned access of Device memory takes an Alignment fault';
const shareability = 'DDI 0487, PAR_EL1.SH: 0b10 for Device and for memory that is not cacheable at all';
const stackAlignment =
  'DDI 0487, CheckSPAlignment: a load or store by a stack pointer that is no multiple of 16; QEMU does not look';
const advertised = 'docs/decisions/0010-what-the-cpu-advertises.md';
const traps =
  'DDI 0487, ISS for MSR: Op2 is in bits 19:17, Op1 (3) in 16:14; QEMU has them the other way about';
const parFaults: readonly Difference[] = [
  { line: /^at [rw]: x0=44/, here: /x0=44[0-9a-f]+b00$/, why: shareability },
  { line: /^at [rw]: x0=4/, here: /x0=4[0-9a-f]+b00$/, why: shareability },
];

const programs: readonly Program[] = [
  {
    name: 'exceptions',
    source: 'exceptions',
    differences: [
      { line: /^el0 daifset/, here: /esr=620cd3ea$/, why: traps },
      { line: /^el0 daifclr/, here: /esr=620ed3f4$/, why: traps },
      { line: /^to (AArch32 User|Thumb):/, here: /spsr=1001c5 .*esr=3a000000$/, why: advertised },
      {
        line: /^el0 wfe:/,
        here: /esr=7e00001$/,
        why: 'DDI 0487, SCTLR_EL1.nTWE: a WFE that would wait is trapped; QEMU never waits',
      },
      { line: /^sp( store| vector| exclusive| el1t)?: .*esr=9a/, here: /esr=9a000000$/, why: stackAlignment },
      { line: /^sp vector: .*esr=92/, here: /esr=92000061 far=/, why: alignment },
    ],
  },
  { name: 'instructions that are not there', source: 'absent' },
  {
    name: 'registers',
    source: 'registers',
    differences: [
      { line: /^id_aa64pfr0_el1:/, here: /: 111$/, why: advertised },
      { line: /^id_aa64mmfr0_el1:/, here: /: 101024$/, why: advertised },
      { line: /^(id_isar\d|id_mmfr\d|id_dfr0|mvfr\d)_el1:/, here: /: 0$/, why: advertised },
      { line: /^byte order:/, here: /: 0$/, why: advertised },
      {
        line: /^oslsr_el1:/,
        here: /: 8$/,
        why: 'Xen 4.17 arch/arm/arm64/vsysreg.c, do_sysreg: the OS lock is open',
      },
    ],
  },
  {
    name: 'memory',
    source: 'memory',
    differences: [
      { line: /^misaligned (load|pair|word|vector):/, here: /esr=96000021 far=/, why: alignment },
      { line: /^misaligned (half|vector store):/, here: /esr=96000061 far=/, why: alignment },
    ],
  },
  { name: 'translation, 4 KiB', source: 'translation', defines: ['GRANULE=12'], differences: parFaults },
  // A Cortex-A57 does not support 16 KiB pages.
  {
    name: 'translation, 16 KiB',
    source: 'translation',
    defines: ['GRANULE=14'],
    cpu: 'cortex-a76',
    differences: parFaults,
  },
  { name: 'translation, 64 KiB', source: 'translation', defines: ['GRANULE=16'], differences: parFaults },
  { name: 'two CPUs', source: 'smp', cpus: 2 },
];

function lines(text: string): string[] {
  return text.split('\n').map((line) => line.trim());
}

/** The output of a program here and on QEMU. */
function outputs({ source, defines, cpu, cpus }: Program): { here: string[]; there: string[] } {
  const elf = compileTest(sources, source, defines);
  return { here: lines(runHere(elf, undefined, cpus)), there: lines(runOnQemu(elf, cpu, cpus)) };
}

describe('bare-metal programs', { skip }, () => {
  for (const program of programs) {
    const { name, differences = [], cpus = 1 } = program;
    test(`${name}: prints the same as on QEMU`, () => {
      const { here, there } = outputs(program);
      const excused = new Set<RegExp>();
      const compared = here.map((line, index) => {
        if (line === there[index]) return line;
        const known = differences.find((one) => one.line.test(line) && one.here.test(line));
        if (known === undefined) return line;
        excused.add(known.line);
        return there[index];
      });
      assert.deepEqual(compared, there);
      // A difference that no longer exists must be removed from the list.
      assert.deepEqual(
        differences.filter(({ line }) => !excused.has(line)).map(({ line, why }) => `${line.source}: ${why}`),
        [],
      );
      assert.ok(here.length > (cpus === 1 ? 30 : 8), 'the program printed next to nothing');
    });
  }

  test('unimplemented instructions are Undefined, at EL1 and EL0', () => {
    const said = lines(runHere(compileTest(sources, 'absent'))).filter((line) => line !== '');
    assert.deepEqual(
      said.filter((line) => !line.includes(' esr=2000000')),
      [],
    );
  });
});

/** Encodings that exist on one side only, or that behave differently. `encodings.c` documents the format. */
const encodingDifferences: readonly { readonly line: RegExp; readonly why: string }[] = [
  { line: /^(el0 )?mrs s3_3_e_[0-3]_\d /, why: 'the timers are devices, of which these programs have none' },
  { line: /^mrs s3_0_e_1_0 /, why: 'CNTKCTL_EL1: likewise' },
  {
    line: /^(mrs|msr) s2_0_0_[4-9a-f]_[4-7] /,
    why: 'breakpoints and watchpoints up to 15, as Xen answers them',
  },
  { line: /^(el0 )?mrs s3_3_9_c_4 /, why: 'PMSWINC_EL0 can be read, as Xen answers it' },
  {
    line: /^(el0 )?mrs s3_3_e_[8-f]_\d /,
    why: 'PMEVCNTR, PMEVTYPER and PMCCFILTR are Undefined, as Xen has them',
  },
  { line: /^mrs s3_1_[bf]_\d_\d /, why: "the Cortex-A57's own registers, which Xen traps by HCR_EL2.TIDCP" },
  { line: /^mrs s3_0_c_0_1 /, why: 'RVBAR_EL1 is there only where EL1 is the highest level' },
  { line: /^sys s1_3_7_4_1 /, why: 'DC ZVA of Device memory takes an Alignment fault (DDI 0487, DC ZVA)' },
];

test('system registers and instructions are the same as on QEMU', { skip }, () => {
  const { here, there } = outputs({ name: 'encodings', source: 'encodings' });
  const [ours, theirs] = [new Set(here), new Set(there)];
  const differ = [...here.filter((line) => !theirs.has(line)), ...there.filter((line) => !ours.has(line))];
  const unexplained = differ.filter((line) => !encodingDifferences.some((one) => one.line.test(line)));
  assert.deepEqual(unexplained, []);
  assert.deepEqual(
    encodingDifferences.filter((one) => !differ.some((line) => one.line.test(line))).map(({ why }) => why),
    [],
  );
  assert.ok(here.length > 200, 'next to nothing was found');
});
