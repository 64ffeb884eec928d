import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { InOrder } from './in_order.js';

describe('what belongs to runs', () => {
  it('is done in their order, whatever the order in which it comes and they end', () => {
    const runs = 5;
    fc.assert(
      fc.property(fc.array(fc.nat(runs - 1)), fc.shuffledSubarray([...Array(runs).keys()]), (comes, ends) => {
        const order = new InOrder();
        const done: number[] = [];
        for (const run of comes) order.do(run, () => done.push(run));
        for (const run of ends) order.end(run);
        for (let run = 0; run < runs; run += 1) if (!ends.includes(run)) order.end(run);
        assert.deepEqual(
          done,
          [...comes].sort((a, b) => a - b),
        );
      }),
    );
  });

  it('lets others wait until all runs before one have ended', async () => {
    const order = new InOrder();
    const reached: number[] = [];
    const waits = [-1, 0, 2, 3].map(async (run) => {
      await order.reached(run);
      reached.push(run);
    });
    const settle = (): Promise<unknown> => new Promise((resolve) => setImmediate(resolve));
    await settle();
    assert.deepEqual(reached, [-1, 0]);
    order.end(1);
    await settle();
    assert.deepEqual(reached, [-1, 0]);
    order.end(0);
    await settle();
    assert.deepEqual(reached, [-1, 0, 2]);
    order.end(2);
    await Promise.all(waits);
    assert.deepEqual(reached, [-1, 0, 2, 3]);
  });
});
