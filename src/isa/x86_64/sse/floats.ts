/**
 * Floating-point arithmetic, comparisons and conversions of SSE and SSE2 (Intel SDM, volume 1, 10.4.1.2 and 11.4.1.2 to 11.4.1.6).
 *
 * Engines compute the micro-operations by the rules of SSE: of NaN operands the first is the result, made quiet; the default NaN is
 * negative; results are tiny or not after rounding; a subnormal operand raises its exception, unless MXCSR.DAZ takes it as 0; a result
 * that is flushed to 0 is inexact.
 */
import type { FloatOperation } from '../../float_micro_ops.js';
import type { FieldValues, TextOperand } from '../../instruction.js';
import type { Expr } from '../../micro_ops.js';
import type { Semantics } from '../../semantics.js';
import { fromLow, laneOf, replaceLane, zeroVector } from '../../vector_expr.js';
import type { VectorExpr } from '../../vector_micro_ops.js';
import { instruction } from '../encoding.js';
import type { OperandSpec, X86Instruction } from '../encoding.js';
import { reg, rm, widthOf } from '../operands.js';
import { field } from '../parser.js';
import { x86State } from '../registers.js';
import { derived, hex, immediateRef } from '../values.js';
import { sse, sse2 } from './definitions.js';
import { lowOrMemory, quiet, xmm, xmmOrMemory } from './operands.js';
import type { Xmm } from './operands.js';

export type Format = 32 | 64;

/** What each format is called by and encoded with: of one number, and of as many as a register holds. */
const formats = [
  { format: 32, letter: 's', scalar: 'F3', packed: 'NP', group: sse },
  { format: 64, letter: 'd', scalar: 'F2', packed: '66', group: sse2 },
] as const;

/** The masks of all exceptions in MXCSR. */
const allMasked = 0x1f80;

/**
 * Computes, and writes what that gives. Where MXCSR does not mask all exceptions, the host is told before and behind the computation:
 * it raises #XM, before anything is written, if that raised an exception that is not masked.
 */
export function withExceptions<R>(m: Semantics, compute: () => R, write: (result: R) => void): void {
  const masks = m.and(m.state(x86State.control), m.constant(64, allMasked));
  const isUnmasked = m.let(m.notEqual(masks, m.constant(64, allMasked)));
  m.when(isUnmasked, () => m.system('beginUnmaskedFloat'));
  const result = compute();
  m.when(isUnmasked, () => m.system('endUnmaskedFloat'));
  write(result);
}

/** As `withExceptions`, of a whole register. */
export function withVector(m: Semantics, d: Xmm, compute: () => VectorExpr): void {
  withExceptions(m, () => m.letVector(compute()), (result) => d.set(result)); // prettier-ignore
}

/** As `withExceptions`, of the lowest lane. */
export function withLane(m: Semantics, d: Xmm, lane: Format, compute: () => Expr): void {
  withExceptions(m, () => m.let(compute()), (result) => d.setLane(lane, 0, result)); // prettier-ignore
}

/** A vector with a number in each of its lanes, and zeros above them. */
export function makeLanes(m: Semantics, lane: Format, count: number, make: (at: number) => Expr): VectorExpr {
  let all = zeroVector;
  for (let at = 0; at < count; at += 1) all = replaceLane(lane, all, at, m.resize(widthOf(lane), make(at)));
  return all;
}

/** What becomes of two numbers, by their format. */
type Arithmetic = (m: Semantics, format: Format, a: Expr, b: Expr) => Expr;

const plain =
  (kind: 'add' | 'sub' | 'mul' | 'div'): Arithmetic =>
  (m, format, a, b) =>
    m.float({ kind, format }, a, b);

/** MXCSR.DAZ. */
const denormalsAreZero = 0x40;

/** `value` with its sign alone if it is subnormal and MXCSR.DAZ is set. */
function flushed(m: Semantics, format: Format, value: Expr): Expr {
  const exponent = m.constant(64, format === 32 ? 0x7f800000n : 0x7ff0000000000000n);
  const isTaken = m.notEqual(
    m.and(m.state(x86State.control), m.constant(64, denormalsAreZero)),
    m.constant(64, 0),
  );
  const sign = m.and(value, m.constant(64, 1n << BigInt(format - 1)));
  return m.select(m.and(isTaken, m.isZero(m.and(value, exponent))), sign, value);
}

/** The second operand is the result where the first is not beyond it: for NaNs, which raise Invalid, and for zeros. */
const extreme =
  (larger: boolean): Arithmetic =>
  (m, format, a, b) => {
    const isBeyond = m.float({ kind: 'gt', format }, ...(larger ? [a, b] : [b, a]));
    return flushed(m, format, m.let(m.select(m.resize(32, isBeyond), m.resize(64, a), m.resize(64, b))));
  };

const squareRoot: Arithmetic = (m, format, _, b) => m.float({ kind: 'sqrt', format }, b);

const arithmetic = ([
  ['add', '58', plain('add')], ['mul', '59', plain('mul')], ['sub', '5C', plain('sub')], ['min', '5D', extreme(false)],
  ['div', '5E', plain('div')], ['max', '5F', extreme(true)], ['sqrt', '51', squareRoot],
] as const).flatMap(([name, byte, compute]) =>
  formats.flatMap(({ format, letter, scalar, packed, group }) => [
    instruction({
      ...group, name: `${name.toUpperCase()}S${letter.toUpperCase()}_x_xm`, opcode: `${scalar} 0F ${byte} /r`,
      operands: { d: xmm, s: lowOrMemory(format) }, text: `${name}s${letter} {s},{d}`,
      semantics: (m, { d, s }) => {
        const b = s.get();
        withLane(m, d, format, () => compute(m, format, d.lane(format, 0), b));
      },
    }),
    instruction({
      ...group, name: `${name.toUpperCase()}P${letter.toUpperCase()}_x_xm`, opcode: `${packed} 0F ${byte} /r`,
      operands: { d: xmm, s: xmmOrMemory() }, text: `${name}p${letter} {s},{d}`,
      semantics: (m, { d, s }) => {
        const b = m.letVector(s.get());
        const a = m.letVector(d.get());
        withVector(m, d, () => makeLanes(m, format, 128 / format, (at) => compute(m, format, laneOf(format, a, at), laneOf(format, b, at))));
      },
    }),
  ].flat()),
); // prettier-ignore

/** Approximations, which raise nothing. CPUs differ in them; here they are rounded correctly (see the host). */
const approximations = ([['rcp', '53'], ['rsqrt', '52']] as const).flatMap(([name, byte]) => {
  const call = name === 'rcp' ? 'approximateReciprocal' : 'approximateInverseRoot';
  const approximate = (m: Semantics, value: Expr): Expr => m.resize(32, m.ask(call, [m.resize(64, value)]));
  return [
    instruction({
      ...sse, name: `${name.toUpperCase()}SS_x_xm`, opcode: `F3 0F ${byte} /r`, operands: { d: xmm, s: lowOrMemory(32) }, text: `${name}ss {s},{d}`,
      semantics: (m, { d, s }) => d.setLane(32, 0, approximate(m, s.get())),
    }),
    instruction({
      ...sse, name: `${name.toUpperCase()}PS_x_xm`, opcode: `NP 0F ${byte} /r`, operands: { d: xmm, s: xmmOrMemory() }, text: `${name}ps {s},{d}`,
      semantics: (m, { d, s }) => {
        const all = m.letVector(s.get());
        d.set(makeLanes(m, 32, 4, (at) => approximate(m, laneOf(32, all, at))));
      },
    }),
  ].flat();
}); // prettier-ignore

// Comparisons

const predicates = ['eq', 'lt', 'le', 'unord', 'neq', 'nlt', 'nle', 'ord'] as const;

const predicateOf = (fields: FieldValues): number => field(fields, 'immediate') & 0xff;

/** The outcomes of a comparison (see FloatOperation), as places of a table of truths. */
const outcomes = { unordered: 3, equal: 6, less: 8, greater: 2 } as const;

/** The bit above a table that says whether its predicate raises Invalid for every NaN. */
const signallingAt = 16;

/** The table of a predicate: a one at each outcome for which it holds. */
function tableOf(predicate: number): number {
  const { unordered, equal, less, greater } = outcomes;
  const all = (1 << unordered) | (1 << equal) | (1 << less) | (1 << greater);
  const table = [1 << equal, 1 << less, (1 << less) | (1 << equal), 1 << unordered][predicate & 3] ?? 0;
  return (predicate & 4) === 0 ? table : all & ~table;
}

/** A predicate: part of the mnemonic or, where it has bits beyond the three that count, an immediate (see `beyond`). */
const predicate: OperandSpec<{ readonly table: Expr; readonly signalling: Expr }> = {
  operands: (key) => ({
    [key]: {
      kind: 'text',
      print: (fields) => predicates[predicateOf(fields)] ?? '',
      parse: (text) => {
        const name = /^(?:n?eq|n?l[te]|(?:un)?ord)/.exec(text)?.[0] ?? '';
        const found = predicates.findIndex((each) => each === name);
        return { fields: found < 0 ? {} : { immediate: found }, rest: text.slice(name.length) };
      },
    } satisfies TextOperand,
    // One number, so that all operands fit into an engine's record.
    [`${key}Table`]: derived(32, 32, (fields) => {
      const isSignalling = [1, 2].includes(predicateOf(fields) & 3);
      return tableOf(predicateOf(fields)) | (isSignalling ? 1 << signallingAt : 0);
    }),
  }),
  reference: (m, key) => {
    const table = immediateRef(`${key}Table`, 32);
    return { table, signalling: m.shiftBy('shrUnsigned', table, signallingAt) };
  },
};

const beyond: OperandSpec<null> = {
  operands: (key) => ({
    [key]: {
      kind: 'text',
      print: (fields) => (predicateOf(fields) < 8 ? '' : `$${hex(BigInt(predicateOf(fields)))},`),
      parse: (text) => {
        const [whole = '', digits = ''] = /^\$(0x[0-9a-f]{1,2}),/.exec(text) ?? [];
        return { fields: whole === '' ? {} : { immediate: (Number(digits) << 24) >> 24 }, rest: text.slice(whole.length) };
      },
    } satisfies TextOperand,
  }),
  reference: () => null,
}; // prettier-ignore

/** All ones where the predicate holds, else zeros. */
function compareNumbers(m: Semantics, operation: FloatOperation, table: Expr, a: Expr, b: Expr): Expr {
  const outcome = m.resize(32, m.float(operation, a, b));
  const truth = m.and(m.shift('shrUnsigned', table, outcome), m.constant(32, 1));
  return m.sub(m.constant(64, 0), m.resize(64, truth));
}

/** LT, LE and their opposites raise Invalid for every NaN, the others for signalling ones. */
function byKind(m: Semantics, signalling: Expr, run: (kind: 'compare' | 'compareSignalling') => void): void {
  m.when(signalling, () => run('compareSignalling'), () => run('compare')); // prettier-ignore
}

const comparisons = formats.flatMap(({ format, letter, scalar, packed, group }) => [
  instruction({
    ...group, name: `CMPS${letter.toUpperCase()}_x_xm_imm8`, opcode: `${scalar} 0F C2 /r ib`,
    operands: { d: xmm, s: lowOrMemory(format), p: predicate, i: beyond }, text: `cmp{p}s${letter} {i}{s},{d}`,
    semantics: (m, { d, s, p: { table, signalling } }) => {
      const b = s.get();
      byKind(m, signalling, (kind) => withLane(m, d, format, () => compareNumbers(m, { kind, format }, table, d.lane(format, 0), b)));
    },
  }),
  instruction({
    ...group, name: `CMPP${letter.toUpperCase()}_x_xm_imm8`, opcode: `${packed} 0F C2 /r ib`,
    operands: { d: xmm, s: xmmOrMemory(), p: predicate, i: beyond }, text: `cmp{p}p${letter} {i}{s},{d}`,
    semantics: (m, { d, s, p: { table, signalling } }) => {
      const b = m.letVector(s.get());
      const a = m.letVector(d.get());
      byKind(m, signalling, (kind) =>
        withVector(m, d, () => makeLanes(m, format, 128 / format, (at) => compareNumbers(m, { kind, format }, table, laneOf(format, a, at), laneOf(format, b, at)))),
      );
    },
  }),
  ...([['ucomis', '2E', 'compare'], ['comis', '2F', 'compareSignalling']] as const).map(([name, byte, kind]) =>
    instruction({
      ...group, name: `${name.toUpperCase()}${letter.toUpperCase()}_x_xm`, opcode: `${packed} 0F ${byte} /r`,
      operands: { d: xmm, s: lowOrMemory(format) }, text: `${name}${letter} {s},{d}`,
      semantics: (m, { d, s }) => {
        const b = s.get();
        const compareBoth = (): Expr => m.let(m.resize(32, m.float({ kind, format }, d.lane(format, 0), b)));
        withExceptions(m, compareBoth, (outcome) => {
        const isAny = (...wanted: (keyof typeof outcomes)[]): Expr => {
          const table = wanted.reduce((all, each) => all | (1 << outcomes[each]), 0);
          return m.and(m.shift('shrUnsigned', m.constant(32, table), outcome), m.constant(32, 1));
        };
        const zero = m.constant(64, 0);
        // A flag of parity is set by an even number of ones.
        m.setFlags({
          z: m.resize(64, m.negate(isAny('unordered', 'equal'))),
          p: m.negate(isAny('unordered')),
          c: isAny('unordered', 'less'),
          o: zero, s: zero, a: m.constant(32, 0),
        });
        });
      },
    }),
  ),
].flat()); // prettier-ignore

// Conversions

const noFraction = (m: Semantics): Expr => m.constant(64, 0);

/** A number as a signed integer of `bits` bits; the smallest one where it does not fit or is a NaN. */
export function toInteger(
  m: Semantics,
  format: Format,
  bits: 32 | 64,
  truncates: boolean,
  value: Expr,
): Expr {
  const rounding = truncates ? 'zero' : 'current';
  const operation = { kind: 'toFixed', format, bits, signed: true, rounding, outside: 'smallest' } as const;
  return m.resize(widthOf(bits), m.float(operation, value, noFraction(m)));
}

export function fromInteger(m: Semantics, format: Format, bits: 32 | 64, value: Expr): Expr {
  return m.float({ kind: 'fromFixed', format, bits, signed: true }, value, noFraction(m));
}

const convert = (m: Semantics, format: Format, to: Format, value: Expr): Expr =>
  m.float({ kind: 'convert', format, to, rounding: 'current' }, value);

/** Between a number and an integer in a general register or memory. */
const scalarConversions = formats.flatMap(({ format, letter, scalar, group }) => [
  instruction({
    ...group, name: `CVTSI2S${letter.toUpperCase()}_x_rm`, opcode: `${scalar} 0F 2A /r`, sizes: [32, 64], otherSizes: 32,
    operands: { d: xmm, s: quiet(rm()) }, text: `cvtsi2s${letter}{long} {s},{d}`,
    semantics: (m, { d, s }) => {
      const value = s.get();
      withLane(m, d, format, () => fromInteger(m, format, s.bits === 64 ? 64 : 32, value));
    },
  }),
  ...([['cvtt', '2C', true], ['cvt', '2D', false]] as const).map(([start, byte, truncates]) =>
    instruction({
      ...group, name: `${start.toUpperCase()}S${letter.toUpperCase()}2SI_r_xm`, opcode: `${scalar} 0F ${byte} /r`, sizes: [32, 64], otherSizes: 32, vector: true,
      operands: { d: reg(), s: lowOrMemory(format) }, text: `${start}s${letter}2si {s},{d}`,
      semantics: (m, { d, s }) => {
        const value = s.get();
        const compute = (): Expr => m.let(toInteger(m, format, d.bits === 64 ? 64 : 32, truncates, value));
        withExceptions(m, compute, (result) => d.set(result));
      },
    }),
  ),
].flat()); // prettier-ignore

/** Between the formats. */
const formatConversions = formats.flatMap(({ format, letter, scalar }) => {
  const to = format === 32 ? 64 : 32;
  const name = `cvts${letter}2s${format === 32 ? 'd' : 's'}`;
  return instruction({
    ...sse2, name: `${name.toUpperCase()}_x_xm`, opcode: `${scalar} 0F 5A /r`, operands: { d: xmm, s: lowOrMemory(format) }, text: `${name} {s},{d}`,
    semantics: (m, { d, s }) => {
      const value = s.get();
      withLane(m, d, to, () => convert(m, format, to, value));
    },
  });
}); // prettier-ignore

/** Conversions of all lanes: what becomes of each lane `at` of `from` bits. */
function packedConversion(
  name: string,
  opcode: string,
  from: Format,
  to: Format,
  compute: (m: Semantics, value: Expr) => Expr,
): readonly X86Instruction[] {
  const common = {
    ...sse2,
    name: `${name.toUpperCase()}_x_xm`,
    opcode: `${opcode} /r`,
    text: `${name} {s},{d}`,
  };
  const count = Math.min(128 / from, 128 / to);
  // To wider lanes only half of the operand is read.
  if (to > from) {
    return instruction({
      ...common,
      operands: { d: xmm, s: lowOrMemory(64) },
      semantics: (m, { d, s }) => {
        const all = m.letVector(fromLow(s.get()));
        withVector(m, d, () => makeLanes(m, to, count, (at) => compute(m, laneOf(from, all, at))));
      },
    });
  }
  return instruction({
    ...common,
    operands: { d: xmm, s: xmmOrMemory() },
    semantics: (m, { d, s }) => {
      const all = m.letVector(s.get());
      withVector(m, d, () => makeLanes(m, to, count, (at) => compute(m, laneOf(from, all, at))));
    },
  });
}

const packedConversions = [
  ...packedConversion('cvtdq2ps', 'NP 0F 5B', 32, 32, (m, value) => fromInteger(m, 32, 32, value)),
  ...packedConversion('cvtps2dq', '66 0F 5B', 32, 32, (m, value) => toInteger(m, 32, 32, false, value)),
  ...packedConversion('cvttps2dq', 'F3 0F 5B', 32, 32, (m, value) => toInteger(m, 32, 32, true, value)),
  ...packedConversion('cvtdq2pd', 'F3 0F E6', 32, 64, (m, value) => fromInteger(m, 64, 32, value)),
  ...packedConversion('cvtpd2dq', 'F2 0F E6', 64, 32, (m, value) => toInteger(m, 64, 32, false, value)),
  ...packedConversion('cvttpd2dq', '66 0F E6', 64, 32, (m, value) => toInteger(m, 64, 32, true, value)),
  ...packedConversion('cvtps2pd', 'NP 0F 5A', 32, 64, (m, value) => convert(m, 32, 64, value)),
  ...packedConversion('cvtpd2ps', '66 0F 5A', 64, 32, (m, value) => convert(m, 64, 32, value)),
];

export const sseFloats = [
  ...arithmetic,
  ...approximations,
  ...comparisons,
  ...scalarConversions,
  ...formatConversions,
  ...packedConversions,
];
