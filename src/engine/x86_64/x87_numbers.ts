/**
 * Numbers of 80 bits (Intel SDM, volume 1, 4.2.2 and 4.8): their kinds, rounding, arithmetic, and conversions from and to other
 * formats. Each result says what exceptions it raised, as bits of the status word.
 */
import { bitLength } from '../float/formats.js';

/** Mantissa with its integer bit, and sign and exponent in 16 bits. */
export type Extended = readonly [mantissa: bigint, exponent: number];

export const raised = {
  invalid: 1,
  denormal: 2,
  zeroDivide: 4,
  overflow: 8,
  underflow: 16,
  inexact: 32,
} as const;

export type Rounding = 'nearest' | 'down' | 'up' | 'zero';

/** What the control word says. */
export interface Modes {
  readonly rounding: Rounding;
  /** Of results of arithmetic: 24, 53 or 64. */
  readonly digits: number;
  /** Exceptions that are masked. */
  readonly masks: number;
}

export interface Result<T> {
  readonly value: T;
  readonly raised: number;
  /** Whether rounding made the magnitude larger. */
  readonly up: boolean;
}

export type Kind = 'zero' | 'denormal' | 'normal' | 'infinity' | 'quiet' | 'signalling' | 'unsupported';

const integerBit = 1n << 63n;
const quietBit = 1n << 62n;
export const bias = 16383;
export const signBit = 0x8000;
const infinite = 0x7fff;
/** What is added to or taken from the exponent of a result whose overflow or underflow is not masked. */
const wrap = 24576;

/** The NaN of invalid operations. */
export const indefinite: Extended = [integerBit | quietBit, 0xffff];

export function kindOf([mantissa, exponent]: Extended): Kind {
  const power = exponent & infinite;
  if (power === 0) return mantissa === 0n ? 'zero' : 'denormal';
  if ((mantissa & integerBit) === 0n) return 'unsupported';
  if (power < infinite) return 'normal';
  if (mantissa === integerBit) return 'infinity';
  return (mantissa & quietBit) === 0n ? 'signalling' : 'quiet';
}

export const isNegative = ([, exponent]: Extended): boolean => (exponent & signBit) !== 0;

/** `mantissa` times 2 to the `exponent`; the mantissa is not 0. */
export interface Exact {
  readonly negative: boolean;
  readonly mantissa: bigint;
  readonly exponent: number;
}

export function exactOf(number: Extended): Exact {
  const [mantissa, exponent] = number;
  return { negative: isNegative(number), mantissa, exponent: Math.max(exponent & infinite, 1) - bias - 63 };
}

export const one: Extended = [integerBit, bias];
export const zero = (negative: boolean): Extended => [0n, negative ? signBit : 0];
export const infinity = (negative: boolean): Extended => [integerBit, infinite | (negative ? signBit : 0)];

/** An integer below 2 to the 64, which 80 bits have exactly. Zeros have a sign too. */
export function integral(negative: boolean, magnitude: bigint): Extended {
  if (magnitude === 0n) return zero(negative);
  const shift = 64 - bitLength(magnitude);
  return [magnitude << BigInt(shift), (bias + 63 - shift) | (negative ? signBit : 0)];
}

export const extendedOfInteger = (value: bigint): Extended =>
  integral(value < 0n, value < 0n ? -value : value);

export const exactly = <T>(value: T, bits = 0): Result<T> => ({ value, raised: bits, up: false });

/** A multiple of 2 to the `last`. */
interface Cut {
  readonly count: bigint;
  readonly last: number;
  readonly inexact: boolean;
  readonly up: boolean;
}

export function cutAt({ negative, mantissa, exponent }: Exact, last: number, rounding: Rounding): Cut {
  if (exponent >= last)
    return { count: mantissa << BigInt(exponent - last), last, inexact: false, up: false };
  const down = BigInt(last - exponent);
  const count = mantissa >> down;
  const rest = mantissa - (count << down);
  const half = 1n << (down - 1n);
  const isNearer = rest > half || (rest === half && (count & 1n) === 1n);
  const up = rest !== 0n && { nearest: isNearer, down: negative, up: !negative, zero: false }[rounding];
  return { count: up ? count + 1n : count, last, inexact: rest !== 0n, up };
}

/** A binary format: the digits of its significand, and the exponents of its smallest and largest normal numbers. */
interface Format {
  readonly digits: number;
  readonly smallest: number;
  readonly largest: number;
}

/** A number as a format has it; null is infinity. */
type Rounded = Result<Cut | null>;

/** How results are rounded that do not fit even with another exponent, as FSCALE can make them, where the exception is not masked. */
const extreme: Modes = { rounding: 'nearest', digits: 64, masks: 0x3f };

function overflowed(exact: Exact, free: Cut, format: Format, modes: Modes): Rounded {
  const { digits, largest } = format;
  const { rounding, masks } = modes;
  if ((masks & raised.overflow) === 0) {
    if (free.last + bitLength(free.count) - 1 - wrap > largest)
      return overflowed(exact, free, format, extreme);
    const value = { ...free, last: free.last - wrap };
    return { value, raised: raised.overflow | (free.inexact ? raised.inexact : 0), up: free.up };
  }
  const isAway = rounding === 'nearest' || rounding === (exact.negative ? 'down' : 'up');
  const greatest = {
    count: (1n << BigInt(digits)) - 1n,
    last: largest - digits + 1,
    inexact: true,
    up: false,
  };
  return { value: isAway ? null : greatest, raised: raised.overflow | raised.inexact, up: isAway };
}

function roundTo(exact: Exact, format: Format, modes: Modes): Rounded {
  const { digits, smallest, largest } = format;
  const leading = exact.exponent + bitLength(exact.mantissa) - 1;
  const free = cutAt(exact, leading - digits + 1, modes.rounding);
  const top = free.last + bitLength(free.count) - 1;
  if (top > largest) return overflowed(exact, free, format, modes);
  const bits = ({ inexact }: Cut): number => (inexact ? raised.inexact : 0);
  if (top >= smallest) return { value: free, raised: bits(free), up: free.up };
  if ((modes.masks & raised.underflow) === 0) {
    if (top + wrap < smallest) return roundTo(exact, format, extreme);
    return { value: { ...free, last: free.last + wrap }, raised: raised.underflow | bits(free), up: free.up };
  }
  const tiny = cutAt(exact, Math.max(leading, smallest) - digits + 1, modes.rounding);
  return { value: tiny, raised: tiny.inexact ? raised.underflow | raised.inexact : 0, up: tiny.up };
}

const extendedFormat = (digits: number): Format => ({ digits, smallest: 1 - bias, largest: bias });

function packExtended(negative: boolean, cut: Cut | null): Extended {
  if (cut === null) return infinity(negative);
  const { count, last } = cut;
  if (count === 0n) return zero(negative);
  const top = last + bitLength(count) - 1;
  const shift = Math.min(64 - bitLength(count), last - (1 - bias - 63));
  const mantissa = shift < 0 ? count >> BigInt(-shift) : count << BigInt(shift);
  const power = mantissa >= integerBit ? Math.max(top + bias, 1) : 0;
  return [mantissa, power | (negative ? signBit : 0)];
}

export function rounded(exact: Exact, modes: Modes): Result<Extended> {
  const { value, ...rest } = roundTo(exact, extendedFormat(modes.digits), modes);
  return { value: packExtended(exact.negative, value), ...rest };
}

export const isNan = (kind: Kind): boolean => kind === 'quiet' || kind === 'signalling';
const quieted = ([mantissa, exponent]: Extended): Extended => [mantissa | quietBit, exponent];

/** The NaN of an operation on at least one (SDM, volume 1, table 4-7): a quiet one before a signalling one, then the larger one. */
function nanOf(a: Extended, b: Extended): Result<Extended> {
  const kinds = [kindOf(a), kindOf(b)] as const;
  const bits = kinds.includes('signalling') ? raised.invalid : 0;
  const nans = [a, b].filter((_, index) => isNan(kinds[index as 0 | 1]));
  const isMixed = kinds.includes('signalling') && kinds.includes('quiet');
  const eligible = isMixed ? nans.filter((each) => kindOf(each) === 'quiet') : nans;
  const [first = indefinite, second = first] = eligible;
  const isSecond =
    second[0] > first[0] || (second[0] === first[0] && isNegative(first) && !isNegative(second));
  return exactly(quieted(isSecond ? second : first), bits);
}

export const invalid = (): Result<Extended> => exactly(indefinite, raised.invalid);

function sum(a: Extended, b: Extended, modes: Modes): Result<Extended> {
  const [first, second] = [kindOf(a), kindOf(b)];
  if (first === 'infinity' || second === 'infinity') {
    const isOpposite = first === second && isNegative(a) !== isNegative(b);
    return isOpposite ? invalid() : exactly(first === 'infinity' ? a : b);
  }
  const negativeZero = modes.rounding === 'down';
  const [x, y] = [exactOf(a), exactOf(b)];
  if (x.mantissa === 0n && y.mantissa === 0n)
    return exactly(zero(x.negative === y.negative ? x.negative : negativeZero));
  const exponent = Math.min(x.exponent, y.exponent);
  const part = (each: Exact): bigint =>
    (each.negative ? -each.mantissa : each.mantissa) << BigInt(each.exponent - exponent);
  const total = part(x) + part(y);
  if (total === 0n) return exactly(zero(negativeZero));
  return rounded({ negative: total < 0n, mantissa: total < 0n ? -total : total, exponent }, modes);
}

function product(a: Extended, b: Extended, modes: Modes): Result<Extended> {
  const kinds = [kindOf(a), kindOf(b)];
  const negative = isNegative(a) !== isNegative(b);
  if (kinds.includes('infinity')) return kinds.includes('zero') ? invalid() : exactly(infinity(negative));
  if (kinds.includes('zero')) return exactly(zero(negative));
  const [x, y] = [exactOf(a), exactOf(b)];
  return rounded({ negative, mantissa: x.mantissa * y.mantissa, exponent: x.exponent + y.exponent }, modes);
}

function quotient(a: Extended, b: Extended, modes: Modes): Result<Extended> {
  const [first, second] = [kindOf(a), kindOf(b)];
  const negative = isNegative(a) !== isNegative(b);
  if (first === second && (first === 'zero' || first === 'infinity')) return invalid();
  if (first === 'infinity') return exactly(infinity(negative));
  if (second === 'infinity' || first === 'zero') return exactly(zero(negative));
  if (second === 'zero') return exactly(infinity(negative), raised.zeroDivide);
  const [x, y] = [exactOf(a), exactOf(b)];
  // Enough digits, and one below them that says whether there are more.
  const shift = 70 + bitLength(y.mantissa);
  const scaled = x.mantissa << BigInt(shift);
  const whole = scaled / y.mantissa;
  const rest = scaled % y.mantissa === 0n ? 0n : 1n;
  return rounded(
    { negative, mantissa: (whole << 1n) | rest, exponent: x.exponent - y.exponent - shift - 1 },
    modes,
  );
}

const negated = ([mantissa, exponent]: Extended): Extended => [mantissa, exponent ^ signBit];

const computations = {
  add: sum,
  mul: product,
  sub: (a: Extended, b: Extended, modes: Modes) => sum(a, negated(b), modes),
  subr: (a: Extended, b: Extended, modes: Modes) => sum(b, negated(a), modes),
  div: quotient,
  divr: (a: Extended, b: Extended, modes: Modes) => quotient(b, a, modes),
} as const;

/** The result of operands that nothing can be computed of: unsupported ones and NaNs; null for others. */
export function special(a: Extended, b = a): Result<Extended> | null {
  const kinds = [kindOf(a), kindOf(b)];
  if (kinds.includes('unsupported')) return invalid();
  return kinds.some(isNan) ? nanOf(a, b) : null;
}

/** Denormal, where an operand is one. `isDenormal` says that one was it in memory. */
const denormalOf = (operands: readonly Extended[], isDenormal = false): number =>
  isDenormal || operands.some((each) => kindOf(each) === 'denormal') ? raised.denormal : 0;

/** `result` with `bits`, where nothing more serious was raised. */
function unlessSerious<T>(result: Result<T>, bits: number): Result<T> {
  const isSerious = (result.raised & (raised.invalid | raised.zeroDivide)) !== 0;
  return isSerious ? result : { ...result, raised: result.raised | bits };
}

/** `result` with Denormal for its operands, where nothing more serious was raised. */
export const withDenormal = <T>(result: Result<T>, ...operands: readonly Extended[]): Result<T> =>
  unlessSerious(result, denormalOf(operands));

/** `a` and `b` computed with. `isDenormal` says that a value that came from memory was denormal there. */
export function compute(
  operation: keyof typeof computations,
  a: Extended,
  b: Extended,
  modes: Modes,
  isDenormal = false,
): Result<Extended> {
  const found = special(a, b);
  if (found !== null) return found;
  return unlessSerious(computations[operation](a, b, modes), denormalOf([a, b], isDenormal));
}

export type Order = 'less' | 'equal' | 'greater' | 'unordered';

/** `quiet` says that quiet NaNs are no invalid operands. */
export function compare(a: Extended, b: Extended, quiet: boolean, isDenormal = false): Result<Order> {
  const kinds = [kindOf(a), kindOf(b)];
  if (kinds.includes('unsupported')) return exactly('unordered', raised.invalid);
  if (kinds.some(isNan)) {
    return exactly('unordered', quiet && !kinds.includes('signalling') ? 0 : raised.invalid);
  }
  const value = (number: Extended): bigint => {
    const [mantissa, exponent] = number;
    const power = Math.max(exponent & infinite, 1);
    const magnitude = mantissa === 0n ? 0n : (BigInt(power) << 64n) + mantissa;
    return isNegative(number) ? -magnitude : magnitude;
  };
  const [x, y] = [value(a), value(b)];
  return exactly(x < y ? 'less' : x > y ? 'greater' : 'equal', denormalOf([a, b], isDenormal));
}

// Other formats

const small = {
  float32: { digits: 24, smallest: -126, largest: 127, exponentBits: 8 },
  float64: { digits: 53, smallest: -1022, largest: 1023, exponentBits: 11 },
} as const;
export type SmallFormat = keyof typeof small;

/** A number of 32 or 64 bits, which 80 have exactly, and whether it is denormal there. A signalling NaN stays one. */
export function extend(format: SmallFormat, bits: bigint): { value: Extended; isDenormal: boolean } {
  const { digits, exponentBits, smallest, largest } = small[format];
  const fractionBits = BigInt(digits - 1);
  const fraction = bits & ((1n << fractionBits) - 1n);
  const power = Number((bits >> fractionBits) & ((1n << BigInt(exponentBits)) - 1n));
  const sign = (bits >> (fractionBits + BigInt(exponentBits))) & 1n ? signBit : 0;
  const shifted = fraction << (63n - fractionBits);
  if (power === 2 ** exponentBits - 1)
    return { value: [integerBit | shifted, infinite | sign], isDenormal: false };
  if (power !== 0)
    return { value: [integerBit | shifted, (power - largest + bias) | sign], isDenormal: false };
  if (fraction === 0n) return { value: [0n, sign], isDenormal: false };
  const up = 64 - bitLength(shifted);
  return { value: [shifted << BigInt(up), (smallest + bias - up) | sign], isDenormal: true };
}

/** A number of 80 bits in 32 or 64. Where the result is not to be stored, its value means nothing. */
export function narrow(format: SmallFormat, number: Extended, modes: Modes): Result<bigint> {
  const { digits, exponentBits, largest } = small[format];
  const fractionBits = BigInt(digits - 1);
  const sign = (isNegative(number) ? 1n : 0n) << (fractionBits + BigInt(exponentBits));
  const top = (1n << BigInt(exponentBits)) - 1n;
  const kind = kindOf(number);
  const nan = ([mantissa, exponent]: Extended): bigint =>
    (BigInt(exponent >> 15) << (fractionBits + BigInt(exponentBits))) |
    (top << fractionBits) |
    ((mantissa & (integerBit - 1n)) >> (63n - fractionBits));
  if (kind === 'unsupported') return exactly(nan(indefinite), raised.invalid);
  if (isNan(kind)) return exactly(nan(quieted(number)), kind === 'signalling' ? raised.invalid : 0);
  if (kind === 'infinity') return exactly(sign | (top << fractionBits));
  if (kind === 'zero') return exactly(sign);
  const { value, ...rest } = roundTo(exactOf(number), small[format], modes);
  if (value === null) return { value: sign | (top << fractionBits), ...rest };
  const isNormal = value.count >> fractionBits !== 0n;
  const power = isNormal ? BigInt(value.last + bitLength(value.count) - 1 + largest) : 0n;
  const count = value.count >> BigInt(Math.max(0, bitLength(value.count) - digits));
  return { value: sign | (power << fractionBits) | (count & ((1n << fractionBits) - 1n)), ...rest };
}

/** A number of 80 bits as a signed integer, or the smallest one where it does not fit. */
export function integerOf(bits: 16 | 32 | 64, number: Extended, { rounding }: Modes): Result<bigint> {
  const smallest = -(1n << BigInt(bits - 1));
  const kind = kindOf(number);
  if (kind === 'zero') return exactly(0n);
  if (kind !== 'normal' && kind !== 'denormal') return exactly(smallest, raised.invalid);
  const exact = exactOf(number);
  if (exact.exponent > 0) return exactly(smallest, raised.invalid);
  const { count, inexact, up } = cutAt(exact, 0, rounding);
  const value = exact.negative ? -count : count;
  if (value < smallest || value >= -smallest) return exactly(smallest, raised.invalid);
  return { value, raised: inexact ? raised.inexact : 0, up };
}
