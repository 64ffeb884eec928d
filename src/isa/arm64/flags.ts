/**
 * The condition flags: operations that set them, and the tests of the condition codes (DDI 0487, AddWithCarry,
 * ConditionHolds).
 */
import type { Expr, FlagSet } from '../micro_ops.js';
import type { Semantics } from '../semantics.js';

/** N, Z, C and V. */
export const a64Flags = { n: 'sign', z: 'zero', c: 'bit', v: 'sign' } as const satisfies FlagSet;

/** `a + b + carry`, setting the flags. For a subtraction, pass `b` inverted and a `carry` of 1. */
export function addWithCarry(m: Semantics, a: Expr, b: Expr, carry: Expr): Expr {
  const { width } = a;
  const first = m.let(m.add(a, b));
  const sum = m.let(m.add(first, m.resize(width, carry)));
  const carried = m.or(m.less(false, first, a), m.less(false, sum, first));
  setArithmeticFlags(m, sum, carried, m.and(m.xor(a, sum), m.xor(b, sum)));
  return sum;
}

/** `a + b`, setting the flags. */
export function addSettingFlags(m: Semantics, a: Expr, b: Expr): Expr {
  const sum = m.let(m.add(a, b));
  setArithmeticFlags(m, sum, m.less(false, sum, a), m.and(m.xor(a, sum), m.xor(b, sum)));
  return sum;
}

/** `a - b`, setting the flags. */
export function subtractSettingFlags(m: Semantics, a: Expr, b: Expr): Expr {
  const difference = m.let(m.sub(a, b));
  const noBorrow = m.negate(m.less(false, a, b));
  setArithmeticFlags(m, difference, noBorrow, m.and(m.xor(a, b), m.xor(a, difference)));
  return difference;
}

function setArithmeticFlags(m: Semantics, result: Expr, carry: Expr, overflow: Expr): void {
  const signed = m.signed64(result);
  m.setFlags({ n: signed, z: signed, c: carry, v: m.signed64(overflow) });
}

/** Sets the flags for a logical result: C and V become 0. */
export function setLogicalFlags(m: Semantics, result: Expr): void {
  const signed = m.signed64(result);
  m.setFlags({ n: signed, z: signed, c: m.constant(32, 0), v: m.constant(64, 0) });
}

/** Sets the flags from four bits NZCV; N is the highest. */
export function setFlagsFromBits(m: Semantics, nzcv: Expr): void {
  const bit = (index: number): Expr => m.and(m.shiftBy('shrUnsigned', nzcv, index), m.constant(32, 1));
  const asSign = (truth: Expr): Expr => m.shiftBy('shl', m.resize(64, truth), 63);
  m.setFlags({
    n: asSign(bit(3)),
    z: m.resize(64, m.negate(bit(2))),
    c: bit(1),
    v: asSign(bit(0)),
  });
}

/** Whether condition `code` (0 to 15) holds for the current flags, as a 32-bit 0 or 1. */
export function conditionHolds(m: Semantics, code: number): Expr {
  const [n, z, c, v] = [m.flag('n'), m.flag('z'), m.flag('c'), m.flag('v')];
  const sameSign = m.equal(n, v);
  const tests = [
    z,
    c,
    n,
    v,
    m.and(c, m.negate(z)),
    sameSign,
    m.and(sameSign, m.negate(z)),
    m.constant(32, 1),
  ];
  const truth = tests[code >> 1] ?? m.constant(32, 1);
  // Odd codes negate the even code below. The exception is 15, which always holds, like 14.
  return (code & 1) === 1 && code !== 15 ? m.negate(truth) : truth;
}
