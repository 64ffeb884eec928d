/** Moves with MMX registers (Intel SDM, volume 1, 9.4.1, 10.4.6, 11.4.2): MOVD, MOVQ, MOVNTQ, MASKMOVQ, MOVQ2DQ and MOVDQ2Q. */
import { fromLow, laneOf, signBits } from '../../vector_expr.js';
import { maskedTarget } from '../memory.js';
import { rm, writtenMemory, writtenRm } from '../operands.js';
import { segments } from '../registers.js';
import { quiet, xmm, xmmRm } from '../sse/operands.js';
import { enteringInstruction, mm, mmOrMemory, mmRm, mmxInstruction, writtenMmOrMemory } from './operands.js';

const isWide = ({ wide }: { wide: number }): boolean => wide === 1;
const isNarrow = ({ wide }: { wide: number }): boolean => wide === 0;

/** Between an MMX register and a general one or memory, by REX.W. */
const generalMoves = ([
  ['movd', 32, isNarrow, {}], ['movq', 64, isWide, { sizes: [64], modes: [64] }],
] as const).flatMap(([mnemonic, bits, allocated, more]) => [
  ...mmxInstruction('mmx', {
    ...more, name: `${mnemonic.toUpperCase()}_mm_rm${bits}`, opcode: 'NP 0F 6E /r', allocated, operands: { d: mm, s: quiet(rm(bits)) }, text: `${mnemonic} {s},{d}`,
    semantics: (m, { d, s }) => d.set(m.resize(64, s.get())),
  }),
  ...mmxInstruction('mmx', {
    ...more, name: `${mnemonic.toUpperCase()}_rm${bits}_mm`, opcode: 'NP 0F 7E /r', allocated, operands: { d: quiet(writtenRm(bits)), s: mm }, text: `${mnemonic} {s},{d}`,
    semantics: (m, { d, s }) => d.set(bits === 64 ? s.get() : m.resize(32, s.get())),
  }),
]); // prettier-ignore

const quadMoves = [
  ...mmxInstruction('mmx', {
    name: 'MOVQ_mm_mmm', opcode: 'NP 0F 6F /r', operands: { d: mm, s: mmOrMemory() }, text: 'movq {s},{d}', semantics: (_, { d, s }) => d.set(s.get()),
  }),
  ...mmxInstruction('mmx', {
    name: 'MOVQ_mmm_mm', opcode: 'NP 0F 7F /r', operands: { d: writtenMmOrMemory, s: mm }, text: 'movq {s},{d}', semantics: (_, { d, s }) => d.set(s.get()),
  }),
  // It bypasses the caches: here it is a store.
  ...mmxInstruction('mmx+sse', {
    name: 'MOVNTQ_m_mm', opcode: 'NP 0F E7 /r', only: 'm', operands: { d: writtenMemory(64), s: mm }, text: 'movntq {s},{d}', semantics: (_, { d, s }) => d.set(s.get()),
  }),
]; // prettier-ignore

/** Between MMX and XMM registers. */
const crossMoves = [
  ...mmxInstruction('mmx+sse2', {
    name: 'MOVQ2DQ_x_mm', opcode: 'F3 0F D6 /r', only: 'r', operands: { d: xmm, s: mmRm }, text: 'movq2dq {s},{d}', semantics: (_, { d, s }) => d.set(fromLow(s.get())),
  }),
  ...mmxInstruction('mmx+sse2', {
    name: 'MOVDQ2Q_mm_x', opcode: 'F2 0F D6 /r', only: 'r', operands: { d: mm, s: xmmRm }, text: 'movdq2q {s},{d}', semantics: (_, { d, s }) => d.set(s.lane(64, 0)),
  }),
]; // prettier-ignore

/** As MASKMOVDQU, of 8 bytes. An access that faults finds the x87 registers valid (as on AMD's CPUs). */
const maskedMove = enteringInstruction('mmx+sse', {
  name: 'MASKMOVQ_mm_mm', opcode: 'NP 0F F7 /r', only: 'r', addresses: true, operands: { s: mm, mask: mmRm, d: maskedTarget }, text: 'maskmovq {mask},{s}',
  semantics: (m, { s, mask, d }, form) => {
    m.system('enterMmx');
    const first = d.linear(8);
    if (form.flat) m.ask('linearAddress', [m.constant(64, segments.ds + 8 + 16 * 8), first]);
    const value = m.letVector(fromLow(s.get()));
    const bits = m.let(signBits(8, fromLow(mask.get())));
    for (let at = 0; at < 8; at += 1) {
      m.when(m.and(bits, m.constant(32, 1 << at)), () => m.store(1, d.linear(1, m.constant(64, at)), laneOf(8, value, at)));
    }
  },
}); // prettier-ignore

// Assemblers prefer MOVQ between MMX registers and memory to the one with REX.W.
export const mmxMoves = [...quadMoves, ...generalMoves, ...crossMoves, ...maskedMove];
