/** Exact arithmetic (IEEE 754). Operands and results are bit patterns. */
import type { FloatFormat } from '../../isa/index.js';
import { exceptions } from './context.js';
import type { FloatContext } from './context.js';
import { defaultNan, infinity, isNan, layouts, negate, round, unpack, zero, bitLength } from './formats.js';
import type { Exact, Unpacked } from './formats.js';

/** The NaN that an operation returns for a NaN operand. */
export function quieten(context: FloatContext, format: FloatFormat, { kind, bits }: Unpacked): bigint {
  if (kind === 'signalling') context.raise(exceptions.invalid);
  if (context.defaultNan) return defaultNan(format, context.rules.negativeDefaultNan);
  return bits | (1n << BigInt(layouts[format].fractionBits - 1));
}

/** The NaN result of an operation, from one of its operands by the rules; null if no operand is a NaN. */
export function nanOf(
  context: FloatContext,
  format: FloatFormat,
  operands: readonly Unpacked[],
): bigint | null {
  const signalling = operands.find(({ kind }) => kind === 'signalling');
  if (signalling !== undefined) context.raise(exceptions.invalid);
  const chosen = (context.rules.prefersSignalling ? signalling : undefined) ?? operands.find(isNan);
  return chosen === undefined ? null : quieten(context, format, chosen);
}

export function invalid(context: FloatContext, format: FloatFormat): bigint {
  context.raise(exceptions.invalid);
  return defaultNan(format, context.rules.negativeDefaultNan);
}

function signed({ negative, mantissa }: Pick<Exact, 'negative' | 'mantissa'>): bigint {
  return negative ? -mantissa : mantissa;
}

/** The exact sum; null if it is 0. */
function sumOf(a: Exact, b: Exact): Exact | null {
  const exponent = Math.min(a.exponent, b.exponent);
  const sum = (signed(a) << BigInt(a.exponent - exponent)) + (signed(b) << BigInt(b.exponent - exponent));
  if (sum === 0n) return null;
  return { negative: sum < 0n, mantissa: sum < 0n ? -sum : sum, exponent };
}

/** Rounds a value. For an exact 0, the rounding mode determines the sign. */
function roundOrZero(context: FloatContext, format: FloatFormat, exact: Exact | null): bigint {
  return exact === null ? zero(format, context.rounding === 'down') : round(context, format, exact);
}

/** A sum of terms that are not NaN. A term that is 0 has the mantissa 0. */
function addNumbers(context: FloatContext, format: FloatFormat, a: Unpacked, b: Unpacked): bigint {
  if (a.kind === 'infinity' && b.kind === 'infinity' && a.negative !== b.negative)
    return invalid(context, format);
  if (a.kind === 'infinity') return infinity(format, a.negative);
  if (b.kind === 'infinity') return infinity(format, b.negative);
  if (a.kind === 'zero' && b.kind === 'zero' && a.negative === b.negative) return zero(format, a.negative);
  return roundOrZero(context, format, sumOf(a, b));
}

export function add(context: FloatContext, format: FloatFormat, first: bigint, second: bigint): bigint {
  const [a, b] = [unpack(context, format, first), unpack(context, format, second)];
  return nanOf(context, format, [a, b]) ?? addNumbers(context, format, a, b);
}

export function subtract(context: FloatContext, format: FloatFormat, first: bigint, second: bigint): bigint {
  const [a, b] = [unpack(context, format, first), unpack(context, format, second)];
  return nanOf(context, format, [a, b]) ?? addNumbers(context, format, a, { ...b, negative: !b.negative });
}

/** Whether a product is 0 times infinity. */
export function isZeroTimesInfinity(a: Unpacked, b: Unpacked): boolean {
  return (a.kind === 'zero' && b.kind === 'infinity') || (a.kind === 'infinity' && b.kind === 'zero');
}

/** The exact product of two numbers. Neither may be NaN, and they may not be 0 and infinity. */
export function productOf(a: Unpacked, b: Unpacked): Unpacked {
  const negative = a.negative !== b.negative;
  const either = (kind: Unpacked['kind']): boolean => a.kind === kind || b.kind === kind;
  const kind = either('infinity') ? 'infinity' : either('zero') ? 'zero' : 'finite';
  return { kind, negative, mantissa: a.mantissa * b.mantissa, exponent: a.exponent + b.exponent, bits: 0n };
}

/** Rounds an exact number to its format and returns the bits. */
export function pack(context: FloatContext, format: FloatFormat, value: Unpacked): bigint {
  if (value.kind === 'infinity') return infinity(format, value.negative);
  return value.kind === 'zero' ? zero(format, value.negative) : round(context, format, value);
}

export function multiply(
  context: FloatContext,
  format: FloatFormat,
  first: bigint,
  second: bigint,
  zeroTimesInfinity: (negative: boolean) => bigint = () => invalid(context, format),
): bigint {
  const [a, b] = [unpack(context, format, first), unpack(context, format, second)];
  const nan = nanOf(context, format, [a, b]);
  if (nan !== null) return nan;
  if (isZeroTimesInfinity(a, b)) return zeroTimesInfinity(a.negative !== b.negative);
  return pack(context, format, productOf(a, b));
}

/** FMULX: 0 times infinity is 2. */
export function multiplyExtended(
  context: FloatContext,
  format: FloatFormat,
  first: bigint,
  second: bigint,
): bigint {
  const two = (negative: boolean): bigint => round(context, format, { negative, mantissa: 1n, exponent: 1 });
  return multiply(context, format, first, second, two);
}

/** A quotient with enough bits for rounding. Its last bit is sticky: it is 1 if anything was cut off. */
function quotientOf(a: Unpacked, b: Unpacked, bits: number): Exact {
  const up = Math.max(bits + 2 + bitLength(b.mantissa) - bitLength(a.mantissa), 0);
  const dividend = a.mantissa << BigInt(up);
  const quotient = dividend / b.mantissa;
  const sticky = quotient * b.mantissa === dividend ? 0n : 1n;
  return {
    negative: a.negative !== b.negative,
    mantissa: (quotient << 1n) | sticky,
    exponent: a.exponent - b.exponent - up - 1,
  };
}

export function divide(context: FloatContext, format: FloatFormat, first: bigint, second: bigint): bigint {
  const [a, b] = [unpack(context, format, first), unpack(context, format, second)];
  const nan = nanOf(context, format, [a, b]);
  if (nan !== null) return nan;
  const negative = a.negative !== b.negative;
  if (a.kind === b.kind && a.kind !== 'finite') return invalid(context, format);
  if (a.kind === 'infinity') return infinity(format, negative);
  if (b.kind === 'zero') {
    context.raise(exceptions.divideByZero);
    return infinity(format, negative);
  }
  if (a.kind === 'zero' || b.kind === 'infinity') return zero(format, negative);
  return round(context, format, quotientOf(a, b, layouts[format].fractionBits));
}

/** The largest integer whose square is at most `value`. */
function integerRoot(value: bigint): bigint {
  let guess = 1n << BigInt(Math.ceil(bitLength(value) / 2));
  for (;;) {
    const next = (guess + value / guess) >> 1n;
    if (next >= guess) return guess;
    guess = next;
  }
}

export function squareRoot(context: FloatContext, format: FloatFormat, value: bigint): bigint {
  const a = unpack(context, format, value);
  if (isNan(a)) return quieten(context, format, a);
  if (a.kind === 'zero') return zero(format, a.negative);
  if (a.negative) return invalid(context, format);
  if (a.kind === 'infinity') return infinity(format, false);
  // Use twice as many bits as the result needs, and an even exponent.
  let up = 2 * (layouts[format].fractionBits + 3);
  if ((a.exponent - up) % 2 !== 0) up += 1;
  const square = a.mantissa << BigInt(up);
  const root = integerRoot(square);
  const sticky = root * root === square ? 0n : 1n;
  const exponent = (a.exponent - up) / 2 - 1;
  return round(context, format, { negative: false, mantissa: (root << 1n) | sticky, exponent });
}

/** `addend` plus the product of the other two, rounded once. */
export function multiplyAdd(
  context: FloatContext,
  format: FloatFormat,
  addend: bigint,
  first: bigint,
  second: bigint,
): bigint {
  const operands = [addend, first, second].map((value) => unpack(context, format, value));
  const [c, a, b] = operands as [Unpacked, Unpacked, Unpacked];
  const nan = nanOf(context, format, operands);
  const isUndefined = isZeroTimesInfinity(a, b);
  // An undefined product raises Invalid even where the addend is a quiet NaN.
  if (isUndefined && (nan === null || c.kind === 'quiet')) return invalid(context, format);
  return nan ?? addNumbers(context, format, c, productOf(a, b));
}

/**
 * 2 minus the product (FRECPS), or half of 3 minus the product (FRSQRTS). The first factor of the product is negated.
 */
export function step(
  context: FloatContext,
  format: FloatFormat,
  kind: 'reciprocal' | 'reciprocalSqrt',
  first: bigint,
  second: bigint,
): bigint {
  const [a, b] = [unpack(context, format, negate(format, first)), unpack(context, format, second)];
  const nan = nanOf(context, format, [a, b]);
  if (nan !== null) return nan;
  const halve = kind === 'reciprocalSqrt' ? 1 : 0;
  const start: Exact = { negative: false, mantissa: kind === 'reciprocal' ? 2n : 3n, exponent: 0 };
  if (isZeroTimesInfinity(a, b)) return round(context, format, { ...start, exponent: -halve });
  const product = productOf(a, b);
  if (product.kind === 'infinity') return infinity(format, product.negative);
  const sum = sumOf(start, product);
  return roundOrZero(context, format, sum === null ? null : { ...sum, exponent: sum.exponent - halve });
}
