/** Shifts of lanes (Intel SDM, volume 1, 11.4.2 and volume 2, PSLLW, PSRAW, PSRLW), by an immediate or by the low 64 bits of an operand. */
import type { Expr } from '../../micro_ops.js';
import type { Semantics } from '../../semantics.js';
import { laneOf, shiftLanes, splat, vand } from '../../vector_expr.js';
import type { VectorExpr } from '../../vector_micro_ops.js';
import { instruction } from '../encoding.js';
import { onVectors, sse2 } from './definitions.js';
import { immediateAs, xmmRm } from './operands.js';

/** Shifts all lanes by an amount of any size: beyond the lane's bits all are shifted out. */
export function shiftByAny(
  m: Semantics,
  kind: 'shl' | 'shrSigned' | 'shrUnsigned',
  lane: 16 | 32 | 64,
  a: VectorExpr,
  amount: Expr,
): VectorExpr {
  const isWithin = m.let(m.less(false, amount, m.constant(64, lane)));
  if (kind === 'shrSigned') {
    const most = m.select(isWithin, amount, m.constant(64, lane - 1));
    return shiftLanes(kind, lane, a, m.let(m.resize(32, most)));
  }
  const kept = splat(64, m.select(isWithin, m.constant(64, -1), m.constant(64, 0)));
  return vand(shiftLanes(kind, lane, a, m.resize(32, amount)), kept);
}

/** Mnemonic, opcode and digit of a shift by an immediate, opcode of one by an operand, kind and lane. */
export const shiftOperations = [
  ['psrlw', '71', 2, 'D1', 'shrUnsigned', 16], ['psraw', '71', 4, 'E1', 'shrSigned', 16], ['psllw', '71', 6, 'F1', 'shl', 16],
  ['psrld', '72', 2, 'D2', 'shrUnsigned', 32], ['psrad', '72', 4, 'E2', 'shrSigned', 32], ['pslld', '72', 6, 'F2', 'shl', 32],
  ['psrlq', '73', 2, 'D3', 'shrUnsigned', 64], ['psllq', '73', 6, 'F3', 'shl', 64],
] as const; // prettier-ignore

export const sseShifts = shiftOperations.flatMap(([mnemonic, byte, digit, byRegister, kind, lane]) => [
  ...onVectors(mnemonic, `66 0F ${byRegister}`, (m, a, b) => shiftByAny(m, kind, lane, a, m.let(laneOf(64, b, 0)))),
  ...instruction({
    ...sse2, name: `${mnemonic.toUpperCase()}_x_imm8`, opcode: `66 0F ${byte} /${digit} ib`, only: 'r',
    operands: { d: xmmRm, by: immediateAs(8, (immediate) => immediate) }, text: `${mnemonic} {by},{d}`,
    semantics: (m, { d, by }) => d.set(shiftByAny(m, kind, lane, d.get(), m.let(m.resize(64, by)))),
  }),
]); // prettier-ignore
