/** Estimates of reciprocals and of square roots' reciprocals, to eight bits (DDI 0487, FPRecipEstimate, FPRSqrtEstimate). */
import type { FloatFormat } from '../../isa/index.js';
import { invalid, quieten } from './arithmetic.js';
import { exceptions } from './context.js';
import type { FloatContext } from './context.js';
import { bitLength, infinity, isNan, largest, layouts, magnitude, unpack, zero } from './formats.js';
import type { Unpacked } from './formats.js';

/** 512 / a, where a has nine bits, is 256 to 511, and means the middle of its step: 256 to 511 in steps of two to the -9. */
function estimateReciprocal(a: number): number {
  return (Math.floor(2 ** 19 / (2 * a + 1)) + 1) >> 1;
}

/** The same of the square root's reciprocal; `a` is 128 to 511, of which those below 256 are in steps half as wide. */
function estimateReciprocalSqrt(a: number): number {
  const scaled = a < 256 ? 2 * a + 1 : ((a & ~1) + 1) * 2;
  let b = 512;
  while (scaled * (b + 1) * (b + 1) < 2 ** 28) b += 1;
  return (b + 1) >> 1;
}

/** The exponent of a finite number's leading bit, and its `bits` bits from there, the leading one included. */
function leadingBits({ mantissa, exponent }: Unpacked, bits: number): { leading: number; front: number } {
  const length = bitLength(mantissa);
  const down = length - bits;
  const front = Number(down >= 0 ? mantissa >> BigInt(down) : mantissa << BigInt(-down));
  return { leading: exponent + length - 1, front };
}

/** 1.f with the eight bits of `estimate` below its leading one, times 2 to the `exponent`; subnormal bits are cut off. */
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

/** What a reciprocal becomes that is too large for its format. */
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
  // The number as one from 0.25 on below 1, times an even power of 2.
  const isEven = leading % 2 === 0;
  const estimate = estimateReciprocalSqrt(isEven ? front >> 1 : front);
  const half = isEven ? leading / 2 + 1 : (leading + 1) / 2;
  return assemble(format, false, -half, estimate);
}

/** FRECPX: a power of two near the reciprocal, by the exponent's field alone. */
export function reciprocalExponent(context: FloatContext, format: FloatFormat, value: bigint): bigint {
  const a = unpack(context, format, value);
  if (isNan(a)) return quieten(context, format, a);
  const { fractionBits, special } = layouts[format];
  const field = Number(magnitude(format, value) >> BigInt(fractionBits));
  const inverted = field === 0 ? special - 1 : special - field;
  return zero(format, a.negative) | (BigInt(inverted) << BigInt(fractionBits));
}

/** URECPE: of a number from 0.5 on below 1, with 32 bits behind the point; of smaller ones all ones. */
export function unsignedReciprocalEstimate(value: bigint): bigint {
  const operand = Number(value & 0xffffffffn);
  if (operand < 2 ** 31) return 0xffffffffn;
  return BigInt(estimateReciprocal(operand >>> 23)) << 23n;
}

/** URSQRTE: of a number from 0.25 on. */
export function unsignedReciprocalSqrtEstimate(value: bigint): bigint {
  const operand = Number(value & 0xffffffffn);
  if (operand < 2 ** 30) return 0xffffffffn;
  return BigInt(estimateReciprocalSqrt(operand >>> 23)) << 23n;
}
