/**
 * What x87 computes exactly, or rounds correctly by a few integer operations (Intel SDM, volume 2): FSQRT, FRNDINT, FSCALE, FXTRACT,
 * FPREM, FPREM1, and decimals of 18 digits.
 */
import { bitLength } from '../float/formats.js';
import {
  bias,
  cutAt,
  exactly,
  exactOf,
  infinity,
  integral,
  invalid,
  isNegative,
  kindOf,
  raised,
  rounded,
  signBit,
  special,
  withDenormal,
  zero,
} from './x87_numbers.js';
import type { Exact, Extended, Modes, Result } from './x87_numbers.js';

/** Results that precision control does not shorten. */
export const whole = (modes: Modes): Modes => ({ ...modes, digits: 64 });

/** The largest integer whose square is not above `value`. */
export function integerRoot(value: bigint): bigint {
  if (value === 0n) return 0n;
  let root = 1n << BigInt((bitLength(value) + 1) >> 1);
  for (;;) {
    const next = (root + value / root) >> 1n;
    if (next >= root) return root;
    root = next;
  }
}

export function squareRoot(a: Extended, modes: Modes): Result<Extended> {
  const found = special(a);
  if (found !== null) return found;
  const kind = kindOf(a);
  if (kind === 'zero') return exactly(a);
  if (isNegative(a)) return invalid();
  if (kind === 'infinity') return exactly(a);
  const { mantissa, exponent } = exactOf(a);
  // Enough digits, and one below them that says whether there are more. The exponent has to be even.
  const shift = 160 - bitLength(mantissa) + ((160 - bitLength(mantissa) + exponent) & 1);
  const scaled = mantissa << BigInt(shift);
  const root = integerRoot(scaled);
  const rest = root * root === scaled ? 0n : 1n;
  const result = rounded(
    { negative: false, mantissa: (root << 1n) | rest, exponent: (exponent - shift) / 2 - 1 },
    modes,
  );
  return withDenormal(result, a);
}

export function toIntegral(a: Extended, { rounding }: Modes): Result<Extended> {
  const found = special(a);
  if (found !== null) return found;
  const kind = kindOf(a);
  const exact = exactOf(a);
  if (kind === 'zero' || kind === 'infinity' || exact.exponent >= 0) return exactly(a);
  const { count, inexact, up } = cutAt(exact, 0, rounding);
  const value = integral(exact.negative, count);
  return withDenormal({ value, raised: inexact ? raised.inexact : 0, up }, a);
}

/** More than any exponent that can matter. */
const mostScale = 0x10000n;

export function scale(a: Extended, b: Extended, modes: Modes): Result<Extended> {
  const found = special(a, b);
  if (found !== null) return found;
  const [first, second] = [kindOf(a), kindOf(b)];
  if (second === 'infinity') {
    if (isNegative(b))
      return first === 'infinity' ? invalid() : withDenormal(exactly(zero(isNegative(a))), a);
    return first === 'zero' ? invalid() : withDenormal(exactly(infinity(isNegative(a))), a);
  }
  if (first === 'zero' || first === 'infinity') return withDenormal(exactly(a), b);
  const by = exactOf(b);
  const { count } = by.exponent > 0 ? { count: mostScale } : cutAt(by, 0, 'zero');
  const steps = Number(count > mostScale ? mostScale : count) * (by.negative ? -1 : 1);
  const exact = exactOf(a);
  return withDenormal(rounded({ ...exact, exponent: exact.exponent + steps }, whole(modes)), a, b);
}

/** FXTRACT: exponent and significand. */
export function extract(a: Extended): { exponent: Extended; significand: Result<Extended> } {
  const found = special(a);
  if (found !== null) return { exponent: found.value, significand: found };
  const kind = kindOf(a);
  if (kind === 'infinity') return { exponent: infinity(false), significand: exactly(a) };
  if (kind === 'zero') return { exponent: infinity(true), significand: exactly(a, raised.zeroDivide) };
  const { negative, mantissa, exponent } = exactOf(a);
  const power = exponent + bitLength(mantissa) - 1;
  const shifted = mantissa << BigInt(64 - bitLength(mantissa));
  return {
    exponent: integral(power < 0, BigInt(Math.abs(power))),
    significand: withDenormal(exactly([shifted, bias | (negative ? signBit : 0)]), a),
  };
}

/** The quotient's value, or that the remainder is only a partial one, or that there is none. */
export interface Remainder {
  readonly result: Result<Extended>;
  readonly quotient: bigint | 'partial' | 'none';
}

const leading = ({ mantissa, exponent }: Exact): number => exponent + bitLength(mantissa) - 1;

/** Whether the next integer is nearer to a quotient with a rest, or as near and even. */
const roundsUp = (quotient: bigint, doubledRest: bigint, divisor: bigint): boolean =>
  doubledRest > divisor || (doubledRest === divisor && (quotient & 1n) === 1n);

/** FPREM, and with `isNearest` FPREM1. */
export function remainder(a: Extended, b: Extended, modes: Modes, isNearest: boolean): Remainder {
  const without = (result: Result<Extended>): Remainder => ({ result, quotient: 'none' });
  const found = special(a, b);
  if (found !== null) return without(found);
  const [first, second] = [kindOf(a), kindOf(b)];
  if (first === 'infinity' || second === 'zero') return without(invalid());
  if (first === 'zero' || second === 'infinity') {
    // As it is, but a result all the same: a denormal one may raise Underflow.
    const own = first === 'zero' ? exactly(a) : rounded(exactOf(a), whole(modes));
    return { result: withDenormal(own, a, b), quotient: 0n };
  }
  const [x, y] = [exactOf(a), exactOf(b)];
  const distance = leading(x) - leading(y);
  // How far it goes at once where the exponents are far apart is up to the CPU: by 32 to 63 powers of two.
  const left = distance < 64 ? 0 : distance - (32 + (distance & 31));
  const exponent = Math.min(x.exponent, y.exponent + left);
  const dividend = x.mantissa << BigInt(x.exponent - exponent);
  const divisor = y.mantissa << BigInt(y.exponent + left - exponent);
  const quotient = dividend / divisor;
  const rest = dividend % divisor;
  const isUp = isNearest && left === 0 && roundsUp(quotient, 2n * rest, divisor);
  const mantissa = isUp ? divisor - rest : rest;
  const negative = x.negative !== isUp;
  const result =
    mantissa === 0n ? exactly(zero(x.negative)) : rounded({ negative, mantissa, exponent }, whole(modes));
  return {
    result: withDenormal(result, a, b),
    quotient: left === 0 ? quotient + (isUp ? 1n : 0n) : 'partial',
  };
}

// Decimals: 18 digits of four bits, and a sign in the last bit of 80

const decimalDigits = 18n;
const decimalSign = 1n << 79n;
/** What is stored of what has no such decimal. */
const decimalIndefinite = 0xffffc000000000000000n;

export function ofDecimal(bits: bigint): Extended {
  let count = 0n;
  for (let digit = decimalDigits - 1n; digit >= 0n; digit -= 1n)
    count = count * 10n + ((bits >> (4n * digit)) & 15n);
  return integral((bits & decimalSign) !== 0n, count);
}

export function toDecimal(a: Extended, { rounding }: Modes): Result<bigint> {
  const kind = kindOf(a);
  if (kind === 'zero') return exactly(isNegative(a) ? decimalSign : 0n);
  const exact = exactOf(a);
  const isNumber = kind === 'normal' || kind === 'denormal';
  if (!isNumber || exact.exponent > 0) return exactly(decimalIndefinite, raised.invalid);
  const { count, inexact, up } = cutAt(exact, 0, rounding);
  if (count >= 10n ** decimalDigits) return exactly(decimalIndefinite, raised.invalid);
  const digits = BigInt(`0x${count.toString(10)}`);
  const value = exact.negative ? digits | decimalSign : digits;
  return { value, raised: inexact ? raised.inexact : 0, up };
}
