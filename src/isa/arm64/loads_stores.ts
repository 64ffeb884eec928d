/** Loads and stores of general registers (DDI 0487, C4.1.94): single, pair, literal, unprivileged. */
import { instruction } from './encoding.js';
import type { A64Instruction } from './encoding.js';
import type { RegisterOperand } from '../instruction.js';
import type { AccessBytes, Expr, Width } from '../micro_ops.js';
import type { RegisterRef, Semantics } from '../semantics.js';
import { indexExtensions, indexShift, offset9, pairForms, readBase } from './addressing.js';
import {
  branchLabel,
  destination,
  immediate,
  optionalNumber,
  orStackPointer,
  signed,
  source,
  unsigned,
} from './operands.js';

/** One kind of single-register access, such as `ldrsb w`. */
interface Access {
  readonly mnemonic: string;
  readonly size: string;
  readonly opc: string;
  readonly bytes: AccessBytes;
  /** Width of the register. */
  readonly width: Width;
  readonly effect: 'load' | 'loadSigned' | 'store';
}

const accesses: readonly Access[] = [
  { mnemonic: 'strb', size: '00', opc: '00', bytes: 1, width: 32, effect: 'store' },
  { mnemonic: 'ldrb', size: '00', opc: '01', bytes: 1, width: 32, effect: 'load' },
  { mnemonic: 'ldrsb', size: '00', opc: '10', bytes: 1, width: 64, effect: 'loadSigned' },
  { mnemonic: 'ldrsb', size: '00', opc: '11', bytes: 1, width: 32, effect: 'loadSigned' },
  { mnemonic: 'strh', size: '01', opc: '00', bytes: 2, width: 32, effect: 'store' },
  { mnemonic: 'ldrh', size: '01', opc: '01', bytes: 2, width: 32, effect: 'load' },
  { mnemonic: 'ldrsh', size: '01', opc: '10', bytes: 2, width: 64, effect: 'loadSigned' },
  { mnemonic: 'ldrsh', size: '01', opc: '11', bytes: 2, width: 32, effect: 'loadSigned' },
  { mnemonic: 'str', size: '10', opc: '00', bytes: 4, width: 32, effect: 'store' },
  { mnemonic: 'ldr', size: '10', opc: '01', bytes: 4, width: 32, effect: 'load' },
  { mnemonic: 'ldrsw', size: '10', opc: '10', bytes: 4, width: 64, effect: 'loadSigned' },
  { mnemonic: 'str', size: '11', opc: '00', bytes: 8, width: 64, effect: 'store' },
  { mnemonic: 'ldr', size: '11', opc: '01', bytes: 8, width: 64, effect: 'load' },
];

/** Extends a loaded value to its register. */
function extendLoaded(m: Semantics, { bytes, width, effect }: Access, loaded: Expr): Expr {
  if (effect !== 'loadSigned' || bytes === 8) return m.resize(width, loaded);
  return m.resize(width, m.signExtend(loaded, (bytes * 8) as 8 | 16 | 32));
}

/** The register to load or store. */
function transfer({ effect, width }: Access): RegisterOperand {
  return effect === 'store' ? source('Rt', width) : destination('Rt', width);
}

/** Does the access at `address`, then writes back the base register unless the access faulted. */
function perform(
  m: Semantics,
  access: Access,
  t: RegisterRef,
  address: Expr,
  writeBack: { readonly base: RegisterRef; readonly value: Expr } | null,
  kind: 'plain' | 'unprivileged' = 'plain',
): void {
  if (access.effect === 'store') {
    m.store(access.bytes, address, m.read(t), kind);
    if (writeBack !== null) m.write(writeBack.base, writeBack.value);
    return;
  }
  const loaded = m.load(access.bytes, address, kind);
  m.write(t, extendLoaded(m, access, loaded));
  // Write back last, so that a base register that is also loaded (CONSTRAINED UNPREDICTABLE) gets the new base.
  if (writeBack !== null) m.write(writeBack.base, writeBack.value);
}

function encodingName({ mnemonic, width }: Access, form: string): string {
  return `${mnemonic.toUpperCase()}_${width}_ldst_${form}`;
}

/** Base plus a scaled unsigned offset. */
function withOffset(access: Access): A64Instruction {
  const { mnemonic, size, opc, bytes } = access;
  return instruction({
    name: encodingName(access, 'pos'),
    pattern: `${size} 111 0 01 ${opc} imm12:12 Rn:5 Rt:5`,
    operands: {
      t: transfer(access),
      n: orStackPointer('Rn', 64),
      offset: optionalNumber(', ', unsigned('imm12', 12, 64, bytes), 0n),
    },
    text: `${mnemonic} {t}, [{n}{offset}]`,
    semantics: (m, o) => perform(m, access, o.t, m.add(readBase(m, o.n), o.offset), null),
  });
}

/** Base plus an unscaled signed offset: LDUR, and LDTR with EL0's rights. */
function unscaled(access: Access): A64Instruction[] {
  const { mnemonic, size, opc } = access;
  return (['unscaled', 'unpriv'] as const).map((form) =>
    instruction({
      name: encodingName(access, form),
      pattern: `${size} 111 0 00 ${opc} 0 imm9:9 ${form === 'unscaled' ? '00' : '10'} Rn:5 Rt:5`,
      // Kernels copy to and from user space in bytes and double words.
      cold: form === 'unpriv' && (access.effect === 'loadSigned' || access.bytes === 2 || access.bytes === 4),
      operands: { t: transfer(access), n: orStackPointer('Rn', 64), offset: offset9() },
      text: `${mnemonic.replace(/^(ld|st)/, form === 'unscaled' ? '$1u' : '$1t')} {t}, [{n}{offset}]`,
      semantics: (m, o) => {
        const address = m.add(readBase(m, o.n), o.offset);
        perform(m, access, o.t, address, null, form === 'unpriv' ? 'unprivileged' : 'plain');
      },
    }),
  );
}

/** Base with writeback by a signed offset, before or after the access. */
function indexed(access: Access): A64Instruction[] {
  const { mnemonic, size, opc } = access;
  return (['immpre', 'immpost'] as const).map((form) =>
    instruction({
      name: encodingName(access, form),
      pattern: `${size} 111 0 00 ${opc} 0 imm9:9 ${form === 'immpre' ? '11' : '01'} Rn:5 Rt:5`,
      operands: { t: transfer(access), n: orStackPointer('Rn', 64), offset: immediate(signed('imm9', 9)) },
      text: `${mnemonic} {t}, ${form === 'immpre' ? '[{n}, {offset}]!' : '[{n}], {offset}'}`,
      semantics: (m, o) => {
        const base = m.let(readBase(m, o.n));
        const moved = m.let(m.add(base, o.offset));
        perform(m, access, o.t, form === 'immpre' ? moved : base, { base: o.n, value: moved });
      },
    }),
  );
}

/** Base plus an index register. */
function withIndex(access: Access): A64Instruction[] {
  const { mnemonic, size, opc, bytes } = access;
  return indexExtensions.map(({ extension, option, width }) =>
    instruction({
      name: `${encodingName(access, 'regoff')}_${extension}`,
      pattern: `${size} 111 0 00 ${opc} 1 Rm:5 ${option} S:1 10 Rn:5 Rt:5`,
      operands: {
        t: transfer(access),
        n: orStackPointer('Rn', 64),
        m: source('Rm', width),
        shift: indexShift(extension, Math.log2(bytes)),
      },
      text: `${mnemonic} {t}, [{n}, {m}{shift}]`,
      semantics: (m, o) => {
        const index = extension === 'sxtw' ? m.signed64(m.read(o.m)) : m.resize(64, m.read(o.m));
        perform(m, access, o.t, m.add(readBase(m, o.n), m.shift('shl', index, o.shift)), null);
      },
    }),
  );
}

const literals = [
  { mnemonic: 'ldr', opc: '00', bytes: 4, width: 32, effect: 'load' },
  { mnemonic: 'ldr', opc: '01', bytes: 8, width: 64, effect: 'load' },
  { mnemonic: 'ldrsw', opc: '10', bytes: 4, width: 64, effect: 'loadSigned' },
] as const;

/** PC-relative. */
function literal(): A64Instruction[] {
  return literals.map((row) => {
    const access: Access = { ...row, size: '' };
    return instruction({
      name: `${row.mnemonic.toUpperCase()}_${row.width}_loadlit`,
      pattern: `${row.opc} 011 0 00 imm19:19 Rt:5`,
      operands: { t: transfer(access), to: branchLabel('imm19', 19) },
      text: `${row.mnemonic} {t}, {to}`,
      semantics: (m, o) => perform(m, access, o.t, m.add(m.pc(), o.to), null),
    });
  });
}

const pairKinds = [
  { stem: 'p', opc: '00', bytes: 4, width: 32, signed: false },
  { stem: 'p', opc: '10', bytes: 8, width: 64, signed: false },
  { stem: 'psw', opc: '01', bytes: 4, width: 64, signed: true },
] as const;

type PairKind = (typeof pairKinds)[number];
type PairForm = (typeof pairForms)[number];

/** LDP, STP, LDPSW, LDNP, STNP. The non-temporal hint of LDNP and STNP is ignored. */
function pair(
  { stem, opc, bytes, width, signed: isSigned }: PairKind,
  { form, bits, text }: PairForm,
): A64Instruction[] {
  const offset = signed('imm7', 7, bytes);
  const inPlace = form === 'off' || form === 'noalloc';
  const operands = {
    n: orStackPointer('Rn', 64),
    offset: inPlace ? optionalNumber(', ', offset, 0n) : immediate(offset),
  };
  const pattern = (load: 0 | 1): string => `${opc} 101 0 ${bits} ${load} imm7:7 Rt2:5 Rn:5 Rt:5`;
  const spelling = form === 'noalloc' ? 'np' : stem;
  const load = instruction({
    name: `LD${stem.toUpperCase()}_${width}_ldstpair_${form}`,
    pattern: pattern(1),
    cold: isSigned,
    operands: { ...operands, t: destination('Rt', width), t2: destination('Rt2', width) },
    text: `ld${spelling} {t}, {t2}, ${text}`,
    semantics: (m, o) => {
      const base = m.let(readBase(m, o.n));
      const moved = m.let(m.add(base, o.offset));
      const address = form === 'post' ? base : moved;
      const [a, b] = m.loadPair(bytes, address);
      const extend = (value: Expr): Expr => m.resize(width, isSigned ? m.signExtend(value, 32) : value);
      m.write(o.t2, extend(b));
      m.write(o.t, extend(a));
      if (!inPlace) m.write(o.n, moved);
    },
  });
  if (isSigned) return form === 'noalloc' ? [] : [load];
  const store = instruction({
    name: `ST${stem.toUpperCase()}_${width}_ldstpair_${form}`,
    pattern: pattern(0),
    operands: { ...operands, t: source('Rt', width), t2: source('Rt2', width) },
    text: `st${spelling} {t}, {t2}, ${text}`,
    semantics: (m, o) => {
      const base = m.let(readBase(m, o.n));
      const moved = m.let(m.add(base, o.offset));
      const address = form === 'post' ? base : moved;
      m.storePair(bytes, address, [m.read(o.t), m.read(o.t2)]);
      if (!inPlace) m.write(o.n, moved);
    },
  });
  return [load, store];
}

/** All instructions of the group, except exclusive and ordered accesses. */
export const loadsAndStores: readonly A64Instruction[] = [
  ...accesses.flatMap((access) => [
    withOffset(access),
    ...unscaled(access),
    ...indexed(access),
    ...withIndex(access),
  ]),
  ...literal(),
  ...pairKinds.flatMap((kind) => pairForms.flatMap((form) => pair(kind, form))),
];
