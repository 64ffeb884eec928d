/** The same inputs and seed give the same run; another seed another order. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { hashValue } from '../../src/base/index.js';
import { bootStock, skip } from './kernel.js';

describe('a boot', { skip }, () => {
  it('is the same again, event by event and byte by byte', () => {
    const [one, other] = [bootStock(), bootStock()];
    assert.ok(one.console.length > 10_000);
    assert.equal(one.console, other.console);
    assert.deepEqual(one.events, other.events);
    assert.equal(one.instructions, other.instructions);
  });

  it('takes another course with another seed, and every rule holds on each', () => {
    const seeds = Array.from({ length: 10 }, (_, seed) => seed);
    const courses = seeds.map((seed) => {
      const { outcome, findings, events } = bootStock({ seed, until: { kind: 'userspace' } });
      assert.deepEqual([outcome, findings], ['userspace', []], `seed ${seed}`);
      return hashValue(events);
    });
    assert.equal(new Set(courses).size, seeds.length);
  });
});
