/** Conversion between formats and to and from fixed-point numbers (IEEE 754, and what the control register adds). */
import type { FloatFormat, FloatOperation, FloatRounding } from '../../isa/index.js';
import { quieten } from './arithmetic.js';
import { exceptions } from './context.js';
import type { FloatContext } from './context.js';
import { cut, defaultNan, infinity, isNan, layouts, round, roundsUp, unpack, zero } from './formats.js';
import type { Remainder, Unpacked } from './formats.js';

type ToFixed = Extract<FloatOperation, { kind: 'toFixed' }>;

/** The integer that `rounding` selects, and the remainder. */
function toWhole(
  context: FloatContext,
  rounding: FloatRounding,
  { negative, mantissa, exponent }: Pick<Unpacked, 'negative' | 'mantissa' | 'exponent'>,
): { readonly magnitude: bigint; readonly rest: Remainder } {
  const mode = rounding === 'current' ? context.rounding : rounding;
  const cutOff = cut(mantissa, exponent, 0);
  return { magnitude: cutOff.count + (roundsUp(mode, negative, cutOff) ? 1n : 0n), rest: cutOff.rest };
}

/** Rounds to an integer in the same format. `exact` raises Inexact where the value changes. */
export function roundToInteger(
  context: FloatContext,
  format: FloatFormat,
  value: bigint,
  rounding: FloatRounding,
  exact: boolean,
): bigint {
  const a = unpack(context, format, value);
  if (isNan(a)) return quieten(context, format, a);
  if (a.kind !== 'finite') return a.bits;
  const { magnitude, rest } = toWhole(context, rounding, a);
  if (rest !== 'none' && exact) context.raise(exceptions.inexact);
  if (magnitude === 0n) return zero(format, a.negative);
  return round(context, format, { negative: a.negative, mantissa: magnitude, exponent: 0 }, 'zero');
}

/** Converts a NaN to another format. Keeps the sign and the leading bits of the payload. */
function convertNan({ negative, bits }: Unpacked, from: FloatFormat, to: FloatFormat): bigint {
  const [source, target] = [layouts[from].fractionBits, layouts[to].fractionBits];
  const payload = BigInt.asUintN(source - 1, bits);
  const moved = target >= source ? payload << BigInt(target - source) : payload >> BigInt(source - target);
  return zero(to, negative) | defaultNan(to) | moved;
}

export function convert(
  context: FloatContext,
  from: FloatFormat,
  to: FloatFormat,
  value: bigint,
  rounding: FloatRounding,
): bigint {
  const a = unpack(context, from, value, true);
  const alternative = to === 16 && context.alternativeHalf;
  if (isNan(a)) {
    if (a.kind === 'signalling' || alternative) context.raise(exceptions.invalid);
    if (alternative) return zero(to, a.negative);
    return context.defaultNan ? defaultNan(to, context.rules.negativeDefaultNan) : convertNan(a, from, to);
  }
  if (a.kind === 'infinity') {
    if (!alternative) return infinity(to, a.negative);
    context.raise(exceptions.invalid);
    return zero(to, a.negative) | 0x7fffn;
  }
  return a.kind === 'zero' ? zero(to, a.negative) : round(context, to, a, rounding);
}

/**
 * Converts to a fixed-point number with `fraction` fraction bits. Where the value does not fit it saturates, or is what `outside`
 * says.
 */
export function toFixed(
  context: FloatContext,
  format: FloatFormat,
  value: bigint,
  shape: Pick<ToFixed, 'bits' | 'signed' | 'rounding' | 'outside'>,
  fraction: number,
): bigint {
  const { bits, signed, rounding, outside } = shape;
  const a = unpack(context, format, value);
  const low = signed ? -(1n << BigInt(bits - 1)) : 0n;
  const high = (1n << BigInt(signed ? bits - 1 : bits)) - 1n;
  if (isNan(a) || a.kind === 'infinity') {
    context.raise(exceptions.invalid);
    if (outside === 'smallest') return BigInt.asUintN(bits, low);
    if (isNan(a)) return 0n;
    return BigInt.asUintN(bits, a.negative ? low : high);
  }
  if (a.kind === 'zero') return 0n;
  const { magnitude, rest } = toWhole(context, rounding, { ...a, exponent: a.exponent + fraction });
  const whole = a.negative ? -magnitude : magnitude;
  if (whole < low || whole > high) {
    context.raise(exceptions.invalid);
    return BigInt.asUintN(bits, whole < low || outside === 'smallest' ? low : high);
  }
  if (rest !== 'none') context.raise(exceptions.inexact);
  return BigInt.asUintN(bits, whole);
}

export function fromFixed(
  context: FloatContext,
  format: FloatFormat,
  value: bigint,
  shape: { readonly bits: 32 | 64; readonly signed: boolean },
  fraction: number,
): bigint {
  const { bits, signed } = shape;
  const number = signed ? BigInt.asIntN(bits, value) : BigInt.asUintN(bits, value);
  if (number === 0n) return zero(format, false);
  const negative = number < 0n;
  return round(context, format, { negative, mantissa: negative ? -number : number, exponent: -fraction });
}
