import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { InputError } from '../../base/index.js';
import { endOfUsableRam, hvmBanks, hvmMemoryMap } from './hvm_memory_map.js';

test('the map of a guest with 512 MiB is that of Xen 4.17 and SeaBIOS, in its order', () => {
  assert.deepEqual(
    hvmMemoryMap(512, 0xb000n).map(({ start, size, type }) => [start, start + size - 1n, type]),
    [
      [0n, 0x9_fbffn, 1],
      [0x9_fc00n, 0x9_ffffn, 2],
      [0xf_0000n, 0xf_ffffn, 2],
      [0x10_0000n, 0x1fff_efffn, 1],
      [0x1fff_f000n, 0x1fff_ffffn, 2],
      [0xfc00_0000n, 0xfc00_afffn, 4],
      [0xfc00_b000n, 0xffff_ffffn, 2],
    ],
  );
});

test('all memory that the guest may use is RAM of the domain, whose pieces do not overlap', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 16, max: 3840 }),
      fc.bigInt({ min: 1n, max: 0x10n }),
      (memoryMiB, pages) => {
        const banks = hvmBanks(memoryMiB, pages << 12n);
        const ends = banks.map(({ start, size }) => start + size);
        for (const [i, { start }] of banks.entries()) assert.ok(i === 0 || start >= (ends[i - 1] ?? 0n));
        const map = hvmMemoryMap(memoryMiB, pages << 12n);
        for (const { start, size, type } of map) {
          if (type !== 1 && type !== 4) continue;
          assert.ok(banks.some((bank) => start >= bank.start && start + size <= bank.start + bank.size));
        }
        for (const [i, { start }] of map.entries()) {
          const before = map[i - 1];
          assert.ok(before === undefined || start >= before.start + before.size);
        }
        assert.equal(endOfUsableRam(memoryMiB), (BigInt(memoryMiB) << 20n) - 0x1000n);
      },
    ),
  );
});

test('more memory than fits below PCI’s window is refused with one line', () => {
  assert.throws(() => hvmBanks(3841, 0xb000n), {
    name: InputError.name,
    message: 'a PVHVM guest has at most 3840 MiB of memory, not 3841',
  });
});
