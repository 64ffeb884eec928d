import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { viewOf } from '../../abi/index.js';
import { InputError } from '../../base/index.js';
import { hvmEntry } from './hvm_entry.js';
import type { HvmEntry, HvmParts } from './hvm_entry.js';
import { hvmMemoryMap } from './hvm_memory_map.js';

const usual: HvmParts = {
  kernel: { start: 0x100_0000n, size: 0x3a0_0000n },
  commandLine: 'console=hvc0',
  initrd: new Uint8Array(0x23_c000).fill(7),
  memoryMiB: 512,
  memoryMap: hvmMemoryMap(512, 0xb000n),
};

/** `bytes` of guest memory from `at` on; what is not loaded is 0. */
function memory({ load }: HvmEntry, at: bigint, bytes: number): DataView {
  const view = new Uint8Array(bytes);
  for (const part of load) {
    for (let i = 0; i < bytes; i += 1) {
      const offset = Number(at) + i - Number(part.at);
      if (offset >= 0 && offset < part.bytes.length) view[i] = part.bytes[offset] ?? 0;
    }
  }
  return viewOf(view);
}

test('boot_params has the map, the initrd at the end of RAM, and the command line', () => {
  const entry = hvmEntry(usual);
  const params = memory(entry, entry.bootParamsAt, 0x1000);
  assert.equal(params.getUint8(0x1e8), 7);
  assert.deepEqual(
    [params.getBigUint64(0x2d0, true), params.getBigUint64(0x2d8, true), params.getUint32(0x2e0, true)],
    [0n, 0x9_fc00n, 1],
  );
  assert.equal(Buffer.from(params.buffer, 0x202, 4).toString(), 'HdrS');
  // As QEMU's loader placed the reference guest's.
  assert.deepEqual([params.getUint32(0x218, true), params.getUint32(0x21c, true)], [0x1fdb_4000, 0x23_c000]);
  const line = memory(entry, BigInt(params.getUint32(0x228, true)), 13);
  assert.equal(Buffer.from(line.buffer).toString(), 'console=hvc0\0');
  // What the BIOS says of conventional memory: 639 KiB, then its extended data area.
  assert.deepEqual(
    [0x40e, 0x413].map((at) => memory(entry, BigInt(at), 2).getUint16(0, true)),
    [0x9fc0, 639],
  );
});

test('the page tables map each address below 4 GiB to itself', () => {
  const entry = hvmEntry(usual);
  const { pageTable, descriptorTable } = entry.longMode;
  const read = (at: bigint): bigint => memory(entry, at, 8).getBigUint64(0, true);
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 0xffff_ffffn }), (address) => {
      let at = pageTable;
      for (const shift of [39n, 30n]) {
        const value = read(at + 8n * ((address >> shift) & 0x1ffn));
        assert.equal(value & 0xfffn, 3n);
        at = value & ~0xfffn;
      }
      const page = read(at + 8n * ((address >> 21n) & 0x1ffn));
      assert.equal(page & 0xfffn, 0x83n);
      assert.equal((page & ~0x1f_ffffn) | (address & 0x1f_ffffn), address);
    }),
  );
  // A 64-bit code segment at 0x10, and a data segment at 0x18.
  assert.equal(descriptorTable.limit, 31);
  assert.deepEqual(
    [read(descriptorTable.base + 0x10n), read(descriptorTable.base + 0x18n)],
    [0xaf_9b00_0000_ffffn, 0xcf_9300_0000_ffffn],
  );
});

test('parts never overlap, and what does not fit is refused with one line', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 16, max: 256 }),
      fc.nat(0x800_0000),
      fc.nat(0x800_0000),
      (memoryMiB, size, bytes) => {
        const kernel = { start: 0x100_0000n, size: BigInt(size) };
        const initrd = new Uint8Array(bytes);
        const parts = { ...usual, kernel, initrd, memoryMiB, memoryMap: hvmMemoryMap(memoryMiB, 0xb000n) };
        let load: HvmEntry['load'];
        try {
          ({ load } = hvmEntry(parts));
        } catch (error) {
          assert.ok(error instanceof InputError);
          assert.match(
            error.message,
            /^\d+ MiB of memory is too little: the kernel (alone|and the initrd alone) takes? \d+ MiB$/,
          );
          assert.ok(BigInt(memoryMiB) << 20n < kernel.start + kernel.size + BigInt(bytes) + 0x2_0000n);
          return;
        }
        const ranges = [...load, { at: kernel.start, bytes: { length: size } }].toSorted((a, b) =>
          Number(a.at - b.at),
        );
        for (const [i, { at }] of ranges.entries()) {
          const before = ranges[i - 1];
          assert.ok(before === undefined || at >= before.at + BigInt(before.bytes.length));
        }
      },
    ),
    { numRuns: 50 },
  );
});
