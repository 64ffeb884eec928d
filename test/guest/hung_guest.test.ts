/** Guests that come to no end: the run's last line says what they asked for, or what is wrong with their file. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { builtinKernel } from '../../src/builtin_guest/arm64/index.js';
import { boot } from '../../src/library/index.js';
import type { BootRequest, ReportedOutcome } from '../../src/library/index.js';
import { onlyRun } from '../boot/reports.js';
import { hostileImage, hostileLoops, vectors } from './hostile_loops.js';

const limit = 3_000_000;

async function outcomeOf(kernel: Uint8Array, more: BootRequest = {}): Promise<ReportedOutcome> {
  const limits = { instructions: limit };
  const small = { initrd: new Uint8Array(16), memoryMiB: 16, vcpus: 1, until: 'poweroff', limits } as const;
  return onlyRun(await boot({ ...small, kernel, ...more }).report()).outcome;
}

/** The outcome of a program that hangs. */
async function hangs(program: string, more: BootRequest = {}): Promise<ReportedOutcome> {
  const outcome = await outcomeOf(hostileImage(program), more);
  assert.equal(outcome.what, 'hang');
  assert.match(
    outcome.why,
    /^(no end after \d+ (instructions|s of guest time), which is the limit|every vCPU waits)/,
  );
  return outcome;
}

const spin = '4:\nb 4b';
/** Words that the assembler does not know, since no instruction of this CPU is meant. */
const word = {
  'msr hcr_el2, x0': '.word 0xd51c1100',
  'mrs x2, vttbr_el2': '.word 0xd53c2102',
  'mrs x3, s3_4_c15_c15_7': '.word 0xd53cffe3',
  'msr sctlr_el12, x1': '.word 0xd51d1001',
  'mrs x0, scr_el3': '.word 0xd53e1100',
  'tlbi alle2': '.word 0xd50c871f',
  'at s12e1r, x5': '.word 0xd50c7885',
  'mrs x0, s3_0_c2_c1_0': '.word 0xd5382100',
  '0xb8e10041': '.word 0xb8e10041',
} as const;

describe('a guest that needs a higher exception level', () => {
  const levels = { 'mrs x0, scr_el3': 'EL3', 'mrs x0, s3_0_c2_c1_0': null, '0xb8e10041': null } as const;

  for (const [text, line] of Object.entries(word)) {
    it(`is told that ${text} was refused, without vectors`, async () => {
      const needs = text in levels ? levels[text as keyof typeof levels] : 'EL2';
      const { why, refused } = await hangs(`${line}\n${spin}`);
      assert.deepEqual([refused?.vcpu, refused?.instruction, refused?.needs], [0, text, needs]);
      assert.ok(why.includes(`vCPU 0 was refused "${text}" at ${refused?.pc} (_text+0x`), why);
      assert.match(
        why,
        needs === null ? /it is Undefined on the emulated CPU/ : new RegExp(`it needs ${needs}, but`),
      );
      // VBAR_EL1 is 0, where there is no memory.
      assert.match(why, /; it faults again and again at 0x200$/);
    });
  }

  it('is told where its vectors loop for ever, too', async () => {
    const { why, refused } = await hangs(`${vectors('3:\nwfe\nb 3b')}\n${word['mrs x2, vttbr_el2']}`);
    assert.equal(refused?.needs, 'EL2');
    assert.match(
      why,
      /it needs EL2.*; it spins at 0x[0-9a-f]+ \(_text\+0x[0-9a-f]+\) with interrupts masked$/,
    );
  });

  it('is told of an exception return to EL2', async () => {
    const { why, refused } = await hangs(
      `movz x0, #0x3c9\nmsr spsr_el1, x0\nadr x0, 4f\nmsr elr_el1, x0\neret\n${spin}`,
    );
    assert.deepEqual([refused?.instruction, refused?.needs], ['eret', 'EL2']);
    assert.match(why, /tried to go to EL2 by "eret" at 0x\w+ \(_text\+0x\w+\), but Xen/);
  });

  it('and of one to AArch32, which no guest here has', async () => {
    const { why, refused } = await hangs(
      `movz x0, #0x1d3\nmsr spsr_el1, x0\nadr x0, 4f\nmsr elr_el1, x0\neret\n${spin}`,
    );
    assert.equal(refused?.needs, null);
    assert.match(why, /to a state that an arm64 guest cannot have \(SPSR_EL1 is 0x1d3\)/);
  });

  it('is told of HVC with a number that nobody serves', async () => {
    const { refused, why } = await hangs(`hvc #0x7\n${spin}`);
    assert.deepEqual([refused?.instruction, refused?.needs], ['hvc #0x7', null], why);
  });

  it('is told what it is where it gives up by itself', async () => {
    const code = Array<string>(40).fill(word['msr hcr_el2, x0']).join('\n');
    const giveUp = `mrs x0, currentel\ncmp x0, #8\nb.ne 4f\n${code}\n4:\nwfe\nb 4b`;
    const { why, refused } = await hangs(giveUp);
    assert.equal(refused, undefined);
    assert.match(
      why,
      /; vCPU 0 spins at \S+ \(_text\+0x\w+\) with interrupts masked; its image has 40 instructions that need EL2/,
    );
  });
});

describe('a guest that gets over a refused instruction', () => {
  const over = 'mrs x1, elr_el1\nadd x1, x1, #4\nmsr elr_el1, x1\neret';

  it('is not blamed for it when it hangs later', async () => {
    for (const refusedWord of Object.values(word)) {
      const { why, refused } = await hangs(`${vectors(over)}\n${refusedWord}\n2:\nadd x3, x3, #1\nb 2b`);
      assert.equal(refused, undefined);
      assert.equal(why, `no end after ${limit} instructions, which is the limit`);
    }
  });

  it('nor when an exception without return follows', async () => {
    const twice = `cbnz x9, 3f\nmovz x9, #1\n${over}\n3:\nwfi\nb 3b`;
    const { why, refused } = await hangs(`${vectors(twice)}\n${word['msr hcr_el2, x0']}\nbrk #0x5\n${spin}`);
    assert.equal(refused, undefined);
    assert.match(
      why,
      /; vCPU 0 faulted by "brk #0x5" at \S+ \(_text\+0x\w+\), and has not returned from that exception; it spins at/,
    );
  });
});

describe('a guest that faults for ever', () => {
  const looping = /; it faults again and again at /;

  it('is told where it jumped to', async () => {
    const { why, refused } = await hangs('movz x0, #0xdead, lsl #32\nbr x0');
    assert.equal(refused, undefined);
    assert.match(
      why,
      /; vCPU 0 jumped to 0xdead00000000, where no instruction can be fetched, and has not returned/,
    );
    assert.match(why, looping);
  });

  it('is told what it accessed', async () => {
    const { why } = await hangs('movz x0, #0x1000\nldr x1, [x0, #24]');
    assert.match(why, /; vCPU 0 faulted by accessing 0x1018 at 0x\w+ \(_text\+0x\w+\), and has not returned/);
    assert.match(why, looping);
  });

  for (const { name, program } of hostileLoops().filter((loop) => loop.name.startsWith('faults: '))) {
    it(`${name} is proved to do so`, async () => {
      const { why } = await hangs(program);
      assert.match(why, /vCPU 0 .*faults again and again at 0x/);
    });
  }

  it('is not said to where a register counts', async () => {
    const counting = 'add x7, x7, #1\nmrs x1, elr_el1\nadd x1, x1, #4\nmsr elr_el1, x1\neret';
    const { why } = await hangs(`${vectors(counting)}\n2:\nudf #0\nb 2b`);
    assert.equal(why, `no end after ${limit} instructions, which is the limit`);
  });
});

describe('a truncated kernel', () => {
  it('is told from its file where it ran into its end', async () => {
    const whole = builtinKernel().image;
    const cut = whole.slice(0, 0x400);
    const { what, why, refused } = await outcomeOf(cut, { vcpus: 2 });
    assert.equal(what, 'hang');
    assert.match(
      why,
      /; vCPU 0 ran into zeros at 0x\w+, behind the 1024 bytes of the kernel's file \(is the file truncated\?\)/,
    );
    assert.deepEqual([refused?.instruction, refused?.needs], ['udf #0', null]);
  });
});

describe('a call that Xen does not serve', () => {
  const call = 'movz x0, #0x99\nmovk x0, #0x8400, lsl #16\nsmc #0';

  it('is told where it was the last', async () => {
    const { why } = await hangs(`${call}\n${spin}`);
    assert.match(
      why,
      /; vCPU 0 made its last call, smc #0 with function 0x84000099, which Xen does not serve; it spins at/,
    );
  });

  it('but not where others followed', async () => {
    const { why } = await hangs(`${call}\nmovz x0, #0x8400, lsl #16\nhvc #0\n${spin}`);
    assert.match(
      why,
      /^no end after \d+ instructions, which is the limit; vCPU 0 spins at \S+ \(_text\+0x\w+\) with interrupts masked$/,
    );
  });
});

describe('several vCPUs', () => {
  it('that stand at the same place are told once', async () => {
    const { why } = await hangs(
      `adr x2, 4f\nmovz x0, #3\nmovk x0, #0xc400, lsl #16\nmovz x1, #1\nhvc #0\n${spin}`,
      { vcpus: 2 },
    );
    assert.match(
      why,
      /; vCPU 0 spins at \S+ \(_text\+0x\w+\) with interrupts masked \(the same of 1 more vCPU\)$/,
    );
  });
});
