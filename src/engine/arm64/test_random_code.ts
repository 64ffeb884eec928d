/** Random code for the engine's tests: instructions of every kind, and the values that they work on. */
import { a64, insertFields, systemRegisters } from '../../isa/index.js';
import type { A64Instruction } from '../../isa/index.js';
import type { TestMachine } from './test_machine.js';

const moves = a64().filter(({ name }) => name.startsWith('M') && name.includes('systemmove'));
const systemForms = a64().filter(({ name }) =>
  /^(SYS|MSR|MRS|ERET|SVC|HVC|SMC|BRK|ISB|WF|LDX|STX|LDAX|STLX)/.test(name),
);

/** An instruction word with random fields. One in four is a system instruction. */
function word(next: () => number): number {
  const kind = next() % 16;
  if (kind === 0) return next();
  const pick = (from: readonly A64Instruction[]): A64Instruction | undefined => from[next() % from.length];
  const chosen = kind < 3 ? pick(moves) : kind < 6 ? pick(systemForms) : pick(a64());
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
export function randomValue(next: () => number): bigint {
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

/** Fills the first 64 KiB with code, and a part of memory with what looks like tables that point into the first MiB. */
export function fillWithRandomCode({ processor }: TestMachine, next: () => number): void {
  const view = new DataView(processor.ram.buffer, processor.ramStart);
  for (let at = 0; at < 1 << 16; at += 4) view.setUint32(at, word(next), true);
  for (let at = 0xe0000; at < 0xe4000; at += 8) {
    const entry = BigInt(next() & 0xff000) | BigInt(next() & 0xfff) | 3n | (BigInt(next() & 0xff) << 52n);
    view.setBigUint64(at, entry, true);
  }
}
