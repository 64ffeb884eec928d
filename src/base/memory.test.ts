import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { frameBytes, SparseMemory } from './memory.js';
import { valueToJson } from './value.js';

const ranges = [
  { start: 0x40, count: 8 },
  { start: 0x1000, count: 4 },
];

test('frames outside the ranges do not exist; frames inside start as zeros', () => {
  const memory = new SparseMemory(ranges);
  for (const mfn of [0, 0x3f, 0x48, 0xfff, 0x1004, -1]) {
    assert.equal(memory.readable(mfn), undefined);
    assert.equal(memory.writable(mfn), undefined);
  }
  assert.deepEqual(memory.readable(0x40), new Uint8Array(frameBytes));
});

/** A sparse memory, and a plain record of its writes by frame and byte. */
interface Side {
  readonly memory: SparseMemory;
  readonly plain: Record<string, number>;
}

const write = fc.record({
  side: fc.nat(2),
  mfn: fc.constantFrom(0x40, 0x47, 0x1000, 0x1003),
  at: fc.nat(frameBytes - 1),
  byte: fc.nat(255),
  clone: fc.boolean(),
});

test('clones share frames, but a write to one never shows in the other', () => {
  fc.assert(
    fc.property(fc.array(write, { maxLength: 40 }), (writes) => {
      // Compare with the simplest model: full copies.
      const fresh = (): Side => ({ memory: new SparseMemory(ranges), plain: {} });
      const sides = [fresh(), fresh(), fresh()];
      for (const { side, mfn, at, byte, clone } of writes) {
        const chosen = sides[side]!;
        if (clone) sides[(side + 1) % 3] = { memory: chosen.memory.clone(), plain: { ...chosen.plain } };
        chosen.memory.writable(mfn)![at] = byte;
        chosen.plain[`${mfn}:${at}`] = byte;
      }
      for (const { memory, plain } of sides) {
        for (const [place, byte] of Object.entries(plain)) {
          const [mfn, at] = place.split(':').map(Number);
          assert.equal(memory.readable(mfn!)![at!], byte);
        }
        const written = Object.values(plain).filter((byte) => byte !== 0).length;
        const nonZero = ranges
          .flatMap(({ start, count }) => Array.from({ length: count }, (_, i) => memory.readable(start + i)!))
          .reduce((sum, frame) => sum + frame.filter((byte) => byte !== 0).length, 0);
        assert.equal(nonZero, written);
      }
    }),
  );
});

test('the saved value depends on the contents, not on the history', () => {
  fc.assert(
    fc.property(fc.array(write, { maxLength: 20 }), (writes) => {
      const memory = new SparseMemory(ranges);
      for (const { mfn, at, byte } of writes) memory.writable(mfn)![at] = byte;
      const text = valueToJson(memory.toValue());
      assert.equal(valueToJson(SparseMemory.fromValue(memory.toValue()).toValue()), text);
      memory.clone().writable(0x41)!.fill(0);
      memory.writable(0x42)!.fill(0);
      assert.equal(valueToJson(memory.toValue()), text);
    }),
  );
});
