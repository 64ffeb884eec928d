/** Numbers of SSE4.1: rounding to integers and dot products (Intel SDM, volume 1, 12.10). */
import type { FloatRounding } from '../../float_micro_ops.js';
import type { Expr } from '../../micro_ops.js';
import type { Semantics } from '../../semantics.js';
import { laneOf, splat, vand } from '../../vector_expr.js';
import type { VectorExpr } from '../../vector_micro_ops.js';
import { instruction } from '../encoding.js';
import { sse41 } from './definitions.js';
import { makeLanes, withExceptions, withLane, withVector } from './floats.js';
import type { Format } from './floats.js';
import { lanesByBits, ofImmediate } from './masks.js';
import { immediateAs, lowOrMemory, xmm, xmmOrMemory } from './operands.js';

/** By the low bits of the immediate; with bit 2 set it is that of MXCSR. */
const roundings: readonly FloatRounding[] = ['nearestEven', 'down', 'up', 'zero', 'current'];

/** The number of a way to round: its place in `roundings`, and that plus 5 where an inexact result raises nothing. */
const way = immediateAs(
  8,
  (immediate) => ((immediate & 4) === 0 ? immediate & 3 : 4) + ((immediate & 8) === 0 ? 0 : roundings.length),
);

/** Says what is done by each way to round, for the one that is chosen. */
function byWay(m: Semantics, chosen: Expr, run: (rounding: FloatRounding, exact: boolean) => void): void {
  const ways = [true, false].flatMap((exact) => roundings.map((rounding) => ({ rounding, exact })));
  const from = (at: number): void => {
    const each = ways[at];
    if (each === undefined) return;
    m.when(m.equal(chosen, m.constant(32, at)), () => run(each.rounding, each.exact), () => from(at + 1)); // prettier-ignore
  };
  from(0);
}

const round = (m: Semantics, format: Format, rounding: FloatRounding, exact: boolean, value: Expr): Expr =>
  m.float({ kind: 'roundToInteger', format, rounding, exact }, value);

const roundingInstructions = ([['s', 32, '08', '0A'], ['d', 64, '09', '0B']] as const).flatMap(([letter, format, packed, scalar]) => [
  ...instruction({
    ...sse41, name: `ROUNDP${letter.toUpperCase()}_x_xm_imm8`, opcode: `66 0F 3A ${packed} /r ib`, operands: { d: xmm, s: xmmOrMemory(), way },
    text: `roundp${letter} {way},{s},{d}`,
    semantics: (m, { d, s, way: chosen }) => {
      const all = m.letVector(s.get());
      byWay(m, chosen, (rounding, exact) =>
        withVector(m, d, () => makeLanes(m, format, 128 / format, (at) => round(m, format, rounding, exact, laneOf(format, all, at)))),
      );
    },
  }),
  ...instruction({
    ...sse41, name: `ROUNDS${letter.toUpperCase()}_x_xm_imm8`, opcode: `66 0F 3A ${scalar} /r ib`, operands: { d: xmm, s: lowOrMemory(format), way },
    text: `rounds${letter} {way},{s},{d}`,
    semantics: (m, { d, s, way: chosen }) => {
      const value = m.let(s.get());
      byWay(m, chosen, (rounding, exact) => withLane(m, d, format, () => round(m, format, rounding, exact, value)));
    },
  }),
]); // prettier-ignore

/** What `compute` gives. An exception that is not masked ends the instruction behind it, before anything else is computed. */
function stage<R>(m: Semantics, compute: () => R): R {
  const results: R[] = [];
  withExceptions(m, compute, (result) => results.push(result));
  return results[0] as R;
}

/** The sum of products of lanes: first those of two adjacent lanes are added. */
function dotProduct(m: Semantics, format: Format, a: VectorExpr, b: VectorExpr): Expr {
  const count = 128 / format;
  const sum = (x: Expr, y: Expr): Expr => m.let(m.float({ kind: 'add', format }, x, y));
  let terms = stage(m, () =>
    Array.from({ length: count }, (_, at) =>
      m.let(m.float({ kind: 'mul', format }, laneOf(format, a, at), laneOf(format, b, at))),
    ),
  );
  while (terms.length > 1) {
    const before = terms;
    terms = stage(m, () =>
      before.flatMap((term, at) => (at % 2 === 0 ? [sum(term, before[at + 1] ?? term)] : [])),
    );
  }
  return terms[0] ?? m.constant(64, 0);
}

/** Bits 7 to 4 of the immediate choose the lanes to multiply, bits 3 to 0 those that get the sum. */
const dotProducts = ([['s', 32, '40'], ['d', 64, '41']] as const).flatMap(([letter, format, byte]) =>
  instruction({
    ...sse41, name: `DPP${letter.toUpperCase()}_x_xm_imm8`, opcode: `66 0F 3A ${byte} /r ib`, text: `dpp${letter} {to},{s},{d}`,
    operands: { d: xmm, s: xmmOrMemory(), to: immediateAs(8, (immediate) => immediate & 15), from: ofImmediate((immediate) => immediate >> 4) },
    semantics: (m, { d, s, to, from }) => {
      const chosen = m.letVector(lanesByBits(m, format, from));
      // Lanes that are not chosen are products of zeros, which raise nothing.
      const b = m.letVector(vand(s.get(), chosen));
      const a = m.letVector(vand(d.get(), chosen));
      const sum = m.resize(format === 64 ? 64 : 32, dotProduct(m, format, a, b));
      d.set(vand(splat(format, sum), lanesByBits(m, format, to)));
    },
  }),
); // prettier-ignore

export const sse41Floats = [...roundingInstructions, ...dotProducts];
