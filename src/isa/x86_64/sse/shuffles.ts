/** Lanes in another order (Intel SDM, volume 1, 10.4.3, 11.4.1.4 and 11.4.2): PUNPCKLBW, UNPCKLPS, PSHUFD, SHUFPS, PINSRW and so on. */
import type { Expr } from '../../micro_ops.js';
import { binary, fromLow, shuffleLanes, swizzle, vectorConstant } from '../../vector_expr.js';
import type { LaneBits, VectorExpr } from '../../vector_micro_ops.js';
import { instruction } from '../encoding.js';
import { reg, rm } from '../operands.js';
import { onVectors, sse, sse2 } from './definitions.js';
import { immediateAs, quiet, xmm, xmmOrMemory, xmmRm } from './operands.js';

/** The lanes of the low or high half of both operands, by turns. */
export function interleave(lane: LaneBits, high: boolean, a: VectorExpr, b: VectorExpr): VectorExpr {
  const half = 64 / lane;
  const order = Array.from({ length: half }, (_, at) => at + (high ? half : 0));
  return shuffleLanes(lane, order.flatMap((at) => [at, at + 2 * half]), a, b); // prettier-ignore
}

/** Mnemonic, opcode, lane, and whether of the high halves. */
export const interleavings = [
  ['punpcklbw', '60', 8, false], ['punpcklwd', '61', 16, false], ['punpckldq', '62', 32, false],
  ['punpckhbw', '68', 8, true], ['punpckhwd', '69', 16, true], ['punpckhdq', '6A', 32, true],
] as const; // prettier-ignore

const interleaved = ([
  ...interleavings.map(([mnemonic, byte, lane, high]) => [mnemonic, `66 0F ${byte}`, lane, high] as const),
  ['punpcklqdq', '66 0F 6C', 64, false], ['punpckhqdq', '66 0F 6D', 64, true],
  ['unpcklps', 'NP 0F 14', 32, false], ['unpcklpd', '66 0F 14', 64, false], ['unpckhps', 'NP 0F 15', 32, true], ['unpckhpd', '66 0F 15', 64, true],
] as const).flatMap(([mnemonic, opcode, lane, high]) =>
  onVectors(mnemonic, opcode, (_, a, b) => interleave(lane, high, a, b)),
); // prettier-ignore

/**
 * An order of lanes by an immediate, as a number whose byte n is the place of the first byte of the lane for place n. `bits` is the
 * size of each field of the immediate, `first` the lane that the fields count from.
 */
export function order(lane: LaneBits, bits: 1 | 2, first = 0) {
  const place = (immediate: number, at: number): number =>
    (first + ((immediate >> (at * bits)) & (2 ** bits - 1))) * (lane / 8);
  return immediateAs(32, (immediate) =>
    [0, 1, 2, 3].reduce(
      (all, at) => all | (at * bits < 8 && at < 128 / lane ? place(immediate, at) << (8 * at) : 0),
      0,
    ),
  );
}

const bytesOf = (bytes: readonly number[]): VectorExpr =>
  vectorConstant(bytes.reduce((all, byte, at) => all | (BigInt(byte) << BigInt(8 * at)), 0n));

/** The place of each byte: 0 to 15. */
export const placesOfBytes = bytesOf(Array.from({ length: 16 }, (_, at) => at));

/** The lanes of `a` in the order of `places` (see `order`), repeated up to 16 bytes. */
export function reorder(lane: 16 | 32 | 64, a: VectorExpr, places: Expr): VectorExpr {
  const [size, count] = [lane / 8, Math.min(128 / lane, 4)];
  const all = Array.from({ length: 16 }, (_, byte) => byte);
  const starts = swizzle(fromLow(places), bytesOf(all.map((byte) => Math.floor(byte / size) % count)));
  return swizzle(a, binary('add', 8, starts, bytesOf(all.map((byte) => byte % size))));
}

const shuffles = [
  instruction({
    ...sse2, name: 'PSHUFD_x_xm_imm8', opcode: '66 0F 70 /r ib', operands: { d: xmm, s: xmmOrMemory(), order: order(32, 2) }, text: 'pshufd {order},{s},{d}',
    semantics: (_, { d, s, order: places }) => d.set(reorder(32, s.get(), places)),
  }),
  instruction({
    ...sse2, name: 'PSHUFLW_x_xm_imm8', opcode: 'F2 0F 70 /r ib', operands: { d: xmm, s: xmmOrMemory(), order: order(16, 2) }, text: 'pshuflw {order},{s},{d}',
    semantics: (m, { d, s, order: places }) => {
      const value = m.letVector(s.get());
      d.set(shuffleLanes(64, [0, 3], reorder(16, value, places), value));
    },
  }),
  instruction({
    ...sse2, name: 'PSHUFHW_x_xm_imm8', opcode: 'F3 0F 70 /r ib', operands: { d: xmm, s: xmmOrMemory(), order: order(16, 2, 4) }, text: 'pshufhw {order},{s},{d}',
    semantics: (m, { d, s, order: places }) => {
      const value = m.letVector(s.get());
      d.set(shuffleLanes(64, [0, 3], value, reorder(16, value, places)));
    },
  }),
  // The low half comes from the first operand, the high half from the second.
  ...([['shufps', 'NP 0F C6', 32], ['shufpd', '66 0F C6', 64]] as const).flatMap(([mnemonic, opcode, lane]) =>
    instruction({
      ...(lane === 32 ? sse : sse2), name: `${mnemonic.toUpperCase()}_x_xm_imm8`, opcode: `${opcode} /r ib`,
      operands: { d: xmm, s: xmmOrMemory(), order: order(lane, lane === 32 ? 2 : 1) }, text: `${mnemonic} {order},{s},{d}`,
      semantics: (m, { d, s, order: places }) => {
        const second = s.get();
        d.set(shuffleLanes(64, [0, 3], reorder(lane, d.get(), places), reorder(lane, second, m.let(places))));
      },
    }),
  ),
].flat(); // prettier-ignore

const wordIndex = immediateAs(8, (immediate) => immediate & 7);

const words = [
  ...(['r', 'm'] as const).flatMap((only) =>
    instruction({
      ...sse2, name: `PINSRW_x_${only}_imm8`, opcode: '66 0F C4 /r ib', only, operands: { d: xmm, s: only === 'r' ? rm(32) : quiet(rm(16)), at: wordIndex },
      text: 'pinsrw {at},{s},{d}', semantics: (_, { d, s, at }) => d.setLane(16, at, s.get()),
    }),
  ),
  instruction({
    ...sse2, name: 'PEXTRW_r_x_imm8', opcode: '66 0F C5 /r ib', only: 'r', operands: { d: reg(32), s: xmmRm, at: wordIndex }, text: 'pextrw {at},{s},{d}',
    semantics: (_, { d, s, at }) => d.set(s.lane(16, at)),
  }),
].flat(); // prettier-ignore

/** The bytes of a register moved by a number of places. */
const byteShifts = ([['pslldq', 7, 'sub'], ['psrldq', 3, 'add']] as const).flatMap(([mnemonic, digit, kind]) =>
  instruction({
    ...sse2, name: `${mnemonic.toUpperCase()}_x_imm8`, opcode: `66 0F 73 /${digit} ib`, only: 'r',
    operands: { d: xmmRm, by: immediateAs(8, (immediate) => Math.min(immediate, 16)) }, text: `${mnemonic} {by},{d}`,
    semantics: (_, { d, by }) => {
      // An index beyond 15, also below 0, reads as 0.
      d.set(swizzle(d.get(), binary(kind, 8, placesOfBytes, { op: 'splat', lane: 8, a: by })));
    },
  }),
); // prettier-ignore

export const sseShuffles = [...interleaved, ...shuffles, ...words, ...byteShifts];
