import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { registerDevice, registers32, zeroes } from './mmio.js';
import type { MmioBytes, Register } from './mmio.js';

/** A device with two read-write words, a 64-bit register, a read-only register and a write-only register. */
function device(elsewhere: 'zero' | 'refused'): {
  words: number[];
  long: { value: bigint };
  mmio: ReturnType<typeof registerDevice>;
} {
  const words = [0x1122_3344, 0x5566_7788];
  const long = { value: 0x0102_0304_0506_0708n };
  const table: readonly Register[] = [
    registers32(
      'words',
      0x10,
      { count: 2, widths: [1, 2, 4] },
      (index) => words[index]!,
      (index, value) => {
        words[index] = value;
      },
    ),
    {
      name: 'long',
      offset: 0x40,
      bytes: 8,
      count: 1,
      widths: [4, 8],
      read: () => long.value,
      write: (_, value, mask) => {
        long.value = (long.value & ~mask) | value;
      },
    },
    registers32('fixed', 0x50, {}, () => -1),
    { ...zeroes('write only', 0x54, {}), read: null },
    { ...zeroes('read only', 0x58, {}), write: null },
  ];
  return { words, long, mmio: registerDevice(0x100, table, elsewhere) };
}

test('a row passes the index of each register, and a narrow access reaches its bytes only', () => {
  const { mmio, words } = device('zero');
  assert.equal(mmio.read(0x10, 4), 0x1122_3344n);
  assert.equal(mmio.read(0x14, 4), 0x5566_7788n);
  assert.equal(mmio.read(0x16, 2), 0x5566n);
  assert.equal(mmio.read(0x11, 1), 0x33n);
  assert.ok(mmio.write(0x15, 1, 0xffn));
  assert.ok(mmio.write(0x12, 2, 0xdead_beefn));
  assert.deepEqual(words, [0xbeef_3344, 0x5566_ff88]);
});

test('an access past the end of its register is cut off there', () => {
  const { mmio, words } = device('zero');
  assert.equal(mmio.read(0x12, 4), 0x1122n);
  assert.ok(mmio.write(0x12, 4, 0xaaaa_bbbbn));
  assert.deepEqual(words, [0xbbbb_3344, 0x5566_7788]);
});

test('a 64-bit register is read and written in halves and whole', () => {
  const { mmio, long } = device('zero');
  assert.equal(mmio.read(0x40, 8), 0x0102_0304_0506_0708n);
  assert.equal(mmio.read(0x44, 4), 0x0102_0304n);
  assert.ok(mmio.write(0x44, 4, 0xffff_ffff_0000_0001n));
  assert.equal(long.value, 0x0000_0001_0506_0708n);
  assert.ok(mmio.write(0x40, 8, -1n));
  assert.equal(long.value, 0xffff_ffff_ffff_ffffn);
});

test('an unsupported width or direction is refused', () => {
  const { mmio } = device('zero');
  assert.equal(mmio.read(0x10, 8), null);
  assert.equal(mmio.write(0x10, 8, 0n), false);
  assert.equal(mmio.read(0x40, 1), null);
  assert.equal(mmio.read(0x50, 2), null);
  assert.equal(mmio.read(0x54, 4), null);
  assert.equal(mmio.write(0x54, 4, 0n), true);
  assert.equal(mmio.write(0x58, 4, 0n), false);
});

test('a read-only register ignores writes', () => {
  const { mmio } = device('zero');
  assert.equal(mmio.write(0x50, 4, 0n), true);
  assert.equal(mmio.read(0x50, 4), 0xffff_ffffn);
});

test('an access without a register is answered as configured', () => {
  assert.equal(device('zero').mmio.read(0, 8), 0n);
  assert.equal(device('zero').mmio.write(0, 1, 1n), true);
  assert.equal(device('refused').mmio.read(0, 8), null);
  assert.equal(device('refused').mmio.write(0, 1, 1n), false);
});

const access = fc.record({
  offset: fc.nat(0x120),
  bytes: fc.constantFrom<MmioBytes>(1, 2, 4, 8),
  value: fc.bigInt({ min: -(1n << 70n), max: 1n << 70n }),
  write: fc.boolean(),
});

test('no access throws, values read fit their width, and a word stays a word', () => {
  fc.assert(
    fc.property(fc.array(access), (accesses) => {
      const { mmio, words, long } = device('zero');
      for (const { offset, bytes, value, write } of accesses) {
        if (write) mmio.write(offset, bytes, value);
        else {
          const answer = mmio.read(offset, bytes);
          if (answer !== null) assert.equal(BigInt.asUintN(8 * bytes, answer), answer);
        }
        for (const word of words) assert.equal(word >>> 0, word);
        assert.equal(BigInt.asUintN(64, long.value), long.value);
      }
    }),
  );
});
