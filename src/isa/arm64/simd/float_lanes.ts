/** Floating-point operations on every lane, one after the other. */
import type { FloatFormat } from '../../float_micro_ops.js';
import type { Expr } from '../../micro_ops.js';
import type { Semantics } from '../../semantics.js';
import type { LaneBits, VectorExpr } from '../../vector_micro_ops.js';
import { fromLow, laneOf, replaceLane, zeroVector } from '../../vector_expr.js';
import { laneCount } from './arrangements.js';
import type { Arrangement } from './arrangements.js';

/** Where an operation reads a lane from. */
export type LaneReader = (lane: number) => Expr;

/** The numbers in a vector's lanes, 64 bits each with zeroes above. */
export function lanesOf(m: Semantics, lane: LaneBits, value: VectorExpr): LaneReader {
  return (index) => m.resize(64, laneOf(lane, value, index));
}

/** The vector whose lanes are what `make` gives for each number; lanes that the arrangement lacks are 0. */
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

/** The format of a lane's number. */
export function formatOf({ lane }: Arrangement): FloatFormat {
  return lane === 8 ? 16 : lane;
}

/** Lanes of ones for 1, of zeroes for 0. */
export function allOnes(m: Semantics, truth: Expr): Expr {
  return m.sub(m.constant(64, 0), truth);
}
