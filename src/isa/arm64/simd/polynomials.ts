/** Products of polynomials over {0, 1} (DDI 0487, PolynomialMult): carry-less multiplication. */
import type { Expr } from '../../micro_ops.js';
import type { Semantics } from '../../semantics.js';
import type { LaneBits, VectorExpr } from '../../vector_micro_ops.js';
import { shiftLanesBy, vand, vxor, zeroVector } from '../../vector_expr.js';

/** The product in each lane. Only the low `degree` bits of `a` are used. */
export function polynomialProduct(lane: LaneBits, degree: number, a: VectorExpr, b: VectorExpr): VectorExpr {
  let product = zeroVector;
  for (let bit = 0; bit < degree; bit += 1) {
    const isSet = shiftLanesBy('shrSigned', lane, shiftLanesBy('shl', lane, a, lane - 1 - bit), lane - 1);
    const term = vand(isSet, shiftLanesBy('shl', lane, b, bit));
    product = bit === 0 ? term : vxor(product, term);
  }
  return product;
}

/**
 * The low 64 bits of the product of two 64-bit polynomials. Integer multiplication gives the right result if there are
 * three zeros between any two bits that can be 1: fewer than 16 ones are then added at one position (16 at the last,
 * whose carry is lost), so no carry reaches the next used position. Each factor is therefore split into four factors of
 * this kind, and every fourth bit of each product is used.
 */
function lowProduct(m: Semantics, a: Expr, b: Expr): Expr {
  const comb = (offset: number): Expr => m.constant(64, 0x1111111111111111n << BigInt(offset));
  const pieces = (value: Expr): Expr[] => [0, 1, 2, 3].map((offset) => m.let(m.and(value, comb(offset))));
  const [first, second] = [pieces(a), pieces(b)];
  const parts = [0, 1, 2, 3].map((offset) => {
    const terms = first.map((piece, i) => m.mul(piece, second[(offset - i + 4) % 4] ?? piece));
    return m.and(terms.reduce((sum, term) => m.xor(sum, term)), comb(offset)); // prettier-ignore
  });
  return parts.reduce((whole, part) => m.or(whole, part));
}

/** Reverses the bits of a 64-bit value. */
function reversed(m: Semantics, value: Expr): Expr {
  let result = value;
  for (let bits = 1; bits < 64; bits *= 2) {
    let low = 0n;
    for (let at = 0; at < 64; at += 2 * bits) low |= ((1n << BigInt(bits)) - 1n) << BigInt(at);
    const [once, mask] = [m.let(result), m.constant(64, low)];
    const down = m.and(m.shiftBy('shrUnsigned', once, bits), mask);
    result = m.or(m.shiftBy('shl', m.and(once, mask), bits), down);
  }
  return m.let(result);
}

/** The 128-bit product of two 64-bit polynomials. */
export function widePolynomialProduct(m: Semantics, first: Expr, second: Expr): { low: Expr; high: Expr } {
  const [a, b] = [m.let(first), m.let(second)];
  // The product of the reversed factors is the 127-bit product, reversed.
  const mirrored = reversed(m, lowProduct(m, reversed(m, a), reversed(m, b)));
  return { low: lowProduct(m, a, b), high: m.shiftBy('shrUnsigned', mirrored, 1) };
}
