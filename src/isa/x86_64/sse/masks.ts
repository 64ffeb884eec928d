/** Masks of whole lanes, and numbers of an immediate, for SSE4 (Intel SDM, volume 1, 12.10). */
import type { VectorOperand } from '../../instruction.js';
import type { Expr } from '../../micro_ops.js';
import type { Semantics } from '../../semantics.js';
import { binary, shiftLanesBy, splat, vand, vectorConstant } from '../../vector_expr.js';
import type { LaneBits, VectorExpr } from '../../vector_micro_ops.js';
import type { OperandSpec } from '../encoding.js';
import { field } from '../parser.js';
import { derived, immediateRef } from '../values.js';
import type { Xmm } from './operands.js';

/** Numbers for all lanes, the lowest first. */
export function lanesOf(lane: LaneBits, number: (at: number) => bigint): VectorExpr {
  const all = Array.from({ length: 128 / lane }, (_, at) => number(at) << BigInt(at * lane));
  return vectorConstant(all.reduce((a, b) => a | b, 0n));
}

/** All ones in each lane whose bit is set, that of the lowest lane being bit 0. */
export function lanesByBits(m: Semantics, lane: 16 | 32 | 64, bits: Expr): VectorExpr {
  const places = lanesOf(lane, (at) => 1n << BigInt(at));
  return binary('eq', lane, vand(splat(lane, m.resize(lane === 64 ? 64 : 32, bits)), places), places);
}

/** All ones in each lane whose top bit is set. */
export function lanesBySign(lane: LaneBits, value: VectorExpr): VectorExpr {
  return shiftLanesBy('shrSigned', lane, value, lane - 1);
}

/** A number of 8 bits that is made of the immediate, without text. */
export function ofImmediate(value: (immediate: number) => number): OperandSpec<Expr> {
  return {
    operands: (key) => ({ [key]: derived(32, 8, (fields) => value(field(fields, 'immediate') & 0xff)) }),
    reference: (_, key) => immediateRef(key, 32),
  };
}

/** XMM0, which an instruction implies; `isShown` says whether its text names it. */
export function firstXmm(isShown: boolean): OperandSpec<Xmm> {
  const text = isShown ? '%xmm0' : '';
  const operand: VectorOperand = {
    kind: 'vector',
    place: () => 0,
    print: () => text,
    parse: (given) => (given.startsWith(text) ? { fields: {}, rest: given.slice(text.length) } : null),
  };
  return {
    operands: (key) => ({ [key]: operand }),
    reference: (m, key) => {
      const register = { operand: key, vector: true } as const;
      return {
        get: () => m.readVector(register),
        set: (value) => m.writeVector(register, value),
        lane: (lane, index) => m.readElement(register, lane, index),
        setLane: (lane, index, value) => m.writeElement(register, lane, index, value),
      };
    },
  };
}
