import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { a64, a64Decoder, makeDecoder, modes } from '../index.js';

describe('the decoder that defines vector instructions late', () => {
  const whole = makeDecoder(a64());

  it('finds what the decoder of all instructions finds', () => {
    const word = fc.integer({ min: 0, max: 0xffffffff });
    fc.assert(
      fc.property(word, fc.constantFrom(...modes), (bits, mode) => {
        assert.equal(a64Decoder().decode(bits, mode), whole.decode(bits, mode));
      }),
      { numRuns: 20_000 },
    );
  });

  it('finds each instruction by the word with its fixed bits, and with all others set', () => {
    for (const { pattern } of a64()) {
      for (const word of [pattern.value, (pattern.value | ~pattern.mask) >>> 0])
        assert.equal(a64Decoder().decode(word), whole.decode(word));
    }
  });

  it('divides the patterns by two bits that each of them fixes', () => {
    for (const { name, pattern } of a64()) {
      const bits = 3 << 26;
      const isVector = (pattern.value & bits) === bits;
      // A pattern that leaves one of the bits open must have the other one at 0.
      assert.ok(isVector || (pattern.mask & ~pattern.value & bits) !== 0, name);
    }
  });
});
