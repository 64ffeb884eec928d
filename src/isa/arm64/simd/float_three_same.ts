/**
 * Floating-point operations on registers of one arrangement (DDI 0487, C4.1.96: three same, by element, pairwise,
 * across lanes).
 */
import { instruction } from '../encoding.js';
import type { A64Instruction } from '../encoding.js';
import type { FloatFormat, FloatOperation } from '../../float_micro_ops.js';
import type { Expr } from '../../micro_ops.js';
import type { Semantics } from '../../semantics.js';
import { fromLow } from '../../vector_expr.js';
import { negated, withoutSign } from '../float_data_processing.js';
import {
  arrangements,
  encodingName,
  floatScalars,
  floatVectors,
  laneCount,
  leadingBits,
} from './arrangements.js';
import type { Arrangement } from './arrangements.js';
import { elementForms, elementPattern } from './by_element.js';
import { allOnes, formatOf, lanesOf, makeLanes } from './float_lanes.js';
import { laneRegister, vector } from './operands.js';

const shared = { feature: 'FEAT_AdvSIMD', cold: true } as const;

/** The result of one lane, from the lanes of the sources and of the old destination. */
type LaneResult = (m: Semantics, format: FloatFormat, a: Expr, b: Expr, old: () => Expr) => Expr;

type TwoKind = Extract<FloatOperation['kind'], 'add' | 'sub' | 'mul' | 'mulExtended' | 'div' | 'min' | 'max' | 'minNumber' | 'maxNumber' | 'reciprocalStep' | 'reciprocalSqrtStep'>; // prettier-ignore

function plain(kind: TwoKind): LaneResult {
  return (m, format, a, b) => m.float({ kind, format }, a, b);
}

/** The destination plus the product or, with `subtract`, minus the product. */
function fusedInto(subtract: boolean): LaneResult {
  return (m, format, a, b, old) =>
    m.float({ kind: 'mulAdd', format }, old(), subtract ? negated(m, format, a) : a, b);
}

/** A lane mask that is all ones where the comparison holds. */
function comparison(kind: 'eq' | 'ge' | 'gt', absolute: boolean): LaneResult {
  return (m, format, a, b) => {
    const value = (number: Expr): Expr => (absolute ? withoutSign(m, format, number) : number);
    return allOnes(m, m.float({ kind, format }, value(a), value(b)));
  };
}

/** The low bit of `size` (`sz`) for a lane. */
export function sizeBit({ lane }: Arrangement): '0' | '1' {
  return lane === 64 ? '1' : '0';
}

interface Row {
  readonly mnemonic: string;
  readonly U: 0 | 1;
  /** Bit 23. */
  readonly a: '0' | '1';
  readonly opcode: string;
  /** Whether a scalar form exists. */
  readonly scalar: boolean;
  readonly result: LaneResult;
}

function row(mnemonic: string, bits: string, opcode: string, scalar: boolean, result: LaneResult): Row {
  return {
    mnemonic,
    U: bits.startsWith('1') ? 1 : 0,
    a: bits.endsWith('1') ? '1' : '0',
    opcode,
    scalar,
    result,
  };
}

/** Bit `U`, bit 23, then the opcode. */
const sameRows: readonly Row[] = [
  row('fmaxnm', '00', '11000', false, plain('maxNumber')),
  row('fminnm', '01', '11000', false, plain('minNumber')),
  row('fmla', '00', '11001', false, fusedInto(false)),
  row('fmls', '01', '11001', false, fusedInto(true)),
  row('fadd', '00', '11010', false, plain('add')),
  row('fsub', '01', '11010', false, plain('sub')),
  row('fabd', '11', '11010', true, (m, format, a, b) =>
    withoutSign(m, format, m.float({ kind: 'sub', format }, a, b)),
  ),
  row('fmulx', '00', '11011', true, plain('mulExtended')),
  row('fmul', '10', '11011', false, plain('mul')),
  row('fcmeq', '00', '11100', true, comparison('eq', false)),
  row('fcmge', '10', '11100', true, comparison('ge', false)),
  row('fcmgt', '11', '11100', true, comparison('gt', false)),
  row('facge', '10', '11101', true, comparison('ge', true)),
  row('facgt', '11', '11101', true, comparison('gt', true)),
  row('fmax', '00', '11110', false, plain('max')),
  row('fmin', '01', '11110', false, plain('min')),
  row('frecps', '00', '11111', true, plain('reciprocalStep')),
  row('frsqrts', '01', '11111', true, plain('reciprocalSqrtStep')),
  row('fdiv', '10', '11111', false, plain('div')),
];

function pattern(arrangement: Arrangement, { U, a, opcode }: Pick<Row, 'U' | 'a' | 'opcode'>): string {
  return `${leadingBits(arrangement, U)} ${a}${sizeBit(arrangement)} 1 Rm:5 ${opcode} 1 Rn:5 Rd:5`;
}

function defineSame(definition: Row): A64Instruction[] {
  const { mnemonic, scalar, result } = definition;
  return [...floatVectors, ...(scalar ? floatScalars : [])].map((arrangement) => {
    const { lane } = arrangement;
    return instruction({
      ...shared,
      name: encodingName(mnemonic, arrangement, 'three_same'),
      pattern: pattern(arrangement, definition),
      operands: {
        d: vector('Rd', arrangement),
        n: vector('Rn', arrangement),
        m: vector('Rm', arrangement),
      },
      text: `${mnemonic} {d}, {n}, {m}`,
      semantics: (m, o) => {
        const [a, b, old] = [o.n, o.m, o.d].map((register) => lanesOf(m, lane, m.readVector(register)));
        if (a === undefined || b === undefined || old === undefined) return;
        const format = formatOf(arrangement);
        m.writeVector(
          o.d,
          makeLanes(m, arrangement, (index) => result(m, format, a(index), b(index), () => old(index))),
        );
      },
    });
  });
}

/** Pairwise operations on adjacent lanes: the pairs of the first source, then those of the second. */
const pairRows = [
  { mnemonic: 'fmaxnmp', a: '0', opcode: '11000', pair: '01100', kind: 'maxNumber' },
  { mnemonic: 'fminnmp', a: '1', opcode: '11000', pair: '01100', kind: 'minNumber' },
  { mnemonic: 'faddp', a: '0', opcode: '11010', pair: '01101', kind: 'add' },
  { mnemonic: 'fmaxp', a: '0', opcode: '11110', pair: '01111', kind: 'max' },
  { mnemonic: 'fminp', a: '1', opcode: '11110', pair: '01111', kind: 'min' },
] as const;

function definePairs({ mnemonic, a, opcode, kind }: (typeof pairRows)[number]): A64Instruction[] {
  return floatVectors.map((arrangement) =>
    instruction({
      ...shared,
      name: encodingName(mnemonic, arrangement, 'three_same'),
      pattern: pattern(arrangement, { U: 1, a, opcode }),
      operands: {
        d: vector('Rd', arrangement),
        n: vector('Rn', arrangement),
        m: vector('Rm', arrangement),
      },
      text: `${mnemonic} {d}, {n}, {m}`,
      semantics: (m, o) => {
        const half = laneCount(arrangement) / 2;
        const first = lanesOf(m, arrangement.lane, m.readVector(o.n));
        const second = lanesOf(m, arrangement.lane, m.readVector(o.m));
        const result = makeLanes(m, arrangement, (index) => {
          const from = index < half ? first : second;
          const at = 2 * (index % half);
          return m.float({ kind, format: formatOf(arrangement) }, from(at), from(at + 1));
        });
        m.writeVector(o.d, result);
      },
    }),
  );
}

/** Pairwise operations on the two lanes of one register, with a scalar result. */
function defineScalarPairs({ mnemonic, a, pair, kind }: (typeof pairRows)[number]): A64Instruction[] {
  return (['s', 'd'] as const).map((letter) => {
    const made = arrangements[letter];
    const from = arrangements[letter === 's' ? '2s' : '2d'];
    return instruction({
      ...shared,
      name: encodingName(mnemonic, made, 'pair'),
      pattern: `01 1 11110 ${a}${sizeBit(made)} 11000 ${pair} 10 Rn:5 Rd:5`,
      operands: { d: vector('Rd', made), n: vector('Rn', from) },
      text: `${mnemonic} {d}, {n}`,
      semantics: (m, o) => {
        const lanes = lanesOf(m, made.lane, m.readVector(o.n));
        m.writeVector(o.d, fromLow(m.float({ kind, format: formatOf(made) }, lanes(0), lanes(1))));
      },
    });
  });
}

const acrossRows = [
  { mnemonic: 'fmaxnmv', a: '0', opcode: '01100', kind: 'maxNumber' },
  { mnemonic: 'fminnmv', a: '1', opcode: '01100', kind: 'minNumber' },
  { mnemonic: 'fmaxv', a: '0', opcode: '01111', kind: 'max' },
  { mnemonic: 'fminv', a: '1', opcode: '01111', kind: 'min' },
] as const;

/** Reduces four numbers to one: first the two pairs, then the two results (DDI 0487, Reduce). */
const across = acrossRows.map(({ mnemonic, a, opcode, kind }) =>
  instruction({
    ...shared,
    name: `${mnemonic.toUpperCase()}_4S_across_lanes`,
    pattern: `0 1 1 01110 ${a}0 11000 ${opcode} 10 Rn:5 Rd:5`,
    operands: { d: vector('Rd', arrangements.s), n: vector('Rn', arrangements['4s']) },
    text: `${mnemonic} {d}, {n}`,
    semantics: (m, o) => {
      const lanes = lanesOf(m, 32, m.readVector(o.n));
      const combine = (x: Expr, y: Expr): Expr => m.float({ kind, format: 32 }, x, y);
      const low = combine(lanes(0), lanes(1));
      m.writeVector(o.d, fromLow(combine(low, combine(lanes(2), lanes(3)))));
    },
  }),
);

const elementRows = [
  { mnemonic: 'fmla', U: 0, opcode: '0001', result: fusedInto(false) },
  { mnemonic: 'fmls', U: 0, opcode: '0101', result: fusedInto(true) },
  { mnemonic: 'fmul', U: 0, opcode: '1001', result: plain('mul') },
  { mnemonic: 'fmulx', U: 1, opcode: '1001', result: plain('mulExtended') },
] as const;

function defineByElement({ mnemonic, U, opcode, result }: (typeof elementRows)[number]): A64Instruction[] {
  return [...floatVectors, ...floatScalars].map((arrangement) => {
    const { lane } = arrangement;
    const form = elementForms[lane === 64 ? 64 : 32];
    return instruction({
      ...shared,
      name: encodingName(mnemonic, arrangement, 'element'),
      pattern: elementPattern(arrangement, U, `1${sizeBit(arrangement)}`, form, opcode),
      operands: {
        d: vector('Rd', arrangement),
        n: vector('Rn', arrangement),
        m: laneRegister('Rm', form.letter),
        index: form.index,
      },
      text: `${mnemonic} {d}, {n}, {m}{index}`,
      semantics: (m, o) => {
        const b = m.let(m.resize(64, m.readElement(o.m, lane, o.index)));
        const a = lanesOf(m, lane, m.readVector(o.n));
        const old = lanesOf(m, lane, m.readVector(o.d));
        const format = formatOf(arrangement);
        const made = makeLanes(m, arrangement, (index) => result(m, format, a(index), b, () => old(index)));
        m.writeVector(o.d, made);
      },
    });
  });
}

export const floatThreeSame = (): readonly A64Instruction[] => [
  ...sameRows.flatMap(defineSame),
  ...pairRows.flatMap((pair) => [...definePairs(pair), ...defineScalarPairs(pair)]),
  ...across,
  ...elementRows.flatMap(defineByElement),
];
