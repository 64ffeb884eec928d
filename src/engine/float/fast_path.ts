/**
 * Floating-point operations that use the host's own arithmetic. That is correct while the mode is round to nearest
 * without flushing, and the only possible exception is Inexact, which either was raised before or does not occur. Each
 * fast path emits its preconditions (`require`) and a result. Inputs that fail a precondition take the slow path.
 */
import type { FloatOperation } from '../../isa/index.js';
import { i64 } from '../wasm/code.js';
import { requireExact, sumError } from './exactness.js';
import type { FastInputs } from './exactness.js';
import { both, choose, double, either, integer, not, single, wide } from './float_code.js';
import type { FloatCode, FloatOpcode, Format, Value } from './float_code.js';
import { emitFused } from './fused.js';

type FastPath = (w: FloatCode, inputs: FastInputs) => void;

function addition(f: Format, kind: 'add' | 'sub'): FastPath {
  return (w, inputs) => {
    const a = w.let(f.type, f.fromBits(inputs.a));
    const second = f.fromBits(inputs.b);
    const b = w.let(f.type, kind === 'add' ? second : f.do('neg', second));
    const sum = w.let(f.type, f.do('add', a, b));
    // A subnormal or zero sum is exact.
    w.require(f.isFinite(sum));
    requireExact(w, inputs, () => f.isZero(sumError(f, w, a, b, sum)));
    w.answer(f.toBits(sum));
  };
}

/** Trailing zeros of a double's fraction, with its leading 1. For a subnormal number this is a lower bound. */
function trailingZeros(value: Value): Value {
  return wide.trailingZeros(wide.or(double.toBits(value), integer(1n << 52n)));
}

/** Whether a product is certainly exact: its factors together have few enough significant bits. */
function isShortProduct(a: Value, b: Value): Value {
  return not(wide.isBelow(wide.add(trailingZeros(a), trailingZeros(b)), integer(53)));
}

/**
 * Whether `a` times `b` is exactly `product`, a normal number. `product` is a rounded product, a dividend or a
 * radicand.
 */
function isExactProduct(f: Format, a: Value, b: Value, product: Value): Value {
  const whole = double.do('mul', f.toDouble(a), f.toDouble(b));
  const isEqual = double.do('eq', whole, f.toDouble(product));
  // The product of two singles fits in a double. The product of two doubles may not.
  return f.bits === 32 ? isEqual : both(isEqual, isShortProduct(a, b));
}

function multiplication(f: Format): FastPath {
  return (w, inputs) => {
    const a = w.let(f.type, f.fromBits(inputs.a));
    const b = w.let(f.type, f.fromBits(inputs.b));
    const product = w.let(f.type, f.do('mul', a, b));
    const isNothing = both(f.isZero(product), either(f.isZero(a), f.isZero(b)));
    w.when(isNothing, () => w.answer(f.toBits(product)));
    w.require(f.isOrdinary(product));
    requireExact(w, inputs, () => isExactProduct(f, a, b, product));
    w.answer(f.toBits(product));
  };
}

function division(f: Format): FastPath {
  return (w, inputs) => {
    const a = w.let(f.type, f.fromBits(inputs.a));
    const b = w.let(f.type, f.fromBits(inputs.b));
    const quotient = w.let(f.type, f.do('div', a, b));
    w.require(f.isFinite(quotient));
    w.when(both(f.isZero(a), f.isNumber(quotient)), () => w.answer(f.toBits(quotient)));
    w.require(f.isOrdinary(quotient));
    requireExact(w, inputs, () => both(f.isOrdinary(a), isExactProduct(f, quotient, b, a)));
    w.answer(f.toBits(quotient));
  };
}

function squareRoot(f: Format): FastPath {
  return (w, inputs) => {
    const a = w.let(f.type, f.fromBits(inputs.a));
    const root = w.let(f.type, f.do('sqrt', a));
    w.require(f.isFinite(root));
    requireExact(w, inputs, () =>
      either(f.isZero(a), both(f.isOrdinary(a), isExactProduct(f, root, root, a))),
    );
    w.answer(f.toBits(root));
  };
}

function extreme(f: Format, kind: 'min' | 'max'): FastPath {
  return (w, inputs) => {
    const a = w.let(f.type, f.fromBits(inputs.a));
    const b = w.let(f.type, f.fromBits(inputs.b));
    w.require(both(f.isNumber(a), f.isNumber(b)));
    w.answer(f.toBits(f.do(kind, a, b)));
  };
}

function test(f: Format, kind: 'eq' | 'ge' | 'gt'): FastPath {
  return (w, inputs) => {
    const a = w.let(f.type, f.fromBits(inputs.a));
    const b = w.let(f.type, f.fromBits(inputs.b));
    w.require(both(f.isNumber(a), f.isNumber(b)));
    w.answer(wide.fromTruth(f.do(kind, a, b)));
  };
}

/** The bits of `compare` for numbers: 0110 equal, 1000 less, 0010 greater. */
function comparison(f: Format): FastPath {
  return (w, inputs) => {
    const a = w.let(f.type, f.fromBits(inputs.a));
    const b = w.let(f.type, f.fromBits(inputs.b));
    w.require(both(f.isNumber(a), f.isNumber(b)));
    const unequal = choose(f.do('lt', a, b), integer(0b1000), integer(0b0010));
    w.answer(choose(f.do('eq', a, b), integer(0b0110), unequal));
  };
}

type Rounding = Extract<FloatOperation, { kind: 'toFixed' }>['rounding'];

/** Rounds to an integer. The current rounding mode is to nearest. Null where WebAssembly has no such operation. */
function toWhole(f: Format, w: FloatCode, rounding: Rounding, a: Value): Value | null {
  const kinds: Readonly<Record<Rounding, FloatOpcode | null>> = {
    nearestEven: 'nearest',
    current: 'nearest',
    up: 'ceil',
    down: 'floor',
    zero: 'trunc',
    nearestAway: null,
    odd: null,
  };
  const kind = kinds[rounding];
  if (kind !== null) return f.do(kind, a);
  if (rounding === 'odd') return null;
  // The part cut off is exact. A half or more rounds up by one.
  const cutOff = w.let(f.type, f.do('trunc', a));
  const rest = f.do('abs', f.do('sub', a, cutOff));
  const next = f.do('add', cutOff, f.do('copysign', f.constant(1), a));
  const whole = choose(f.do('ge', rest, f.constant(0.5)), next, cutOff);
  return f.do('copysign', whole, a);
}

function roundToInteger(f: Format, rounding: Rounding, exact: boolean): FastPath {
  return (w, inputs) => {
    const a = w.let(f.type, f.fromBits(inputs.a));
    w.require(f.isFinite(a));
    const value = toWhole(f, w, rounding, a);
    if (value === null) return;
    const whole = w.let(f.type, value);
    if (exact) requireExact(w, inputs, () => f.do('eq', whole, a));
    w.answer(f.toBits(whole));
  };
}

/** 2 to the power of `exponent`, an i64 from -64 to 64. */
function powerOfTwo(f: Format, exponent: Value): Value {
  const bias = f.bits === 32 ? 127 : 1023;
  return f.fromBits(wide.shl(wide.add(exponent, integer(bias)), integer(f.fractionBits)));
}

function toFixed(
  f: Format,
  { bits, signed, rounding }: Extract<FloatOperation, { kind: 'toFixed' }>,
): FastPath {
  return (w, inputs) => {
    const scaled = w.let(f.type, f.do('mul', f.fromBits(inputs.a), powerOfTwo(f, inputs.b)));
    w.require(f.isFinite(scaled));
    const value = toWhole(f, w, rounding, scaled);
    if (value === null) return;
    const whole = w.let(f.type, value);
    const low = f.constant(signed ? -(2 ** (bits - 1)) : 0);
    const high = f.constant(2 ** (signed ? bits - 1 : bits));
    w.require(both(f.do('ge', whole, low), f.do('lt', whole, high)));
    requireExact(w, inputs, () => f.do('eq', whole, scaled));
    const result = f.toInteger(whole, signed);
    w.answer(bits === 64 ? result : wide.and(result, integer(0xffffffffn)));
  };
}

function fromFixed(f: Format, { bits, signed }: Extract<FloatOperation, { kind: 'fromFixed' }>): FastPath {
  return (w, inputs) => {
    const up = integer(64 - bits);
    const moved = wide.shl(inputs.a, up);
    const down = signed ? shrSigned(moved, up) : wide.shrUnsigned(moved, up);
    const value = w.let(i64, bits === 64 ? inputs.a : down);
    const number = w.let(f.type, f.fromInteger(value, signed));
    // Numbers of 62 bits and more may not survive the round trip even where the conversion was exact.
    const fromZero = signed ? wide.add(value, integer(1n << 61n)) : value;
    const isSmall = wide.isBelow(fromZero, integer(1n << 62n));
    requireExact(w, inputs, () => both(isSmall, wide.eq(f.toInteger(number, signed), value)));
    const scale = powerOfTwo(f, wide.sub(integer(0), inputs.b));
    w.answer(f.toBits(f.do('mul', number, scale)));
  };
}

function shrSigned(a: Value, by: Value): Value {
  return (code) => {
    a(code);
    by(code);
    code.byte(0x87);
  };
}

function conversion(from: 32 | 64): FastPath {
  return (w, inputs) => {
    if (from === 32) {
      const a = w.let(single.type, single.fromBits(inputs.a));
      w.require(single.isNumber(a));
      w.answer(double.toBits(single.toDouble(a)));
      return;
    }
    const a = w.let(double.type, double.fromBits(inputs.a));
    const narrow = w.let(single.type, single.fromDouble(a));
    w.when(double.isZero(a), () => w.answer(single.toBits(narrow)));
    w.require(single.isOrdinary(narrow));
    requireExact(w, inputs, () => double.do('eq', single.toDouble(narrow), a));
    w.answer(single.toBits(narrow));
  };
}

type Choice = (f: Format, operation: FloatOperation) => FastPath | null;

const none: Choice = () => null;

const paths: Readonly<Record<FloatOperation['kind'], Choice>> = {
  add: (f) => addition(f, 'add'),
  sub: (f) => addition(f, 'sub'),
  mul: multiplication,
  mulExtended: multiplication,
  div: division,
  min: (f) => extreme(f, 'min'),
  max: (f) => extreme(f, 'max'),
  minNumber: (f) => extreme(f, 'min'),
  maxNumber: (f) => extreme(f, 'max'),
  sqrt: squareRoot,
  mulAdd: (f) => (w, inputs) => emitFused(f, w, inputs),
  eq: (f) => test(f, 'eq'),
  ge: (f) => test(f, 'ge'),
  gt: (f) => test(f, 'gt'),
  compare: comparison,
  compareSignalling: comparison,
  roundToInteger: (f, operation) =>
    operation.kind === 'roundToInteger' ? roundToInteger(f, operation.rounding, operation.exact) : null,
  convert: (f, operation) =>
    operation.kind === 'convert' && operation.to !== 16 && operation.rounding === 'current'
      ? conversion(f.bits)
      : null,
  toFixed: (f, operation) => (operation.kind === 'toFixed' ? toFixed(f, operation) : null),
  fromFixed: (f, operation) => (operation.kind === 'fromFixed' ? fromFixed(f, operation) : null),
  reciprocalEstimate: none,
  reciprocalStep: none,
  reciprocalExponent: none,
  reciprocalSqrtEstimate: none,
  reciprocalSqrtStep: none,
  unsignedReciprocalEstimate: none,
  unsignedReciprocalSqrtEstimate: none,
};

/** The fast path of an operation; null if it has none. */
export function fastPath(operation: FloatOperation): FastPath | null {
  if (!('format' in operation) || operation.format === 16) return null;
  return paths[operation.kind](operation.format === 32 ? single : double, operation);
}
