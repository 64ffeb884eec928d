import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { InputError } from '../../base/index.js';
import { maxMemoryMiB, memoryBanks, memoryMap } from './memory_map.js';

const mebibyte = 1n << 20n;
const acpi = [
  { start: 0xfc00_8000n, size: 0x40n },
  { start: 0xfc00_0000n, size: 0x1000n },
  { start: 0xfc00_1000n, size: 0x7000n },
];

test('the map of a guest with 512 MiB is that of Xen 4.17, in its order', () => {
  assert.deepEqual(
    memoryMap(memoryBanks(512), acpi).map(({ start, size, type }) => [start, size, type]),
    [
      [0n, 0x2000_0000n, 1],
      [0xfeff_8000n, 0x8000n, 2],
      [0xfc00_8000n, 0x40n, 3],
      [0xfc00_0000n, 0x1000n, 3],
      [0xfc00_1000n, 0x7000n, 3],
    ],
  );
});

test('what does not fit below the tables is above 4 GiB, and the last of the map', () => {
  assert.deepEqual(memoryBanks(4032), [{ start: 0n, size: 0xfc00_0000n }]);
  assert.deepEqual(memoryBanks(4033), [
    { start: 0n, size: 0xfc00_0000n },
    { start: 0x1_0000_0000n, size: mebibyte },
  ]);
  assert.deepEqual(memoryMap(memoryBanks(4033), acpi).at(-1), {
    start: 0x1_0000_0000n,
    size: mebibyte,
    type: 1,
  });
});

test('a guest has the memory that was asked for, and nothing overlaps', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: maxMemoryMiB }), (memoryMiB) => {
      const banks = memoryBanks(memoryMiB);
      assert.equal(
        banks.reduce((sum, { size }) => sum + size, 0n),
        BigInt(memoryMiB) * mebibyte,
      );
      const sorted = memoryMap(banks, acpi).sort((a, b) => (a.start < b.start ? -1 : 1));
      for (const [i, { start, size }] of sorted.entries())
        assert.ok(start + size <= (sorted[i + 1]?.start ?? 1n << 48n));
    }),
  );
});

test('zero memory, too much memory and half a MiB are refused with one line', () => {
  for (const memoryMiB of [0, -1, 0.5, NaN, maxMemoryMiB + 1])
    assert.throws(() => memoryBanks(memoryMiB), InputError);
});
