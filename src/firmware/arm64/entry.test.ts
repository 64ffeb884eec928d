import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { InputError } from '../../base/index.js';
import { placeGuest } from './entry.js';
import type { LoadSizes } from './entry.js';
import { memoryBanks } from './memory_map.js';

const mebibyte = 1n << 20n;

const sizes: LoadSizes = { textOffset: 0, kernel: 40 << 20, deviceTree: 2000, initrd: 0xf_130e };

test('a guest of 512 MiB is loaded at the addresses of the reference guest', () => {
  assert.deepEqual(placeGuest(memoryBanks(512), sizes), {
    kernel: 0x4000_0000n,
    deviceTree: 0x4800_0000n,
    initrd: 0x4820_0000n,
  });
});

test('with little RAM or a large kernel, device tree and initrd are at the end of RAM', () => {
  assert.deepEqual(placeGuest(memoryBanks(128), sizes), {
    kernel: 0x4000_0000n,
    deviceTree: 0x4000_0000n + 124n * mebibyte,
    initrd: 0x4000_0000n + 126n * mebibyte,
  });
  assert.equal(
    placeGuest(memoryBanks(512), { ...sizes, kernel: 129 << 20 }).deviceTree,
    0x4000_0000n + 508n * mebibyte,
  );
  assert.equal(placeGuest(memoryBanks(64), { ...sizes, textOffset: 0x8_0000 }).kernel, 0x4008_0000n);
});

test('the error for too little memory gives the required size', () => {
  assert.throws(() => placeGuest(memoryBanks(40), sizes), /^InputError: 40 MiB .* take 44 MiB/);
  assert.throws(() => placeGuest([], sizes), InputError);
});

test('everything loaded is in RAM, aligned to 2 MiB except the kernel, and nothing overlaps', () => {
  const size = fc.integer({ min: 0, max: 2 ** 31 });
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 8192 }),
      fc.record({
        textOffset: fc.nat(0x20_0000),
        kernel: size,
        deviceTree: fc.integer({ min: 1, max: 1 << 21 }),
        initrd: size,
      }),
      (memoryMiB, load) => {
        const banks = memoryBanks(memoryMiB);
        const [{ start, size: ram }] = banks as [{ start: bigint; size: bigint }];
        try {
          const at = placeGuest(banks, load);
          assert.equal(at.kernel, start + BigInt(load.textOffset));
          assert.ok(at.kernel + BigInt(load.kernel) <= at.deviceTree);
          assert.ok(at.deviceTree + BigInt(load.deviceTree) <= at.initrd);
          assert.ok(at.initrd + BigInt(load.initrd) <= start + ram);
          if (memoryMiB % 2 === 0) assert.equal((at.deviceTree | at.initrd) % (2n * mebibyte), 0n);
        } catch (error) {
          assert.ok(error instanceof InputError, String(error));
          const needed = BigInt(load.textOffset + load.kernel + load.deviceTree + load.initrd);
          assert.ok(needed + 6n * mebibyte > ram, 'refused although there was room');
        }
      },
    ),
  );
});
