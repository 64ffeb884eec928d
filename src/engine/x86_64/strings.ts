/** Comparisons of strings by SSE4.2 (Intel SDM, volume 2, 4.1). */
import type { Vcpu } from './vcpu.js';

/** What bits of the immediate say. */
const control = { words: 1, signed: 2, aggregationAt: 2, negative: 0x10, masked: 0x20, last: 0x40 } as const;

/** Bits of the answer above the 16 of the result (isa/x86_64/sse/sse42.ts). */
const answerBit = { carry: 16, zero: 17, sign: 18, overflow: 19, index: 24 } as const;

/** A string: its elements, of which the first `length` count. */
interface Text {
  readonly elements: readonly bigint[];
  readonly length: number;
}

/** `length` is null where the string ends at its first 0. */
function textOf(value: bigint, how: number, length: number | null): Text {
  const bits = (how & control.words) === 0 ? 8 : 16;
  const isSigned = (how & control.signed) !== 0;
  const read = (raw: bigint): bigint => (isSigned ? BigInt.asIntN(bits, raw) : BigInt.asUintN(bits, raw));
  const elements = Array.from({ length: 128 / bits }, (_, at) => read(value >> BigInt(at * bits)));
  const end = elements.indexOf(0n);
  const implied = end < 0 ? elements.length : end;
  return { elements, length: Math.min(length ?? implied, elements.length) };
}

/** Whether element `at` of the second string matches. Elements behind an end are as the manual's table 4-7 says. */
type Aggregation = (a: Text, b: Text, at: number) => boolean;

const element = ({ elements }: Text, at: number): bigint => elements[at] ?? 0n;

/** It is one of the first string's elements. */
const equalAny: Aggregation = (a, b, at) =>
  at < b.length && a.elements.slice(0, a.length).includes(element(b, at));

/** It is within a range that two elements of the first string make. */
const ranges: Aggregation = (a, b, at) => {
  if (at >= b.length) return false;
  const value = element(b, at);
  for (let low = 0; low + 1 < a.length; low += 2) {
    if (element(a, low) <= value && value <= element(a, low + 1)) return true;
  }
  return false;
};

/** It is the element of the first string in the same place; both may be behind their ends. */
const equalEach: Aggregation = (a, b, at) =>
  at < a.length && at < b.length ? element(a, at) === element(b, at) : at >= a.length && at >= b.length;

/** The first string begins there, as far as the second one's room goes. */
const equalOrdered: Aggregation = (a, b, at) => {
  for (let place = at; place < b.elements.length && place - at < a.length; place += 1) {
    if (place >= b.length || element(a, place - at) !== element(b, place)) return false;
  }
  return true;
};

const aggregations = [equalAny, ranges, equalEach, equalOrdered] as const;

/**
 * Compares two strings of 128 bits by the immediate `how`. `lengths` has that of the first one and, from bit 8 on, that of the second;
 * -1 where both end at a 0. The answer has the result's bits, the flags, and the index of the first or last element that was found.
 */
export function compareStrings(first: bigint, second: bigint, how: number, lengths: bigint): bigint {
  const length = (at: bigint): number | null => (lengths < 0n ? null : Number((lengths >> at) & 0xffn));
  const [a, b] = [textOf(first, how, length(0n)), textOf(second, how, length(8n))];
  const count = a.elements.length;
  const aggregate = aggregations[((how >> control.aggregationAt) & 3) as 0 | 1 | 2 | 3];
  let result = 0;
  for (let at = 0; at < count; at += 1) if (aggregate(a, b, at)) result |= 1 << at;
  const all = 2 ** count - 1;
  if ((how & control.negative) !== 0) result ^= (how & control.masked) === 0 ? all : 2 ** b.length - 1;
  const isLast = (how & control.last) !== 0;
  const lowest = 31 - Math.clz32(result & -result);
  const index = result === 0 ? count : isLast ? 31 - Math.clz32(result) : lowest;
  const flag = (isSet: boolean, place: number): number => (isSet ? 1 << place : 0);
  return BigInt(
    result |
      flag(result !== 0, answerBit.carry) |
      flag(b.length < count, answerBit.zero) |
      flag(a.length < count, answerBit.sign) |
      flag((result & 1) !== 0, answerBit.overflow) |
      (index << answerBit.index),
  );
}

const whole = (low: bigint, high: bigint): bigint =>
  BigInt.asUintN(64, low) | (BigInt.asUintN(64, high) << 64n);

/** What an instruction gives of its strings before it asks how they compare. */
export function noteString(cpu: Vcpu, which: 0 | 1, low: bigint, high: bigint): void {
  cpu.strings[which] = whole(low, high);
}

export function compareNoted(cpu: Vcpu, how: bigint, lengths: bigint): bigint {
  return compareStrings(cpu.strings[0], cpu.strings[1], Number(how), BigInt.asIntN(64, lengths));
}
