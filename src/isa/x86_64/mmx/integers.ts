/** Integer arithmetic, logic, shifts and reordering in MMX registers (Intel SDM, volume 1, 9.4, 10.4.4 and 11.4.2), as SSE2 has it for XMM registers. */
import type { Expr } from '../../micro_ops.js';
import type { Semantics } from '../../semantics.js';
import {
  binary,
  fromLow,
  joinLow,
  laneOf,
  replaceLane,
  signBits,
  splat,
  swizzle,
  zeroVector,
} from '../../vector_expr.js';
import type { VectorExpr } from '../../vector_micro_ops.js';
import type { X86Instruction } from '../encoding.js';
import { reg, rm, widthOf } from '../operands.js';
import type { Computation } from '../sse/definitions.js';
import { integerLogic, laneWiseOperations, narrowings, productOperations } from '../sse/integers.js';
import { immediateAs, quiet } from '../sse/operands.js';
import { shiftByAny, shiftOperations } from '../sse/shifts.js';
import { interleave, interleavings, order, placesOfBytes, reorder } from '../sse/shuffles.js';
import { byteDistance, shuffleByBytes, ssse3Operations } from '../sse/ssse3.js';
import { mm, mmOrMemory, mmRm, mmxInstruction } from './operands.js';
import type { MmxFeature } from './operands.js';

const ofSse: ReadonlySet<string> = new Set(
  'pavgb pavgw pminub pmaxub pminsw pmaxsw pmulhuw psadbw'.split(' '),
);
const ofSse2: ReadonlySet<string> = new Set('paddq psubq pmuludq'.split(' '));

const featureOf = (mnemonic: string, byte: string): MmxFeature => {
  if (byte.startsWith('38')) return 'mmx+ssse3';
  return ofSse.has(mnemonic) ? 'mmx+sse' : ofSse2.has(mnemonic) ? 'mmx+sse2' : 'mmx';
};

const low = (value: VectorExpr): Expr => laneOf(64, value, 0);

/** An instruction on two MMX registers, or one and memory. */
function onQuads(
  mnemonic: string,
  byte: string,
  compute: (m: Semantics, a: VectorExpr, b: VectorExpr) => Expr,
  bits: 32 | 64 = 64,
): readonly X86Instruction[] {
  return mmxInstruction(featureOf(mnemonic, byte), {
    name: `${mnemonic.toUpperCase()}_mm_mmm`,
    opcode: `NP 0F ${byte} /r`,
    operands: { d: mm, s: mmOrMemory(bits) },
    text: `${mnemonic} {s},{d}`,
    semantics: (m, { d, s }) => {
      const second = fromLow(s.get());
      d.set(m.let(compute(m, fromLow(d.get()), second)));
    },
  });
}

/** As `onQuads`, of what is computed of vectors lane by lane. */
const laneWise = (mnemonic: string, byte: string, compute: Computation): readonly X86Instruction[] =>
  onQuads(mnemonic, byte, (m, a, b) => low(compute(m, a, b)));

const arithmetic = [
  ...laneWiseOperations.flatMap(([mnemonic, byte, kind, lane]) => laneWise(mnemonic, byte, (_, a, b) => binary(kind, lane, a, b))),
  // The lanes of the first operand come below those of the second.
  ...narrowings.flatMap(([mnemonic, byte, kind, lane]) => laneWise(mnemonic, byte, (_, a, b) => binary(kind, lane, joinLow(a, b), zeroVector))),
  ...productOperations.flatMap(([mnemonic, byte, compute]) => laneWise(mnemonic, byte, compute)),
  ...integerLogic.flatMap(([mnemonic, byte, compute]) => laneWise(`p${mnemonic}`, byte, compute)),
]; // prettier-ignore

/** Of the lanes of both low halves by turns, the lower or the upper half. */
const interleaved = interleavings.flatMap(([mnemonic, byte, lane, high]) =>
  onQuads(
    mnemonic,
    byte,
    (_, a, b) => laneOf(64, interleave(lane, false, a, b), high ? 1 : 0),
    high ? 64 : 32,
  ),
);

const shifts = shiftOperations.flatMap(([mnemonic, byte, digit, byRegister, kind, lane]) => [
  ...onQuads(mnemonic, byRegister, (m, a, b) => low(shiftByAny(m, kind, lane, a, m.let(low(b))))),
  ...mmxInstruction('mmx', {
    name: `${mnemonic.toUpperCase()}_mm_imm8`,
    opcode: `NP 0F ${byte} /${digit} ib`,
    only: 'r',
    operands: { d: mmRm, by: immediateAs(8, (immediate) => immediate) },
    text: `${mnemonic} {by},{d}`,
    semantics: (m, { d, by }) =>
      d.set(m.let(low(shiftByAny(m, kind, lane, fromLow(d.get()), m.let(m.resize(64, by)))))),
  }),
]);

const shuffle = mmxInstruction('mmx+sse', {
  name: 'PSHUFW_mm_mmm_imm8', opcode: 'NP 0F 70 /r ib', operands: { d: mm, s: mmOrMemory(), order: order(16, 2) }, text: 'pshufw {order},{s},{d}',
  semantics: (m, { d, s, order: places }) => d.set(m.let(low(reorder(16, fromLow(s.get()), places)))),
}); // prettier-ignore

/** Sixteen times the number of a word: its place in bits. */
const wordPlace = immediateAs(8, (immediate) => 16 * (immediate & 3));

const words = [
  ...(['r', 'm'] as const).flatMap((only) =>
    mmxInstruction('mmx+sse', {
      name: `PINSRW_mm_${only}_imm8`, opcode: 'NP 0F C4 /r ib', only, operands: { d: mm, s: only === 'r' ? rm(32) : quiet(rm(16)), at: wordPlace }, text: 'pinsrw {at},{s},{d}',
      semantics: (m, { d, s, at }) => {
        const [place, word] = [m.resize(64, at), m.constant(64, 0xffff)];
        const value = m.shift('shl', m.and(m.resize(64, s.get()), word), place);
        d.set(m.or(m.and(d.get(), m.not(m.shift('shl', word, place))), value));
      },
    }),
  ),
  ...mmxInstruction('mmx+sse', {
    name: 'PEXTRW_r_mm_imm8', opcode: 'NP 0F C5 /r ib', only: 'r', operands: { d: reg(32), s: mmRm, at: wordPlace }, text: 'pextrw {at},{s},{d}',
    semantics: (m, { d, s, at }) => d.set(m.resize(32, m.and(m.shift('shrUnsigned', s.get(), m.resize(64, at)), m.constant(64, 0xffff)))),
  }),
  ...mmxInstruction('mmx+sse', {
    name: 'PMOVMSKB_r_mm', opcode: 'NP 0F D7 /r', only: 'r', sizes: [32, 64], otherSizes: 32, operands: { d: reg(), s: mmRm }, text: 'pmovmskb {s},{d}',
    semantics: (m, { d, s }) => d.set(m.resize(widthOf(d.bits), signBits(8, replaceLane(64, zeroVector, 0, s.get())))),
  }),
]; // prettier-ignore

const ssse3 = [
  // The lanes of the first operand come below those of the second.
  ...ssse3Operations.flatMap(([mnemonic, byte, compute, lanes]) =>
    laneWise(mnemonic, `38 ${byte}`, (m, a, b) => (lanes === 'same' ? compute(m, a, b) : compute(m, joinLow(a, b), zeroVector))),
  ),
  ...laneWise('pshufb', '38 00', (_, a, b) => shuffleByBytes(8, a, b)),
  ...mmxInstruction('mmx+ssse3', {
    name: 'PALIGNR_mm_mmm_imm8', opcode: 'NP 0F 3A 0F /r ib', operands: { d: mm, s: mmOrMemory(), by: byteDistance(8) }, text: 'palignr {by},{s},{d}',
    semantics: (m, { d, s, by }) => {
      const second = fromLow(s.get());
      const both = joinLow(second, fromLow(d.get()));
      d.set(m.let(low(swizzle(both, binary('add', 8, placesOfBytes, splat(8, by))))));
    },
  }),
]; // prettier-ignore

export const mmxIntegers = [...arithmetic, ...interleaved, ...shifts, ...shuffle, ...words, ...ssse3];
