/**
 * Integer operations with one source (DDI 0487, C4.1.96, Advanced SIMD two-register miscellaneous, scalar, and scalar
 * pairwise).
 */
import { instruction } from '../encoding.js';
import type { A64Instruction } from '../encoding.js';
import type { Semantics } from '../../semantics.js';
import type { LaneBits, VectorExpr } from '../../vector_micro_ops.js';
import {
  binary,
  compareLanes,
  evenLanes,
  laneConstant,
  shiftLanesBy,
  shuffleLanes,
  swizzle,
  unary,
  vand,
  vectorConstant,
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
  widened,
  writeActive,
  writeHalf,
} from './arrangements.js';
import type { Arrangement, ArrangementName } from './arrangements.js';
import { vector } from './operands.js';
import { addSignedToUnsigned, addUnsignedToSigned, clampToHalf, withoutSmallest } from './saturation.js';
import type { Narrowing } from './saturation.js';
import { extendHalf, halfMnemonic, halfOf } from './three_different.js';
import type { Signedness } from './three_different.js';

const shared = { feature: 'FEAT_AdvSIMD', cold: true } as const;

type Result = (m: Semantics, a: VectorExpr, arrangement: Arrangement, old: () => VectorExpr) => VectorExpr;

interface Row {
  readonly mnemonic: string;
  readonly U: 0 | 1;
  readonly opcode: string;
  readonly arrangements: readonly Arrangement[];
  /** Replaces the `size` of the arrangement. */
  readonly size?: string;
  /** Text after the source. */
  readonly suffix?: string;
  /** The arrangement of the destination, if it differs. */
  readonly to?: (from: Arrangement) => Arrangement;
  readonly result: Result;
}

function pattern(arrangement: Arrangement, U: 0 | 1, size: string, opcode: string): string {
  return `${leadingBits(arrangement, U)} ${size} 10000 ${opcode} 10 Rn:5 Rd:5`;
}

function define({
  mnemonic,
  U,
  opcode,
  arrangements: seen,
  size,
  suffix = '',
  to,
  result,
}: Row): A64Instruction[] {
  return seen.map((arrangement) => {
    const made = to?.(arrangement) ?? arrangement;
    return instruction({
      ...shared,
      name: encodingName(mnemonic, arrangement, suffix === '' ? 'misc' : 'misc_zero'),
      pattern: pattern(arrangement, U, size ?? arrangement.size, opcode),
      operands: { d: vector('Rd', made), n: vector('Rn', arrangement) },
      text: `${mnemonic} {d}, {n}${suffix}`,
      semantics: (m, o) => {
        const a = m.letVector(readActive(m, arrangement, o.n));
        const old = (): VectorExpr => readActive(m, made, o.d);
        writeActive(m, made, o.d, result(m, a, arrangement, old));
      },
    });
  });
}

/** Reverses the lanes within every `container` bits. */
function reverse(container: number): Result {
  return (_, a, { lane }) => {
    const group = container / lane;
    const order = Array.from({ length: 128 / lane }, (_unused, index) => index ^ (group - 1));
    return shuffleLanes(lane, order, a, a);
  };
}

/** The number of ones, counted per byte and summed over each lane. */
function population(lane: LaneBits, a: VectorExpr): VectorExpr {
  let count = unary('popcount', 8, a);
  if (lane >= 16) count = unary('addPairsUnsigned', 16, count);
  return lane >= 32 ? unary('addPairsUnsigned', 32, count) : count;
}

/** The number of leading zeros of each lane: spreads the ones downwards and counts the remaining zeros. */
function leadingZeros(m: Semantics, lane: LaneBits, value: VectorExpr): VectorExpr {
  let spread = m.letVector(value);
  for (let by = 1; by < lane; by *= 2) {
    spread = m.letVector(vor(spread, shiftLanesBy('shrUnsigned', lane, spread, by)));
  }
  return population(lane, vnot(spread));
}

/** The number of bits below the sign bit that are equal to it. */
function leadingSigns(m: Semantics, lane: LaneBits, a: VectorExpr): VectorExpr {
  const changes = vxor(a, shiftLanesBy('shrSigned', lane, a, 1));
  return binary('sub', lane, leadingZeros(m, lane, changes), laneConstant(lane, 1));
}

/** The reversal of each 4-bit value, one per byte. */
const reversedNibbles = vectorConstant(0x0f_07_0b_03_0d_05_09_01_0e_06_0a_02_0c_04_08_00n);

function reverseBits(a: VectorExpr): VectorExpr {
  const low = swizzle(reversedNibbles, vand(a, laneConstant(8, 15)));
  const high = swizzle(reversedNibbles, shiftLanesBy('shrUnsigned', 8, a, 4));
  return vor(shiftLanesBy('shl', 8, low, 4), high);
}

/** Sums of adjacent lanes, in lanes twice as wide as `lane`. */
function pairSums(lane: LaneBits, sign: Signedness, a: VectorExpr): VectorExpr {
  if (lane < 32) return unary(`addPairs${sign}`, (2 * lane) as 16 | 32, a);
  const high = sign === 'Signed' ? 'shrSigned' : 'shrUnsigned';
  const low = shiftLanesBy(high, 64, shiftLanesBy('shl', 64, a, 32), 32);
  return binary('add', 64, low, shiftLanesBy(high, 64, a, 32));
}

/** The arrangement of pairs of lanes. */
function paired({ lane, bits }: Arrangement): Arrangement {
  const names = { 8: ['4h', '8h'], 16: ['2s', '4s'], 32: ['1d', '2d'], 64: ['', ''] } as const;
  return arrangements[names[lane][bits === 128 ? 1 : 0] as ArrangementName];
}

const all = [...integerVectors, ...scalars];
const withDouble = [...integerVectors, arrangements.d];

const reversals: readonly Row[] = [
  { mnemonic: 'rev64', U: 0, opcode: '00000', arrangements: narrowVectors, result: reverse(64) },
  { mnemonic: 'rev32', U: 1, opcode: '00000', arrangements: named('8b 16b 4h 8h'), result: reverse(32) },
  { mnemonic: 'rev16', U: 0, opcode: '00001', arrangements: byteVectors, result: reverse(16) },
];

const bitCounts: readonly Row[] = [
  {
    mnemonic: 'cls',
    U: 0,
    opcode: '00100',
    arrangements: narrowVectors,
    result: (m, a, { lane }) => leadingSigns(m, lane, a),
  },
  {
    mnemonic: 'clz',
    U: 1,
    opcode: '00100',
    arrangements: narrowVectors,
    result: (m, a, { lane }) => leadingZeros(m, lane, a),
  },
  { mnemonic: 'cnt', U: 0, opcode: '00101', arrangements: byteVectors, result: (_, a) => population(8, a) },
  { mnemonic: 'not', U: 1, opcode: '00101', arrangements: byteVectors, result: (_, a) => vnot(a) },
  {
    mnemonic: 'rbit',
    U: 1,
    opcode: '00101',
    size: '01',
    arrangements: byteVectors,
    result: (_, a) => reverseBits(a),
  },
];

const pairRows: readonly Row[] = (['Signed', 'Unsigned'] as const).flatMap((sign, U): Row[] => [
  {
    mnemonic: U === 0 ? 'saddlp' : 'uaddlp',
    U: U === 0 ? 0 : 1,
    opcode: '00010',
    arrangements: narrowVectors,
    to: paired,
    result: (_, a, { lane }) => pairSums(lane, sign, a),
  },
  {
    mnemonic: U === 0 ? 'sadalp' : 'uadalp',
    U: U === 0 ? 0 : 1,
    opcode: '00110',
    arrangements: narrowVectors,
    to: paired,
    result: (_, a, arrangement, old) =>
      binary('add', paired(arrangement).lane, old(), pairSums(arrangement.lane, sign, a)),
  },
]);

function compareWithZero(orEqual: boolean, negated: boolean): Result {
  return (_, a, { lane }) => {
    const compared = compareLanes(lane, true, orEqual, a, zeroVector);
    return negated ? vnot(compared) : compared;
  };
}

const zero = { arrangements: withDouble, suffix: ', #0' };
const comparisons: readonly Row[] = [
  { ...zero, mnemonic: 'cmgt', U: 0, opcode: '01000', result: compareWithZero(false, false) },
  { ...zero, mnemonic: 'cmge', U: 1, opcode: '01000', result: compareWithZero(true, false) },
  {
    ...zero,
    mnemonic: 'cmeq',
    U: 0,
    opcode: '01001',
    result: (_, a, { lane }) => binary('eq', lane, a, zeroVector),
  },
  { ...zero, mnemonic: 'cmle', U: 1, opcode: '01001', result: compareWithZero(false, true) },
  { ...zero, mnemonic: 'cmlt', U: 0, opcode: '01010', result: compareWithZero(true, true) },
];

const signRows: readonly Row[] = [
  {
    mnemonic: 'suqadd',
    U: 0,
    opcode: '00011',
    arrangements: all,
    result: (m, a, { lane }, old) => addUnsignedToSigned(m, lane, m.letVector(old()), a),
  },
  {
    mnemonic: 'usqadd',
    U: 1,
    opcode: '00011',
    arrangements: all,
    result: (m, a, { lane }, old) => addSignedToUnsigned(m, lane, m.letVector(old()), a),
  },
  {
    mnemonic: 'sqabs',
    U: 0,
    opcode: '00111',
    arrangements: all,
    result: (m, a, { lane }) => withoutSmallest(m, lane, 'abs', a),
  },
  {
    mnemonic: 'sqneg',
    U: 1,
    opcode: '00111',
    arrangements: all,
    result: (m, a, { lane }) => withoutSmallest(m, lane, 'negate', a),
  },
  {
    mnemonic: 'abs',
    U: 0,
    opcode: '01011',
    arrangements: withDouble,
    result: (_, a, { lane }) => unary('abs', lane, a),
  },
  {
    mnemonic: 'neg',
    U: 1,
    opcode: '01011',
    arrangements: withDouble,
    result: (_, a, { lane }) => unary('negate', lane, a),
  },
];

const narrowings: readonly {
  readonly mnemonic: string;
  readonly U: 0 | 1;
  readonly opcode: string;
  readonly kind: Narrowing | null;
}[] = [
  { mnemonic: 'xtn', U: 0, opcode: '10010', kind: null },
  { mnemonic: 'sqxtun', U: 1, opcode: '10010', kind: 'signedToUnsigned' },
  { mnemonic: 'sqxtn', U: 0, opcode: '10100', kind: 'signed' },
  { mnemonic: 'uqxtn', U: 1, opcode: '10100', kind: 'unsigned' },
];

/** Writes the narrowed lanes of `value` to one half of the destination, or to the scalar. */
export function writeNarrowed(
  m: Semantics,
  narrow: Arrangement,
  register: Parameters<typeof writeHalf>[2],
  value: VectorExpr,
): void {
  const made = m.letVector(value);
  const lanes = evenLanes(narrow.lane, made, made);
  if (narrow.scalar) writeActive(m, narrow, register, lanes);
  else writeHalf(m, halfOf(narrow) === 'High', register, lanes);
}

function defineNarrowings(): A64Instruction[] {
  return narrowings.flatMap(({ mnemonic, U, opcode, kind }) =>
    [...narrowVectors, ...(kind === null ? [] : named('b h s'))].map((narrow) => {
      const wide = widened(narrow);
      return instruction({
        ...shared,
        name: encodingName(mnemonic, narrow, 'misc'),
        pattern: pattern(narrow, U, narrow.size, opcode),
        operands: { d: vector('Rd', narrow), n: vector('Rn', wide) },
        text: `${halfMnemonic(mnemonic, narrow)} {d}, {n}`,
        semantics: (m, o) => {
          const value = readActive(m, wide, o.n);
          const made = kind === null ? value : clampToHalf(m, wide.lane, kind, value);
          writeNarrowed(m, narrow, o.d, made);
        },
      });
    }),
  );
}

/** SHLL: widens the lanes, then shifts left by the old width. */
function defineLongShift(): A64Instruction[] {
  return narrowVectors.map((source) => {
    const wide = widened(source);
    return instruction({
      ...shared,
      name: encodingName('shll', source, 'misc'),
      pattern: pattern(source, 1, source.size, '10011'),
      operands: { d: vector('Rd', wide), n: vector('Rn', source) },
      text: `${halfMnemonic('shll', source)} {d}, {n}, #${source.lane}`,
      semantics: (m, o) => {
        const value = extendHalf(halfOf(source), 'Unsigned', wide.lane, m.readVector(o.n));
        m.writeVector(o.d, shiftLanesBy('shl', wide.lane, value, source.lane));
      },
    });
  });
}

/** ADDP of the two halves of a register. */
const scalarPair = instruction({
  ...shared,
  name: 'ADDP_D_pair',
  pattern: '01 0 11110 11 11000 11011 10 Rn:5 Rd:5',
  operands: { d: vector('Rd', arrangements.d), n: vector('Rn', arrangements['2d']) },
  text: 'addp {d}, {n}',
  semantics: (m, o) => {
    const a = m.letVector(m.readVector(o.n));
    writeActive(m, arrangements.d, o.d, binary('add', 64, a, shuffleLanes(64, [1, 0], a, a)));
  },
});

export const twoRegisters = (): readonly A64Instruction[] => [
  ...[...reversals, ...bitCounts, ...pairRows, ...comparisons, ...signRows].flatMap(define),
  ...defineNarrowings(),
  ...defineLongShift(),
  scalarPair,
];
