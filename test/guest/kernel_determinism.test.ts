/** Equal inputs and seeds give equal runs; another seed gives another order. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { hashValue } from '../../src/base/index.js';
import { bootStock, skip } from './kernel.js';

describe('a boot', { skip }, () => {
  it('is reproducible, event by event and byte by byte', () => {
    const [one, other] = [bootStock(), bootStock()];
    assert.ok(one.console.length > 10_000);
    assert.equal(one.console, other.console);
    assert.deepEqual(one.events, other.events);
    assert.equal(one.instructions, other.instructions);
  });

  it('takes a different course with another seed, and no rule is broken', () => {
    const seeds = Array.from({ length: 10 }, (_, seed) => seed);
    const courses = seeds.map((seed) => {
      const { outcome, findings, events } = bootStock({ seed, until: { kind: 'userspace' } });
      assert.deepEqual([outcome, findings], ['userspace', []], `seed ${seed}`);
      return hashValue(events);
    });
    assert.equal(new Set(courses).size, seeds.length);
  });
});
