/** 8-bit estimates of reciprocals and reciprocal square roots to the bit, as the instructions that use them define. */
import type { FloatFormat } from '../../isa/index.js';
import { invalid, quieten } from './arithmetic.js';
import { exceptions } from './context.js';
import type { FloatContext } from './context.js';
import { bitLength, infinity, isNan, largest, layouts, magnitude, unpack, zero } from './formats.js';
import type { Unpacked } from './formats.js';

/**
 * The reciprocal of `a`: 256 to 511 in units of 2^-9, taken at the middle of its interval. The result is 256 to 511 in
 * units of 2^-8.
 */
function estimateReciprocal(a: number): number {
  return (Math.floor(2 ** 19 / (2 * a + 1)) + 1) >> 1;
}

/** The same for the reciprocal square root. `a` is 128 to 511; intervals below 256 are half as wide. */
function estimateReciprocalSqrt(a: number): number {
  const scaled = a < 256 ? 2 * a + 1 : ((a & ~1) + 1) * 2;
  let b = 512;
  while (scaled * (b + 1) * (b + 1) < 2 ** 28) b += 1;
  return (b + 1) >> 1;
}

/** The exponent of a finite number's leading bit, and the top `bits` bits from there, including the leading one. */
function leadingBits({ mantissa, exponent }: Unpacked, bits: number): { leading: number; front: number } {
  const length = bitLength(mantissa);
  const down = length - bits;
  const front = Number(down >= 0 ? mantissa >> BigInt(down) : mantissa << BigInt(-down));
  return { leading: exponent + length - 1, front };
}

/**
 * Builds 1.f times 2 to the `exponent`, where f is the low eight bits of `estimate`. Truncates bits that a subnormal
 * number cannot hold.
 */
function assemble(format: FloatFormat, negative: boolean, exponent: number, estimate: number): bigint {
  const { fractionBits, smallestExponent } = layouts[format];
  const mantissa = BigInt(estimate) << BigInt(fractionBits - 8);
  const below = smallestExponent - exponent;
  const packed =
    below > 0
      ? mantissa >> BigInt(below)
      : (BigInt(exponent - smallestExponent) << BigInt(fractionBits)) + mantissa;
  return zero(format, negative) | packed;
}

/** The result of a reciprocal that is too large for its format. */
function overflow(context: FloatContext, format: FloatFormat, negative: boolean): bigint {
  context.raise(exceptions.overflow | exceptions.inexact);
  const toInfinity = context.rounding === 'nearestEven' || context.rounding === (negative ? 'down' : 'up');
  return toInfinity ? infinity(format, negative) : largest(format, negative);
}

export function reciprocalEstimate(context: FloatContext, format: FloatFormat, value: bigint): bigint {
  const a = unpack(context, format, value);
  const { negative } = a;
  if (isNan(a)) return quieten(context, format, a);
  if (a.kind === 'infinity') return zero(format, negative);
  if (a.kind === 'zero') {
    context.raise(exceptions.divideByZero);
    return infinity(format, negative);
  }
  const { smallestExponent } = layouts[format];
  const { leading, front } = leadingBits(a, 9);
  if (leading < smallestExponent - 2) return overflow(context, format, negative);
  if (context.flushToZero && format !== 16 && leading >= -smallestExponent) {
    context.raise(exceptions.underflow);
    return zero(format, negative);
  }
  // 1 / (1.f * 2^e) lies between 2^(-e-1) and 2^-e.
  return assemble(format, negative, -leading - 1, estimateReciprocal(front));
}

export function reciprocalSqrtEstimate(context: FloatContext, format: FloatFormat, value: bigint): bigint {
  const a = unpack(context, format, value);
  if (isNan(a)) return quieten(context, format, a);
  if (a.kind === 'zero') {
    context.raise(exceptions.divideByZero);
    return infinity(format, a.negative);
  }
  if (a.negative) return invalid(context, format);
  if (a.kind === 'infinity') return zero(format, false);
  const { leading, front } = leadingBits(a, 9);
  // Scale the number to at least 0.25 and below 1, by an even power of 2.
  const isEven = leading % 2 === 0;
  const estimate = estimateReciprocalSqrt(isEven ? front >> 1 : front);
  const half = isEven ? leading / 2 + 1 : (leading + 1) / 2;
  return assemble(format, false, -half, estimate);
}

/** FRECPX: a power of two near the reciprocal, computed from the exponent field alone. */
export function reciprocalExponent(context: FloatContext, format: FloatFormat, value: bigint): bigint {
  const a = unpack(context, format, value);
  if (isNan(a)) return quieten(context, format, a);
  const { fractionBits, special } = layouts[format];
  const field = Number(magnitude(format, value) >> BigInt(fractionBits));
  const inverted = field === 0 ? special - 1 : special - field;
  return zero(format, a.negative) | (BigInt(inverted) << BigInt(fractionBits));
}

/** URECPE of a 32-bit fixed-point fraction of at least 0.5 and below 1. For smaller inputs the result is all ones. */
export function unsignedReciprocalEstimate(value: bigint): bigint {
  const operand = Number(value & 0xffffffffn);
  if (operand < 2 ** 31) return 0xffffffffn;
  return BigInt(estimateReciprocal(operand >>> 23)) << 23n;
}

/** URSQRTE of a fraction of at least 0.25. For smaller inputs the result is all ones. */
export function unsignedReciprocalSqrtEstimate(value: bigint): bigint {
  const operand = Number(value & 0xffffffffn);
  if (operand < 2 ** 30) return 0xffffffffn;
  return BigInt(estimateReciprocalSqrt(operand >>> 23)) << 23n;
}
