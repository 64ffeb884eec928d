/**
 * Integer products by one lane of a register (DDI 0487, C4.1.96, Advanced SIMD vector x indexed element, and scalar).
 */
import { instruction } from '../encoding.js';
import type { ImmediateOperand, VectorOperand } from '../../instruction.js';
import type { A64Instruction } from '../encoding.js';
import type { Semantics } from '../../semantics.js';
import type { VectorExpr } from '../../vector_micro_ops.js';
import { binary, splat } from '../../vector_expr.js';
import { encodingName, leadingBits, named, readActive, widened, writeActive } from './arrangements.js';
import type { Arrangement } from './arrangements.js';
import { laneIndex, laneRegister, vector } from './operands.js';
import { doubledHighProduct } from './saturation.js';
import { doubledProduct, halfMnemonic, halfOf, longProduct } from './three_different.js';
import type { LongResult } from './three_different.js';

const shared = { feature: 'FEAT_AdvSIMD', cold: true } as const;

/** Position of the lane index and the register number, by lane width. Halfwords can use only V0 to V15. */
export interface ElementForm {
  readonly letter: string;
  /** `L`, `M` and `Rm`. */
  readonly bits: string;
  /** `H`. */
  readonly H: string;
  readonly index: ImmediateOperand;
}

const h = { field: 'H', bits: 1 };
const l = { field: 'L', bits: 1 };
const m1 = { field: 'M', bits: 1 };

export const elementForms: Readonly<Record<16 | 32 | 64, ElementForm>> = {
  16: { letter: 'h', bits: 'L:1 M:1 Rm:4', H: 'H:1', index: laneIndex(h, l, m1) },
  32: { letter: 's', bits: 'L:1 Rm:5', H: 'H:1', index: laneIndex(h, l) },
  64: { letter: 'd', bits: '0 Rm:5', H: 'H:1', index: laneIndex(h) },
};

/** The encoding with `01111` in place of `01110`, and without the bit of three-register instructions. */
export function elementPattern(
  arrangement: Arrangement,
  U: 0 | 1,
  size: string,
  { bits, H }: ElementForm,
  opcode: string,
): string {
  return `${leadingBits(arrangement, U).replace(/0$/, '1')} ${size} ${bits} ${opcode} ${H} 0 Rn:5 Rd:5`;
}

interface Operands {
  readonly n: VectorOperand;
  readonly m: VectorOperand;
  readonly index: ImmediateOperand;
}

function sources(arrangement: Arrangement, form: ElementForm): Operands {
  return {
    n: vector('Rn', arrangement),
    m: laneRegister('Rm', form.letter),
    index: form.index,
  };
}

type SameResult = (
  m: Semantics,
  arrangement: Arrangement,
  a: VectorExpr,
  b: VectorExpr,
  old: () => VectorExpr,
) => VectorExpr;

const sameRows: readonly {
  readonly mnemonic: string;
  readonly U: 0 | 1;
  readonly opcode: string;
  readonly arrangements: readonly Arrangement[];
  readonly result: SameResult;
}[] = [
  {
    mnemonic: 'mla',
    U: 1,
    opcode: '0000',
    arrangements: named('4h 8h 2s 4s'),
    result: (_, { lane }, a, b, old) => binary('add', lane, old(), binary('mul', lane, a, b)),
  },
  {
    mnemonic: 'mls',
    U: 1,
    opcode: '0100',
    arrangements: named('4h 8h 2s 4s'),
    result: (_, { lane }, a, b, old) => binary('sub', lane, old(), binary('mul', lane, a, b)),
  },
  {
    mnemonic: 'mul',
    U: 0,
    opcode: '1000',
    arrangements: named('4h 8h 2s 4s'),
    result: (_, { lane }, a, b) => binary('mul', lane, a, b),
  },
  ...(['sqdmulh', 'sqrdmulh'] as const).map((mnemonic, index) => ({
    mnemonic,
    U: 0 as const,
    opcode: `110${index}`,
    arrangements: named('4h 8h 2s 4s h s'),
    result: ((m, { lane }, a, b) =>
      doubledHighProduct(m, lane === 16 ? 16 : 32, index === 1, a, b)) satisfies SameResult,
  })),
];

function elementForm({ lane }: Arrangement): ElementForm {
  return elementForms[lane === 8 ? 16 : lane];
}

function defineSame({
  mnemonic,
  U,
  opcode,
  arrangements: seen,
  result,
}: (typeof sameRows)[number]): A64Instruction[] {
  return seen.map((arrangement) => {
    const form = elementForm(arrangement);
    const { lane } = arrangement;
    return instruction({
      ...shared,
      name: encodingName(mnemonic, arrangement, 'element'),
      pattern: elementPattern(arrangement, U, arrangement.size, form, opcode),
      operands: { d: vector('Rd', arrangement), ...sources(arrangement, form) },
      text: `${mnemonic} {d}, {n}, {m}{index}`,
      semantics: (m, o) => {
        const a = m.letVector(readActive(m, arrangement, o.n));
        const b = m.letVector(splat(lane, m.readElement(o.m, lane, o.index)));
        const old = (): VectorExpr => readActive(m, arrangement, o.d);
        writeActive(m, arrangement, o.d, result(m, arrangement, a, b, old));
      },
    });
  });
}

const longSources = named('4h 8h 2s 4s');
interface LongRow {
  readonly mnemonic: string;
  readonly U: 0 | 1;
  readonly opcode: string;
  readonly sources: readonly Arrangement[];
  readonly result: LongResult;
}

const longRows: readonly LongRow[] = [
  ...(['Signed', 'Unsigned'] as const).flatMap((sign, index) =>
    (
      [
        ['mlal', '0010', 'add'],
        ['mlsl', '0110', 'sub'],
        ['mull', '1010', 'none'],
      ] as const
    ).map(([stem, opcode, kind]): LongRow => ({
      mnemonic: `${index === 0 ? 's' : 'u'}${stem}`,
      U: index === 0 ? 0 : 1,
      opcode,
      sources: longSources,
      result: longProduct(sign, kind),
    })),
  ),
  ...(
    [
      ['sqdmlal', '0011', 'add'],
      ['sqdmlsl', '0111', 'sub'],
      ['sqdmull', '1011', 'none'],
    ] as const
  ).map(([mnemonic, opcode, kind]) => ({
    mnemonic,
    U: 0 as const,
    opcode,
    sources: named('4h 8h 2s 4s h s'),
    result: doubledProduct(kind),
  })),
];

function defineLong({ mnemonic, U, opcode, sources: seen, result }: LongRow): A64Instruction[] {
  return seen.map((source) => {
    const form = elementForm(source);
    const wide = widened(source);
    return instruction({
      ...shared,
      name: encodingName(mnemonic, source, 'element'),
      pattern: elementPattern(source, U, source.size, form, opcode),
      operands: { d: vector('Rd', wide), ...sources(source, form) },
      text: `${halfMnemonic(mnemonic, source)} {d}, {n}, {m}{index}`,
      semantics: (m, o) => {
        const a = m.letVector(readActive(m, source, o.n));
        const b = m.letVector(splat(source.lane, m.readElement(o.m, source.lane, o.index)));
        const old = (): VectorExpr => readActive(m, wide, o.d);
        writeActive(m, wide, o.d, result(m, halfOf(source), wide.lane, a, b, old));
      },
    });
  });
}

export const byElement = (): readonly A64Instruction[] => [
  ...sameRows.flatMap(defineSame),
  ...longRows.flatMap(defineLong),
];
