/** Scalar floating-point arithmetic, comparison and selection (DDI 0487, C4.1.96). */
import { instruction } from './encoding.js';
import type { A64Instruction } from './encoding.js';
import type { FloatFormat, FloatOperation, FloatRounding } from '../float_micro_ops.js';
import type { Expr } from '../micro_ops.js';
import type { Semantics, VectorRef } from '../semantics.js';
import { fromLow } from '../vector_expr.js';
import { setFlagsFromBits } from './flags.js';
import { floatTypes } from './float_moves.js';
import { choice, conditionNames, hex, immediate, unsigned } from './operands.js';
import { scalarRegister } from './simd/operands.js';

const shared = { feature: 'FEAT_FP', cold: true } as const;

type FloatType = (typeof floatTypes)[number];

/** The low number of a register, zero-extended to 64 bits. */
function readNumber(m: Semantics, register: VectorRef, width: FloatFormat): Expr {
  return m.resize(64, m.readElement(register, width, 0));
}

/** Flips the sign bit. This also works for NaNs. */
export function negated(m: Semantics, width: FloatFormat, value: Expr): Expr {
  return m.xor(value, m.constant(64, 1n << BigInt(width - 1)));
}

export function withoutSign(m: Semantics, width: FloatFormat, value: Expr): Expr {
  return m.and(value, m.constant(64, (1n << BigInt(width - 1)) - 1n));
}

type OneResult = (m: Semantics, a: Expr, width: 32 | 64) => Expr;

function rounding(mode: FloatRounding, exact: boolean): OneResult {
  return (m, a, format) => m.float({ kind: 'roundToInteger', format, rounding: mode, exact }, a);
}

const oneSource: readonly { mnemonic: string; opcode: string; result: OneResult }[] = [
  { mnemonic: 'fabs', opcode: '000001', result: (m, a, width) => withoutSign(m, width, a) },
  { mnemonic: 'fneg', opcode: '000010', result: (m, a, width) => negated(m, width, a) },
  { mnemonic: 'fsqrt', opcode: '000011', result: (m, a, format) => m.float({ kind: 'sqrt', format }, a) },
  { mnemonic: 'frintn', opcode: '001000', result: rounding('nearestEven', false) },
  { mnemonic: 'frintp', opcode: '001001', result: rounding('up', false) },
  { mnemonic: 'frintm', opcode: '001010', result: rounding('down', false) },
  { mnemonic: 'frintz', opcode: '001011', result: rounding('zero', false) },
  { mnemonic: 'frinta', opcode: '001100', result: rounding('nearestAway', false) },
  { mnemonic: 'frintx', opcode: '001110', result: rounding('current', true) },
  { mnemonic: 'frinti', opcode: '001111', result: rounding('current', false) },
];

function defineOneSource({ letter, width, ftype }: FloatType): A64Instruction[] {
  return oneSource.map(({ mnemonic, opcode, result }) =>
    instruction({
      ...shared,
      name: `${mnemonic.toUpperCase()}_${letter.toUpperCase()}_floatdp1`,
      pattern: `0 0 0 11110 ${ftype} 1 ${opcode} 10000 Rn:5 Rd:5`,
      operands: { d: scalarRegister('Rd', letter), n: scalarRegister('Rn', letter) },
      text: `${mnemonic} {d}, {n}`,
      semantics: (m, o) => m.writeVector(o.d, fromLow(result(m, readNumber(m, o.n, width), width))),
    }),
  );
}

const formats = [
  { letter: 's', format: 32, ftype: '00' },
  { letter: 'd', format: 64, ftype: '01' },
  { letter: 'h', format: 16, ftype: '11' },
] as const;

/** FCVT between two formats. */
function defineFormatConversions(): A64Instruction[] {
  return formats.flatMap((from) =>
    formats
      .filter(({ letter }) => letter !== from.letter)
      .map((to) =>
        instruction({
          ...shared,
          name: `FCVT_${to.letter.toUpperCase()}${from.letter.toUpperCase()}_floatdp1`,
          pattern: `0 0 0 11110 ${from.ftype} 1 0001 ${to.ftype} 10000 Rn:5 Rd:5`,
          operands: { d: scalarRegister('Rd', to.letter), n: scalarRegister('Rn', from.letter) },
          text: 'fcvt {d}, {n}',
          semantics: (m, o) => {
            const { format } = from;
            const operation = { kind: 'convert', format, to: to.format, rounding: 'current' } as const;
            m.writeVector(o.d, fromLow(m.float(operation, readNumber(m, o.n, format))));
          },
        }),
      ),
  );
}

const twoSources = [
  { mnemonic: 'fmul', opcode: '0000', kind: 'mul' },
  { mnemonic: 'fdiv', opcode: '0001', kind: 'div' },
  { mnemonic: 'fadd', opcode: '0010', kind: 'add' },
  { mnemonic: 'fsub', opcode: '0011', kind: 'sub' },
  { mnemonic: 'fmax', opcode: '0100', kind: 'max' },
  { mnemonic: 'fmin', opcode: '0101', kind: 'min' },
  { mnemonic: 'fmaxnm', opcode: '0110', kind: 'maxNumber' },
  { mnemonic: 'fminnm', opcode: '0111', kind: 'minNumber' },
  { mnemonic: 'fnmul', opcode: '1000', kind: 'mul' },
] as const;

function defineTwoSources({ letter, width, ftype }: FloatType): A64Instruction[] {
  return twoSources.map(({ mnemonic, opcode, kind }) =>
    instruction({
      ...shared,
      name: `${mnemonic.toUpperCase()}_${letter.toUpperCase()}_floatdp2`,
      pattern: `0 0 0 11110 ${ftype} 1 Rm:5 ${opcode} 10 Rn:5 Rd:5`,
      operands: {
        d: scalarRegister('Rd', letter),
        n: scalarRegister('Rn', letter),
        m: scalarRegister('Rm', letter),
      },
      text: `${mnemonic} {d}, {n}, {m}`,
      semantics: (m, o) => {
        const operation: FloatOperation = { kind, format: width };
        const result = m.float(operation, readNumber(m, o.n, width), readNumber(m, o.m, width));
        m.writeVector(o.d, fromLow(mnemonic === 'fnmul' ? negated(m, width, result) : result));
      },
    }),
  );
}

/** Which of the product and the addend is negated. */
const fused = [
  { mnemonic: 'fmadd', o1: '0', o0: '0', product: false, addend: false },
  { mnemonic: 'fmsub', o1: '0', o0: '1', product: true, addend: false },
  { mnemonic: 'fnmadd', o1: '1', o0: '0', product: true, addend: true },
  { mnemonic: 'fnmsub', o1: '1', o0: '1', product: false, addend: true },
] as const;

function defineFused({ letter, width, ftype }: FloatType): A64Instruction[] {
  return fused.map(({ mnemonic, o1, o0, product, addend }) =>
    instruction({
      ...shared,
      name: `${mnemonic.toUpperCase()}_${letter.toUpperCase()}_floatdp3`,
      pattern: `0 0 0 11111 ${ftype} ${o1} Rm:5 ${o0} Ra:5 Rn:5 Rd:5`,
      operands: {
        d: scalarRegister('Rd', letter),
        n: scalarRegister('Rn', letter),
        m: scalarRegister('Rm', letter),
        a: scalarRegister('Ra', letter),
      },
      text: `${mnemonic} {d}, {n}, {m}, {a}`,
      semantics: (m, o) => {
        const [n, a] = [readNumber(m, o.n, width), readNumber(m, o.a, width)];
        const result = m.float(
          { kind: 'mulAdd', format: width },
          addend ? negated(m, width, a) : a,
          product ? negated(m, width, n) : n,
          readNumber(m, o.m, width),
        );
        m.writeVector(o.d, fromLow(result));
      },
    }),
  );
}

const comparisons = [
  { suffix: '', E: '0', kind: 'compare' },
  { suffix: 'e', E: '1', kind: 'compareSignalling' },
] as const;

function defineComparisons({ letter, width, ftype }: FloatType): A64Instruction[] {
  const n = scalarRegister('Rn', letter);
  const m2 = scalarRegister('Rm', letter);
  const flags = (m: Semantics, kind: 'compare' | 'compareSignalling', a: Expr, b: Expr): void =>
    setFlagsFromBits(m, m.resize(32, m.float({ kind, format: width }, a, b)));
  return comparisons.flatMap(({ suffix, E, kind }) => [
    instruction({
      ...shared,
      name: `FCMP${suffix.toUpperCase()}_${letter.toUpperCase()}_floatcmp`,
      pattern: `0 0 0 11110 ${ftype} 1 Rm:5 00 1000 Rn:5 ${E}0 000`,
      operands: { n, m: m2 },
      text: `fcmp${suffix} {n}, {m}`,
      semantics: (m, o) => flags(m, kind, readNumber(m, o.n, width), readNumber(m, o.m, width)),
    }),
    instruction({
      ...shared,
      name: `FCMP${suffix.toUpperCase()}_${letter.toUpperCase()}Z_floatcmp`,
      pattern: `0 0 0 11110 ${ftype} 1 xxxxx 00 1000 Rn:5 ${E}1 000`,
      operands: { n },
      text: `fcmp${suffix} {n}, #0.0`,
      semantics: (m, o) => flags(m, kind, readNumber(m, o.n, width), m.constant(64, 0)),
    }),
    instruction({
      ...shared,
      name: `FCCMP${suffix.toUpperCase()}_${letter.toUpperCase()}_floatccmp`,
      pattern: `0 0 0 11110 ${ftype} 1 Rm:5 cond:4 01 Rn:5 ${E} nzcv:4`,
      operands: {
        n,
        m: m2,
        nzcv: immediate({ ...unsigned('nzcv', 4, 32), format: hex }),
        condition: choice('cond', conditionNames),
      },
      text: `fccmp${suffix} {n}, {m}, {nzcv}, {condition}`,
      semantics: (m, o) =>
        m.when(
          m.condition(o.condition),
          () => flags(m, kind, readNumber(m, o.n, width), readNumber(m, o.m, width)),
          () => setFlagsFromBits(m, o.nzcv),
        ),
    }),
  ]);
}

function defineSelection({ letter, width, ftype }: FloatType): A64Instruction {
  return instruction({
    ...shared,
    name: `FCSEL_${letter.toUpperCase()}_floatsel`,
    pattern: `0 0 0 11110 ${ftype} 1 Rm:5 cond:4 11 Rn:5 Rd:5`,
    operands: {
      d: scalarRegister('Rd', letter),
      n: scalarRegister('Rn', letter),
      m: scalarRegister('Rm', letter),
      condition: choice('cond', conditionNames),
    },
    text: 'fcsel {d}, {n}, {m}, {condition}',
    semantics: (m, o) => {
      const [a, b] = [readNumber(m, o.n, width), readNumber(m, o.m, width)];
      m.writeVector(o.d, fromLow(m.select(m.condition(o.condition), a, b)));
    },
  });
}

export const floatDataProcessing = (): readonly A64Instruction[] => [
  ...floatTypes.flatMap((type) => [
    ...defineOneSource(type),
    ...defineTwoSources(type),
    ...defineFused(type),
    ...defineComparisons(type),
    defineSelection(type),
  ]),
  ...defineFormatConversions(),
];
