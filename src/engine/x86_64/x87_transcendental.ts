/**
 * The transcendental functions of x87, rounded correctly (Intel SDM, volume 1, 8.3.10 asks for an error below one unit in the last
 * place). Angles are reduced by a pi of 66 bits, as Intel's and AMD's CPUs do it.
 */
import { bitLength } from '../float/formats.js';
import { whole } from './x87_exact.js';
import {
  exactly,
  exactOf,
  infinity,
  invalid,
  isNegative,
  kindOf,
  one,
  raised,
  rounded,
  special,
  withDenormal,
  zero,
} from './x87_numbers.js';
import type { Exact, Extended, Modes, Result } from './x87_numbers.js';
import * as series from './x87_series.js';
import type { Real } from './x87_series.js';

/** Bits that are computed: more where they leave open how a result is rounded. */
const precisions = [192, 448, 1200] as const;
/** Digits that decide the rounding, and a few more. */
const deciding = 68;
/** Below this power of two the first term of a series that begins with x is all of it but for the direction of the rest. */
const tiny = -72;

const realOf = ({ negative, mantissa, exponent }: Exact): Real => ({
  mantissa: negative ? -mantissa : mantissa,
  exponent,
});

const size = ({ mantissa, exponent }: Real): number =>
  bitLength(mantissa < 0n ? -mantissa : mantissa) + exponent;

/** Rounds an irrational number that `approximate` computes with so many bits. */
function round(approximate: (bits: number) => Real, modes: Modes): Result<Extended> {
  let found: Exact = { negative: false, mantissa: 1n, exponent: 0 };
  for (const bits of precisions) {
    const { mantissa, exponent } = approximate(bits);
    const magnitude = mantissa < 0n ? -mantissa : mantissa;
    // The bit below says that there are more digits.
    found = { negative: mantissa < 0n, mantissa: (magnitude << 1n) | 1n, exponent: exponent - 1 };
    const length = bitLength(magnitude);
    const scale = 1n << BigInt(length - deciding);
    const rest = magnitude & (scale - 1n);
    const margin = 1n << BigInt(Math.max(0, length - bits + 12));
    if (rest > margin && rest < scale - margin) break;
  }
  return rounded(found, whole(modes));
}

/** A number next to `x` in the direction of zero or away from it. */
function beside(x: Exact, direction: -1n | 1n, modes: Modes): Result<Extended> {
  const mantissa = (x.mantissa << 80n) + direction;
  return rounded({ ...x, mantissa, exponent: x.exponent - 80 }, whole(modes));
}

/** An exact result. Inexact is raised all the same, as CPUs do it, and so Underflow where the result is denormal. */
function asInexact(result: Result<Extended>): Result<Extended> {
  const isTinyResult = kindOf(result.value) === 'denormal';
  return { ...result, raised: result.raised | raised.inexact | (isTinyResult ? raised.underflow : 0) };
}

const negated = (x: Real): Real => ({ ...x, mantissa: -x.mantissa });
const signed = (x: Real, negative: boolean): Real => (negative ? negated(x) : x);

// Constants

const logarithms = { ln2: series.ln2, ln10: series.ln10 };
const ratio = (a: keyof typeof logarithms | null, b: keyof typeof logarithms | null, bits: number): Real =>
  series.quotient(
    { mantissa: a === null ? 1n << BigInt(bits) : logarithms[a](bits), exponent: 0 },
    { mantissa: b === null ? 1n << BigInt(bits) : logarithms[b](bits), exponent: 0 },
    bits,
  );

const constants = {
  log2Of10: (bits: number): Real => ratio('ln10', 'ln2', bits),
  log2OfE: (bits: number): Real => ratio(null, 'ln2', bits),
  pi: (bits: number): Real => ({ mantissa: series.pi(bits), exponent: -bits }),
  log10Of2: (bits: number): Real => ratio('ln2', 'ln10', bits),
  lnOf2: (bits: number): Real => ({ mantissa: series.ln2(bits), exponent: -bits }),
} as const;

/** A constant, rounded as the control word says. */
export function constant(name: keyof typeof constants, modes: Modes): Extended {
  return round(constants[name], modes).value;
}

// Powers and logarithms

export function powerMinusOne(a: Extended, modes: Modes): Result<Extended> {
  const found = special(a);
  if (found !== null) return found;
  const kind = kindOf(a);
  if (kind === 'zero') return exactly(a);
  if (kind === 'infinity') return exactly(isNegative(a) ? [1n << 63n, 0xbfff] : a);
  const exact = exactOf(a);
  const real = realOf(exact);
  // Beyond 1 and -1 the manual leaves the result undefined; CPUs leave the operand.
  if (size(real) >= 1) {
    const isMinusOne = exact.negative && isOne([a[0], a[1] & 0x7fff]);
    return asInexact(exactly(isMinusOne ? [1n << 63n, 0xbffe] : a));
  }
  return withDenormal(
    round((bits) => series.powerMinusOne(real, bits), modes),
    a,
  );
}

/** The sign that a logarithm of x has beside that of the factor: whether x is below 1. */
const inverts = (a: Extended): boolean => size(realOf(exactOf(a))) <= 0;

const isOne = ([mantissa, exponent]: Extended): boolean => mantissa === one[0] && exponent === one[1];

/** The logarithm of `a` to base 2, times `b`, where one of both is zero or infinity, or `a` is negative; null elsewhere. */
function extremeLogarithm(a: Extended, b: Extended): Result<Extended> | null {
  const [first, second] = [kindOf(a), kindOf(b)];
  if (first === 'zero') {
    if (second === 'zero') return invalid();
    return exactly(infinity(!isNegative(b)), second === 'infinity' ? 0 : raised.zeroDivide);
  }
  if (isNegative(a)) return invalid();
  if (first === 'infinity') return second === 'zero' ? invalid() : exactly(infinity(isNegative(b)));
  if (second === 'infinity') return isOne(a) ? invalid() : exactly(infinity(isNegative(b) !== inverts(a)));
  if (second === 'zero') return exactly(zero(isNegative(b) !== inverts(a)));
  return null;
}

/** FYL2X. */
export function logarithm(a: Extended, b: Extended, modes: Modes): Result<Extended> {
  const found = special(a, b);
  if (found !== null) return found;
  const extreme = extremeLogarithm(a, b);
  if (extreme !== null) return withDenormal(extreme, a, b);
  return withDenormal(finiteLogarithm(exactOf(a), exactOf(b), modes), a, b);
}

/** The logarithm of `x`, which is positive, to base 2, times `y`. */
function finiteLogarithm(x: Exact, y: Exact, modes: Modes): Result<Extended> {
  const digits = bitLength(x.mantissa);
  // 2 to the `power` times a number from 3/4 to 3/2, of which `rest` is what there is beside 1.
  const isUpper = digits > 1 && ((x.mantissa >> BigInt(digits - 2)) & 3n) === 3n;
  const power = x.exponent + digits - (isUpper ? 0 : 1);
  const exponent = x.exponent - power;
  const rest = { mantissa: x.mantissa - (1n << BigInt(-exponent)), exponent };
  if (rest.mantissa === 0n) {
    if (power === 0) return exactly(zero(y.negative));
    const mantissa = y.mantissa * BigInt(Math.abs(power));
    return asInexact(rounded({ ...y, negative: y.negative !== power < 0, mantissa }, whole(modes)));
  }
  return round((bits) => {
    const part = series.logarithmOfSum(rest, bits);
    if (power === 0) return series.product(part, realOf(y));
    const last = Math.min(part.exponent, -bits);
    const sum = (part.mantissa << BigInt(part.exponent - last)) + (BigInt(power) << BigInt(-last));
    return series.product({ mantissa: sum, exponent: last }, realOf(y));
  }, modes);
}

/**
 * FYL2XP1. Below and above the range that the manual gives it is computed all the same; where there is no logarithm, CPUs leave the
 * operand.
 */
export function logarithmOfSum(a: Extended, b: Extended, modes: Modes): Result<Extended> {
  const found = special(a, b);
  if (found !== null) return found;
  const [first, second] = [kindOf(a), kindOf(b)];
  const negative = isNegative(a) !== isNegative(b);
  if (first === 'zero') return second === 'infinity' ? invalid() : withDenormal(exactly(zero(negative)), b);
  if (first === 'infinity') {
    return isNegative(a) || second === 'zero' ? invalid() : withDenormal(exactly(infinity(negative)), b);
  }
  const x = exactOf(a);
  if (second === 'infinity') return withDenormal(exactly(infinity(negative)), a);
  if (second === 'zero') return withDenormal(exactly(zero(negative)), a);
  if (x.negative && size(realOf(x)) >= 1) return withDenormal(asInexact(exactly(a)), a, b);
  const y = exactOf(b);
  const result =
    size(realOf(x)) > -1
      ? finiteLogarithm(onePlus(x), y, modes)
      : round((bits) => series.product(series.logarithmOfSum(realOf(x), bits), realOf(y)), modes);
  return withDenormal(result, a, b);
}

/** 1 + x, for x above -1. */
function onePlus(x: Exact): Exact {
  const exponent = Math.min(x.exponent, 0);
  const mantissa = (realOf(x).mantissa << BigInt(x.exponent - exponent)) + (1n << BigInt(-exponent));
  return { negative: false, mantissa, exponent };
}

// Angles

/** Half of pi, with the 66 bits that pi has for reductions. */
const quarterTurn = { mantissa: 0xc90fdaa22168c234cn, exponent: -67 } as const;

/** Whether FSIN and the like compute of an operand at all: finite ones have to be below 2 to the 63. */
export function reducible(a: Extended): boolean {
  const kind = kindOf(a);
  return kind !== 'normal' || (a[1] & 0x7fff) < 0x3fff + 63;
}

/** An angle as a number of quarter turns, and what is left. */
function reduced(a: Extended): { readonly turns: number; readonly rest: Real } {
  const real = realOf(exactOf(a));
  const exponent = Math.min(real.exponent, quarterTurn.exponent);
  if (size(real) < 0) return { turns: 0, rest: real };
  const mantissa = real.mantissa << BigInt(real.exponent - exponent);
  const turn = quarterTurn.mantissa << BigInt(quarterTurn.exponent - exponent);
  const doubled = 2n * mantissa + turn;
  // Rounded down, also below 0.
  const count = doubled / (2n * turn) - (doubled < 0n ? 1n : 0n);
  return { turns: Number(BigInt.asUintN(2, count)), rest: { mantissa: mantissa - count * turn, exponent } };
}

/** The result for an angle that has none, or is 0; null for others. */
function extremeAngle(a: Extended, ofZero: Extended): Result<Extended> | null {
  const found = special(a);
  if (found !== null) return found;
  const kind = kindOf(a);
  return kind === 'infinity' ? invalid() : kind === 'zero' ? exactly(ofZero) : null;
}

/** The sine of an angle that is so many quarter turns larger. */
function sineOf(a: Extended, more: 0 | 1, modes: Modes): Result<Extended> {
  const { turns, rest } = reduced(a);
  const quarter = (turns + more) & 3;
  const compute = (quarter & 1) === 0 ? series.sine : series.cosine;
  return round((bits) => signed(compute(rest, bits), quarter >= 2), modes);
}

const isTiny = (a: Extended): boolean => size(realOf(exactOf(a))) < tiny;

export function sine(a: Extended, modes: Modes): Result<Extended> {
  const extreme = extremeAngle(a, a);
  if (extreme !== null) return extreme;
  return withDenormal(isTiny(a) ? beside(exactOf(a), -1n, modes) : sineOf(a, 0, modes), a);
}

export function cosine(a: Extended, modes: Modes): Result<Extended> {
  const extreme = extremeAngle(a, one);
  if (extreme !== null) return extreme;
  return withDenormal(isTiny(a) ? beside(exactOf(one), -1n, modes) : sineOf(a, 1, modes), a);
}

export function tangent(a: Extended, modes: Modes): Result<Extended> {
  const extreme = extremeAngle(a, a);
  if (extreme !== null) return extreme;
  if (isTiny(a)) return withDenormal(beside(exactOf(a), 1n, modes), a);
  const { turns, rest } = reduced(a);
  const result = round((bits) => {
    const [sin, cos] = [series.sine(rest, bits), series.cosine(rest, bits)];
    return (turns & 1) === 0 ? series.quotient(sin, cos, bits) : negated(series.quotient(cos, sin, bits));
  }, modes);
  return withDenormal(result, a);
}

/** Eighths of pi times `count`, times 8. */
const eighths = (count: bigint, bits: number): Real => ({
  mantissa: count * series.pi(bits),
  exponent: -bits - 3,
});

/** FPATAN: the angle of the point with x in ST(0) and y in ST(1). */
export function arctangent(a: Extended, b: Extended, modes: Modes): Result<Extended> {
  const found = special(a, b);
  if (found !== null) return found;
  const [first, second] = [kindOf(a), kindOf(b)];
  const [left, negative] = [isNegative(a), isNegative(b)];
  const turn = (count: bigint): Result<Extended> =>
    withDenormal(
      round((bits) => signed(eighths(count, bits), negative), modes),
      a,
      b,
    );
  if (second === 'infinity') return turn(first === 'infinity' ? (left ? 6n : 2n) : 4n);
  if (second === 'zero' || first === 'infinity') {
    return left ? turn(8n) : withDenormal(exactly(zero(negative)), a, b);
  }
  if (first === 'zero') return turn(4n);
  const result = angleOf(
    { ...exactOf(a), negative: false },
    { ...exactOf(b), negative: false },
    left,
    negative,
    modes,
  );
  return withDenormal(result, a, b);
}

function angleOf(x: Exact, y: Exact, left: boolean, negative: boolean, modes: Modes): Result<Extended> {
  const difference = Math.min(x.exponent, y.exponent);
  const isSteep =
    y.mantissa << BigInt(y.exponent - difference) > x.mantissa << BigInt(x.exponent - difference);
  const [small, large] = isSteep ? [x, y] : [y, x];
  const far = size(small) - size(large);
  if (!isSteep && !left && far < tiny) return smallAngle(y, x, negative, modes);
  const approximate = (bits: number): Real => {
    // Too small to matter beside a multiple of pi.
    const own =
      far < -bits - 80 && (isSteep || left)
        ? { mantissa: 1n, exponent: -bits - 80 }
        : series.arctangent(series.quotient(small, large, bits), bits);
    if (!isSteep && !left) return signed(own, negative);
    const from = eighths(isSteep ? 4n : 8n, bits);
    const last = Math.min(own.exponent, from.exponent);
    const part = own.mantissa << BigInt(own.exponent - last);
    const whole = from.mantissa << BigInt(from.exponent - last);
    return signed({ mantissa: isSteep && left ? whole + part : whole - part, exponent: last }, negative);
  };
  return round(approximate, modes);
}

/** An angle that is a little less than the quotient of y and x. */
function smallAngle(y: Exact, x: Exact, negative: boolean, modes: Modes): Result<Extended> {
  const shift = 200n;
  const scaled = y.mantissa << shift;
  const mantissa = scaled / x.mantissa;
  const exponent = y.exponent - x.exponent - Number(shift);
  const below = scaled % x.mantissa === 0n ? (mantissa << 1n) - 1n : (mantissa << 1n) | 1n;
  return rounded({ negative, mantissa: below, exponent: exponent - 1 }, whole(modes));
}
