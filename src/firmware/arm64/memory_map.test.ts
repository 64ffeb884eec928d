import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InputError } from '../../base/index.js';
import { extendedRegions, maxMemoryMiB, memoryBanks } from './memory_map.js';

const mebibyte = 1n << 20n;

test('memory fills the bank at 1 GiB, then the one at 8 GiB', () => {
  assert.deepEqual(memoryBanks(512), [{ start: 0x4000_0000n, size: 0x2000_0000n }]);
  assert.deepEqual(memoryBanks(3072), [{ start: 0x4000_0000n, size: 0xc000_0000n }]);
  assert.deepEqual(memoryBanks(3073), [
    { start: 0x4000_0000n, size: 0xc000_0000n },
    { start: 0x2_0000_0000n, size: mebibyte },
  ]);
  assert.equal(maxMemoryMiB, 3 * 1024 + 1016 * 1024);
});

test('zero memory, too much memory and half a MiB are refused with one line', () => {
  for (const memoryMiB of [0, -1, 0.5, NaN, maxMemoryMiB + 1]) {
    assert.throws(() => memoryBanks(memoryMiB), InputError);
  }
});

test('extended regions are the space that RAM leaves, from a 2 MiB boundary, if it has at least 64 MiB', () => {
  const of = (memoryMiB: number, bits = 44): bigint[][] =>
    extendedRegions(memoryBanks(memoryMiB), bits).map(({ start, size }) => [start, size]);
  assert.deepEqual(of(512), [
    [0x6000_0000n, 0xa000_0000n],
    [0x2_0000_0000n, 0xfe_0000_0000n],
  ]);
  assert.deepEqual(of(511)[0], [0x6000_0000n, 0xa000_0000n]);
  assert.deepEqual(of(3072 - 64)[0], [0xfc00_0000n, 0x400_0000n]);
  assert.deepEqual(of(3072 - 62).length, 1);
  assert.deepEqual(of(512, 36)[1], [0x2_0000_0000n, 0xe_0000_0000n]);
  assert.equal(of(512, 32).length, 1);
});
