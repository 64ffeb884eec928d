/** Moves of SSE and SSE2 (Intel SDM, volume 1, 10.4.1.1, 11.4.1.1, 11.4.2 and 10.4.6): MOVAPS, MOVD, MOVHLPS, MOVNTDQ and so on. */
import type { Semantics } from '../../semantics.js';
import { fromLow, joinLow, laneOf, signBits } from '../../vector_expr.js';
import { instruction } from '../encoding.js';
import { memory, reg, rm, widthOf, writtenMemory, writtenRm } from '../operands.js';
import type { Value } from '../operands.js';
import { maskedTarget } from '../memory.js';
import { segments } from '../registers.js';
import { sse, sse2 } from './definitions.js';
import {
  lowOrMemory,
  quiet,
  writtenLowOrMemory,
  writtenXmmOrMemory,
  xmm,
  xmmOrMemory,
  xmmRm,
} from './operands.js';
import type { Vector, WrittenVector, Xmm } from './operands.js';

const copy = (_: Semantics, { d, s }: { d: WrittenVector; s: Vector }): void => d.set(s.get());

/** Moves of 16 bytes: mnemonic, opcodes that load and store, and whether memory must be aligned. */
const wholeMoves = ([
  ['movaps', 'NP 0F 28', 'NP 0F 29', true], ['movapd', '66 0F 28', '66 0F 29', true], ['movdqa', '66 0F 6F', '66 0F 7F', true],
  ['movups', 'NP 0F 10', 'NP 0F 11', false], ['movupd', '66 0F 10', '66 0F 11', false], ['movdqu', 'F3 0F 6F', 'F3 0F 7F', false],
] as const).flatMap(([mnemonic, load, store, aligned]) => {
  const common = { ...(load.startsWith('NP') ? sse : sse2), text: `${mnemonic} {s},{d}`, semantics: copy };
  const name = mnemonic.toUpperCase();
  return [
    instruction({ ...common, name: `${name}_x_xm`, opcode: `${load} /r`, operands: { d: xmm, s: xmmOrMemory(aligned) } }),
    instruction({ ...common, name: `${name}_xm_x`, opcode: `${store} /r`, operands: { d: writtenXmmOrMemory(aligned), s: xmm } }),
  ].flat();
}); // prettier-ignore

/** Stores that bypass the caches: here they are stores. */
const streamingStores = [
  ...([['movntps', 'NP 0F 2B'], ['movntpd', '66 0F 2B'], ['movntdq', '66 0F E7']] as const).flatMap(([mnemonic, opcode]) =>
    instruction({
      ...(opcode.startsWith('NP') ? sse : sse2), name: `${mnemonic.toUpperCase()}_m_x`, opcode: `${opcode} /r`, only: 'm',
      operands: { d: writtenXmmOrMemory(), s: xmm }, text: `${mnemonic} {s},{d}`, semantics: copy,
    }),
  ),
  // CR0 and CR4 do not matter to it.
  ...([[32, ({ wide }: { wide: number }) => wide === 0], [64, ({ wide }: { wide: number }) => wide === 1]] as const).flatMap(([size, allocated]) =>
    instruction({
      ...sse2, name: `MOVNTI_m_r${size}`, opcode: 'NP 0F C3 /r', only: 'm', allocated, ...(size === 64 ? { sizes: [64], modes: [64] } : {}),
      operands: { d: writtenMemory(size), s: reg(size) }, text: 'movnti {s},{d}', semantics: (_, { d, s }) => d.set(s.get()),
    }),
  ),
]; // prettier-ignore

const isWide = ({ wide }: { wide: number }): boolean => wide === 1;
const isNarrow = ({ wide }: { wide: number }): boolean => wide === 0;

/** Moves between an XMM register and a general one or memory, by REX.W. */
const generalMoves = ([
  ['movd', 32, isNarrow, {}], ['movq', 64, isWide, { sizes: [64], modes: [64] }],
] as const).flatMap(([mnemonic, bits, allocated, more]) => [
  instruction({
    ...sse2, ...more, name: `${mnemonic.toUpperCase()}_x_rm${bits}`, opcode: '66 0F 6E /r', allocated,
    operands: { d: xmm, s: quiet(rm(bits)) }, text: `${mnemonic} {s},{d}`,
    semantics: (_, { d, s }) => d.set(fromLow(s.get())),
  }),
  instruction({
    ...sse2, ...more, name: `${mnemonic.toUpperCase()}_rm${bits}_x`, opcode: '66 0F 7E /r', allocated,
    operands: { d: quiet(writtenRm(bits)), s: xmm }, text: `${mnemonic} {s},{d}`,
    semantics: (_, { d, s }) => d.set(s.lane(bits, 0)),
  }),
].flat()); // prettier-ignore

/** MOVQ between XMM registers clears the upper half, and so does a load. */
const quadMoves = [
  instruction({
    ...sse2, name: 'MOVQ_x_xm64', opcode: 'F3 0F 7E /r', operands: { d: xmm, s: lowOrMemory(64) }, text: 'movq {s},{d}',
    semantics: (m, { d, s }) => d.set(fromLow(m.let(s.get()))),
  }),
  instruction({
    ...sse2, name: 'MOVQ_xm64_x', opcode: '66 0F D6 /r', operands: { d: writtenLowOrMemory, s: xmm }, text: 'movq {s},{d}',
    semantics: (m, { d, s }) => d.set(m.let(s.lane(64, 0))),
  }),
].flat(); // prettier-ignore

/** MOVSS and MOVSD: between registers they keep the upper bits, a load clears them. */
const scalarMoves = ([['movss', 'F3', 32], ['movsd', 'F2', 64]] as const).flatMap(([mnemonic, prefix, bits]) => {
  const common = { ...(bits === 32 ? sse : sse2), text: `${mnemonic} {s},{d}` };
  const name = mnemonic.toUpperCase();
  const merge = (_: Semantics, { d, s }: { d: Xmm; s: Xmm }): void => d.setLane(bits, 0, s.lane(bits, 0));
  return [
    instruction({ ...common, name: `${name}_x_x`, opcode: `${prefix} 0F 10 /r`, only: 'r', operands: { d: xmm, s: xmmRm }, semantics: merge }),
    instruction({ ...common, name: `${name}_x_m`, opcode: `${prefix} 0F 10 /r`, only: 'm', operands: { d: xmm, s: memory(bits) }, semantics: (_, { d, s }) => d.set(fromLow(s.get())) }),
    instruction({ ...common, name: `${name}_x_x_11`, opcode: `${prefix} 0F 11 /r`, only: 'r', operands: { d: xmmRm, s: xmm }, semantics: merge }),
    instruction({ ...common, name: `${name}_m_x`, opcode: `${prefix} 0F 11 /r`, only: 'm', operands: { d: writtenMemory(bits), s: xmm }, semantics: (_, { d, s }) => d.set(s.lane(bits, 0)) }),
  ].flat();
}); // prettier-ignore

/** Moves of one half of a register: to and from memory, and between registers. */
const halfMoves = [
  ...([['movlps', 'NP 0F 12', 'NP 0F 13', 0], ['movlpd', '66 0F 12', '66 0F 13', 0], ['movhps', 'NP 0F 16', 'NP 0F 17', 1], ['movhpd', '66 0F 16', '66 0F 17', 1]] as const).flatMap(
    ([mnemonic, load, store, half]) => {
      const common = { ...(load.startsWith('NP') ? sse : sse2), text: `${mnemonic} {s},{d}`, only: 'm' } as const;
      const name = mnemonic.toUpperCase();
      return [
        instruction({ ...common, name: `${name}_x_m`, opcode: `${load} /r`, operands: { d: xmm, s: memory(64) }, semantics: (_, { d, s }: { d: Xmm; s: Value }) => d.setLane(64, half, s.get()) }),
        instruction({ ...common, name: `${name}_m_x`, opcode: `${store} /r`, operands: { d: writtenMemory(64), s: xmm }, semantics: (_, { d, s }) => d.set(s.lane(64, half)) }),
      ].flat();
    },
  ),
  instruction({ ...sse, name: 'MOVHLPS_x_x', opcode: 'NP 0F 12 /r', only: 'r', operands: { d: xmm, s: xmmRm }, text: 'movhlps {s},{d}', semantics: (_, { d, s }) => d.setLane(64, 0, s.lane(64, 1)) }),
  instruction({ ...sse, name: 'MOVLHPS_x_x', opcode: 'NP 0F 16 /r', only: 'r', operands: { d: xmm, s: xmmRm }, text: 'movlhps {s},{d}', semantics: (_, { d, s }) => d.set(joinLow(d.get(), s.get())) }),
].flat(); // prettier-ignore

/** The sign bits of all lanes in a general register. */
const masks = ([['pmovmskb', '66 0F D7', 8], ['movmskps', 'NP 0F 50', 32], ['movmskpd', '66 0F 50', 64]] as const).flatMap(([mnemonic, opcode, lane]) =>
  instruction({
    ...(opcode.startsWith('NP') ? sse : sse2), name: `${mnemonic.toUpperCase()}_r_x`, opcode: `${opcode} /r`, only: 'r', sizes: [32, 64], otherSizes: 32,
    operands: { d: reg(), s: xmmRm }, text: `${mnemonic} {s},{d}`, semantics: (m, { d, s }) => d.set(m.resize(widthOf(d.bits), signBits(lane, s.get()))),
  }),
); // prettier-ignore

/**
 * Stores the bytes whose mask byte has its top bit set. The segment's limit is that of all 16 bytes, and the first address has to be
 * canonical, whatever the mask; pages of other bytes are not accessed.
 */
const maskedMove = instruction({
  ...sse2, name: 'MASKMOVDQU_x_x', opcode: '66 0F F7 /r', only: 'r', addresses: true,
  operands: { s: xmm, mask: xmmRm, d: maskedTarget }, text: 'maskmovdqu {mask},{s}',
  semantics: (m, { s, mask, d }, form) => {
    const first = d.linear(16);
    if (form.flat) m.ask('linearAddress', [m.constant(64, segments.ds + 8 + 16 * 16), first]);
    const [value, bits] = [m.letVector(s.get()), m.let(signBits(8, mask.get()))];
    for (let at = 0; at < 16; at += 1) {
      m.when(m.and(bits, m.constant(32, 1 << at)), () => m.store(1, d.linear(1, m.constant(64, at)), laneOf(8, value, at)));
    }
  },
}); // prettier-ignore

export const sseMoves = [
  ...wholeMoves,
  ...streamingStores,
  // Assemblers prefer these for MOVQ with memory.
  ...quadMoves,
  ...generalMoves,
  ...scalarMoves,
  ...halfMoves,
  ...masks,
  ...maskedMove,
];
