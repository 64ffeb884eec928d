/** Moves between registers, memory and immediates (Intel SDM, volume 1, 7.3.1): MOV, MOVZX, LEA, XCHG, CMOVcc, BSWAP and so on. */
import type { Expr } from '../micro_ops.js';
import type { Semantics } from '../semantics.js';
import { allSizes } from './arithmetic.js';
import { instruction } from './encoding.js';
import { conditionHolds, conditionNames, cut, signedNarrow, signed } from './flags.js';
import {
  absolute,
  addressOnly,
  fixed,
  imm,
  opcodeReg,
  reg,
  rm,
  segmentNumber,
  segmentNumberIn,
  segmentSelector,
  stringAt,
  wholeImm,
  widthOf,
  writtenMemory,
  writtenRm,
} from './operands.js';
import type { Place, Value } from './operands.js';
import type { Fields } from './parser.js';
import { segments } from './registers.js';

const copy = (_: Semantics, { d, s }: { d: Place; s: Value }): void => d.set(s.get());

const plainMoves = [
  instruction({ name: 'MOV_rm8_r8', opcode: '88 /r', operands: { d: writtenRm(8), s: reg(8) }, text: 'mov {s},{d}', semantics: copy }),
  instruction({ name: 'MOV_rm_r', opcode: '89 /r', sizes: allSizes, operands: { d: writtenRm(), s: reg() }, text: 'mov {s},{d}', semantics: copy }),
  instruction({ name: 'MOV_r8_rm8', opcode: '8A /r', operands: { d: reg(8), s: rm(8) }, text: 'mov {s},{d}', semantics: copy }),
  instruction({ name: 'MOV_r_rm', opcode: '8B /r', sizes: allSizes, operands: { d: reg(), s: rm() }, text: 'mov {s},{d}', semantics: copy }),
  instruction({ name: 'MOV_r8_imm8', opcode: 'B0+r ib', operands: { d: opcodeReg(8), s: imm(8) }, text: 'mov {s},{d}', semantics: copy }),
  instruction({ name: 'MOV_r_imm', opcode: 'B8+r iv', sizes: [16, 32], operands: { d: opcodeReg(), s: imm() }, text: 'mov {s},{d}', semantics: copy }),
  instruction({ name: 'MOV_r64_imm64', opcode: 'B8+r iv', sizes: [64], operands: { d: opcodeReg(), s: wholeImm }, text: 'movabs {s},{d}', semantics: copy }),
  instruction({ name: 'MOV_rm8_imm8', opcode: 'C6 /0 ib', operands: { d: writtenRm(8), s: imm(8) }, text: 'mov{w} {s},{d}', semantics: copy }),
  instruction({ name: 'MOV_rm_imm', opcode: 'C7 /0 iz', sizes: allSizes, operands: { d: writtenRm(), s: imm() }, text: 'mov{w} {s},{d}', semantics: copy }),
].flat(); // prettier-ignore

/** MOV between the accumulator and an address in the instruction. With 64 bits of address it is written `movabs`. */
const absoluteMoves = [
  instruction({ name: 'MOV_al_moffs', opcode: 'A0 ia', addresses: true, operands: { d: fixed('rax', 8), s: absolute(8) }, text: 'mov{abs} {s},{d}', semantics: copy }),
  instruction({ name: 'MOV_rax_moffs', opcode: 'A1 ia', addresses: true, sizes: allSizes, operands: { d: fixed('rax'), s: absolute(null) }, text: 'mov{abs} {s},{d}', semantics: copy }),
  instruction({ name: 'MOV_moffs_al', opcode: 'A2 ia', addresses: true, operands: { d: absolute(8, true), s: fixed('rax', 8) }, text: 'mov{abs} {s},{d}', semantics: copy }),
  instruction({ name: 'MOV_moffs_rax', opcode: 'A3 ia', addresses: true, sizes: allSizes, operands: { d: absolute(null, true), s: fixed('rax') }, text: 'mov{abs} {s},{d}', semantics: copy }),
].flat(); // prettier-ignore

/** Extensions: to the operand size, from 8 or 16 bits. */
const extensions = (['movz', 'movs'] as const).flatMap((mnemonic, index) => {
  const extend = (m: Semantics, { d, s }: { d: Place; s: Value }): void => {
    const value = s.get();
    const wide = index === 0 ? value : d.bits === 64 ? signed(m, s.bits, value) : signedNarrow(m, s.bits, value);
    d.set(cut(m, d.bits, m.resize(widthOf(d.bits), wide)));
  };
  const name = `${mnemonic.toUpperCase()}X`;
  return allSizes.flatMap((size) => {
    const common = { sizes: [size], semantics: extend };
    const to = { 16: 'w', 32: 'l', 64: 'q' }[size];
    const [byte, word] = index === 0 ? ['B6', 'B7'] : ['BE', 'BF'];
    return [
      instruction({ ...common, name: `${name}_r${size}_rm8`, opcode: `0F ${byte} /r`, operands: { d: reg(), s: rm(8) }, text: `${mnemonic}b${to} {s},{d}` }),
      instruction({ ...common, name: `${name}_r${size}_rm16`, opcode: `0F ${word} /r`, operands: { d: reg(), s: rm(16) }, text: `${mnemonic}w${to} {s},{d}` }),
    ].flat();
  });
}); // prettier-ignore

const movsxd = [
  instruction({
    name: 'MOVSXD_r64_rm32', opcode: '63 /r', sizes: [64], modes: [64],
    operands: { d: reg(), s: rm(32) }, text: 'movslq {s},{d}',
    semantics: (m, { d, s }) => d.set(signed(m, 32, s.get())),
  }),
  // Without REX.W it only moves.
  instruction({
    name: 'MOVSXD_r_rm', opcode: '63 /r', sizes: [16, 32], modes: [64],
    operands: { d: reg(), s: rm() }, text: 'movsxd {s},{d}', cold: true, semantics: copy,
  }),
].flat(); // prettier-ignore

const lea = instruction({
  name: 'LEA_r_m',
  opcode: '8D /r',
  sizes: allSizes,
  only: 'm',
  operands: { d: reg(), s: addressOnly },
  text: 'lea {s},{d}',
  semantics: (m, { d, s }) => d.set(cut(m, d.bits, m.resize(widthOf(d.bits), s.effective()))),
});

function exchange(_: Semantics, { d, s }: { d: Place; s: Place }): void {
  const [a, b] = [d.get(), s.get()];
  d.set(b);
  s.set(a);
}

/** A prefix 66 makes it XCHG again, which does nothing either but is written otherwise. */
const isNop = ({ opcode, extension, narrow, repeat }: Fields): boolean =>
  opcode === 0x90 && extension === 0 && (narrow === 0 || repeat === 0xf3);

/** XCHG with memory is locked without a prefix. XCHG of the accumulator with itself, as 90, is NOP. */
const exchanges = [
  instruction({ name: 'XCHG_rm8_r8', opcode: '86 /r', lockable: true, operands: { d: writtenRm(8), s: reg(8) }, text: 'xchg {s},{d}', semantics: exchange }),
  instruction({ name: 'XCHG_rm_r', opcode: '87 /r', sizes: allSizes, lockable: true, operands: { d: writtenRm(), s: reg() }, text: 'xchg {s},{d}', semantics: exchange }),
  instruction({ name: 'XCHG_r_rax', opcode: '90+r', sizes: allSizes, allocated: (fields) => !isNop(fields), operands: { d: opcodeReg(), s: fixed('rax') }, text: 'xchg {s},{d}', semantics: exchange }),
  instruction({ name: 'NOP', opcode: '90', allocated: isNop, operands: {}, text: 'nop', semantics: () => undefined }),
  instruction({ name: 'PAUSE', opcode: 'F3 90', allocated: isNop, operands: {}, text: 'pause', semantics: (m) => m.system('pause') }),
].flat(); // prettier-ignore

/** Exchanges the bytes of `value` within groups of twice `bits` bits. */
function swapGroups(m: Semantics, value: Expr, bits: number): Expr {
  let low = 0n;
  for (let at = 0; at < value.width; at += 2 * bits) low |= ((1n << BigInt(bits)) - 1n) << BigInt(at);
  const [mask, once] = [m.constant(value.width, low), m.let(value)];
  return m.or(m.shiftBy('shl', m.and(once, mask), bits), m.and(m.shiftBy('shrUnsigned', once, bits), mask));
}

const bswap = instruction({
  name: 'BSWAP_r',
  opcode: '0F C8+r',
  sizes: allSizes,
  operands: { d: opcodeReg() },
  text: 'bswap {d}',
  semantics: (m, { d }) => {
    // Undefined for 16 bits. CPUs clear them.
    if (d.bits === 16) {
      d.set(m.constant(32, 0));
      return;
    }
    const halves = d.bits === 64 ? m.shiftBy('rotr', d.get(), 32) : d.get();
    d.set(swapGroups(m, swapGroups(m, halves, 16), 8));
  },
});

/** CMOVcc loads in any case, and always writes a register of 32 bits. SETcc writes a byte. */
const conditional = conditionNames.flatMap((condition, number) => {
  const digit = number.toString(16).toUpperCase();
  return [
    instruction({
      name: `CMOV${condition.toUpperCase()}_r_rm`, opcode: `0F 4${digit} /r`, sizes: allSizes,
      operands: { d: reg(), s: rm() }, text: `cmov${condition} {s},{d}`,
      semantics: (m, { d, s }) => {
        const value = s.get();
        d.set(m.select(conditionHolds(m, number), value, d.get()));
      },
    }),
    instruction({
      name: `SET${condition.toUpperCase()}_rm8`, opcode: `0F 9${digit} /r`,
      operands: { d: writtenRm(8) }, text: `set${condition} {d}`,
      semantics: (m, { d }) => d.set(conditionHolds(m, number)),
    }),
  ].flat();
}); // prettier-ignore

/** CBW to CQO: the accumulator's sign into its upper half, or into RDX. */
const signExtensions = ([
  ['98', 'cbtw', 16, 8], ['98', 'cwtl', 32, 16], ['98', 'cltq', 64, 32],
] as const).flatMap(([opcode, mnemonic, size, from]) =>
  instruction({
    name: mnemonic.toUpperCase(), opcode, sizes: [size],
    operands: { d: fixed('rax') , s: fixed('rax', from) }, text: mnemonic,
    semantics: (m, { d, s }) => {
      const value = signed(m, s.bits, s.get());
      d.set(cut(m, d.bits, m.resize(widthOf(d.bits), value)));
    },
  }),
); // prettier-ignore

const signCopies = ([['cwtd', 16], ['cltd', 32], ['cqto', 64]] as const).flatMap(([mnemonic, size]) =>
  instruction({
    name: mnemonic.toUpperCase(), opcode: '99', sizes: [size],
    operands: { d: fixed('rdx'), s: fixed('rax') }, text: mnemonic,
    semantics: (m, { d, s }) => {
      const sign = m.shiftBy('shrSigned', signedNarrow(m, s.bits, s.get()), s.bits === 64 ? 63 : 31);
      d.set(cut(m, d.bits, sign));
    },
  }),
); // prettier-ignore

const isSegment = (fields: { reg: number }): boolean => segmentNumberIn(fields) < 6;
const isLoadable = (fields: { reg: number }): boolean =>
  isSegment(fields) && segmentNumberIn(fields) !== segments.cs;

const segmentMoves = [
  // A register gets the selector with zeros above; memory gets 16 bits.
  instruction({
    name: 'MOV_r_sreg', opcode: '8C /r', sizes: allSizes, only: 'r', allocated: isSegment, cold: true,
    operands: { d: writtenRm(), s: segmentSelector }, text: 'mov {s},{d}',
    semantics: (m, { d, s }) => d.set(m.resize(widthOf(d.bits), s.get())),
  }),
  instruction({
    name: 'MOV_m16_sreg', opcode: '8C /r', only: 'm', allocated: isSegment, cold: true,
    operands: { d: writtenMemory(16), s: segmentSelector }, text: 'mov {s},{d}', semantics: copy,
  }),
  instruction({
    name: 'MOV_sreg_r', opcode: '8E /r', sizes: [16, 32, 64], only: 'r', allocated: isLoadable, cold: true,
    operands: { d: segmentNumber, s: rm() }, text: 'mov {s},{d}',
    semantics: (m, { d, s }) => m.system('loadSegment', [d.get(), m.and(m.resize(64, s.get()), m.constant(64, 0xffff))]),
  }),
  instruction({
    name: 'MOV_sreg_m16', opcode: '8E /r', only: 'm', allocated: isLoadable, cold: true,
    operands: { d: segmentNumber, s: rm(16) }, text: 'mov {s},{d}',
    semantics: (m, { d, s }) => m.system('loadSegment', [d.get(), m.resize(64, s.get())]),
  }),
].flat(); // prettier-ignore

const nop = (name: string, opcode: string, only?: 'r'): ReturnType<typeof instruction> =>
  instruction({
    name,
    opcode,
    sizes: allSizes,
    ...(only === undefined ? {} : { only }),
    operands: { d: rm() },
    text: 'nop{w} {d}',
    semantics: () => undefined,
  });

const hints = [
  ...nop('NOP_rm', '0F 1F /r'),
  ...nop('NOP_rm_1E', '0F 1E /r'),
  // Reserved for hints: NOPs until a CPU gives them a meaning (AMD APM volume 3, appendix A.1, and what an EPYC does).
  ...['19', '1A', '1B', '1C', '1D'].flatMap((byte) => nop(`NOP_rm_${byte}`, `0F ${byte} /r`)),
  ...[4, 5, 6, 7].flatMap((digit) => nop(`NOP_rm_18_${digit}`, `0F 18 /${digit}`)),
  ...nop('NOP_r_18', '0F 18 /r', 'r'),
  instruction({ name: 'ENDBR64', opcode: 'F3 0F 1E FA', operands: {}, text: 'endbr64', semantics: () => undefined }),
  instruction({ name: 'ENDBR32', opcode: 'F3 0F 1E FB', operands: {}, text: 'endbr32', semantics: () => undefined }),
  ...(['prefetchnta', 'prefetcht0', 'prefetcht1', 'prefetcht2'] as const).flatMap((mnemonic, digit) =>
    instruction({ name: `${mnemonic.toUpperCase()}_m8`, opcode: `0F 18 /${digit}`, only: 'm', operands: { d: addressOnly }, text: `${mnemonic} {d}`, semantics: () => undefined }),
  ),
  // The third is PREFETCH to AMD's CPUs, as those behind it are.
  ...(['prefetch', 'prefetchw', 'prefetchwt1', ...Array<'prefetch'>(5).fill('prefetch')] as const).flatMap((mnemonic, digit) =>
    instruction({ name: `${mnemonic.toUpperCase()}_m8${digit > 2 ? `_${digit}` : ''}`, opcode: `0F 0D /${digit}`, only: 'm', operands: { d: addressOnly }, text: `${mnemonic} {d}`, semantics: () => undefined }),
  ),
].flat(); // prettier-ignore

const xlat = instruction({
  name: 'XLAT',
  opcode: 'D7',
  addresses: true,
  cold: true,
  operands: { d: fixed('rax', 8), s: stringAt('rbx', 8) },
  text: 'xlat {s}',
  semantics: (m, { d, s }) => {
    const address = s.linear(1, m.resize(64, d.get()));
    d.set(m.resize(32, m.load(1, address)));
  },
});

export const moveInstructions = [
  ...plainMoves,
  ...absoluteMoves,
  ...extensions,
  ...movsxd,
  ...lea,
  ...exchanges,
  ...bswap,
  ...conditional,
  ...signExtensions,
  ...signCopies,
  ...segmentMoves,
  ...hints,
  ...xlat,
];
