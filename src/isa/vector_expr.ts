/**
 * Builders for 128-bit values. Each function makes one micro-operation, or composes one that does not exist. A function
 * that uses an argument twice takes the builder, to store the argument in a local first.
 */
import { invariant } from '../base/index.js';
import type { Expr } from './micro_ops.js';
import type { Semantics } from './semantics.js';
import type {
  LaneBits,
  VectorBinaryKind,
  VectorBitsKind,
  VectorExpr,
  VectorShiftKind,
  VectorUnaryKind,
} from './vector_micro_ops.js';

export function vectorConstant(value: bigint): VectorExpr {
  return { op: 'vectorConst', value: BigInt.asUintN(128, value) };
}

/** The same number in every lane. */
export function laneConstant(lane: LaneBits, value: bigint | number): VectorExpr {
  const one = BigInt.asUintN(lane, BigInt(value));
  let all = 0n;
  for (let at = 0; at < 128; at += lane) all |= one << BigInt(at);
  return vectorConstant(all);
}

export const zeroVector = vectorConstant(0n);

export function unary(kind: VectorUnaryKind, lane: LaneBits, a: VectorExpr): VectorExpr {
  return { op: 'vectorUnary', kind, lane, a };
}

export function binary(kind: VectorBinaryKind, lane: LaneBits, a: VectorExpr, b: VectorExpr): VectorExpr {
  return { op: 'vectorBinary', kind, lane, a, b };
}

function bits(kind: VectorBitsKind, a: VectorExpr, b: VectorExpr): VectorExpr {
  return { op: 'vectorBits', kind, a, b };
}

export function vand(a: VectorExpr, b: VectorExpr): VectorExpr {
  return bits('and', a, b);
}

export function vor(a: VectorExpr, b: VectorExpr): VectorExpr {
  return bits('or', a, b);
}

export function vxor(a: VectorExpr, b: VectorExpr): VectorExpr {
  return bits('xor', a, b);
}

/** The bits of `a` where `b` has zeros. */
export function vandNot(a: VectorExpr, b: VectorExpr): VectorExpr {
  return bits('andNot', a, b);
}

export function vnot(a: VectorExpr): VectorExpr {
  return vxor(a, vectorConstant(-1n));
}

/** The bits of `a` where `mask` has ones, else those of `b`. */
export function bitSelect(mask: VectorExpr, a: VectorExpr, b: VectorExpr): VectorExpr {
  return { op: 'bitSelect', mask, a, b };
}

/** Shifts every lane by one 32-bit amount, taken modulo the lane width. */
export function shiftLanes(kind: VectorShiftKind, lane: LaneBits, a: VectorExpr, amount: Expr): VectorExpr {
  return { op: 'vectorShift', kind, lane, a, amount };
}

/** Shifts every lane by a constant, 0 to the lane width. A shift by the whole width leaves zeros or sign bits. */
export function shiftLanesBy(
  kind: VectorShiftKind,
  lane: LaneBits,
  a: VectorExpr,
  amount: number,
): VectorExpr {
  if (amount === 0) return a;
  if (amount >= lane && kind !== 'shrSigned') return zeroVector;
  const value = BigInt(Math.min(amount, lane - 1));
  return shiftLanes(kind, lane, a, { op: 'const', width: 32, value });
}

export function splat(lane: LaneBits, a: Expr): VectorExpr {
  invariant(a.width === (lane === 64 ? 64 : 32), `lanes of ${lane} bits are not made of ${a.width}`);
  return { op: 'splat', lane, a };
}

/** `a`, zero-extended to 128 bits. */
export function fromLow(a: Expr): VectorExpr {
  return { op: 'fromLow', a };
}

export function laneOf(lane: LaneBits, a: VectorExpr, index: number, signed = false): Expr {
  return { op: 'lane', width: lane === 64 ? 64 : 32, lane, index, signed, a };
}

export function replaceLane(lane: LaneBits, a: VectorExpr, index: number, value: Expr): VectorExpr {
  return { op: 'replaceLane', lane, index, a, value };
}

/** Whether any bit is 1. */
export function anyTrue(a: VectorExpr): Expr {
  return { op: 'anyTrue', width: 32, a };
}

/** The sign bits of all lanes as a 32-bit number, that of lane 0 lowest. */
export function signBits(lane: LaneBits, a: VectorExpr): Expr {
  return { op: 'signBits', width: 32, lane, a };
}

/** Sixteen bytes selected from `a` (0 to 15) and `b` (16 to 31), lowest first. */
export function shuffleBytes(bytes: readonly number[], a: VectorExpr, b: VectorExpr): VectorExpr {
  invariant(bytes.length === 16, 'a shuffle names sixteen bytes');
  return { op: 'shuffle', bytes, a, b };
}

/** Lanes selected from `a`, then `b`, by index. Fills a vector. */
export function shuffleLanes(
  lane: LaneBits,
  order: readonly number[],
  a: VectorExpr,
  b: VectorExpr,
): VectorExpr {
  const size = lane / 8;
  const bytes = order.flatMap((from) => Array.from({ length: size }, (_, byte) => from * size + byte));
  return shuffleBytes(bytes, a, b);
}

/** For each byte of `indexes`, the byte of `a` with that index, or 0 if the index is above 15. */
export function swizzle(a: VectorExpr, indexes: VectorExpr): VectorExpr {
  return { op: 'swizzle', a, indexes };
}

/** The low `count` bits, zero-extended. */
export function lowBits(count: number, a: VectorExpr): VectorExpr {
  return count === 128 ? a : vand(a, vectorConstant((1n << BigInt(count)) - 1n));
}

/** The low half of `a`, with the low half of `b` above it. */
export function joinLow(a: VectorExpr, b: VectorExpr): VectorExpr {
  return shuffleLanes(64, [0, 2], a, b);
}

/** The high half of `a`, with the high half of `b` above it. */
export function joinHigh(a: VectorExpr, b: VectorExpr): VectorExpr {
  return shuffleLanes(64, [1, 3], a, b);
}

/** The even lanes of `a`, then those of `b`. */
export function evenLanes(lane: LaneBits, a: VectorExpr, b: VectorExpr): VectorExpr {
  return shuffleLanes(lane, [...Array(128 / lane).keys()].map((index) => 2 * index), a, b); // prettier-ignore
}

/** The odd lanes of `a`, then those of `b`. */
export function oddLanes(lane: LaneBits, a: VectorExpr, b: VectorExpr): VectorExpr {
  return shuffleLanes(lane, [...Array(128 / lane).keys()].map((index) => 2 * index + 1), a, b); // prettier-ignore
}

/** Products of 8-bit lanes, which have no operation: even and odd lanes separately, in 16-bit lanes. */
export function multiplyLanes(
  m: Semantics,
  lane: LaneBits,
  first: VectorExpr,
  second: VectorExpr,
): VectorExpr {
  if (lane !== 8) return binary('mul', lane, first, second);
  const [a, b] = [m.letVector(first), m.letVector(second)];
  const low = vand(binary('mul', 16, a, b), laneConstant(16, 0xff));
  const up = (value: VectorExpr): VectorExpr => shiftLanesBy('shrUnsigned', 16, value, 8);
  return vor(low, shiftLanesBy('shl', 16, binary('mul', 16, up(a), up(b)), 8));
}

/** A lane mask of ones where `a` is greater than `b`, or (`orEqual`) greater or equal. */
export function compareLanes(
  lane: LaneBits,
  signed: boolean,
  orEqual: boolean,
  a: VectorExpr,
  b: VectorExpr,
): VectorExpr {
  if (signed) return binary(orEqual ? 'geSigned' : 'gtSigned', lane, a, b);
  if (lane !== 64) return binary(orEqual ? 'geUnsigned' : 'gtUnsigned', lane, a, b);
  const flip = (value: VectorExpr): VectorExpr => vxor(value, laneConstant(64, 1n << 63n));
  return compareLanes(64, true, orEqual, flip(a), flip(b));
}

/** The smaller or larger value of each pair of lanes. */
export function extremeLanes(
  m: Semantics,
  lane: LaneBits,
  signed: boolean,
  larger: boolean,
  first: VectorExpr,
  second: VectorExpr,
): VectorExpr {
  const kind = `${larger ? 'max' : 'min'}${signed ? 'Signed' : 'Unsigned'}` as const;
  if (lane !== 64) return binary(kind, lane, first, second);
  const [a, b] = [m.letVector(first), m.letVector(second)];
  const above = compareLanes(64, signed, false, a, b);
  return larger ? bitSelect(above, a, b) : bitSelect(above, b, a);
}
