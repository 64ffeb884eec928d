/** Floating-point operations applied to each lane in turn. */
import type { FloatFormat } from '../../float_micro_ops.js';
import type { Expr } from '../../micro_ops.js';
import type { Semantics } from '../../semantics.js';
import type { LaneBits, VectorExpr } from '../../vector_micro_ops.js';
import { fromLow, laneOf, replaceLane, zeroVector } from '../../vector_expr.js';
import { laneCount } from './arrangements.js';
import type { Arrangement } from './arrangements.js';

/** Reads one lane of an operand. */
export type LaneReader = (lane: number) => Expr;

/** The numbers in the lanes of a vector, zero-extended to 64 bits. */
export function lanesOf(m: Semantics, lane: LaneBits, value: VectorExpr): LaneReader {
  return (index) => m.resize(64, laneOf(lane, value, index));
}

/** A vector with the result of `make` in each lane. Lanes beyond the arrangement are 0. */
export function makeLanes(m: Semantics, arrangement: Arrangement, make: (lane: number) => Expr): VectorExpr {
  const { lane } = arrangement;
  const laneValue = (index: number): Expr => m.resize(lane === 64 ? 64 : 32, make(index));
  if (laneCount(arrangement) === 1) return fromLow(laneValue(0));
  let result = zeroVector;
  for (let index = 0; index < laneCount(arrangement); index += 1) {
    result = replaceLane(lane, result, index, laneValue(index));
  }
  return result;
}

/** The floating-point format of a lane. */
export function formatOf({ lane }: Arrangement): FloatFormat {
  return lane === 8 ? 16 : lane;
}

/** A lane mask: all ones for 1, all zeros for 0. */
export function allOnes(m: Semantics, truth: Expr): Expr {
  return m.sub(m.constant(64, 0), truth);
}
