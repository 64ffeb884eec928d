import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { packWords, setIndices, unpackWords } from './packed_words.js';

test('packed words are unpacked as they were, modulo 2^32, wherever the bytes lie', () => {
  const words = fc.array(fc.integer({ min: -(2 ** 31), max: 2 ** 32 - 1 }));
  fc.assert(
    fc.property(words, fc.nat({ max: 7 }), (list, shift) => {
      const packed = packWords(list);
      const moved = new Uint8Array(packed.length + shift);
      moved.set(packed, shift);
      assert.deepEqual(
        unpackWords(moved.subarray(shift)),
        list.map((word) => word >>> 0),
      );
    }),
  );
  assert.deepEqual([...packWords([0x0403_0201, -1])], [1, 2, 3, 4, 255, 255, 255, 255]);
});

test('the set flags are listed in order', () => {
  assert.deepEqual([...setIndices(Uint8Array.of(0, 1, 0, 2, 0))], [1, 3]);
});
