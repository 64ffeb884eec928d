import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { compareStrings } from './strings.js';

/** The bytes of a text, as a number of 128 bits with zeros behind them. */
function packed(text: string): bigint {
  return Buffer.from(text, 'latin1').reduceRight((all, byte) => (all << 8n) | BigInt(byte), 0n);
}

interface Outcome {
  readonly result: number;
  readonly index: number;
  readonly carry: boolean;
  readonly zero: boolean;
  readonly sign: boolean;
  readonly overflow: boolean;
}

function outcome(answer: bigint): Outcome {
  const bit = (at: bigint): boolean => ((answer >> at) & 1n) === 1n;
  return {
    result: Number(answer & 0xffffn),
    index: Number(answer >> 24n),
    carry: bit(16n),
    zero: bit(17n),
    sign: bit(18n),
    overflow: bit(19n),
  };
}

/**
 * The same by the manual's own words (SDM, volume 2, 4.1.1 to 4.1.6): all pairs are compared, those with an element behind an end are
 * overridden, and the pairs are aggregated.
 */
function byManual(first: bigint, second: bigint, how: number, lengths: readonly [number, number] | null): Outcome {
  const bits = (how & 1) === 0 ? 8n : 16n;
  const count = Number(128n / bits);
  const read = (value: bigint, at: number): bigint => {
    const raw = (value >> (BigInt(at) * bits)) & ((1n << bits) - 1n);
    return (how & 2) === 0 ? raw : BigInt.asIntN(Number(bits), raw);
  };
  const places = Array.from({ length: count }, (_, at) => at);
  const implied = (value: bigint): number => places.find((at) => read(value, at) === 0n) ?? count;
  const [ends, endsOfSecond] = [lengths?.[0] ?? implied(first), lengths?.[1] ?? implied(second)].map((each) => Math.min(each, count)) as [number, number];
  const aggregation = (how >> 2) & 3;
  const compared = (j: number, i: number): boolean => {
    const [x, y] = [read(first, i), read(second, j)];
    if (aggregation === 1) return i % 2 === 0 ? y >= x : y <= x;
    return x === y;
  };
  const overridden = (j: number, i: number): boolean => {
    const [isIn, isInSecond] = [i < ends, j < endsOfSecond];
    if (isIn && isInSecond) return compared(j, i);
    if (aggregation < 2) return false;
    if (aggregation === 2) return !isIn && !isInSecond;
    return !isIn;
  };
  const found = places.map((j) => {
    if (aggregation === 0) return places.some((i) => overridden(j, i));
    if (aggregation === 1) return places.some((i) => i % 2 === 0 && overridden(j, i) && overridden(j, i + 1));
    if (aggregation === 2) return overridden(j, j);
    return places.slice(0, count - j).every((i) => overridden(j + i, i));
  });
  const polarity = (how >> 4) & 3;
  const final = found.map((each, j) => (polarity === 1 || (polarity === 3 && j < endsOfSecond) ? !each : each));
  const set = places.filter((j) => final[j]);
  return {
    result: set.reduce((all, j) => all | (1 << j), 0),
    index: ((how & 0x40) === 0 ? set[0] : set.at(-1)) ?? count,
    carry: set.length > 0,
    zero: endsOfSecond < count,
    sign: ends < count,
    overflow: final[0] === true,
  };
} // prettier-ignore

describe('strings', () => {
  it('find the first character of a set', () => {
    const found = outcome(compareStrings(packed('xyz,'), packed('name,value'), 0, -1n));
    assert.deepEqual([found.index, found.carry, found.zero, found.sign], [4, true, true, true]);
  });

  it('find what is in no range', () => {
    const found = outcome(compareStrings(packed('azAZ'), packed('hello world'), 0x14, -1n));
    assert.equal(found.index, 5);
  });

  it('find a word, also one that may go on behind the end', () => {
    assert.equal(outcome(compareStrings(packed('world'), packed('hello world'), 0x0c, -1n)).index, 6);
    assert.equal(outcome(compareStrings(packed('worlds'), packed('hello world'), 0x0c, -1n)).index, 16);
    assert.equal(outcome(compareStrings(packed('worlds'), packed('a longer  worlds'), 0x0c, -1n)).index, 10);
    assert.equal(outcome(compareStrings(packed('worlds'), packed('a longer s world'), 0x0c, -1n)).index, 11);
  });

  it('are equal up to the end of both', () => {
    const found = outcome(compareStrings(packed('same'), packed('same'), 0x18, -1n));
    assert.deepEqual([found.result, found.carry, found.index], [0, false, 16]);
  });

  it('have lengths that are given, of words too', () => {
    const found = outcome(compareStrings(0n, 0n, 0x09, (3n << 8n) | 5n));
    // Words 0 to 2 are equal, 3 and 4 are behind one end, the rest behind both.
    assert.equal(found.result, 0b1110_0111);
    assert.deepEqual([found.zero, found.sign, found.overflow], [true, true, true]);
  });

  it('do what the manual says, for any strings, lengths and immediates', () => {
    const small = fc.array(fc.constantFrom(0, 1, 2, 0x61, 0x80, 0xff), { minLength: 16, maxLength: 16 });
    const value = small.map((bytes) => bytes.reduce((all, byte) => (all << 8n) | BigInt(byte), 0n));
    const length = fc.integer({ min: 0, max: 16 });
    const pair = fc.option(fc.tuple(length, length));
    fc.assert(
      fc.property(value, value, fc.integer({ min: 0, max: 0x7f }), pair, (first, second, how, lengths) => {
        const given = lengths === null ? -1n : BigInt(lengths[0] | (lengths[1] << 8));
        assert.deepEqual(
          outcome(compareStrings(first, second, how, given)),
          byManual(first, second, how, lengths),
        );
      }),
      { numRuns: 2000 },
    );
  });
});
