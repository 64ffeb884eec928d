/** Shifts and rotations (Intel SDM, volume 1, 7.3.6): ROL to SAR, SHLD and SHRD. */
import type { Expr } from '../micro_ops.js';
import type { Semantics } from '../semantics.js';
import { allSizes } from './arithmetic.js';
import { instruction } from './encoding.js';
import { cut, resultSources, setCarryAndOverflow, signed, topBit } from './flags.js';
import { fixed, imm, reg, widthOf, writtenRm } from './operands.js';
import type { Bits, Place, Value } from './operands.js';

/** What a shift or rotation by 1 or more yields. CF and OF are truths. */
interface Shifted {
  readonly result: Expr;
  readonly carry: Expr;
  readonly overflow: Expr;
}

interface Shift {
  readonly mnemonic: string;
  readonly digit: number;
  /** Whether it is a rotation, which leaves SF, ZF, AF and PF alone. */
  readonly rotates: boolean;
  /** `a` by `count`, which has the width of `wide` and is 1 to 31, or to 63 for 64 bits. */
  readonly compute: (m: Semantics, bits: Bits, a: Expr, count: Expr) => Shifted;
}

const bitOf = (m: Semantics, value: Expr, at: Expr): Expr =>
  m.let(m.resize(32, m.and(m.shift('shrUnsigned', value, at), m.constant(value.width, 1))));

const less = (m: Semantics, from: number, value: Expr): Expr => m.sub(m.constant(value.width, from), value);

/** `wide`, 64 bits, cut to the size of a result. */
function narrowed(m: Semantics, bits: Bits, wide: Expr): Expr {
  return m.let(cut(m, bits, m.resize(widthOf(bits), wide)));
}

function shiftLeft(m: Semantics, bits: Bits, a: Expr, count: Expr): Shifted {
  const wide = m.resize(64, a);
  const result = narrowed(m, bits, m.shift('shl', wide, count));
  // Of fewer than 64 bits, the bit shifted out last stands above the result.
  const carry =
    bits === 64
      ? bitOf(m, wide, less(m, 64, count))
      : bitOf(m, m.shift('shl', wide, count), m.constant(64, bits));
  return { result, carry, overflow: m.xor(topBit(m, bits, result), carry) };
}

function shiftRight(m: Semantics, bits: Bits, a: Expr, count: Expr): Shifted {
  const wide = m.resize(64, a);
  const carry = bitOf(m, wide, m.sub(count, m.constant(64, 1)));
  return {
    result: narrowed(m, bits, m.shift('shrUnsigned', wide, count)),
    carry,
    overflow: m.let(topBit(m, bits, a)),
  };
}

function shiftArithmetic(m: Semantics, bits: Bits, a: Expr, count: Expr): Shifted {
  const wide = m.let(signed(m, bits, a));
  const carry = bitOf(m, m.shift('shrSigned', wide, m.sub(count, m.constant(64, 1))), m.constant(64, 0));
  return { result: narrowed(m, bits, m.shift('shrSigned', wide, count)), carry, overflow: m.constant(32, 0) };
}

/** `a` rotated to the left by `count` modulo its bits. */
function rotated(m: Semantics, bits: Bits, a: Expr, count: Expr): Expr {
  if (bits >= 32) return m.let(m.shift('rotr', a, m.sub(m.constant(a.width, 0), m.resize(a.width, count))));
  const by = m.let(m.and(count, m.constant(64, bits - 1)));
  const wide = m.resize(64, a);
  return narrowed(m, bits, m.or(m.shift('shl', wide, by), m.shift('shrUnsigned', wide, less(m, bits, by))));
}

function rotateLeft(m: Semantics, bits: Bits, a: Expr, count: Expr): Shifted {
  const result = rotated(m, bits, a, count);
  const carry = m.let(m.resize(32, m.and(result, m.constant(result.width, 1))));
  return { result, carry, overflow: m.xor(topBit(m, bits, result), carry) };
}

function rotateRight(m: Semantics, bits: Bits, a: Expr, count: Expr): Shifted {
  const result = rotated(m, bits, a, m.sub(m.constant(64, 0), count));
  const carry = m.let(topBit(m, bits, result));
  const below = m.and(m.shiftBy('shrUnsigned', result, bits - 2), m.constant(result.width, 1));
  return { result, carry, overflow: m.xor(carry, m.resize(32, below)) };
}

/** A count of a rotation through CF: 0 to `bits`. */
function throughCount(m: Semantics, bits: Bits, count: Expr): Expr {
  if (bits >= 32) return count;
  const turns = m.constant(64, bits + 1);
  // At most 31, so three times nine is the most that has to be taken off.
  const reduced = m.select(m.less(false, count, turns), count, m.sub(count, turns));
  const once = m.let(reduced);
  const twice = m.let(m.select(m.less(false, once, turns), once, m.sub(once, turns)));
  return m.let(m.select(m.less(false, twice, turns), twice, m.sub(twice, turns)));
}

/** The value with CF above it, rotated to the left, of fewer than 64 bits; `left` is 0 to `bits`. */
function throughCarry(m: Semantics, bits: Bits, a: Expr, left: Expr): { result: Expr; carry: Expr } {
  const joined = m.let(m.or(m.resize(64, a), m.shiftBy('shl', m.resize(64, m.flag('c')), bits)));
  const turned = m.or(m.shift('shl', joined, left), m.shift('shrUnsigned', joined, less(m, bits + 1, left)));
  const whole = m.let(turned);
  return { result: narrowed(m, bits, whole), carry: bitOf(m, whole, m.constant(64, bits)) };
}

function rotateLeftThroughCarry(m: Semantics, bits: Bits, a: Expr, given: Expr): Shifted {
  const count = m.let(throughCount(m, bits, given));
  if (bits < 64) {
    const { result, carry } = throughCarry(m, bits, a, count);
    return { result, carry, overflow: m.xor(topBit(m, bits, result), carry) };
  }
  const rest = less(m, 64, count);
  const carryIn = m.shift('shl', m.resize(64, m.flag('c')), m.sub(count, m.constant(64, 1)));
  const wrapped = m.shift('shrUnsigned', m.shiftBy('shrUnsigned', a, 1), rest);
  const result = m.let(m.or(m.or(m.shift('shl', a, count), carryIn), wrapped));
  const carry = bitOf(m, a, rest);
  return { result, carry, overflow: m.xor(topBit(m, bits, result), carry) };
}

function rotateRightThroughCarry(m: Semantics, bits: Bits, a: Expr, given: Expr): Shifted {
  const count = m.let(throughCount(m, bits, given));
  const overflowOf = (result: Expr): Expr =>
    m.xor(
      topBit(m, bits, result),
      m.resize(32, m.and(m.shiftBy('shrUnsigned', result, bits - 2), m.constant(result.width, 1))),
    );
  if (bits < 64) {
    const { result, carry } = throughCarry(m, bits, a, m.let(less(m, bits + 1, count)));
    return { result, carry, overflow: overflowOf(result) };
  }
  const rest = less(m, 64, count);
  const carryIn = m.shift('shl', m.resize(64, m.flag('c')), rest);
  const wrapped = m.shift('shl', m.shiftBy('shl', a, 1), rest);
  const result = m.let(m.or(m.or(m.shift('shrUnsigned', a, count), carryIn), wrapped));
  return { result, carry: bitOf(m, a, m.sub(count, m.constant(64, 1))), overflow: overflowOf(result) };
}

const shifts: readonly Shift[] = [
  { mnemonic: 'rol', digit: 0, rotates: true, compute: rotateLeft },
  { mnemonic: 'ror', digit: 1, rotates: true, compute: rotateRight },
  { mnemonic: 'rcl', digit: 2, rotates: true, compute: rotateLeftThroughCarry },
  { mnemonic: 'rcr', digit: 3, rotates: true, compute: rotateRightThroughCarry },
  { mnemonic: 'shl', digit: 4, rotates: false, compute: shiftLeft },
  { mnemonic: 'shr', digit: 5, rotates: false, compute: shiftRight },
  { mnemonic: 'shl', digit: 6, rotates: false, compute: shiftLeft },
  { mnemonic: 'sar', digit: 7, rotates: false, compute: shiftArithmetic },
];

/** The count as the CPU takes it: its low 5 bits, or 6 for operands of 64 bits. 64 bits wide. */
function masked(m: Semantics, bits: Bits, count: Expr): Expr {
  return m.let(m.and(m.resize(64, count), m.constant(64, bits === 64 ? 63 : 31)));
}

/** Writes a result and its flags, unless the count is 0. */
function unlessZero(
  m: Semantics,
  d: Place,
  a: Expr,
  count: Expr,
  rotates: boolean,
  compute: () => Shifted,
): void {
  m.when(
    m.notEqual(count, m.constant(64, 0)),
    () => {
      const { result, carry, overflow } = compute();
      const c = m.let(carry);
      const o = m.let(overflow);
      d.set(result);
      if (!rotates) m.setFlags({ ...resultSources(m, d.bits, result), a: m.constant(32, 0) });
      setCarryAndOverflow(m, c, o);
    },
    // A register of 32 bits is written all the same, which clears its upper half.
    () => d.set(a),
  );
}

function shiftRows({ mnemonic, digit, rotates, compute }: Shift) {
  const name = `${mnemonic.toUpperCase()}${digit === 6 ? '_alias' : ''}`;
  const cold = mnemonic.startsWith('rc');
  const shift = (m: Semantics, d: Place, given: Expr): void => {
    const count = masked(m, d.bits, given);
    const a = d.get();
    unlessZero(m, d, a, count, rotates, () => compute(m, d.bits, a, count));
  };
  const byOne = (m: Semantics, { d }: { d: Place }): void => shift(m, d, m.constant(32, 1));
  const by = (m: Semantics, { d, s }: { d: Place; s: Value }): void => shift(m, d, s.get());
  const common = { cold, undefinedFlags: rotates ? 'o' : 'ao' };
  // OF is defined for shifts by 1 alone.
  const once = { cold, undefinedFlags: rotates ? '' : 'a' };
  const sizes = allSizes;
  const [oneText, text] = [`${mnemonic}{w} {d}`, `${mnemonic}{w} {s},{d}`];
  return [
    instruction({ ...once, name: `${name}_rm8_1`, opcode: `D0 /${digit}`, operands: { d: writtenRm(8) }, text: oneText, semantics: byOne }),
    instruction({ ...once, name: `${name}_rm_1`, opcode: `D1 /${digit}`, sizes, operands: { d: writtenRm() }, text: oneText, semantics: byOne }),
    instruction({ ...common, name: `${name}_rm8_cl`, opcode: `D2 /${digit}`, operands: { d: writtenRm(8), s: fixed('rcx', 8) }, text, semantics: by }),
    instruction({ ...common, name: `${name}_rm_cl`, opcode: `D3 /${digit}`, sizes, operands: { d: writtenRm(), s: fixed('rcx', 8) }, text, semantics: by }),
    instruction({ ...common, name: `${name}_rm8_imm8`, opcode: `C0 /${digit} ib`, operands: { d: writtenRm(8), s: imm(8) }, text, semantics: by }),
    instruction({ ...common, name: `${name}_rm_imm8`, opcode: `C1 /${digit} ib`, sizes, operands: { d: writtenRm(), s: imm(8) }, text, semantics: by }),
  ].flat(); // prettier-ignore
}

/** Both operands as one number, the second below (SHLD) or above (SHRD), shifted by 1 or more. */
function doubleShift(m: Semantics, bits: Bits, isLeft: boolean, a: Expr, b: Expr, count: Expr): Shifted {
  const [there, back] = isLeft ? (['shl', 'shrUnsigned'] as const) : (['shrUnsigned', 'shl'] as const);
  if (bits === 16) {
    // For counts above 16, which the manual leaves open, the second operand follows itself, as on AMD's CPUs.
    const [x, y] = [m.resize(64, a), m.resize(64, b)];
    const at = (value: Expr, by: number): Expr => m.shiftBy('shl', value, by);
    const joined = isLeft ? m.or(m.or(at(x, 32), at(y, 16)), y) : m.or(m.or(x, at(y, 16)), at(y, 32));
    const once = m.let(joined);
    const result = narrowed(
      m,
      bits,
      isLeft ? m.shift('shrUnsigned', once, less(m, 32, count)) : m.shift('shrUnsigned', once, count),
    );
    const carry = bitOf(m, once, isLeft ? less(m, 48, count) : m.sub(count, m.constant(64, 1)));
    return { result, carry, overflow: m.xor(topBit(m, bits, result), topBit(m, bits, a)) };
  }
  const by = m.resize(a.width, count);
  const result = m.let(m.or(m.shift(there, a, by), m.shift(back, b, less(m, bits, by))));
  const carry = bitOf(m, a, isLeft ? less(m, bits, by) : m.sub(by, m.constant(a.width, 1)));
  return { result, carry, overflow: m.xor(topBit(m, bits, result), topBit(m, bits, a)) };
}

function doubleRows(mnemonic: string, byte: number) {
  const [name, isLeft] = [mnemonic.toUpperCase(), mnemonic === 'shld'];
  const semantics = (m: Semantics, { d, s, n }: { d: Place; s: Value; n: Value }): void => {
    const count = masked(m, d.bits, n.get());
    const [a, b] = [d.get(), s.get()];
    unlessZero(m, d, a, count, false, () => doubleShift(m, d.bits, isLeft, a, b, count));
  };
  const common = { undefinedFlags: 'ao', sizes: allSizes, text: `${mnemonic} {n},{s},{d}`, semantics };
  const opcode = (of: number): string => `0F ${of.toString(16).toUpperCase()} /r`;
  return [
    instruction({ ...common, name: `${name}_rm_r_imm8`, opcode: `${opcode(byte)} ib`, operands: { d: writtenRm(), s: reg(), n: imm(8) } }),
    instruction({ ...common, name: `${name}_rm_r_cl`, opcode: opcode(byte + 1), operands: { d: writtenRm(), s: reg(), n: fixed('rcx', 8) } }),
  ].flat(); // prettier-ignore
}

export const shiftInstructions = [
  ...shifts.flatMap(shiftRows),
  ...doubleRows('shld', 0xa4),
  ...doubleRows('shrd', 0xac),
];
