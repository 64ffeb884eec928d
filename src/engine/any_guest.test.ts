import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { a64, insertFields, systemRegisters } from '../isa/index.js';
import type { A64Instruction } from '../isa/index.js';
import { testMachine } from './test_machine.js';

/** Pseudo-random numbers (xorshift). The seed must not be 0. */
function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

const moves = a64.filter(({ name }) => name.startsWith('M') && name.includes('systemmove'));
const systemForms = a64.filter(({ name }) =>
  /^(SYS|MSR|MRS|ERET|SVC|HVC|SMC|BRK|ISB|WF|LDX|STX|LDAX|STLX)/.test(name),
);

/** An instruction word with random fields. One in four is a system instruction. */
function word(next: () => number): number {
  const kind = next() % 16;
  if (kind === 0) return next();
  const pick = (from: readonly A64Instruction[]): A64Instruction | undefined => from[next() % from.length];
  const chosen = kind < 3 ? pick(moves) : kind < 6 ? pick(systemForms) : pick(a64);
  if (chosen === undefined) return 0;
  const { pattern, name } = chosen;
  if (name.includes('systemmove') && next() % 4 !== 0) {
    // An implemented register: bits 20:5 of MRS and MSR.
    const register = systemRegisters[next() % systemRegisters.length];
    return ((pattern.value & 0xffe00000) | ((register?.encoding ?? 0) << 5) | (next() & 31)) >>> 0;
  }
  const fields = Object.fromEntries(pattern.fields.map((field) => [field.name, next()]));
  return insertFields(pattern, fields);
}

/** A value: an address in memory, in the tables or in the device, a small number, or any 64 bits. */
function value(next: () => number): bigint {
  const any = (BigInt(next()) << 32n) | BigInt(next());
  const choices = [
    BigInt(next() & 0xffff8),
    BigInt(next() & 0xfffff),
    0x10000000n | (any & 0xfffn),
    any & 0xfn,
    any,
  ];
  return choices[next() % choices.length] ?? 0n;
}

test('random code on two vCPUs never throws, and every run ends', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 0x7fffffff }), (seed) => {
      const next = numbers(seed);
      const machine = testMachine({ vcpus: 2, decodedPages: 7 });
      const { processor } = machine;
      const view = new DataView(processor.ram.buffer, processor.ramStart);
      for (let at = 0; at < 1 << 16; at += 4) view.setUint32(at, word(next), true);
      // Entries that look like page table entries and point into the first MiB.
      for (let at = 0xe0000; at < 0xe4000; at += 8) {
        const entry = BigInt(next() & 0xff000) | BigInt(next() & 0xfff) | 3n | (BigInt(next() & 0xff) << 52n);
        view.setBigUint64(at, entry, true);
      }
      machine.reaction = () => {
        machine.answer = next() % 8 === 0 ? null : value(next);
        processor.setInterruptLine(next() % 2, next() % 2 === 0 ? 'irq' : 'fiq', next() % 3 === 0);
      };
      for (let turn = 0; turn < 300; turn += 1) {
        const index = turn % 2;
        const cpu = processor.vcpus[index];
        assert.ok(cpu !== undefined);
        if (turn % 10 < 2) {
          for (let number = 0; number < 31; number += 1) cpu.setRegister(number, value(next));
          cpu.pc = BigInt(next() & 0xfffc);
          cpu.setSystemRegister('VBAR_EL1', BigInt(next() & 0xf800));
          if (next() % 2 === 0) {
            cpu.setSystemRegister('TTBR0_EL1', 0xe0000n);
            cpu.setSystemRegister('TCR_EL1', 16n | (4n << 32n));
          }
        }
        const { executed } = processor.run(index, 200);
        assert.ok(executed >= 0 && executed < 200 + 1100, `${executed} instructions`);
      }
    }),
    { numRuns: 40 },
  );
});
