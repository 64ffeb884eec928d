/** Saturating vector arithmetic, which sets FPSR.QC (DDI 0487, SatQ). Unused lanes must be 0. */
import type { Semantics } from '../../semantics.js';
import type { LaneBits, VectorExpr } from '../../vector_micro_ops.js';
import {
  anyTrue,
  binary,
  bitSelect,
  compareLanes,
  evenLanes,
  extremeLanes,
  laneConstant,
  shiftLanesBy,
  unary,
  vand,
  vandNot,
  vnot,
  vor,
  vxor,
} from '../../vector_expr.js';

/** The largest signed number of a lane. */
export function largest(lane: LaneBits): VectorExpr {
  return laneConstant(lane, (1n << BigInt(lane - 1)) - 1n);
}

export function smallest(lane: LaneBits): VectorExpr {
  return laneConstant(lane, 1n << BigInt(lane - 1));
}

/** All ones in each negative lane. */
export function signs(lane: LaneBits, a: VectorExpr): VectorExpr {
  return shiftLanesBy('shrSigned', lane, a, lane - 1);
}

/** `limit` where `mask` has ones, else `value`. Sets QC if any bit of `mask` is set. */
export function saturate(m: Semantics, mask: VectorExpr, limit: VectorExpr, value: VectorExpr): VectorExpr {
  const where = m.letVector(mask);
  m.setSaturated(anyTrue(where));
  return bitSelect(where, limit, value);
}

/** The limit that a signed sum overflows to, by the sign of `a`. */
function limitBySign(lane: LaneBits, a: VectorExpr): VectorExpr {
  return vxor(signs(lane, a), largest(lane));
}

export function addSigned(m: Semantics, lane: LaneBits, a: VectorExpr, b: VectorExpr): VectorExpr {
  const sum = m.letVector(binary('add', lane, a, b));
  const overflow = signs(lane, vand(vxor(a, sum), vxor(b, sum)));
  return saturate(m, overflow, limitBySign(lane, a), sum);
}

export function subtractSigned(m: Semantics, lane: LaneBits, a: VectorExpr, b: VectorExpr): VectorExpr {
  const difference = m.letVector(binary('sub', lane, a, b));
  const overflow = signs(lane, vand(vxor(a, b), vxor(a, difference)));
  return saturate(m, overflow, limitBySign(lane, a), difference);
}

export function addUnsigned(m: Semantics, lane: LaneBits, a: VectorExpr, b: VectorExpr): VectorExpr {
  const sum = m.letVector(binary('add', lane, a, b));
  return saturate(m, compareLanes(lane, false, false, a, sum), laneConstant(lane, -1), sum);
}

export function subtractUnsigned(m: Semantics, lane: LaneBits, a: VectorExpr, b: VectorExpr): VectorExpr {
  const difference = binary('sub', lane, a, b);
  return saturate(m, compareLanes(lane, false, false, b, a), laneConstant(lane, 0), difference);
}

/** A signed plus an unsigned number, saturated to signed. */
export function addUnsignedToSigned(
  m: Semantics,
  lane: LaneBits,
  signed: VectorExpr,
  unsigned: VectorExpr,
): VectorExpr {
  const room = binary('sub', lane, largest(lane), signed);
  const sum = binary('add', lane, signed, unsigned);
  return saturate(m, compareLanes(lane, false, false, unsigned, room), largest(lane), sum);
}

/** An unsigned plus a signed number, saturated to unsigned. */
export function addSignedToUnsigned(
  m: Semantics,
  lane: LaneBits,
  unsigned: VectorExpr,
  signed: VectorExpr,
): VectorExpr {
  const negative = m.letVector(signs(lane, signed));
  const above = vandNot(compareLanes(lane, false, false, signed, vnot(unsigned)), negative);
  const below = vand(compareLanes(lane, false, false, unary('negate', lane, signed), unsigned), negative);
  const sum = binary('add', lane, unsigned, signed);
  return saturate(m, vor(above, below), vnot(negative), sum);
}

/** The absolute value or the negation, saturated for the smallest number. */
export function withoutSmallest(
  m: Semantics,
  lane: LaneBits,
  kind: 'abs' | 'negate',
  a: VectorExpr,
): VectorExpr {
  return saturate(m, binary('eq', lane, a, smallest(lane)), largest(lane), unary(kind, lane, a));
}

/** Source and result signedness of a narrowing instruction. */
export type Narrowing = 'signed' | 'unsigned' | 'signedToUnsigned';

/** Saturates lanes of `lane` bits to the range of half their width. */
export function clampToHalf(m: Semantics, lane: LaneBits, kind: Narrowing, value: VectorExpr): VectorExpr {
  const half = BigInt(lane / 2);
  const a = m.letVector(value);
  const bound = (larger: boolean, signed: boolean, limit: bigint, from: VectorExpr): VectorExpr =>
    extremeLanes(m, lane, signed, larger, from, laneConstant(lane, limit));
  const clamp = {
    signed: () => bound(true, true, -(1n << (half - 1n)), bound(false, true, (1n << (half - 1n)) - 1n, a)),
    unsigned: () => bound(false, false, (1n << half) - 1n, a),
    signedToUnsigned: () => bound(true, true, 0n, bound(false, true, (1n << half) - 1n, a)),
  };
  const result = m.letVector(clamp[kind]());
  m.setSaturated(anyTrue(vxor(result, a)));
  return result;
}

/** Doubles a product of signed lanes half as wide. It overflows only if both factors are the smallest number. */
export function saturateDoubled(m: Semantics, lane: LaneBits, product: VectorExpr): VectorExpr {
  const once = m.letVector(product);
  const both = binary('eq', lane, once, laneConstant(lane, 1n << BigInt(lane - 2)));
  return saturate(m, both, largest(lane), shiftLanesBy('shl', lane, once, 1));
}

/** The high half of a doubled product of signed lanes, optionally rounded (SQDMULH, SQRDMULH). */
export function doubledHighProduct(
  m: Semantics,
  lane: 16 | 32,
  rounding: boolean,
  a: VectorExpr,
  b: VectorExpr,
): VectorExpr {
  const wide = (lane * 2) as 32 | 64;
  const high = (kind: 'mulLowSigned' | 'mulHighSigned'): VectorExpr => {
    const product = binary(kind, wide, a, b);
    const half = laneConstant(wide, 1n << BigInt(lane - 2));
    return shiftLanesBy('shrSigned', wide, rounding ? binary('add', wide, product, half) : product, lane - 1);
  };
  const narrow = evenLanes(lane, high('mulLowSigned'), high('mulHighSigned'));
  const both = vand(binary('eq', lane, a, smallest(lane)), binary('eq', lane, b, smallest(lane)));
  return saturate(m, both, largest(lane), narrow);
}
