import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { alignUp, bitField, hasBit, s64, u32, u64 } from './bits.js';

test('bitField agrees with shifting and masking a bigint', () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), fc.nat(52), fc.nat(52), (value, a, b) => {
      const [low, high] = a < b ? [a, b] : [b, a];
      const expected = (BigInt(value) >> BigInt(low)) & ((1n << BigInt(high - low + 1)) - 1n);
      assert.equal(BigInt(bitField(value, high, low)), expected);
    }),
  );
});

test('hasBit agrees with the binary digits', () => {
  fc.assert(
    fc.property(fc.nat(0xffffffff), fc.nat(31), (value, index) => {
      assert.equal(hasBit(value, index), value.toString(2).padStart(32, '0')[31 - index] === '1');
    }),
  );
});

test('alignUp gives the smallest multiple that is not below the value', () => {
  fc.assert(
    fc.property(fc.nat(2 ** 40), fc.nat(16), (value, power) => {
      const alignment = 2 ** power;
      const aligned = alignUp(value, alignment);
      assert.equal(aligned % alignment, 0);
      assert.ok(aligned >= value && aligned - value < alignment);
    }),
  );
});

test('u32, u64 and s64 keep the low bits', () => {
  assert.equal(u32(-1), 0xffffffff);
  assert.equal(u64(-1n), 0xffffffffffffffffn);
  assert.equal(s64(0xffffffffffffffffn), -1n);
});
