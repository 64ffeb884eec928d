/** SSE3 (Intel SDM, volume 1, 12.3), but for FISTTP: ADDSUBPS, HADDPS, HSUBPS, LDDQU, MOVDDUP, MOVSLDUP and MOVSHDUP. */
import type { Expr } from '../../micro_ops.js';
import type { Semantics } from '../../semantics.js';
import { fromLow, joinLow, laneOf, shuffleLanes } from '../../vector_expr.js';
import type { VectorExpr } from '../../vector_micro_ops.js';
import { instruction } from '../encoding.js';
import type { OperandSpec } from '../encoding.js';
import { memory } from '../memory.js';
import { onVectors, sse3 } from './definitions.js';
import { makeLanes, withVector } from './floats.js';
import type { Format } from './floats.js';
import { lowOrMemory, xmm, xmmOrMemory } from './operands.js';
import type { Vector } from './operands.js';

/** The two formats: the letter of their mnemonics and the prefix of their opcodes. */
const formats = [[32, 's', 'F2'], [64, 'd', '66']] as const; // prettier-ignore

type Numbers = (at: number) => Expr;

/** What becomes of each lane, from the lanes of both operands. */
type LaneWise = (m: Semantics, format: Format, at: number, a: Numbers, b: Numbers) => Expr;

/** Subtracts in the even lanes and adds in the odd ones. */
const addAndSubtract: LaneWise = (m, format, at, a, b) =>
  m.float({ kind: at % 2 === 0 ? 'sub' : 'add', format }, a(at), b(at));

/** Adds or subtracts adjacent lanes: those of the first operand, then those of the second. */
const horizontal =
  (kind: 'add' | 'sub'): LaneWise =>
  (m, format, at, a, b) => {
    const half = 64 / format;
    const [from, first] = at < half ? [a, 2 * at] : [b, 2 * (at - half)];
    return m.float({ kind, format }, from(first), from(first + 1));
  };

const arithmetic = ([['addsub', 'D0', addAndSubtract], ['hadd', '7C', horizontal('add')], ['hsub', '7D', horizontal('sub')]] as const).flatMap(
  ([name, byte, compute]) =>
    formats.flatMap(([format, letter, prefix]) =>
      instruction({
        ...sse3, name: `${name.toUpperCase()}P${letter.toUpperCase()}_x_xm`, opcode: `${prefix} 0F ${byte} /r`, operands: { d: xmm, s: xmmOrMemory() },
        text: `${name}p${letter} {s},{d}`,
        semantics: (m, { d, s }) => {
          const b = m.letVector(s.get());
          const a = m.letVector(d.get());
          const lanes = (all: VectorExpr): Numbers => (at) => laneOf(format, all, at);
          withVector(m, d, () => makeLanes(m, format, 128 / format, (at) => compute(m, format, at, lanes(a), lanes(b))));
        },
      }),
    ),
); // prettier-ignore

/** 16 bytes of memory, aligned or not. */
const unalignedMemory: OperandSpec<Vector> = {
  operands: (key, form) => memory(64).operands(key, form),
  reference: (m, key, form) => ({
    get: () => m.loadVector(memory(64).reference(m, key, form).linear(16)),
  }),
};

const moves = [
  instruction({
    ...sse3, name: 'LDDQU_x_m', opcode: 'F2 0F F0 /r', only: 'm', operands: { d: xmm, s: unalignedMemory }, text: 'lddqu {s},{d}',
    semantics: (_, { d, s }) => d.set(s.get()),
  }),
  instruction({
    ...sse3, name: 'MOVDDUP_x_xm', opcode: 'F2 0F 12 /r', operands: { d: xmm, s: lowOrMemory(64) }, text: 'movddup {s},{d}',
    semantics: (m, { d, s }) => {
      const low = m.letVector(fromLow(s.get()));
      d.set(joinLow(low, low));
    },
  }),
  onVectors('movsldup', 'F3 0F 12', (m, _, b) => {
    const all = m.letVector(b);
    return shuffleLanes(32, [0, 0, 2, 2], all, all);
  }, sse3),
  onVectors('movshdup', 'F3 0F 16', (m, _, b) => {
    const all = m.letVector(b);
    return shuffleLanes(32, [1, 1, 3, 3], all, all);
  }, sse3),
].flat(); // prettier-ignore

export const sse3Instructions = [...arithmetic, ...moves];
