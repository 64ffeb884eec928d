/**
 * Functions and constants of real numbers by integer arithmetic, so that they are the same everywhere. `bits` is how many bits behind
 * the point are computed; numbers of so many are integers here. Each result is off by less than 2 to the `10 - bits` of its size.
 */
import { bitLength } from '../float/formats.js';
import { integerRoot } from './x87_exact.js';

/** `mantissa`, which may be negative, times 2 to the `exponent`. */
export interface Real {
  readonly mantissa: bigint;
  readonly exponent: number;
}

const absolute = (value: bigint): bigint => (value < 0n ? -value : value);

function shifted(value: bigint, by: number): bigint {
  return by >= 0 ? value << BigInt(by) : value >> BigInt(-by);
}

/** The number with `bits` bits behind the point. */
function fixed({ mantissa, exponent }: Real, bits: number): bigint {
  return mantissa < 0n ? -shifted(-mantissa, exponent + bits) : shifted(mantissa, exponent + bits);
}

/** The number with a mantissa of `bits` bits. */
function normal({ mantissa, exponent }: Real, bits: number): Real {
  const by = bits - bitLength(absolute(mantissa));
  return { mantissa: fixed({ mantissa, exponent: 0 }, by), exponent: exponent - by };
}

export function quotient(a: Real, b: Real, bits: number): Real {
  const by = Math.max(0, bits + 2 + bitLength(absolute(b.mantissa)) - bitLength(absolute(a.mantissa)));
  return { mantissa: (a.mantissa << BigInt(by)) / b.mantissa, exponent: a.exponent - b.exponent - by };
}

export function product(a: Real, b: Real): Real {
  return { mantissa: a.mantissa * b.mantissa, exponent: a.exponent + b.exponent };
}

type Sign = 1n | -1n;

/** 1 + the sum of terms, each the one before it times `sign` times `factor` over the divisor of its number from 1 on. */
function sumOf(factor: bigint, sign: Sign, bits: number, divisor: (index: bigint) => bigint): bigint {
  const places = BigInt(bits);
  let term = 1n << places;
  let sum = term;
  for (let index = 1n; term !== 0n; index += 1n) {
    // Magnitudes are cut off, so that they come to 0.
    term = ((term * factor) >> places) / divisor(index);
    sum += sign === -1n && (index & 1n) === 1n ? -term : term;
  }
  return sum;
}

/** The sum of `square` to the n over 2n + 1: artanh(z) / z, or with a negative sign arctan(z) / z. */
function inverseTangentSum(square: bigint, sign: Sign, bits: number): bigint {
  const places = BigInt(bits);
  let power = 1n << places;
  let sum = power;
  for (let index = 1n; power !== 0n; index += 1n) {
    power = (power * square) >> places;
    const term = power / (2n * index + 1n);
    sum += sign === -1n && (index & 1n) === 1n ? -term : term;
  }
  return sum;
}

// Constants

const known = new Map<string, bigint>();

function once(name: string, bits: number, compute: () => bigint): bigint {
  const key = `${name} ${bits}`;
  const before = known.get(key);
  if (before !== undefined) return before;
  const value = compute();
  known.set(key, value);
  return value;
}

/** artanh(1 / n), or with a negative sign arctan(1 / n). */
function ofInverse(n: bigint, sign: Sign, bits: number): bigint {
  const one = 1n << BigInt(bits);
  return inverseTangentSum(one / (n * n), sign, bits) / n;
}

const extra = 32;
const withExtra = (bits: number, compute: (more: number) => bigint) => (): bigint =>
  compute(bits + extra) >> BigInt(extra);

/** The natural logarithms of 2 and 10, and pi, by Machin's formula. */
export const ln2 = (bits: number): bigint =>
  once('ln 2', bits, withExtra(bits, (more) => 2n * ofInverse(3n, 1n, more))); // prettier-ignore
export const ln10 = (bits: number): bigint =>
  once('ln 10', bits, withExtra(bits, (more) => 3n * ln2(more) + 2n * ofInverse(9n, 1n, more))); // prettier-ignore
export const pi = (bits: number): bigint =>
  once('pi', bits, withExtra(bits, (more) => 16n * ofInverse(5n, -1n, more) - 4n * ofInverse(239n, -1n, more))); // prettier-ignore

// Functions

/** 2 to the x, less 1, for x from -1 to 1 but 0. */
export function powerMinusOne(x: Real, bits: number): Real {
  const { mantissa, exponent } = normal(x, bits);
  const scaled = { mantissa: (mantissa * ln2(bits)) >> BigInt(bits), exponent };
  const t = fixed(scaled, bits);
  const sum = sumOf(absolute(t), t < 0n ? -1n : 1n, bits, (index) => index + 1n);
  return { mantissa: scaled.mantissa * sum, exponent: exponent - bits };
}

/** The logarithm to base 2 of 1 + x, for 1 + x from 1/2 to 2 but 1. */
export function logarithmOfSum(x: Real, bits: number): Real {
  const one = { mantissa: 2n, exponent: 0 };
  const exponent = Math.min(x.exponent, -bits - 80);
  // x / (2 + x), whose sum is exact unless x is so small that it does not matter.
  const whole: Real =
    x.exponent < -bits - 80 && bitLength(absolute(x.mantissa)) + x.exponent < -bits - 10
      ? one
      : { mantissa: fixed(one, -exponent) + fixed(x, -exponent), exponent };
  const z = normal(quotient(x, whole, bits), bits);
  const square = fixed({ mantissa: z.mantissa * z.mantissa, exponent: 2 * z.exponent }, bits);
  const sum = inverseTangentSum(square, 1n, bits);
  return quotient(
    { mantissa: 2n * z.mantissa * sum, exponent: z.exponent },
    { mantissa: ln2(bits), exponent: 0 },
    bits,
  );
}

/** The sine of x, for x from -1 to 1 but 0. */
export function sine(x: Real, bits: number): Real {
  const { mantissa, exponent } = normal(x, bits);
  const t = fixed(x, bits);
  const square = (t * t) >> BigInt(bits);
  const sum = sumOf(square, -1n, bits, (index) => 2n * index * (2n * index + 1n));
  return { mantissa: mantissa * sum, exponent: exponent - bits };
}

export function cosine(x: Real, bits: number): Real {
  const t = fixed(x, bits);
  const square = (t * t) >> BigInt(bits);
  const sum = sumOf(square, -1n, bits, (index) => 2n * index * (2n * index - 1n));
  return { mantissa: sum, exponent: -bits };
}

/** How often an arctangent is halved. */
const halvings = 3;

/** The arctangent of x above 0 and up to 1. */
export function arctangent(x: Real, bits: number): Real {
  const start = normal(x, bits);
  if (bitLength(start.mantissa) + start.exponent <= -halvings) return smallArctangent(start, bits);
  let z = fixed(start, bits);
  const one = 1n << BigInt(bits);
  for (let time = 0; time < halvings; time += 1) {
    const root = integerRoot(one * one + z * z);
    z = (z << BigInt(bits)) / (one + root);
  }
  return smallArctangent({ mantissa: z << BigInt(halvings), exponent: -bits }, bits, halvings);
}

/** Of x over 2 to the `less`, times the same. */
function smallArctangent(x: Real, bits: number, less = 0): Real {
  const t = fixed({ mantissa: x.mantissa, exponent: x.exponent - less }, bits);
  const sum = inverseTangentSum((t * t) >> BigInt(bits), -1n, bits);
  return { mantissa: x.mantissa * sum, exponent: x.exponent - bits };
}
