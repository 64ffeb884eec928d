/** Comparison, minimum and maximum (IEEE 754). */
import type { FloatFormat } from '../../isa/index.js';
import { nanOf } from './arithmetic.js';
import { exceptions } from './context.js';
import type { FloatContext } from './context.js';
import { infinity, isNan, unpack, zero } from './formats.js';
import type { Unpacked } from './formats.js';

/**
 * A signed integer that orders the numbers of one format: the bits of the magnitude, with the sign. -0 and +0 are
 * equal.
 */
function rank({ kind, negative, bits }: Unpacked, format: FloatFormat): bigint {
  if (kind === 'zero') return 0n;
  const magnitude = BigInt.asUintN(format - 1, bits);
  return negative ? -magnitude : magnitude;
}

/**
 * -1, 0 or 1; null if one operand is a NaN. Raises Invalid for a signalling NaN, or for any NaN if `signalling` is set.
 */
function compareNumbers(
  context: FloatContext,
  format: FloatFormat,
  first: bigint,
  second: bigint,
  signalling: boolean,
): -1 | 0 | 1 | null {
  const operands = [unpack(context, format, first), unpack(context, format, second)] as const;
  if (operands.some(isNan)) {
    if (signalling || operands.some(({ kind }) => kind === 'signalling')) context.raise(exceptions.invalid);
    return null;
  }
  const [a, b] = operands.map((operand) => rank(operand, format)) as [bigint, bigint];
  return a === b ? 0 : a < b ? -1 : 1;
}

/** A comparison as four bits: see `compare` in isa/float_micro_ops.ts. */
export function compare(
  context: FloatContext,
  format: FloatFormat,
  first: bigint,
  second: bigint,
  signalling: boolean,
): bigint {
  const order = compareNumbers(context, format, first, second, signalling);
  if (order === null) return 0b0011n;
  return order === 0 ? 0b0110n : order < 0 ? 0b1000n : 0b0010n;
}

/** The result of a comparison as 1 or 0. */
export function test(
  context: FloatContext,
  format: FloatFormat,
  kind: 'eq' | 'ge' | 'gt',
  first: bigint,
  second: bigint,
): bigint {
  const order = compareNumbers(context, format, first, second, kind !== 'eq');
  if (order === null) return 0n;
  const holds = { eq: order === 0, ge: order >= 0, gt: order > 0 }[kind];
  return holds ? 1n : 0n;
}

/** The larger or smaller number. +0 is larger than -0. */
export function extreme(
  context: FloatContext,
  format: FloatFormat,
  larger: boolean,
  first: bigint,
  second: bigint,
): bigint {
  const [a, b] = [unpack(context, format, first), unpack(context, format, second)];
  const nan = nanOf(context, format, [a, b]);
  if (nan !== null) return nan;
  if (a.kind === 'zero' && b.kind === 'zero') {
    return zero(format, larger ? a.negative && b.negative : a.negative || b.negative);
  }
  const isFirst = larger === rank(a, format) > rank(b, format);
  return isFirst ? a.bits : b.bits;
}

/** The larger or smaller number, as `extreme`, but a number is preferred to a quiet NaN. */
export function extremeNumber(
  context: FloatContext,
  format: FloatFormat,
  larger: boolean,
  first: bigint,
  second: bigint,
): bigint {
  const [a, b] = [unpack(context, format, first), unpack(context, format, second)];
  const loser = infinity(format, larger);
  if (a.kind === 'quiet' && b.kind !== 'quiet') return extreme(context, format, larger, loser, second);
  if (b.kind === 'quiet' && a.kind !== 'quiet') return extreme(context, format, larger, first, loser);
  return extreme(context, format, larger, first, second);
}
