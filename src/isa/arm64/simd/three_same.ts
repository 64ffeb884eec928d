/**
 * Integer operations on three registers of one arrangement (DDI 0487, C4.1.96, Advanced SIMD three same and scalar
 * three same).
 */
import { instruction } from '../encoding.js';
import type { A64Instruction } from '../encoding.js';
import type { Semantics } from '../../semantics.js';
import type { VectorExpr } from '../../vector_micro_ops.js';
import {
  binary,
  bitSelect,
  compareLanes,
  evenLanes,
  joinLow,
  multiplyLanes,
  oddLanes,
  shiftLanesBy,
  vand,
  vandNot,
  vnot,
  vor,
  vxor,
  zeroVector,
} from '../../vector_expr.js';
import {
  arrangements,
  byteVectors,
  encodingName,
  integerVectors,
  leadingBits,
  named,
  narrowVectors,
  readActive,
  scalars,
  writeActive,
} from './arrangements.js';
import type { Arrangement } from './arrangements.js';
import { vector } from './operands.js';
import { polynomialProduct } from './polynomials.js';
import { shiftByRegister } from './register_shifts.js';
import {
  addSigned,
  addUnsigned,
  doubledHighProduct,
  subtractSigned,
  subtractUnsigned,
} from './saturation.js';

/** Computes the result from the two sources, the arrangement and, where needed, the old destination. */
type Result = (
  m: Semantics,
  a: VectorExpr,
  b: VectorExpr,
  arrangement: Arrangement,
  old: () => VectorExpr,
) => VectorExpr;

interface Row {
  readonly mnemonic: string;
  readonly U: 0 | 1;
  readonly opcode: string;
  readonly arrangements: readonly Arrangement[];
  /** Replaces the `size` of the arrangement. */
  readonly size?: string;
  readonly result: Result;
}

function define({ mnemonic, U, opcode, arrangements: seen, size, result }: Row): A64Instruction[] {
  return seen.map((arrangement) =>
    instruction({
      name: encodingName(mnemonic, arrangement, 'three_same'),
      pattern: `${leadingBits(arrangement, U)} ${size ?? arrangement.size} 1 Rm:5 ${opcode} 1 Rn:5 Rd:5`,
      feature: 'FEAT_AdvSIMD',
      cold: true,
      operands: {
        d: vector('Rd', arrangement),
        n: vector('Rn', arrangement),
        m: vector('Rm', arrangement),
      },
      text: `${mnemonic} {d}, {n}, {m}`,
      semantics: (m, o) => {
        const a = m.letVector(readActive(m, arrangement, o.n));
        const b = m.letVector(readActive(m, arrangement, o.m));
        const old = (): VectorExpr => readActive(m, arrangement, o.d);
        writeActive(m, arrangement, o.d, result(m, a, b, arrangement, old));
      },
    }),
  );
}

/** The same operation for signed numbers (`s`) and, with U set, for unsigned numbers (`u`). */
function bothSigns(
  stem: string,
  opcode: string,
  seen: readonly Arrangement[],
  result: (signed: boolean) => Result,
): Row[] {
  return (['s', 'u'] as const).map((letter, index) => ({
    mnemonic: `${letter}${stem}`,
    U: index === 0 ? 0 : 1,
    opcode,
    arrangements: seen,
    result: result(letter === 's'),
  }));
}

const all = [...integerVectors, ...scalars];
const withDouble = [...integerVectors, arrangements.d];
const highProducts = named('4h 8h 2s 4s h s');

/** Half the sum of `a` and `b`, computed without overflow. `up` rounds up. */
function halvedSum(signed: boolean, up: boolean): Result {
  const shift = signed ? 'shrSigned' : 'shrUnsigned';
  return (_, a, b, { lane }) => {
    const half = shiftLanesBy(shift, lane, vxor(a, b), 1);
    return up ? binary('sub', lane, vor(a, b), half) : binary('add', lane, vand(a, b), half);
  };
}

function halvedDifference(signed: boolean): Result {
  const shift = signed ? 'shrSigned' : 'shrUnsigned';
  return (_, a, b, { lane }) => binary('sub', lane, shiftLanesBy(shift, lane, vxor(a, b), 1), vandNot(b, a));
}

function compare(signed: boolean, orEqual: boolean): Result {
  return (_, a, b, { lane }) => compareLanes(lane, signed, orEqual, a, b);
}

function extreme(
  signed: boolean,
  larger: boolean,
): (lane: Arrangement, a: VectorExpr, b: VectorExpr) => VectorExpr {
  const kind = `${larger ? 'max' : 'min'}${signed ? 'Signed' : 'Unsigned'}` as const;
  return ({ lane }, a, b) => binary(kind, lane, a, b);
}

export function absoluteDifference(
  signed: boolean,
  arrangement: Arrangement,
  a: VectorExpr,
  b: VectorExpr,
): VectorExpr {
  const [larger, smaller] = [extreme(signed, true), extreme(signed, false)];
  return binary('sub', arrangement.lane, larger(arrangement, a, b), smaller(arrangement, a, b));
}

/** `combine` of adjacent lanes. The results of the first source are below those of the second. */
export function pairwise(
  m: Semantics,
  { lane, bits }: Arrangement,
  a: VectorExpr,
  b: VectorExpr,
  combine: (even: VectorExpr, odd: VectorExpr) => VectorExpr,
): VectorExpr {
  if (bits === 128) return combine(evenLanes(lane, a, b), oddLanes(lane, a, b));
  const both = m.letVector(joinLow(a, b));
  return combine(evenLanes(lane, both, both), oddLanes(lane, both, both));
}

const logical: readonly Row[] = (
  [
    ['and', 0, '00', (_, a, b) => vand(a, b)],
    ['bic', 0, '01', (_, a, b) => vandNot(a, b)],
    ['orr', 0, '10', (_, a, b) => vor(a, b)],
    ['orn', 0, '11', (_, a, b) => vor(a, vnot(b))],
    ['eor', 1, '00', (_, a, b) => vxor(a, b)],
    ['bsl', 1, '01', (_, a, b, __, old) => bitSelect(old(), a, b)],
    ['bit', 1, '10', (_, a, b, __, old) => bitSelect(b, a, old())],
    ['bif', 1, '11', (_, a, b, __, old) => bitSelect(b, old(), a)],
  ] satisfies [string, 0 | 1, string, Result][]
).map(([mnemonic, U, size, result]) => ({
  mnemonic,
  U,
  opcode: '00011',
  size,
  arrangements: byteVectors,
  result,
}));

const shifts: readonly Row[] = (
  [
    ['shl', '01000', { rounding: false, saturating: false }],
    ['qshl', '01001', { rounding: false, saturating: true }],
    ['rshl', '01010', { rounding: true, saturating: false }],
    ['qrshl', '01011', { rounding: true, saturating: true }],
  ] as const
).flatMap(([stem, opcode, kind]) =>
  bothSigns(
    stem,
    opcode,
    kind.saturating ? all : withDouble,
    (signed) => (m, a, b, arrangement) => shiftByRegister(m, arrangement, { ...kind, signed }, a, b),
  ),
);

const pairs: readonly Row[] = [
  ...(['max', 'min'] as const).flatMap((kind, index) =>
    bothSigns(`${kind}p`, `1010${index}`, narrowVectors, (signed) => (m, a, b, arrangement) => {
      const pick = extreme(signed, kind === 'max');
      return pairwise(m, arrangement, a, b, (even, odd) => pick(arrangement, even, odd));
    }),
  ),
  {
    mnemonic: 'addp',
    U: 0,
    opcode: '10111',
    arrangements: integerVectors,
    result: (m, a, b, arrangement) =>
      pairwise(m, arrangement, a, b, (even, odd) => binary('add', arrangement.lane, even, odd)),
  },
];

const products: readonly Row[] = [
  {
    mnemonic: 'mla',
    U: 0,
    opcode: '10010',
    arrangements: narrowVectors,
    result: (m, a, b, { lane }, old) => binary('add', lane, old(), multiplyLanes(m, lane, a, b)),
  },
  {
    mnemonic: 'mls',
    U: 1,
    opcode: '10010',
    arrangements: narrowVectors,
    result: (m, a, b, { lane }, old) => binary('sub', lane, old(), multiplyLanes(m, lane, a, b)),
  },
  {
    mnemonic: 'mul',
    U: 0,
    opcode: '10011',
    arrangements: narrowVectors,
    result: (m, a, b, { lane }) => multiplyLanes(m, lane, a, b),
  },
  {
    mnemonic: 'pmul',
    U: 1,
    opcode: '10011',
    arrangements: byteVectors,
    result: (_, a, b) => polynomialProduct(8, 8, a, b),
  },
  ...(['sqdmulh', 'sqrdmulh'] as const).map((mnemonic, index): Row => ({
    mnemonic,
    U: index === 0 ? 0 : 1,
    opcode: '10110',
    arrangements: highProducts,
    result: (m, a, b, { lane }) => doubledHighProduct(m, lane === 16 ? 16 : 32, index === 1, a, b),
  })),
];

const sums: readonly Row[] = [
  ...bothSigns('hadd', '00000', narrowVectors, (signed) => halvedSum(signed, false)),
  ...bothSigns('rhadd', '00010', narrowVectors, (signed) => halvedSum(signed, true)),
  ...bothSigns('hsub', '00100', narrowVectors, halvedDifference),
  ...bothSigns(
    'qadd',
    '00001',
    all,
    (signed) =>
      (m, a, b, { lane }) =>
        (signed ? addSigned : addUnsigned)(m, lane, a, b),
  ),
  ...bothSigns(
    'qsub',
    '00101',
    all,
    (signed) =>
      (m, a, b, { lane }) =>
        (signed ? subtractSigned : subtractUnsigned)(m, lane, a, b),
  ),
  {
    mnemonic: 'add',
    U: 0,
    opcode: '10000',
    arrangements: withDouble,
    result: (_, a, b, { lane }) => binary('add', lane, a, b),
  },
  {
    mnemonic: 'sub',
    U: 1,
    opcode: '10000',
    arrangements: withDouble,
    result: (_, a, b, { lane }) => binary('sub', lane, a, b),
  },
  ...bothSigns(
    'abd',
    '01110',
    narrowVectors,
    (signed) => (_, a, b, arrangement) => absoluteDifference(signed, arrangement, a, b),
  ),
  ...bothSigns(
    'aba',
    '01111',
    narrowVectors,
    (signed) => (_, a, b, arrangement, old) =>
      binary('add', arrangement.lane, old(), absoluteDifference(signed, arrangement, a, b)),
  ),
];

const comparisons: readonly Row[] = [
  { mnemonic: 'cmgt', U: 0, opcode: '00110', arrangements: withDouble, result: compare(true, false) },
  { mnemonic: 'cmhi', U: 1, opcode: '00110', arrangements: withDouble, result: compare(false, false) },
  { mnemonic: 'cmge', U: 0, opcode: '00111', arrangements: withDouble, result: compare(true, true) },
  { mnemonic: 'cmhs', U: 1, opcode: '00111', arrangements: withDouble, result: compare(false, true) },
  {
    mnemonic: 'cmtst',
    U: 0,
    opcode: '10001',
    arrangements: withDouble,
    result: (_, a, b, { lane }) => vnot(binary('eq', lane, vand(a, b), zeroVector)),
  },
  {
    mnemonic: 'cmeq',
    U: 1,
    opcode: '10001',
    arrangements: withDouble,
    result: (_, a, b, { lane }) => binary('eq', lane, a, b),
  },
  ...(['max', 'min'] as const).flatMap((kind, index) =>
    bothSigns(
      kind,
      `0110${index}`,
      narrowVectors,
      (signed) => (_, a, b, arrangement) => extreme(signed, kind === 'max')(arrangement, a, b),
    ),
  ),
];

export const threeSame = (): readonly A64Instruction[] =>
  [...logical, ...sums, ...comparisons, ...shifts, ...products, ...pairs].flatMap(define);
