/** Integers, blends and elements of SSE4.1 (Intel SDM, volume 1, 12.10). Its numbers are in sse41_floats.ts. */
import type { Expr } from '../../micro_ops.js';
import type { Semantics } from '../../semantics.js';
import {
  anyTrue,
  binary,
  bitSelect,
  evenLanes,
  fromLow,
  laneOf,
  splat,
  swizzle,
  unary,
  vand,
  vandNot,
  zeroVector,
} from '../../vector_expr.js';
import type { VectorBinaryKind, VectorExpr } from '../../vector_micro_ops.js';
import { instruction } from '../encoding.js';
import { memory, rm, writtenMemory, writtenRm } from '../operands.js';
import { onVectors, sse41 } from './definitions.js';
import type { Computation } from './definitions.js';
import { firstXmm, lanesByBits, lanesBySign, ofImmediate } from './masks.js';
import { immediateAs, lowOrMemory, quiet, xmm, xmmOrMemory, xmmRm } from './operands.js';
import { placesOfBytes } from './shuffles.js';

const laneWise = ([
  ['pcmpeqq', '29', 'eq', 64], ['packusdw', '2B', 'narrowUnsigned', 16],
  ['pminsb', '38', 'minSigned', 8], ['pminsd', '39', 'minSigned', 32], ['pminuw', '3A', 'minUnsigned', 16], ['pminud', '3B', 'minUnsigned', 32],
  ['pmaxsb', '3C', 'maxSigned', 8], ['pmaxsd', '3D', 'maxSigned', 32], ['pmaxuw', '3E', 'maxUnsigned', 16], ['pmaxud', '3F', 'maxUnsigned', 32],
  ['pmulld', '40', 'mul', 32],
] as const satisfies readonly (readonly [string, string, VectorBinaryKind, number])[]).flatMap(([mnemonic, byte, kind, lane]) =>
  onVectors(mnemonic, `66 0F 38 ${byte}`, (_, a, b) => binary(kind, lane, a, b), sse41),
); // prettier-ignore

/** The products of the even double words. */
const multiplyDoubleWords: Computation = (m, first, second) => {
  const [a, b] = [m.letVector(first), m.letVector(second)];
  return binary('mulLowSigned', 64, evenLanes(32, a, a), evenLanes(32, b, b));
};

/** The smallest word, and above it the place of the lowest one that is so small. */
const smallestWord: Computation = (m, _, second) => {
  const all = m.letVector(second);
  let [word, place]: Expr[] = [laneOf(16, all, 0), m.constant(32, 0)];
  for (let at = 1; at < 8; at += 1) {
    const [other, best] = [m.let(laneOf(16, all, at)), m.let(word ?? m.constant(32, 0))];
    const isLess = m.let(m.less(false, other, best));
    word = m.select(isLess, other, best);
    place = m.let(m.select(isLess, m.constant(32, at), place ?? m.constant(32, 0)));
  }
  return fromLow(m.or(word ?? m.constant(32, 0), m.shiftBy('shl', place ?? m.constant(32, 0), 16)));
};

const products = [
  ...onVectors('pmuldq', '66 0F 38 28', multiplyDoubleWords, sse41),
  ...onVectors('phminposuw', '66 0F 38 41', smallestWord, sse41),
];

/** Lanes of the low part of an operand, extended: what they are called, and how often their size doubles. */
const extensions = (['s', 'z'] as const).flatMap((letter, which) =>
  ([['bw', 8, 1], ['bd', 8, 2], ['bq', 8, 3], ['wd', 16, 1], ['wq', 16, 2], ['dq', 32, 1]] as const).flatMap(([sizes, from, times], at) =>
    instruction({
      ...sse41, name: `PMOV${letter.toUpperCase()}X${sizes.toUpperCase()}_x_xm`, opcode: `66 0F 38 ${which === 0 ? 2 : 3}${at} /r`,
      operands: { d: xmm, s: lowOrMemory(([64, 32, 16] as const)[times - 1] ?? 64) }, text: `pmov${letter}x${sizes} {s},{d}`,
      semantics: (_, { d, s }) => {
        const kind = letter === 's' ? 'extendLowSigned' : 'extendLowUnsigned';
        let all = fromLow(s.get());
        for (let time = 1; time <= times; time += 1) all = unary(kind, (from << time) as 16 | 32 | 64, all);
        d.set(all);
      },
    }),
  ),
); // prettier-ignore

/** Lanes of the second operand where the mask in XMM0 has its top bit set. */
const blendsByRegister = ([['pblendvb', '10', 8], ['blendvps', '14', 32], ['blendvpd', '15', 64]] as const).flatMap(([mnemonic, byte, lane]) =>
  instruction({
    ...sse41, name: `${mnemonic.toUpperCase()}_x_xm`, opcode: `66 0F 38 ${byte} /r`, operands: { d: xmm, s: xmmOrMemory(), mask: firstXmm(true) },
    text: `${mnemonic} {mask},{s},{d}`,
    semantics: (m, { d, s, mask }) => {
      const second = s.get();
      const chosen = m.letVector(lanesBySign(lane, mask.get()));
      d.set(bitSelect(chosen, second, d.get()));
    },
  }),
); // prettier-ignore

/** Lanes of the second operand by the bits of an immediate. */
const blendsByImmediate = ([['blendps', '0C', 32], ['blendpd', '0D', 64], ['pblendw', '0E', 16]] as const).flatMap(([mnemonic, byte, lane]) =>
  instruction({
    ...sse41, name: `${mnemonic.toUpperCase()}_x_xm_imm8`, opcode: `66 0F 3A ${byte} /r ib`,
    operands: { d: xmm, s: xmmOrMemory(), bits: immediateAs(8, (immediate) => immediate) }, text: `${mnemonic} {bits},{s},{d}`,
    semantics: (m, { d, s, bits }) => {
      const second = s.get();
      d.set(bitSelect(lanesByBits(m, lane, bits), second, d.get()));
    },
  }),
); // prettier-ignore

const test = instruction({
  ...sse41, name: 'PTEST_x_xm', opcode: '66 0F 38 17 /r', operands: { d: xmm, s: xmmOrMemory() }, text: 'ptest {s},{d}',
  semantics: (m, { d, s }) => {
    const [b, a] = [m.letVector(s.get()), m.letVector(d.get())];
    const clear = m.constant(64, 0);
    m.setFlags({
      z: m.resize(64, anyTrue(vand(a, b))), c: m.isZero(anyTrue(vandNot(b, a))),
      // A byte of 1 has an odd number of ones.
      p: m.constant(32, 1), a: m.constant(32, 0), s: clear, o: clear,
    });
  },
}); // prettier-ignore

/** A load that bypasses the caches: here it is a load. */
const streamingLoad = instruction({
  ...sse41, name: 'MOVNTDQA_x_m', opcode: '66 0F 38 2A /r', only: 'm', operands: { d: xmm, s: xmmOrMemory() }, text: 'movntdqa {s},{d}',
  semantics: (_, { d, s }) => d.set(s.get()),
}); // prettier-ignore

/** The number of a lane, by the low bits of the immediate. */
const place = (lanes: number) => immediateAs(8, (immediate) => immediate & (lanes - 1));
const wide = { sizes: [64], modes: [64] } as const;
const isWide = ({ wide: bit }: { wide: number }): boolean => bit === 1;
const isNarrow = ({ wide: bit }: { wide: number }): boolean => bit === 0;

/** Lanes to a register, zero-extended, or to memory. */
const extractions = [
  ...([['pextrb', '14', 8], ['pextrw', '15', 16]] as const).flatMap(([mnemonic, byte, lane]) => {
    const common = { ...sse41, opcode: `66 0F 3A ${byte} /r ib`, text: `${mnemonic} {at},{s},{d}` };
    const name = mnemonic.toUpperCase();
    return [
      ...instruction({ ...common, name: `${name}_rm_x_imm8`, only: 'r', operands: { d: writtenRm(32), s: xmm, at: place(128 / lane) }, semantics: (_, { d, s, at }) => d.set(s.lane(lane, at)) }),
      ...instruction({ ...common, name: `${name}_m_x_imm8`, only: 'm', operands: { d: writtenMemory(lane), s: xmm, at: place(128 / lane) }, semantics: (_, { d, s, at }) => d.set(s.lane(lane, at)) }),
    ];
  }),
  ...([['pextrd', 32, isNarrow, {}], ['pextrq', 64, isWide, wide]] as const).flatMap(([mnemonic, lane, allocated, more]) =>
    instruction({
      ...sse41, ...more, name: `${mnemonic.toUpperCase()}_rm_x_imm8`, opcode: '66 0F 3A 16 /r ib', allocated,
      operands: { d: quiet(writtenRm(lane)), s: xmm, at: place(128 / lane) }, text: `${mnemonic} {at},{s},{d}`,
      semantics: (_, { d, s, at }) => d.set(s.lane(lane, at)),
    }),
  ),
  ...instruction({
    ...sse41, name: 'EXTRACTPS_rm_x_imm8', opcode: '66 0F 3A 17 /r ib', operands: { d: quiet(writtenRm(32)), s: xmm, at: place(4) },
    text: 'extractps {at},{s},{d}', semantics: (_, { d, s, at }) => d.set(s.lane(32, at)),
  }),
]; // prettier-ignore

/** Lanes from a register or from memory. */
const insertions = [
  ...(['r', 'm'] as const).flatMap((only) =>
    instruction({
      ...sse41, name: `PINSRB_x_${only}_imm8`, opcode: '66 0F 3A 20 /r ib', only, operands: { d: xmm, s: only === 'r' ? rm(32) : quiet(rm(8)), at: place(16) },
      text: 'pinsrb {at},{s},{d}', semantics: (_, { d, s, at }) => d.setLane(8, at, s.get()),
    }),
  ),
  ...([['pinsrd', 32, isNarrow, {}], ['pinsrq', 64, isWide, wide]] as const).flatMap(([mnemonic, lane, allocated, more]) =>
    instruction({
      ...sse41, ...more, name: `${mnemonic.toUpperCase()}_x_rm_imm8`, opcode: '66 0F 3A 22 /r ib', allocated,
      operands: { d: xmm, s: quiet(rm(lane)), at: place(128 / lane) }, text: `${mnemonic} {at},{s},{d}`,
      semantics: (_, { d, s, at }) => d.setLane(lane, at, s.get()),
    }),
  ),
]; // prettier-ignore

/** Inserts a number in the lane whose bit is set, and clears lanes by bits of the immediate. */
const insertNumber = (['r', 'm'] as const).flatMap((only) => {
  const numbers = {
    to: ofImmediate((immediate) => 1 << ((immediate >> 4) & 3)),
    cleared: ofImmediate((immediate) => immediate & 15),
  };
  const insert = (m: Semantics, old: VectorExpr, number: Expr, to: Expr, cleared: Expr): VectorExpr =>
    vandNot(bitSelect(lanesByBits(m, 32, to), splat(32, number), old), lanesByBits(m, 32, cleared));
  const common = { ...sse41, name: `INSERTPS_x_${only}_imm8`, opcode: '66 0F 3A 21 /r ib', text: 'insertps {from},{s},{d}', only } as const;
  // Of memory, bits 7 and 6 of the immediate say nothing.
  const from = immediateAs(8, (immediate) => immediate >> 6);
  return only === 'r'
    ? instruction({
        ...common, operands: { d: xmm, s: xmmRm, from, ...numbers },
        semantics: (m, { d, s, from: lane, to, cleared }) => d.set(insert(m, d.get(), m.let(s.lane(32, lane)), to, cleared)),
      })
    : instruction({
        ...common, operands: { d: xmm, s: memory(32), from, ...numbers },
        semantics: (m, { d, s, to, cleared }) => {
          const number = s.get();
          d.set(insert(m, d.get(), number, to, cleared));
        },
      });
}); // prettier-ignore

/** Eight sums of four absolute differences: of adjacent bytes of the first operand, and always the same four of the second. */
const slidingDifferences = instruction({
  ...sse41, name: 'MPSADBW_x_xm_imm8', opcode: '66 0F 3A 42 /r ib', text: 'mpsadbw {from},{s},{d}',
  operands: {
    d: xmm, s: xmmOrMemory(), from: immediateAs(8, (immediate) => 4 * (immediate & 3)), first: ofImmediate((immediate) => immediate & 4),
  },
  semantics: (m, { d, s, from, first }) => {
    const [b, a] = [m.letVector(s.get()), m.letVector(d.get())];
    const words = (bytes: VectorExpr): VectorExpr => m.letVector(unary('extendLowUnsigned', 16, bytes));
    let sums = zeroVector;
    for (let at = 0; at < 4; at += 1) {
      const next = (number: Expr): VectorExpr => splat(8, m.add(number, m.constant(32, at)));
      const [mine, theirs] = [words(swizzle(a, binary('add', 8, placesOfBytes, next(first)))), words(swizzle(b, next(from)))];
      const difference = binary('sub', 16, binary('maxUnsigned', 16, mine, theirs), binary('minUnsigned', 16, mine, theirs));
      sums = m.letVector(binary('add', 16, sums, difference));
    }
    d.set(sums);
  },
}); // prettier-ignore

export const sse41Instructions = [
  ...laneWise,
  ...products,
  ...extensions,
  ...blendsByRegister,
  ...blendsByImmediate,
  ...test,
  ...streamingLoad,
  ...extractions,
  ...insertions,
  ...insertNumber,
  ...slidingDifferences,
];
