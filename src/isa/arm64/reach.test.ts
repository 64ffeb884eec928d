import assert from 'node:assert/strict';
import { test } from 'node:test';
import { a64, alwaysLeaves, idleSuccessor, makeDecoder, parseInstruction, reachOf } from '../index.js';

const pc = 0x4000_0000n;
const decoder = makeDecoder(a64());

function wordOf(text: string): number {
  for (const definition of a64()) {
    const word = parseInstruction(definition, text, pc);
    if (word !== null) return word;
  }
  assert.fail(`not an instruction: ${text}`);
}

/** Instructions by how far their effect goes. */
const reaches = {
  registers: ['add x0, x1, x2', 'adds x0, x1, #0x1', 'mrs x0, esr_el1', 'msr elr_el1, x0', 'cbz x0, 0x40000000', 'bl 0x40000010',
    'ret x30', 'eret', 'svc #0x0', 'brk #0x1', 'udf #0', 'nop', 'isb', 'dsb sy', 'msr daifclr, #0x2'],
  memory: ['ldr x0, [x1]', 'str x0, [x1, #8]', 'ldrb w0, [x1]', 'ldr x0, [x1], #0x8'],
  beyond: ['ldp x0, x1, [x2]', 'stp x0, x1, [x2]', 'ldxr x0, [x1]', 'stxr w0, x1, [x2]', 'ldar x0, [x1]', 'mrs x0, cntvct_el0',
    'msr sctlr_el1, x0', 'tlbi vmalle1', 'hvc #0x0', 'smc #0x0', 'wfi', 'wfe', 'sev', 'yield', 'dc zva, x0',
    'ldr q0, [x1]', 'fadd s0, s1, s2'],
} as const; // prettier-ignore

for (const [reach, texts] of Object.entries(reaches)) {
  test(`${texts.join('; ')}: ${reach}`, () => {
    for (const text of texts) {
      const found = decoder.decode(wordOf(text));
      assert.equal(found === null ? null : reachOf(found), reach, text);
    }
  });
}

test('what stands behind an unconditional branch or an exception is not executed', () => {
  const leaves = (text: string): boolean => {
    const found = decoder.decode(wordOf(text));
    assert.ok(found !== null);
    return alwaysLeaves(found);
  };
  for (const text of ['b 0x40000000', 'bl 0x40000010', 'br x1', 'eret', 'svc #0x0', 'udf #0'])
    assert.ok(leaves(text), text);
  for (const text of [
    'cbz x0, 0x40000000',
    'b.eq 0x40000000',
    'nop',
    'ldr x0, [x1]',
    'hvc #0x0',
    'wfi',
    'msr daifclr, #0x2',
    'isb',
  ]) {
    assert.ok(!leaves(text), text);
  }
});

test('hints and plain branches lead on, whatever registers hold', () => {
  const next = (text: string): bigint | null => {
    const word = wordOf(text);
    const found = decoder.decode(word);
    return found === null ? null : idleSuccessor(found, word, pc);
  };
  for (const text of ['nop', 'wfi', 'wfe', 'yield', 'sev', 'dsb sy']) assert.equal(next(text), pc + 4n, text);
  assert.equal(next('b 0x3ffffff0'), pc - 16n);
  assert.equal(next('b 0x40000000'), pc);
  for (const text of [
    'bl 0x40000000',
    'b.eq 0x40000000',
    'cbz x0, 0x40000000',
    'ret x30',
    'add x0, x0, #0x1',
    'svc #0x0',
    'hvc #0x0',
  ]) {
    assert.equal(next(text), null, text);
  }
});
