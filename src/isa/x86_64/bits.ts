/** Bit tests, searches and counts (Intel SDM, volume 1, 7.3.7 and 12.12): BT, BTS, BTR, BTC, BSF, BSR, POPCNT. */
import type { Expr } from '../micro_ops.js';
import type { Semantics } from '../semantics.js';
import { allSizes } from './arithmetic.js';
import { instruction } from './encoding.js';
import { cut, setZero } from './flags.js';
import { asBytes, beforeWrite, imm, reg, rm, writtenMemory, memory, widthOf, writtenRm } from './operands.js';
import type { Bits, Memory, Place, Value } from './operands.js';

interface BitTest {
  readonly mnemonic: string;
  readonly digit: number;
  /** The new value from the old one and the bit's mask; null if it only tests. */
  readonly change: ((m: Semantics, value: Expr, mask: Expr) => Expr) | null;
}

const bitTests: readonly BitTest[] = [
  { mnemonic: 'bt', digit: 4, change: null },
  { mnemonic: 'bts', digit: 5, change: (m, value, mask) => m.or(value, mask) },
  { mnemonic: 'btr', digit: 6, change: (m, value, mask) => m.and(value, m.not(mask)) },
  { mnemonic: 'btc', digit: 7, change: (m, value, mask) => m.xor(value, mask) },
];

/** Tests bit `offset` modulo the operand size of a value, and changes it. */
function test(
  m: Semantics,
  bits: Bits,
  value: Expr,
  offset: Expr,
  { change }: BitTest,
  store: (value: Expr) => void,
): void {
  const at = m.let(m.and(m.resize(widthOf(bits), offset), m.constant(widthOf(bits), bits - 1)));
  const bit = m.let(m.resize(32, m.and(m.shift('shrUnsigned', value, at), m.constant(widthOf(bits), 1))));
  if (change !== null)
    store(cut(m, bits, change(m, value, m.shift('shl', m.constant(widthOf(bits), 1), at))));
  m.setFlags({ c: bit });
}

/** The bit of an offset in a register counts from the operand's address, in both directions. */
function testInMemory(m: Semantics, d: Memory, s: Value, row: BitTest): void {
  const { bits } = d;
  const offset = s.get();
  const wide = bits === 64 ? offset : m.signExtend(m.resize(64, offset), bits);
  const units = m.shiftBy('shrSigned', wide, Math.log2(bits));
  const at = m.let(d.linear(bits / 8, m.mul(units, m.constant(64, bits / 8))));
  const value = m.let(
    m.resize(widthOf(bits), m.load(asBytes(bits), at, row.change === null ? 'plain' : beforeWrite)),
  );
  test(m, bits, value, offset, row, (changed) => m.store(asBytes(bits), at, changed));
}

function bitRows(row: BitTest) {
  const { mnemonic, digit, change } = row;
  const name = mnemonic.toUpperCase();
  const opcode = `0F ${(0x83 + 8 * digit).toString(16).toUpperCase()} /r`;
  const common = { sizes: allSizes, undefinedFlags: 'paso', lockable: change !== null };
  const inRegister = (m: Semantics, { d, s }: { d: Place; s: Value }): void =>
    test(m, d.bits, d.get(), s.get(), row, (value) => d.set(value));
  return [
    ...instruction({ ...common, name: `${name}_r_r`, opcode, only: 'r', operands: { d: writtenRm(), s: reg() }, text: `${mnemonic} {s},{d}`, semantics: inRegister }),
    ...instruction({ ...common, name: `${name}_m_r`, opcode, only: 'm', operands: { d: change === null ? memory() : writtenMemory(), s: reg() }, text: `${mnemonic} {s},{d}`, semantics: (m, { d, s }) => testInMemory(m, d, s, row) }),
    ...instruction({ ...common, name: `${name}_rm_imm8`, opcode: `0F BA /${digit} ib`, operands: { d: change === null ? rm() : writtenRm(), s: imm(8) }, text: `${mnemonic}{w} {s},{d}`, semantics: inRegister }),
  ];
} // prettier-ignore

/** The number of zeros below the lowest bit. */
function trailing(m: Semantics, value: Expr): Expr {
  const lowest = m.and(value, m.sub(m.constant(value.width, 0), value));
  return m.sub(m.constant(value.width, value.width - 1), m.countLeadingZeros(lowest));
}

/** The place of the highest bit. */
function highest(m: Semantics, value: Expr): Expr {
  return m.sub(m.constant(value.width, value.width - 1), m.countLeadingZeros(value));
}

/** Of 0 the destination stays, which the manual leaves open and CPUs do. */
const scans = ([['bsf', 'BC', trailing], ['bsr', 'BD', highest]] as const).flatMap(([mnemonic, byte, find]) =>
  instruction({
    name: `${mnemonic.toUpperCase()}_r_rm`, opcode: `0F ${byte} /r`, sizes: allSizes, undefinedFlags: 'cpaso',
    operands: { d: reg(), s: rm() }, text: `${mnemonic} {s},{d}`,
    semantics: (m, { d, s }) => {
      const value = s.get();
      const isZero = m.let(m.isZero(value));
      m.when(m.negate(isZero), () => d.set(find(m, value)));
      setZero(m, isZero);
    },
  }),
); // prettier-ignore

/** The number of ones: of pairs, of groups of four, of bytes, and the sum of all bytes by a multiplication. */
function countOnes(m: Semantics, value: Expr): Expr {
  const { width } = value;
  const each = (byte: bigint): Expr =>
    m.constant(width, BigInt.asUintN(width, 0x0101_0101_0101_0101n * byte));
  const above = (a: Expr, by: number): Expr => m.shiftBy('shrUnsigned', a, by);
  const pairs = m.let(m.sub(value, m.and(above(value, 1), each(0x55n))));
  const fours = m.let(m.add(m.and(pairs, each(0x33n)), m.and(above(pairs, 2), each(0x33n))));
  const bytes = m.and(m.add(fours, above(fours, 4)), each(0x0fn));
  return above(m.mul(bytes, each(1n)), width - 8);
}

const popcnt = instruction({
  name: 'POPCNT_r_rm', opcode: 'F3 0F B8 /r', feature: 'popcnt', sizes: allSizes, operands: { d: reg(), s: rm() }, text: 'popcnt {s},{d}',
  semantics: (m, { d, s }) => {
    const value = s.get();
    d.set(countOnes(m, value));
    const [clear, clearSign] = [m.constant(32, 0), m.constant(64, 0)];
    // A byte of 1 has an odd number of ones.
    m.setFlags({ z: m.resize(64, value), c: clear, a: clear, p: m.constant(32, 1), s: clearSign, o: clearSign });
  },
}); // prettier-ignore

export const bitInstructions = [...bitTests.flatMap(bitRows), ...scans, ...popcnt];
