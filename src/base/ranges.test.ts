import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { rangesText } from './ranges.js';

it('joins runs of numbers, in ascending order', () => {
  assert.equal(rangesText([]), '');
  assert.equal(rangesText([4]), '4');
  assert.equal(rangesText([1, 0]), '0 and 1');
  assert.equal(rangesText([0, 1, 2]), '0 to 2');
  assert.equal(rangesText([9, 0, 1, 2, 4, 5, 7]), '0 to 2, 4, 5, 7 and 9');
});

it('lists every number exactly once', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat(60)), (numbers) => {
      const named = rangesText(numbers)
        .split(/, | and /)
        .filter((part) => part !== '')
        .flatMap((part) => {
          const [from = 0, to = from] = part.split(' to ').map(Number);
          return Array.from({ length: to - from + 1 }, (_, i) => from + i);
        });
      assert.deepEqual(
        named,
        [...numbers].sort((a, b) => a - b),
      );
    }),
    { seed: 1 },
  );
});
