/**
 * The arithmetic flags of RFLAGS: operations that set them, and the conditions (Intel SDM, volume 1, 3.4.3.1 and appendix B).
 * Values have `bits` bits; those of 8 and 16 bits are zero-extended to 32.
 */
import type { Expr, FlagSet } from '../micro_ops.js';
import type { Semantics } from '../semantics.js';
import { widthOf } from './operands.js';
import type { Bits } from './operands.js';

/** CF, PF, AF, ZF, SF and OF. */
export const x86Flags = {
  c: 'bit',
  p: 'evenParity',
  a: 'bit4',
  z: 'zero',
  s: 'sign',
  o: 'sign',
} as const satisfies FlagSet;

/** `value` cut to `bits` bits, zero-extended. */
export function cut(m: Semantics, bits: Bits, value: Expr): Expr {
  return bits < 32 ? m.zeroExtend(value, bits as 8 | 16) : value;
}

/** `value` of `bits` bits as a signed number of 64. */
export function signed(m: Semantics, bits: Bits, value: Expr): Expr {
  return bits === 64 ? value : m.signExtend(m.resize(64, value), bits);
}

/** `value` of `bits` bits, sign-extended within its width. */
export function signedNarrow(m: Semantics, bits: Bits, value: Expr): Expr {
  return bits < 32 ? m.signExtend(value, bits as 8 | 16) : value;
}

export function one(m: Semantics, bits: Bits): Expr {
  return m.constant(widthOf(bits), 1);
}

/** A truth as the source of a flag whose form is `sign`. */
function asSign(m: Semantics, truth: Expr): Expr {
  return m.shiftBy('shl', m.resize(64, truth), 63);
}

/** The top bit of `value`, 0 or 1. */
export function topBit(m: Semantics, bits: Bits, value: Expr): Expr {
  return m.resize(32, m.and(m.shiftBy('shrUnsigned', value, bits - 1), m.constant(value.width, 1)));
}

/** The sources of SF, ZF and PF for a result. */
export function resultSources(m: Semantics, bits: Bits, result: Expr) {
  const value = m.let(signed(m, bits, result));
  return { s: value, z: value, p: m.resize(32, value) };
}

interface Sum {
  readonly result: Expr;
  readonly setFlags: () => void;
}

function arithmetic(
  m: Semantics,
  bits: Bits,
  [a, b, result]: readonly Expr[],
  carry: Expr,
  overflow: Expr,
): Sum {
  const c = m.let(carry);
  const [first, second, third] = [a, b, result] as [Expr, Expr, Expr];
  return {
    result: third,
    setFlags: () =>
      m.setFlags({
        ...resultSources(m, bits, third),
        c,
        a: m.resize(32, m.xor(m.xor(first, second), third)),
        o: signed(m, bits, overflow),
      }),
  };
}

/** `a + b`, and CF with it if `carry` is given. */
export function add(m: Semantics, bits: Bits, a: Expr, b: Expr, carry: Expr | null = null): Sum {
  const first = m.let(cut(m, bits, m.add(a, b)));
  const sum = carry === null ? first : m.let(cut(m, bits, m.add(first, m.resize(a.width, carry))));
  const carried = m.less(false, first, a);
  const carries = carry === null ? carried : m.or(carried, m.less(false, sum, first));
  return arithmetic(m, bits, [a, b, sum], carries, m.and(m.xor(a, sum), m.xor(b, sum)));
}

/** `a - b`, and CF less if `borrow` is given. */
export function subtract(m: Semantics, bits: Bits, a: Expr, b: Expr, borrow: Expr | null = null): Sum {
  const first = m.let(cut(m, bits, m.sub(a, b)));
  const difference = borrow === null ? first : m.let(cut(m, bits, m.sub(first, m.resize(a.width, borrow))));
  const borrowed = m.less(false, a, b);
  const borrows = borrow === null ? borrowed : m.or(borrowed, m.less(false, first, difference));
  return arithmetic(m, bits, [a, b, difference], borrows, m.and(m.xor(a, b), m.xor(a, difference)));
}

/** A logical result: CF and OF become 0; AF is undefined, and 0 here. */
export function logical(m: Semantics, bits: Bits, result: Expr): Sum {
  const value = m.let(result);
  const setFlags = (): void =>
    m.setFlags({
      ...resultSources(m, bits, value),
      c: m.constant(32, 0),
      a: m.constant(32, 0),
      o: m.constant(64, 0),
    });
  return { result: value, setFlags };
}

/** Sets CF and OF to truths (0 or 1). */
export function setCarryAndOverflow(m: Semantics, carry: Expr, overflow: Expr): void {
  m.setFlags({ c: carry, o: asSign(m, overflow) });
}

/** Sets ZF to a truth. */
export function setZero(m: Semantics, zero: Expr): void {
  m.setFlags({ z: m.resize(64, m.negate(zero)) });
}

/** The places of the arithmetic flags in RFLAGS. */
const places = { c: 0, p: 2, a: 4, z: 6, s: 7, o: 11 } as const;
type Flag = keyof typeof places;

/** The named flags as bits of RFLAGS, 32 bits wide. */
export function flagBits(m: Semantics, names: readonly Flag[]): Expr {
  return names.map((name) => m.shiftBy('shl', m.flag(name), places[name])).reduce((a, b) => m.or(a, b));
}

/** Sets the named flags from bits of RFLAGS. */
export function setFlagBits(m: Semantics, names: readonly Flag[], value: Expr): void {
  const bit = (name: Flag): Expr =>
    m.and(m.shiftBy('shrUnsigned', m.resize(32, value), places[name]), m.constant(32, 1));
  const sources = {
    c: () => bit('c'),
    // A byte of 0 has an even number of ones, and a byte of 1 has not.
    p: () => m.negate(bit('p')),
    a: () => m.shiftBy('shl', bit('a'), 4),
    z: () => m.resize(64, m.negate(bit('z'))),
    s: () => asSign(m, bit('s')),
    o: () => asSign(m, bit('o')),
  };
  m.setFlags(Object.fromEntries(names.map((name) => [name, sources[name]()])));
}

/** The conditions as objdump names them, by number. */
export const conditionNames = [
  'o', 'no', 'b', 'ae', 'e', 'ne', 'be', 'a', 's', 'ns', 'p', 'np', 'l', 'ge', 'le', 'g',
] as const; // prettier-ignore

/** Whether condition `number` holds, as a 32-bit 0 or 1. */
export function conditionHolds(m: Semantics, number: number): Expr {
  const less = (): Expr => m.xor(m.flag('s'), m.flag('o'));
  const tests = [
    () => m.flag('o'),
    () => m.flag('c'),
    () => m.flag('z'),
    () => m.or(m.flag('c'), m.flag('z')),
    () => m.flag('s'),
    () => m.flag('p'),
    less,
    () => m.or(less(), m.flag('z')),
  ];
  const truth = (tests[number >> 1] ?? less)();
  return (number & 1) === 1 ? m.negate(truth) : truth;
}
