/** Three registers, some with lanes twice as wide as the others (DDI 0487, C4.1.96, three different and by element). */
import { instruction } from '../encoding.js';
import type { A64Instruction } from '../encoding.js';
import type { Semantics } from '../../semantics.js';
import type { LaneBits, VectorExpr } from '../../vector_micro_ops.js';
import { binary, laneConstant, oddLanes, replaceLane, splat, unary } from '../../vector_expr.js';
import {
  arrangements,
  encodingName,
  leadingBits,
  named,
  narrowVectors,
  readActive,
  widened,
  writeActive,
  writeHalf,
} from './arrangements.js';
import type { Arrangement } from './arrangements.js';
import { vector } from './operands.js';
import { polynomialProduct, widePolynomialProduct } from './polynomials.js';
import { addSigned, saturateDoubled, subtractSigned } from './saturation.js';
import { absoluteDifference } from './three_same.js';

export type Signedness = 'Signed' | 'Unsigned';

/** The half of the narrow registers in use: the high one in the second forms (`saddl2`). */
export type Half = 'Low' | 'High';

export function halfOf({ scalar, q }: Arrangement): Half {
  return !scalar && q === '1' ? 'High' : 'Low';
}

/** The mnemonic, with a 2 in the second forms. */
export function halfMnemonic(mnemonic: string, arrangement: Arrangement): string {
  return halfOf(arrangement) === 'High' ? `${mnemonic}2` : mnemonic;
}

/** The lanes of one half, widened to `lane`. */
export function extendHalf(half: Half, sign: Signedness, lane: LaneBits, a: VectorExpr): VectorExpr {
  return unary(`extend${half}${sign}`, lane, a);
}

/** How a product or difference is combined with the wide destination: replace, add or subtract. */
export type Accumulation = 'none' | 'add' | 'sub';

function accumulate(
  kind: Accumulation,
  lane: LaneBits,
  old: () => VectorExpr,
  value: VectorExpr,
): VectorExpr {
  return kind === 'none' ? value : binary(kind, lane, old(), value);
}

/** Computes a wide result from two narrow sources. `old` is the old destination. */
export type LongResult = (
  m: Semantics,
  half: Half,
  lane: LaneBits,
  a: VectorExpr,
  b: VectorExpr,
  old: () => VectorExpr,
) => VectorExpr;

export function longProduct(sign: Signedness, kind: Accumulation): LongResult {
  return (_, half, lane, a, b, old) => accumulate(kind, lane, old, binary(`mul${half}${sign}`, lane, a, b));
}

/** A doubled product, optionally added or subtracted. Every step saturates. */
export function doubledProduct(kind: Accumulation): LongResult {
  return (m, half, lane, a, b, old) => {
    const product = saturateDoubled(m, lane, binary(`mul${half}Signed`, lane, a, b));
    if (kind === 'none') return product;
    return (kind === 'add' ? addSigned : subtractSigned)(m, lane, m.letVector(old()), m.letVector(product));
  };
}

function longSum(sign: Signedness, kind: 'add' | 'sub'): LongResult {
  return (_, half, lane, a, b) =>
    binary(kind, lane, extendHalf(half, sign, lane, a), extendHalf(half, sign, lane, b));
}

function longDifference(sign: Signedness, kind: Accumulation): LongResult {
  return (_, half, lane, a, b, old) => {
    const narrow = { 16: '16b', 32: '8h', 64: '4s' } as const;
    const difference = absoluteDifference(
      sign === 'Signed',
      arrangements[narrow[lane as 16 | 32 | 64]],
      a,
      b,
    );
    return accumulate(kind, lane, old, extendHalf(half, 'Unsigned', lane, difference));
  };
}

interface LongRow {
  readonly mnemonic: string;
  readonly U: 0 | 1;
  readonly opcode: string;
  readonly sources: readonly Arrangement[];
  readonly result: LongResult;
}

function pattern(source: Arrangement, U: 0 | 1, opcode: string): string {
  return `${leadingBits(source, U)} ${source.size} 1 Rm:5 ${opcode} 00 Rn:5 Rd:5`;
}

const shared = { feature: 'FEAT_AdvSIMD', cold: true } as const;

function defineLong({ mnemonic, U, opcode, sources, result }: LongRow): A64Instruction[] {
  return sources.map((source) => {
    const wide = widened(source);
    return instruction({
      ...shared,
      name: encodingName(mnemonic, source, 'three_different'),
      pattern: pattern(source, U, opcode),
      operands: { d: vector('Rd', wide), n: vector('Rn', source), m: vector('Rm', source) },
      text: `${halfMnemonic(mnemonic, source)} {d}, {n}, {m}`,
      semantics: (m, o) => {
        const [a, b] = [m.letVector(readActive(m, source, o.n)), m.letVector(readActive(m, source, o.m))];
        const old = (): VectorExpr => readActive(m, wide, o.d);
        writeActive(m, wide, o.d, result(m, halfOf(source), wide.lane, a, b, old));
      },
    });
  });
}

const signedAndUnsigned = [
  { letter: 's', sign: 'Signed', U: 0 },
  { letter: 'u', sign: 'Unsigned', U: 1 },
] as const;
const doubledSources = named('4h 8h 2s 4s h s');

const longRows: readonly LongRow[] = [
  ...signedAndUnsigned.flatMap(({ letter, sign, U }): LongRow[] =>
    (
      [
        ['addl', '0000', longSum(sign, 'add')],
        ['subl', '0010', longSum(sign, 'sub')],
        ['abal', '0101', longDifference(sign, 'add')],
        ['abdl', '0111', longDifference(sign, 'none')],
        ['mlal', '1000', longProduct(sign, 'add')],
        ['mlsl', '1010', longProduct(sign, 'sub')],
        ['mull', '1100', longProduct(sign, 'none')],
      ] as const
    ).map(([stem, opcode, result]) => ({
      mnemonic: `${letter}${stem}`,
      U,
      opcode,
      sources: narrowVectors,
      result,
    })),
  ),
  { mnemonic: 'sqdmlal', U: 0, opcode: '1001', sources: doubledSources, result: doubledProduct('add') },
  { mnemonic: 'sqdmlsl', U: 0, opcode: '1011', sources: doubledSources, result: doubledProduct('sub') },
  { mnemonic: 'sqdmull', U: 0, opcode: '1101', sources: doubledSources, result: doubledProduct('none') },
  {
    mnemonic: 'pmull',
    U: 0,
    opcode: '1110',
    sources: named('8b 16b'),
    result: (m, half, lane, a, b) => {
      const wide = (value: VectorExpr): VectorExpr => m.letVector(extendHalf(half, 'Unsigned', lane, value));
      return polynomialProduct(16, 8, wide(a), wide(b));
    },
  },
];

/** A wide and a narrow source (SADDW and related instructions). */
function defineWide(): A64Instruction[] {
  const kinds = [
    { stem: 'addw', opcode: '0001', kind: 'add' },
    { stem: 'subw', opcode: '0011', kind: 'sub' },
  ] as const;
  return signedAndUnsigned.flatMap(({ letter, sign, U }) =>
    kinds.flatMap(({ stem, opcode, kind }) =>
      narrowVectors.map((source) => {
        const wide = widened(source);
        return instruction({
          ...shared,
          name: encodingName(`${letter}${stem}`, source, 'three_different'),
          pattern: pattern(source, U, opcode),
          operands: { d: vector('Rd', wide), n: vector('Rn', wide), m: vector('Rm', source) },
          text: `${halfMnemonic(`${letter}${stem}`, source)} {d}, {n}, {m}`,
          semantics: (m, o) => {
            const other = extendHalf(halfOf(source), sign, wide.lane, m.readVector(o.m));
            m.writeVector(o.d, binary(kind, wide.lane, m.readVector(o.n), other));
          },
        });
      }),
    ),
  );
}

/** The high half of each wide lane's sum or difference (ADDHN and related instructions). */
function defineHighHalf(): A64Instruction[] {
  const kinds = [
    { mnemonic: 'addhn', U: 0, opcode: '0100', kind: 'add', rounding: false },
    { mnemonic: 'raddhn', U: 1, opcode: '0100', kind: 'add', rounding: true },
    { mnemonic: 'subhn', U: 0, opcode: '0110', kind: 'sub', rounding: false },
    { mnemonic: 'rsubhn', U: 1, opcode: '0110', kind: 'sub', rounding: true },
  ] as const;
  return kinds.flatMap(({ mnemonic, U, opcode, kind, rounding }) =>
    narrowVectors.map((narrow) => {
      const wide = widened(narrow);
      return instruction({
        ...shared,
        name: encodingName(mnemonic, narrow, 'three_different'),
        pattern: pattern(narrow, U, opcode),
        operands: { d: vector('Rd', narrow), n: vector('Rn', wide), m: vector('Rm', wide) },
        text: `${halfMnemonic(mnemonic, narrow)} {d}, {n}, {m}`,
        semantics: (m, o) => {
          const sum = binary(kind, wide.lane, m.readVector(o.n), m.readVector(o.m));
          const half = laneConstant(wide.lane, 1n << BigInt(narrow.lane - 1));
          const value = m.letVector(rounding ? binary('add', wide.lane, sum, half) : sum);
          writeHalf(m, halfOf(narrow) === 'High', o.d, oddLanes(narrow.lane, value, value));
        },
      });
    }),
  );
}

/** 128-bit products, part of the cryptographic extension. */
function definePolynomial(): A64Instruction[] {
  return (['1d', '2d'] as const).map((name, half) => {
    const source = arrangements[name];
    const wide = { name: '1q', scalar: false };
    return instruction({
      feature: 'FEAT_PMULL',
      cold: true,
      name: encodingName('pmull', source, 'three_different'),
      pattern: pattern(source, 0, '1110'),
      operands: { d: vector('Rd', wide), n: vector('Rn', source), m: vector('Rm', source) },
      text: `${half === 1 ? 'pmull2' : 'pmull'} {d}, {n}, {m}`,
      semantics: (m, o) => {
        const product = widePolynomialProduct(m, m.readElement(o.n, 64, half), m.readElement(o.m, 64, half));
        m.writeVector(o.d, replaceLane(64, splat(64, product.low), 1, product.high));
      },
    });
  });
}

export const threeDifferent = (): readonly A64Instruction[] => [
  ...longRows.flatMap(defineLong),
  ...defineWide(),
  ...defineHighHalf(),
  ...definePolynomial(),
];
