/**
 * Floating-point operations with one source register (DDI 0487, C4.1.96: two-register miscellaneous, shift by
 * immediate).
 */
import { instruction } from '../encoding.js';
import type { A64Instruction } from '../encoding.js';
import type { FloatFormat, FloatOperation, FloatRounding } from '../../float_micro_ops.js';
import type { Expr } from '../../micro_ops.js';
import type { Semantics } from '../../semantics.js';
import { lowBits } from '../../vector_expr.js';
import { negated, withoutSign } from '../float_data_processing.js';
import {
  arrangements,
  encodingName,
  floatScalars,
  floatVectors,
  leadingBits,
  named,
  writeHalf,
} from './arrangements.js';
import type { Arrangement, ArrangementName } from './arrangements.js';
import { allOnes, formatOf, lanesOf, makeLanes } from './float_lanes.js';
import { sizeBit } from './float_three_same.js';
import { vector } from './operands.js';
import { rightAmount, shiftPattern } from './shift_immediate.js';
import { halfMnemonic, halfOf } from './three_different.js';

const shared = { feature: 'FEAT_AdvSIMD', cold: true } as const;

type LaneResult = (m: Semantics, format: FloatFormat, a: Expr) => Expr;

interface Row {
  readonly mnemonic: string;
  readonly U: 0 | 1;
  /** Bit 23. */
  readonly a: '0' | '1';
  readonly opcode: string;
  readonly arrangements: readonly Arrangement[];
  /** Text after the source. */
  readonly suffix: string;
  readonly result: LaneResult;
}

const vectorsAndScalars = [...floatVectors, ...floatScalars];

function row(
  mnemonic: string,
  bits: string,
  opcode: string,
  seen: readonly Arrangement[],
  result: LaneResult,
  suffix = '',
): Row {
  const [U, a] = [bits.startsWith('1') ? 1 : 0, bits.endsWith('1') ? '1' : '0'] as const;
  return { mnemonic, U, a, opcode, arrangements: seen, suffix, result };
}

function plain(
  kind: Extract<
    FloatOperation['kind'],
    'sqrt' | 'reciprocalEstimate' | 'reciprocalSqrtEstimate' | 'reciprocalExponent'
  >,
): LaneResult {
  // prettier-ignore
  return (m, format, a) => m.float({ kind, format }, a);
}

function rounding(mode: FloatRounding, exact: boolean): LaneResult {
  return (m, format, a) => m.float({ kind: 'roundToInteger', format, rounding: mode, exact }, a);
}

function integerWidth(format: FloatFormat): 32 | 64 {
  return format === 64 ? 64 : 32;
}

function toInteger(mode: FloatRounding, signed: boolean): LaneResult {
  return (m, format, a) =>
    m.float(
      { kind: 'toFixed', format, bits: integerWidth(format), signed, rounding: mode },
      a,
      m.constant(64, 0),
    );
}

function fromInteger(signed: boolean): LaneResult {
  return (m, format, a) =>
    m.float({ kind: 'fromFixed', format, bits: integerWidth(format), signed }, a, m.constant(64, 0));
}

/** Comparison with 0. For "less" conditions, 0 is the first operand. */
function withZero(kind: 'eq' | 'ge' | 'gt', zeroFirst: boolean): LaneResult {
  return (m, format, a) => {
    const zero = m.constant(64, 0);
    const [first, second] = zeroFirst ? [zero, a] : [a, zero];
    return allOnes(m, m.float({ kind, format }, first, second));
  };
}

/** Bit `U`, bit 23, then the opcode. */
const rows: readonly Row[] = [
  row('fabs', '01', '01111', floatVectors, (m, format, a) => withoutSign(m, format, a)),
  row('fneg', '11', '01111', floatVectors, (m, format, a) => negated(m, format, a)),
  row('fsqrt', '11', '11111', floatVectors, plain('sqrt')),
  row('frintn', '00', '11000', floatVectors, rounding('nearestEven', false)),
  row('frintm', '00', '11001', floatVectors, rounding('down', false)),
  row('frintp', '01', '11000', floatVectors, rounding('up', false)),
  row('frintz', '01', '11001', floatVectors, rounding('zero', false)),
  row('frinta', '10', '11000', floatVectors, rounding('nearestAway', false)),
  row('frintx', '10', '11001', floatVectors, rounding('current', true)),
  row('frinti', '11', '11001', floatVectors, rounding('current', false)),
  row('frecpe', '01', '11101', vectorsAndScalars, plain('reciprocalEstimate')),
  row('frsqrte', '11', '11101', vectorsAndScalars, plain('reciprocalSqrtEstimate')),
  row('frecpx', '01', '11111', floatScalars, plain('reciprocalExponent')),
  row('urecpe', '01', '11100', named('2s 4s'), (m, _, a) =>
    m.float({ kind: 'unsignedReciprocalEstimate' }, a),
  ),
  row('ursqrte', '11', '11100', named('2s 4s'), (m, _, a) =>
    m.float({ kind: 'unsignedReciprocalSqrtEstimate' }, a),
  ),
  row('fcmgt', '01', '01100', vectorsAndScalars, withZero('gt', false), ', #0.0'),
  row('fcmge', '11', '01100', vectorsAndScalars, withZero('ge', false), ', #0.0'),
  row('fcmeq', '01', '01101', vectorsAndScalars, withZero('eq', false), ', #0.0'),
  row('fcmle', '11', '01101', vectorsAndScalars, withZero('ge', true), ', #0.0'),
  row('fcmlt', '01', '01110', vectorsAndScalars, withZero('gt', true), ', #0.0'),
  ...(['s', 'u'] as const).flatMap((letter, U) => [
    row(`fcvtn${letter}`, `${U}0`, '11010', vectorsAndScalars, toInteger('nearestEven', U === 0)),
    row(`fcvtm${letter}`, `${U}0`, '11011', vectorsAndScalars, toInteger('down', U === 0)),
    row(`fcvta${letter}`, `${U}0`, '11100', vectorsAndScalars, toInteger('nearestAway', U === 0)),
    row(`fcvtp${letter}`, `${U}1`, '11010', vectorsAndScalars, toInteger('up', U === 0)),
    row(`fcvtz${letter}`, `${U}1`, '11011', vectorsAndScalars, toInteger('zero', U === 0)),
    row(`${letter}cvtf`, `${U}0`, '11101', vectorsAndScalars, fromInteger(U === 0)),
  ]),
];

function pattern(arrangement: Arrangement, U: 0 | 1, size: string, opcode: string): string {
  return `${leadingBits(arrangement, U)} ${size} 10000 ${opcode} 10 Rn:5 Rd:5`;
}

function define({ mnemonic, U, a, opcode, arrangements: seen, suffix, result }: Row): A64Instruction[] {
  return seen.map((arrangement) =>
    instruction({
      ...shared,
      name: encodingName(mnemonic, arrangement, suffix === '' ? 'misc' : 'misc_zero'),
      pattern: pattern(arrangement, U, `${a}${sizeBit(arrangement)}`, opcode),
      operands: { d: vector('Rd', arrangement), n: vector('Rn', arrangement) },
      text: `${mnemonic} {d}, {n}${suffix}`,
      semantics: (m, o) => {
        const lanes = lanesOf(m, arrangement.lane, m.readVector(o.n));
        const format = formatOf(arrangement);
        m.writeVector(
          o.d,
          makeLanes(m, arrangement, (index) => result(m, format, lanes(index))),
        );
      },
    }),
  );
}

/** The format pairs of FCVTN and FCVTL, by `sz`. */
const formatPairs: readonly { size: string; narrow: readonly ArrangementName[]; wide: ArrangementName }[] = [
  { size: '00', narrow: ['4h', '8h'], wide: '4s' },
  { size: '01', narrow: ['2s', '4s'], wide: '2d' },
];

/** Conversions to half the width. FCVTXN rounds to odd, so that its result can be rounded again. */
function defineNarrowings(): A64Instruction[] {
  const kinds = [
    { mnemonic: 'fcvtn', U: 0, mode: 'current', sizes: ['00', '01'] },
    { mnemonic: 'fcvtxn', U: 1, mode: 'odd', sizes: ['01'] },
  ] as const;
  return kinds.flatMap(({ mnemonic, U, mode, sizes }) =>
    formatPairs
      .filter(({ size }) => sizes.some((one) => one === size))
      .flatMap(({ size, narrow: names, wide: wideName }) =>
        names.map((name) => {
          const [narrow, wide] = [arrangements[name], arrangements[wideName]];
          return instruction({
            ...shared,
            name: encodingName(mnemonic, narrow, 'misc'),
            pattern: pattern(narrow, U, size, '10110'),
            operands: { d: vector('Rd', narrow), n: vector('Rn', wide) },
            text: `${halfMnemonic(mnemonic, narrow)} {d}, {n}`,
            semantics: (m, o) => {
              const lanes = lanesOf(m, wide.lane, m.readVector(o.n));
              const operation = conversion(wide, narrow, mode);
              const half = { ...narrow, bits: 64 as const };
              const made = makeLanes(m, half, (index) => m.float(operation, lanes(index)));
              writeHalf(m, halfOf(narrow) === 'High', o.d, made);
            },
          });
        }),
      ),
  );
}

function conversion(from: Arrangement, to: Arrangement, mode: 'current' | 'odd'): FloatOperation {
  return { kind: 'convert', format: formatOf(from), to: formatOf(to), rounding: mode };
}

const scalarNarrowing = instruction({
  ...shared,
  name: 'FCVTXN_S_misc',
  pattern: '01 1 11110 01 10000 10110 10 Rn:5 Rd:5',
  operands: { d: vector('Rd', arrangements.s), n: vector('Rn', arrangements.d) },
  text: 'fcvtxn {d}, {n}',
  semantics: (m, o) => {
    const lanes = lanesOf(m, 64, m.readVector(o.n));
    const operation = conversion(arrangements.d, arrangements.s, 'odd');
    m.writeVector(
      o.d,
      makeLanes(m, arrangements.s, () => m.float(operation, lanes(0))),
    );
  },
});

/** Conversions to twice the width. */
function defineWidenings(): A64Instruction[] {
  return formatPairs.flatMap(({ size, narrow: names, wide: wideName }) =>
    names.map((name) => {
      const [narrow, wide] = [arrangements[name], arrangements[wideName]];
      return instruction({
        ...shared,
        name: encodingName('fcvtl', narrow, 'misc'),
        pattern: pattern(narrow, 0, size, '10111'),
        operands: { d: vector('Rd', wide), n: vector('Rn', narrow) },
        text: `${halfMnemonic('fcvtl', narrow)} {d}, {n}`,
        semantics: (m, o) => {
          const lanes = lanesOf(m, narrow.lane, m.readVector(o.n));
          const first = halfOf(narrow) === 'High' ? 64 / narrow.lane : 0;
          const operation = conversion(narrow, wide, 'current');
          const made = makeLanes(m, wide, (index) => m.float(operation, lanes(first + index)));
          m.writeVector(o.d, made);
        },
      });
    }),
  );
}

/** Conversions to and from fixed-point numbers with 1 or more fraction bits. */
function defineFixedPoint(): A64Instruction[] {
  return vectorsAndScalars.flatMap((arrangement) =>
    [true, false].flatMap((signed) => {
      const format = formatOf(arrangement);
      const bits = integerWidth(format);
      const kinds = [
        { mnemonic: `${signed ? 's' : 'u'}cvtf`, opcode: '11100', operation: { kind: 'fromFixed', format, bits, signed } },
        { mnemonic: `fcvtz${signed ? 's' : 'u'}`, opcode: '11111', operation: { kind: 'toFixed', format, bits, signed, rounding: 'zero' } },
      ] as const; // prettier-ignore
      return kinds.map(({ mnemonic, opcode, operation }) =>
        instruction({
          ...shared,
          name: encodingName(mnemonic, arrangement, 'shift'),
          pattern: shiftPattern(arrangement, signed ? 0 : 1, opcode),
          operands: {
            d: vector('Rd', arrangement),
            n: vector('Rn', arrangement),
            fraction: rightAmount(arrangement.lane),
          },
          text: `${mnemonic} {d}, {n}, {fraction}`,
          semantics: (m, o) => {
            const lanes = lanesOf(m, arrangement.lane, m.readVector(o.n));
            const made = makeLanes(m, arrangement, (index) => m.float(operation, lanes(index), o.fraction));
            m.writeVector(o.d, lowBits(arrangement.bits, made));
          },
        }),
      );
    }),
  );
}

export const floatTwoRegisters = (): readonly A64Instruction[] => [
  ...rows.flatMap(define),
  ...defineNarrowings(),
  scalarNarrowing,
  ...defineWidenings(),
  ...defineFixedPoint(),
];
