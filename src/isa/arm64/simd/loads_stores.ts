/** Loads and stores of the low bits of vector registers (DDI 0487, C4.1.94): single, pair, literal. */
import { instruction } from '../encoding.js';
import type { A64Instruction } from '../encoding.js';
import type { Expr } from '../../micro_ops.js';
import type { RegisterRef, Semantics, VectorRef } from '../../semantics.js';
import { fromLow } from '../../vector_expr.js';
import { indexExtensions, indexShift, offset9, pairForms, readBase } from '../addressing.js';
import {
  branchLabel,
  immediate,
  optionalNumber,
  orStackPointer,
  signed,
  source,
  unsigned,
} from '../operands.js';
import { scalarRegister } from './operands.js';

/** One kind of access: the size letter of the register, and the encoding's name for it. */
interface Access {
  readonly letter: string;
  readonly bytes: 1 | 2 | 4 | 8 | 16;
  readonly size: string;
  /** The upper bit of `opc`. The lower bit means load. */
  readonly opc1: '0' | '1';
}

const accesses: readonly Access[] = [
  { letter: 'b', bytes: 1, size: '00', opc1: '0' },
  { letter: 'h', bytes: 2, size: '01', opc1: '0' },
  { letter: 's', bytes: 4, size: '10', opc1: '0' },
  { letter: 'd', bytes: 8, size: '11', opc1: '0' },
  { letter: 'q', bytes: 16, size: '00', opc1: '1' },
];

const effects = [
  { effect: 'store', stem: 'st', load: '0' },
  { effect: 'load', stem: 'ld', load: '1' },
] as const;
type Effect = (typeof effects)[number];

const shared = { feature: 'FEAT_AdvSIMD', cold: true } as const;

/** Loads the low bytes of a register. The caller writes the result after all accesses of the instruction. */
export function loadRegister(
  m: Semantics,
  { bytes }: Pick<Access, 'bytes'>,
  t: VectorRef,
  address: Expr,
): () => void {
  const value = bytes === 16 ? m.loadVector(address) : fromLow(m.load(bytes, address));
  return () => {
    m.writeVector(t, value);
  };
}

export function storeRegister(
  m: Semantics,
  { bytes }: Pick<Access, 'bytes'>,
  t: VectorRef,
  address: Expr,
): void {
  if (bytes === 16) m.storeVector(address, m.readVector(t));
  else m.store(bytes, address, m.readElement(t, (bytes * 8) as 8 | 16 | 32 | 64, 0));
}

/** Does the access, then writes back the base register unless the access faulted. */
function perform(
  m: Semantics,
  access: Access,
  { effect }: Effect,
  t: VectorRef,
  address: Expr,
  moved: { readonly base: RegisterRef; readonly value: Expr } | null,
): void {
  let finish = (): void => undefined;
  if (effect === 'load') finish = loadRegister(m, access, t, address);
  else storeRegister(m, access, t, address);
  if (moved !== null) m.write(moved.base, moved.value);
  finish();
}

function encoding({ letter }: Access, { stem }: Effect, form: string): string {
  return `${stem.toUpperCase()}R_${letter.toUpperCase()}_ldst_${form}`;
}

function withOffset(access: Access, way: Effect): A64Instruction {
  const { letter, size, opc1, bytes } = access;
  return instruction({
    ...shared,
    name: encoding(access, way, 'pos'),
    pattern: `${size} 111 1 01 ${opc1}${way.load} imm12:12 Rn:5 Rt:5`,
    operands: {
      t: scalarRegister('Rt', letter),
      n: orStackPointer('Rn', 64),
      offset: optionalNumber(', ', unsigned('imm12', 12, 64, bytes), 0n),
    },
    text: `${way.stem}r {t}, [{n}{offset}]`,
    semantics: (m, o) => perform(m, access, way, o.t, m.add(readBase(m, o.n), o.offset), null),
  });
}

function unscaled(access: Access, way: Effect): A64Instruction {
  const { letter, size, opc1 } = access;
  return instruction({
    ...shared,
    name: encoding(access, way, 'unscaled'),
    pattern: `${size} 111 1 00 ${opc1}${way.load} 0 imm9:9 00 Rn:5 Rt:5`,
    operands: { t: scalarRegister('Rt', letter), n: orStackPointer('Rn', 64), offset: offset9() },
    text: `${way.stem}ur {t}, [{n}{offset}]`,
    semantics: (m, o) => perform(m, access, way, o.t, m.add(readBase(m, o.n), o.offset), null),
  });
}

const indexForms = [
  { form: 'immpre', bits: '11', text: '[{n}, {offset}]!' },
  { form: 'immpost', bits: '01', text: '[{n}], {offset}' },
] as const;

function indexed(access: Access, way: Effect): A64Instruction[] {
  const { letter, size, opc1 } = access;
  return indexForms.map(({ form, bits, text }) =>
    instruction({
      ...shared,
      name: encoding(access, way, form),
      pattern: `${size} 111 1 00 ${opc1}${way.load} 0 imm9:9 ${bits} Rn:5 Rt:5`,
      operands: {
        t: scalarRegister('Rt', letter),
        n: orStackPointer('Rn', 64),
        offset: immediate(signed('imm9', 9)),
      },
      text: `${way.stem}r {t}, ${text}`,
      semantics: (m, o) => {
        const base = m.let(readBase(m, o.n));
        const moved = m.let(m.add(base, o.offset));
        perform(m, access, way, o.t, form === 'immpre' ? moved : base, { base: o.n, value: moved });
      },
    }),
  );
}

function withIndex(access: Access, way: Effect): A64Instruction[] {
  const { letter, size, opc1, bytes } = access;
  return indexExtensions.map(({ extension, option, width }) =>
    instruction({
      ...shared,
      name: `${encoding(access, way, 'regoff')}_${extension}`,
      pattern: `${size} 111 1 00 ${opc1}${way.load} 1 Rm:5 ${option} S:1 10 Rn:5 Rt:5`,
      operands: {
        t: scalarRegister('Rt', letter),
        n: orStackPointer('Rn', 64),
        m: source('Rm', width),
        shift: indexShift(extension, Math.log2(bytes)),
      },
      text: `${way.stem}r {t}, [{n}, {m}{shift}]`,
      semantics: (m, o) => {
        const index = extension === 'sxtw' ? m.signed64(m.read(o.m)) : m.resize(64, m.read(o.m));
        perform(m, access, way, o.t, m.add(readBase(m, o.n), m.shift('shl', index, o.shift)), null);
      },
    }),
  );
}

const wide = [
  { letter: 's', opc: '00', bytes: 4 },
  { letter: 'd', opc: '01', bytes: 8 },
  { letter: 'q', opc: '10', bytes: 16 },
] as const;

/** PC-relative. */
function literals(): A64Instruction[] {
  return wide.map(({ letter, opc, bytes }) =>
    instruction({
      ...shared,
      name: `LDR_${letter.toUpperCase()}_loadlit`,
      pattern: `${opc} 011 1 00 imm19:19 Rt:5`,
      operands: { t: scalarRegister('Rt', letter), to: branchLabel('imm19', 19) },
      text: 'ldr {t}, {to}',
      semantics: (m, o) => {
        loadRegister(m, { bytes }, o.t, m.add(m.pc(), o.to))();
      },
    }),
  );
}

/** LDP, STP, LDNP, STNP. The non-temporal hint of LDNP and STNP is ignored. */
function pair(
  { letter, opc, bytes }: (typeof wide)[number],
  { form, bits, text }: (typeof pairForms)[number],
  { effect, stem, load }: Effect,
): A64Instruction {
  const offset = signed('imm7', 7, bytes);
  const inPlace = form === 'off' || form === 'noalloc';
  return instruction({
    ...shared,
    name: `${stem.toUpperCase()}P_${letter.toUpperCase()}_ldstpair_${form}`,
    pattern: `${opc} 101 1 ${bits} ${load} imm7:7 Rt2:5 Rn:5 Rt:5`,
    operands: {
      t: scalarRegister('Rt', letter),
      t2: scalarRegister('Rt2', letter),
      n: orStackPointer('Rn', 64),
      offset: inPlace ? optionalNumber(', ', offset, 0n) : immediate(offset),
    },
    text: `${stem}${form === 'noalloc' ? 'np' : 'p'} {t}, {t2}, ${text}`,
    semantics: (m, o) => {
      const base = m.let(readBase(m, o.n));
      const moved = m.let(m.add(base, o.offset));
      const first = form === 'post' ? base : moved;
      const places = [[o.t, first] as const, [o.t2, m.add(first, m.constant(64, bytes))] as const];
      const finish: (() => void)[] = [];
      for (const [t, address] of places) {
        if (effect === 'load') finish.push(loadRegister(m, { bytes }, t, address));
        else storeRegister(m, { bytes }, t, address);
      }
      if (!inPlace) m.write(o.n, moved);
      for (const write of finish) write();
    },
  });
}

export const simdLoadsAndStores = (): readonly A64Instruction[] => [
  ...accesses.flatMap((access) =>
    effects.flatMap((way) => [
      withOffset(access, way),
      unscaled(access, way),
      ...indexed(access, way),
      ...withIndex(access, way),
    ]),
  ),
  ...literals(),
  ...wide.flatMap((kind) => pairForms.flatMap((form) => effects.map((way) => pair(kind, form, way)))),
];
