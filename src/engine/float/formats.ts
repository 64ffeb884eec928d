/** Unpacking of floating-point numbers, and rounding of exact values to a format (IEEE 754). */
import type { FloatFormat, FloatRounding } from '../../isa/index.js';
import type { FloatContext } from './context.js';
import { exceptions } from './context.js';

/** The layout of a format: sign, then exponent, then fraction. */
export interface Layout {
  readonly bits: FloatFormat;
  readonly exponentBits: number;
  readonly fractionBits: number;
  /** The exponent of the smallest normal number. */
  readonly smallestExponent: number;
  /** The largest value of the exponent field, which encodes infinities and NaNs. */
  readonly special: number;
}

function layout(bits: FloatFormat, exponentBits: number): Layout {
  const special = 2 ** exponentBits - 1;
  return {
    bits,
    exponentBits,
    fractionBits: bits - 1 - exponentBits,
    smallestExponent: 2 - 2 ** (exponentBits - 1),
    special,
  };
}

export const layouts: Readonly<Record<FloatFormat, Layout>> = {
  16: layout(16, 5),
  32: layout(32, 8),
  64: layout(64, 11),
};

/** An unpacked number. A finite number other than 0 has the value `mantissa` times 2 to the `exponent`. */
export interface Unpacked {
  readonly kind: 'zero' | 'finite' | 'infinity' | 'quiet' | 'signalling';
  readonly negative: boolean;
  readonly mantissa: bigint;
  readonly exponent: number;
  /** The bits it was unpacked from. After a flush to 0, the bits of that 0. */
  readonly bits: bigint;
}

/** An exact nonzero value. `mantissa` is positive. */
export interface Exact {
  readonly negative: boolean;
  readonly mantissa: bigint;
  readonly exponent: number;
}

export function isNan({ kind }: Unpacked): boolean {
  return kind === 'quiet' || kind === 'signalling';
}

function assemble(
  { bits, fractionBits }: Layout,
  negative: boolean,
  field: number,
  fraction: bigint,
): bigint {
  const sign = negative ? 1n << BigInt(bits - 1) : 0n;
  return sign | (BigInt(field) << BigInt(fractionBits)) | fraction;
}

export function zero(format: FloatFormat, negative: boolean): bigint {
  return assemble(layouts[format], negative, 0, 0n);
}

export function infinity(format: FloatFormat, negative: boolean): bigint {
  return assemble(layouts[format], negative, layouts[format].special, 0n);
}

/** The largest finite number of the format, with a sign. */
export function largest(format: FloatFormat, negative: boolean): bigint {
  return infinity(format, negative) - 1n;
}

/** The default NaN: quiet, no payload. */
export function defaultNan(format: FloatFormat, negative = false): bigint {
  const { fractionBits, special } = layouts[format];
  return assemble(layouts[format], negative, special, 1n << BigInt(fractionBits - 1));
}

export function negate(format: FloatFormat, value: bigint): bigint {
  return value ^ (1n << BigInt(format - 1));
}

export function magnitude(format: FloatFormat, value: bigint): bigint {
  return BigInt.asUintN(format - 1, value);
}

/**
 * Unpacks a number. With `flushInputs`, subnormal single and double inputs are flushed to 0, which may raise Input Denormal. Set
 * `conversion` where `alternativeHalf` applies: half precision then has neither infinities nor NaNs.
 */
export function unpack(
  context: FloatContext,
  format: FloatFormat,
  value: bigint,
  conversion = false,
): Unpacked {
  const { fractionBits, special, smallestExponent } = layouts[format];
  const bits = BigInt.asUintN(format, value);
  const negative = bits >> BigInt(format - 1) === 1n;
  const field = Number((bits >> BigInt(fractionBits)) & BigInt(special));
  const fraction = BigInt.asUintN(fractionBits, bits);
  const whole = { negative, mantissa: 0n, exponent: 0, bits };
  if (field === special && !(conversion && format === 16 && context.alternativeHalf)) {
    if (fraction === 0n) return { ...whole, kind: 'infinity' };
    context.note('nan');
    const quiet = fraction >> BigInt(fractionBits - 1) === 1n;
    return { ...whole, kind: quiet ? 'quiet' : 'signalling' };
  }
  if (field !== 0) {
    const mantissa = fraction | (1n << BigInt(fractionBits));
    return { ...whole, kind: 'finite', mantissa, exponent: field - 1 + smallestExponent - fractionBits };
  }
  if (fraction === 0n) return { ...whole, kind: 'zero' };
  if (context.flushInputs && format !== 16) {
    if (context.rules.inputDenormal === 'flushed') context.raise(exceptions.inputDenormal);
    return { ...whole, kind: 'zero', bits: zero(format, negative) };
  }
  context.note('subnormal');
  return { ...whole, kind: 'finite', mantissa: fraction, exponent: smallestExponent - fractionBits };
}

/** The number of bits of a positive integer. */
export function bitLength(value: bigint): number {
  const digits = value.toString(16);
  return 4 * digits.length - Math.clz32(parseInt(digits.charAt(0), 16)) + 28;
}

/** The part of a number cut off by rounding, compared with half a unit in the last place. */
export type Remainder = 'none' | 'below' | 'half' | 'above';

/** `mantissa` times 2 to the `exponent`, divided by 2 to the `last`: the integer quotient and the remainder. */
export function cut(mantissa: bigint, exponent: number, last: number): { count: bigint; rest: Remainder } {
  if (exponent >= last) return { count: mantissa << BigInt(exponent - last), rest: 'none' };
  const down = BigInt(last - exponent);
  const count = mantissa >> down;
  const left = mantissa - (count << down);
  if (left === 0n) return { count, rest: 'none' };
  const half = 1n << (down - 1n);
  return { count, rest: left === half ? 'half' : left > half ? 'above' : 'below' };
}

/** Whether a truncated number must be rounded away from 0. */
export function roundsUp(
  rounding: FloatRounding,
  negative: boolean,
  { count, rest }: { readonly count: bigint; readonly rest: Remainder },
): boolean {
  if (rest === 'none') return false;
  switch (rounding) {
    case 'nearestEven':
      return rest === 'above' || (rest === 'half' && (count & 1n) === 1n);
    case 'nearestAway':
      return rest !== 'below';
    case 'up':
      return !negative;
    case 'down':
      return negative;
    case 'odd':
      return (count & 1n) === 0n;
    case 'zero':
    case 'current':
      return false;
  }
}

/** Whether a number too large for its format rounds to infinity. */
function overflowsToInfinity(rounding: FloatRounding, negative: boolean): boolean {
  if (rounding === 'nearestEven' || rounding === 'nearestAway') return true;
  return rounding === (negative ? 'down' : 'up');
}

/** Whether a value below the normal numbers is not tiny, because without bounds of its exponent it would be rounded up to them. */
function roundsToNormal(
  { rules }: FloatContext,
  format: FloatFormat,
  { negative, mantissa, exponent }: Exact,
  leading: number,
  mode: FloatRounding,
): boolean {
  const { fractionBits, smallestExponent } = layouts[format];
  if (rules.tinyBeforeRounding || leading !== smallestExponent - 1) return false;
  const cutOff = cut(mantissa, exponent, leading - fractionBits);
  return roundsUp(mode, negative, cutOff) && bitLength(cutOff.count + 1n) > fractionBits + 1;
}

/** Rounds an exact value by `rounding` and raises the exceptions. */
export function round(
  context: FloatContext,
  format: FloatFormat,
  exact: Exact,
  rounding: FloatRounding = context.rounding,
): bigint {
  const { negative, mantissa, exponent } = exact;
  const { fractionBits, smallestExponent } = layouts[format];
  const mode = rounding === 'current' ? context.rounding : rounding;
  const leading = exponent + bitLength(mantissa) - 1;
  const isSubnormal = leading < smallestExponent;
  const isTiny = isSubnormal && !roundsToNormal(context, format, exact, leading, mode);
  if (isTiny && context.flushToZero && format !== 16) {
    context.raise(exceptions.underflow | (context.rules.flushedIsInexact ? exceptions.inexact : 0));
    return zero(format, negative);
  }
  const cutOff = cut(mantissa, exponent, Math.max(leading, smallestExponent) - fractionBits);
  const isTrapped = isTiny && (context.trapped & exceptions.underflow) !== 0;
  const isInexact = (isTrapped ? cut(mantissa, exponent, leading - fractionBits) : cutOff).rest !== 'none';
  if (isTiny && (isInexact || isTrapped)) context.raise(exceptions.underflow);
  const count = cutOff.count + (roundsUp(mode, negative, cutOff) ? 1n : 0n);
  // A carry out of the fraction correctly increments the exponent field; so does the leading bit.
  const field = isSubnormal ? 0 : leading - smallestExponent;
  const packed = (BigInt(field) << BigInt(fractionBits)) + count;
  return finish(context, format, negative, packed, isInexact, mode);
}

function finish(
  context: FloatContext,
  format: FloatFormat,
  negative: boolean,
  packed: bigint,
  isInexact: boolean,
  mode: FloatRounding,
): bigint {
  const sign = zero(format, negative);
  if (format === 16 && context.alternativeHalf) {
    if (packed >> 15n !== 0n) {
      context.raise(exceptions.invalid);
      return sign | 0x7fffn;
    }
  } else if (packed >= infinity(format, false)) {
    const isExact = !isInexact && (context.trapped & exceptions.overflow) !== 0;
    context.raise(exceptions.overflow | (isExact ? 0 : exceptions.inexact));
    return overflowsToInfinity(mode, negative) ? infinity(format, negative) : largest(format, negative);
  }
  if (isInexact) context.raise(exceptions.inexact);
  return sign | packed;
}
