/**
 * Fused multiply-add built from operations that round separately. Singles are computed as doubles. For doubles, the
 * product is split into two numbers, and the sum is rounded to odd before the last step, which makes double rounding
 * harmless (S. Boldo, G. Melquiond, "Emulation of FMA and correctly rounded sums", IEEE Transactions on Computers
 * 57(4), 2008).
 */
import { i64 } from '../wasm/code.js';
import { requireExact, sumError } from './exactness.js';
import type { FastInputs } from './exactness.js';
import { both, choose, double, either, integer, not, single, wide } from './float_code.js';
import type { FloatCode, Format, Value } from './float_code.js';

/** Emits the fused operation. The first input is the addend. */
export function emitFused(f: Format, w: FloatCode, inputs: FastInputs): void {
  if (f.bits === 32) fuseSingles(w, inputs);
  else fuseDoubles(w, inputs);
}

/**
 * Rounds to odd: `sum`, or its neighbour in the direction of `error` if `error` is not 0 and the last bit of `sum` is
 * 0.
 */
function roundToOdd(w: FloatCode, sum: Value, error: Value): Value {
  const bits = w.let(i64, double.toBits(sum));
  const zero = double.constant(0);
  const isEven = wide.isZero(wide.and(bits, integer(1)));
  const isOff = both(double.do('ne', error, zero), isEven);
  // The neighbour is away from 0 if the error has the sign of the sum.
  const isAway = not(oneOf(double.do('gt', error, zero), double.do('gt', sum, zero)));
  const step = choose(isAway, integer(1), integer(-1));
  return double.fromBits(wide.add(bits, choose(isOff, step, integer(0))));
}

/** Whether exactly one of two conditions holds. */
function oneOf(a: Value, b: Value): Value {
  return (code) => {
    a(code);
    b(code);
    code.byte(0x73);
  };
}

function fuseSingles(w: FloatCode, inputs: FastInputs): void {
  const number = (bits: Value): Value => w.let(double.type, single.toDouble(single.fromBits(bits)));
  const [c, a, b] = [number(inputs.a), number(inputs.b), number(inputs.c)];
  // The product of two 24-bit mantissas fits in a double.
  const product = w.let(double.type, double.do('mul', a, b));
  const sum = w.let(double.type, double.do('add', product, c));
  w.require(double.isFinite(sum));
  const error = w.let(double.type, sumError(double, w, product, c, sum));
  const narrow = w.let(single.type, single.fromDouble(roundToOdd(w, sum, error)));
  // A sum of 0 is exact; otherwise doubles would show the remainder.
  w.when(double.isZero(sum), () => w.answer(single.toBits(narrow)));
  w.require(single.isOrdinary(narrow));
  requireExact(w, inputs, () => both(double.isZero(error), double.do('eq', single.toDouble(narrow), sum)));
  w.answer(single.toBits(narrow));
}

/** The exponent field of a double's bits. */
function exponentField(bits: Value): Value {
  return wide.and(wide.shrUnsigned(bits, integer(52)), integer(0x7ff));
}

function isWithin(value: Value, low: number, high: number): Value {
  return wide.isBelow(wide.sub(value, integer(low)), integer(high - low));
}

/** Splits a double into two numbers of 26 bits (Veltkamp). */
function halves(w: FloatCode, a: Value): { readonly high: Value; readonly low: Value } {
  const scaled = w.let(double.type, double.do('mul', a, double.constant(2 ** 27 + 1)));
  const high = w.let(double.type, double.do('sub', scaled, double.do('sub', scaled, a)));
  return { high, low: w.let(double.type, double.do('sub', a, high)) };
}

/** The rounding error of a product (Dekker). */
function productError(w: FloatCode, a: Value, b: Value, product: Value): Value {
  const [x, y] = [halves(w, a), halves(w, b)];
  const multiply = (p: Value, q: Value): Value => double.do('mul', p, q);
  const first = double.do('sub', multiply(x.high, y.high), product);
  const second = double.do('add', first, multiply(x.high, y.low));
  const third = double.do('add', second, multiply(x.low, y.high));
  return double.do('add', third, multiply(x.low, y.low));
}

/** Requires exponents far enough from both limits that no intermediate result overflows or underflows. */
function requireModerate(w: FloatCode, inputs: FastInputs, c: Value): void {
  const [a, b] = [inputs.b, inputs.c].map((bits) => w.let(i64, exponentField(bits))) as [Value, Value];
  const isEach = both(isWithin(a, 200, 1900), isWithin(b, 200, 1900));
  const isProduct = isWithin(wide.add(a, b), 1300, 2900);
  const isAddend = either(double.isZero(c), isWithin(exponentField(inputs.a), 200, 1900));
  w.require(both(both(isEach, isProduct), isAddend));
}

function fuseDoubles(w: FloatCode, inputs: FastInputs): void {
  const number = (bits: Value): Value => w.let(double.type, double.fromBits(bits));
  const [c, a, b] = [number(inputs.a), number(inputs.b), number(inputs.c)];
  w.when(either(double.isZero(a), double.isZero(b)), () => {
    const sum = w.let(double.type, double.do('add', double.do('mul', a, b), c));
    w.require(double.isFinite(sum));
    w.answer(double.toBits(sum));
  });
  requireModerate(w, inputs, c);
  const sumOf = (x: Value, y: Value): { readonly sum: Value; readonly error: Value } => {
    const sum = w.let(double.type, double.do('add', x, y));
    return { sum, error: w.let(double.type, sumError(double, w, x, y, sum)) };
  };
  const product = w.let(double.type, double.do('mul', a, b));
  const rest = w.let(double.type, productError(w, a, b, product));
  const lower = sumOf(c, rest);
  const upper = sumOf(product, lower.sum);
  const tail = sumOf(lower.error, upper.error);
  const odd = w.let(double.type, roundToOdd(w, tail.sum, tail.error));
  const result = w.let(double.type, double.do('add', upper.sum, odd));
  w.require(either(double.isOrdinary(result), double.isZero(result)));
  requireExact(w, inputs, () =>
    both(double.isZero(tail.error), double.isZero(sumError(double, w, upper.sum, odd, result))),
  );
  w.answer(double.toBits(result));
}
