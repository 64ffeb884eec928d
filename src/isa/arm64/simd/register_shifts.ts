/**
 * Shifts of each lane by its own amount (DDI 0487, SSHL and related instructions): left, or right if the amount is
 * negative.
 */
import type { Expr } from '../../micro_ops.js';
import type { Semantics } from '../../semantics.js';
import type { LaneBits, VectorExpr } from '../../vector_micro_ops.js';
import { laneOf, replaceLane, zeroVector } from '../../vector_expr.js';
import { laneCount } from './arrangements.js';
import type { Arrangement } from './arrangements.js';

export interface ShiftKind {
  readonly signed: boolean;
  readonly rounding: boolean;
  readonly saturating: boolean;
}

/** The value of a lane, sign-extended or zero-extended to 64 bits. */
function wideLane(m: Semantics, lane: LaneBits, signed: boolean, a: VectorExpr, index: number): Expr {
  const value = laneOf(lane, a, index, signed);
  return signed ? m.signed64(value) : m.resize(64, value);
}

/** Shifts right by 1 to 128, optionally rounding to nearest, half up. */
function shiftRight(m: Semantics, { signed, rounding }: ShiftKind, value: Expr, amount: Expr): Expr {
  const kind = signed ? 'shrSigned' : 'shrUnsigned';
  const one = m.constant(64, 1);
  // Shift by one less first, limited to 63, then by the last bit.
  const less = m.let(m.sub(amount, one));
  const isFar = m.less(false, m.constant(64, 63), less);
  const near = m.shift(kind, value, less);
  const far = signed ? m.shiftBy('shrSigned', value, 63) : m.constant(64, 0);
  const before = m.let(m.select(isFar, far, near));
  const shifted = m.shiftBy(kind, before, 1);
  return rounding ? m.add(shifted, m.and(before, one)) : shifted;
}

/** Shifts left by 0 to 127, truncated to the lane. */
function shiftLeft(m: Semantics, value: Expr, amount: Expr): Expr {
  const isFar = m.less(false, m.constant(64, 63), amount);
  return m.select(isFar, m.constant(64, 0), m.shift('shl', value, amount));
}

interface Limits {
  readonly low: bigint;
  readonly high: bigint;
}

function limitsOf(lane: LaneBits, signed: boolean): Limits {
  const half = 1n << BigInt(lane - 1);
  return signed ? { low: -half, high: half - 1n } : { low: 0n, high: 2n * half - 1n };
}

/** Shifts left by 0 to 127. Saturates and sets QC where the lane cannot hold the result. */
function shiftLeftSaturating(
  m: Semantics,
  lane: LaneBits,
  { signed }: ShiftKind,
  value: Expr,
  amount: Expr,
  isLeft: Expr,
): Expr {
  const { low, high } = limitsOf(lane, signed);
  const back = signed ? 'shrSigned' : 'shrUnsigned';
  const moved = m.let(shiftLeft(m, value, amount));
  const isFar = m.less(false, m.constant(64, 63), amount);
  const lost = m.notEqual(m.shift(back, moved, amount), value);
  const nonZero = m.negate(m.isZero(value));
  const tooLarge = m.less(signed, m.constant(64, high), moved);
  const tooSmall = signed ? m.less(true, moved, m.constant(64, low)) : m.constant(32, 0);
  const outside = lane === 64 ? m.constant(32, 0) : m.or(tooLarge, tooSmall);
  const over = m.let(m.and(m.or(m.and(isFar, nonZero), m.or(lost, outside)), isLeft));
  m.setSaturated(over);
  const negative = signed ? m.less(true, value, m.constant(64, 0)) : m.constant(32, 0);
  const limit = m.select(negative, m.constant(64, low), m.constant(64, high));
  return m.select(over, limit, moved);
}

/** Shifts every lane of `a` by the signed low byte of the same lane of `b`. */
export function shiftByRegister(
  m: Semantics,
  arrangement: Arrangement,
  kind: ShiftKind,
  a: VectorExpr,
  b: VectorExpr,
): VectorExpr {
  const { lane } = arrangement;
  let result = zeroVector;
  for (let index = 0; index < laneCount(arrangement); index += 1) {
    const value = m.let(wideLane(m, lane, kind.signed, a, index));
    const amount = m.let(m.signExtend(m.resize(64, laneOf(lane, b, index)), 8));
    const isLeft = m.let(m.negate(m.less(true, amount, m.constant(64, 0))));
    const right = shiftRight(m, kind, value, m.sub(m.constant(64, 0), amount));
    const left = kind.saturating
      ? shiftLeftSaturating(m, lane, kind, value, amount, isLeft)
      : shiftLeft(m, value, amount);
    const shifted = m.select(isLeft, left, right);
    result = replaceLane(lane, result, index, m.resize(lane === 64 ? 64 : 32, shifted));
  }
  return result;
}
