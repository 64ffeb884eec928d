/** SSSE3 on XMM registers (Intel SDM, volume 1, 12.5): PSHUFB, PHADDW, PMADDUBSW, PSIGNB, PMULHRSW, PABSB, PALIGNR. On MMX registers: mmx/. */
import type { Expr } from '../../micro_ops.js';
import type { Semantics } from '../../semantics.js';
import {
  binary,
  evenLanes,
  laneConstant,
  oddLanes,
  shiftLanesBy,
  splat,
  swizzle,
  unary,
  vand,
  vandNot,
  vor,
  vxor,
  zeroVector,
} from '../../vector_expr.js';
import type { LaneBits, VectorBinaryKind, VectorExpr } from '../../vector_micro_ops.js';
import { instruction } from '../encoding.js';
import { onVectors, ssse3 } from './definitions.js';
import type { Computation } from './definitions.js';
import { placesOfBytes } from './shuffles.js';
import { wordProducts } from './integers.js';
import { immediateAs, xmm, xmmOrMemory } from './operands.js';

/** Adds or subtracts adjacent lanes of both operands. */
const horizontal =
  (kind: VectorBinaryKind, lane: 16 | 32): Computation =>
  (m, first, second) => {
    const [a, b] = [m.letVector(first), m.letVector(second)];
    return binary(kind, lane, evenLanes(lane, a, b), oddLanes(lane, a, b));
  };

/** Products of unsigned bytes of the first operand and signed ones of the second, and saturated sums of adjacent ones. */
const multiplyBytesAndAdd: Computation = (m, first, second) => {
  const [a, b] = [m.letVector(first), m.letVector(second)];
  const signed = (value: VectorExpr): VectorExpr => shiftLanesBy('shrSigned', 16, value, 8);
  const even = binary('mul', 16, vand(a, laneConstant(16, 0xff)), signed(shiftLanesBy('shl', 16, b, 8)));
  const odd = binary('mul', 16, shiftLanesBy('shrUnsigned', 16, a, 8), signed(b));
  return binary('addSaturateSigned', 16, even, odd);
};

/** The first operand, or what is less than it by twice as much, or 0, by the sign of the second. */
const applySign =
  (lane: LaneBits): Computation =>
  (m, first, second) => {
    const b = m.letVector(second);
    const isNegative = m.letVector(binary('gtSigned', lane, zeroVector, b));
    const changed = binary('sub', lane, vxor(first, isNegative), isNegative);
    return vandNot(changed, binary('eq', lane, b, zeroVector));
  };

/** The high halves of products of words, rounded. */
const roundedHighProducts: Computation = (m, a, b) => {
  const rounded = wordProducts(m, true, a, b).map((product) => {
    const doubled = shiftLanesBy('shrSigned', 32, product, 14);
    return shiftLanesBy('shrSigned', 32, binary('add', 32, doubled, laneConstant(32, 1)), 1);
  });
  return evenLanes(16, rounded[0] ?? zeroVector, rounded[1] ?? zeroVector);
};

const absolute =
  (lane: LaneBits): Computation =>
  (_, __, b) =>
    unary('abs', lane, b);

/**
 * Mnemonic, opcode, and what is computed. `adjacent` are lanes of both operands that lie side by side, which MMX registers have in
 * their low halves.
 */
export const ssse3Operations: readonly (readonly [string, string, Computation, 'adjacent' | 'same'])[] = [
  ['phaddw', '01', horizontal('add', 16), 'adjacent'], ['phaddd', '02', horizontal('add', 32), 'adjacent'],
  ['phaddsw', '03', horizontal('addSaturateSigned', 16), 'adjacent'],
  ['phsubw', '05', horizontal('sub', 16), 'adjacent'], ['phsubd', '06', horizontal('sub', 32), 'adjacent'],
  ['phsubsw', '07', horizontal('subSaturateSigned', 16), 'adjacent'],
  ['pmaddubsw', '04', multiplyBytesAndAdd, 'same'],
  ['psignb', '08', applySign(8), 'same'], ['psignw', '09', applySign(16), 'same'], ['psignd', '0A', applySign(32), 'same'],
  ['pmulhrsw', '0B', roundedHighProducts, 'same'],
  ['pabsb', '1C', absolute(8), 'same'], ['pabsw', '1D', absolute(16), 'same'], ['pabsd', '1E', absolute(32), 'same'],
]; // prettier-ignore

const operations = ssse3Operations.flatMap(([mnemonic, byte, compute]) =>
  onVectors(mnemonic, `66 0F 38 ${byte}`, compute, ssse3),
);

/** Bytes of the first operand by the low bits of each byte of the second; 0 where its top bit is set. */
export function shuffleByBytes(bytes: 8 | 16, a: VectorExpr, places: VectorExpr): VectorExpr {
  return swizzle(a, vand(places, laneConstant(8, 0x80 | (bytes - 1))));
}

const shuffle = onVectors('pshufb', '66 0F 38 00', (_, a, b) => shuffleByBytes(16, a, b), ssse3);

/** 16 of the 32 bytes of two operands, the first one above the second, from byte `by` on. */
function aligned(m: Semantics, a: VectorExpr, b: VectorExpr, by: Expr): VectorExpr {
  const places = m.letVector(binary('add', 8, placesOfBytes, splat(8, by)));
  // Places beyond 15 have no byte, and those of the first operand below 0 wrap to such.
  return vor(swizzle(b, places), swizzle(a, binary('sub', 8, places, laneConstant(8, 16))));
}

/** A number of bytes, at most twice as many as an operand has: more give 0. */
export const byteDistance = (bytes: 8 | 16) => immediateAs(8, (immediate) => Math.min(immediate, 2 * bytes));

const align = instruction({
  ...ssse3, name: 'PALIGNR_x_xm_imm8', opcode: '66 0F 3A 0F /r ib', operands: { d: xmm, s: xmmOrMemory(), by: byteDistance(16) }, text: 'palignr {by},{s},{d}',
  semantics: (m, { d, s, by }) => {
    const second = m.letVector(s.get());
    d.set(aligned(m, d.get(), second, by));
  },
}); // prettier-ignore

export const ssse3Instructions = [...operations, ...shuffle, ...align];
