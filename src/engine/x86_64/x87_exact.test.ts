/** What is expected was measured on an AMD CPU (Zen 5), unless it follows from the operands. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  extract,
  integerRoot,
  ofDecimal,
  remainder,
  scale,
  squareRoot,
  toDecimal,
  toIntegral,
} from './x87_exact.js';
import { extendedOfInteger } from './x87_numbers.js';
import type { Extended, Modes } from './x87_numbers.js';

const modes: Modes = { rounding: 'nearest', digits: 64, masks: 0x3f };
const integer = (value: number): Extended => extendedOfInteger(BigInt(value));
const textOf = ([mantissa, exponent]: Extended): string =>
  `${exponent.toString(16)}.${mantissa.toString(16)}`;
const half: Extended = [1n << 63n, 0x3ffe];

describe('what x87 computes exactly', () => {
  it('rounds square roots by precision control', () => {
    const roots = [24, 53, 64].map((digits) => textOf(squareRoot(integer(2), { ...modes, digits }).value));
    assert.deepEqual(roots, ['3fff.b504f30000000000', '3fff.b504f333f9de6800', '3fff.b504f333f9de6484']);
    assert.deepEqual(squareRoot(integer(9), modes), { value: integer(3), raised: 0, up: false });
    assert.equal(squareRoot(integer(-9), modes).raised, 1);
    assert.equal(integerRoot(10n ** 40n - 1n), 10n ** 20n - 1n);
  });

  it('rounds to integers, ties to even', () => {
    assert.deepEqual(toIntegral(half, modes), { value: [0n, 0], raised: 0x20, up: false });
    assert.deepEqual(toIntegral([3n << 62n, 0x3fff], modes), { value: integer(2), raised: 0x20, up: true });
    assert.equal(textOf(toIntegral([1n << 63n, 0xbffe], { ...modes, rounding: 'up' }).value), '8000.0');
  });

  it('scales, beyond what an exception that is not masked can wrap', () => {
    const unmasked = { ...modes, masks: 0x27 };
    const found = [32768, 40959, 40960].map((power) => {
      const { value, raised, up } = scale(integer(1), integer(power), unmasked);
      return [textOf(value), raised, up];
    });
    assert.deepEqual(found, [
      ['5fff.8000000000000000', 0x08, false],
      ['7ffe.8000000000000000', 0x08, false],
      ['7fff.8000000000000000', 0x28, true],
    ]);
    assert.equal(textOf(scale(integer(1), integer(-40960), { ...unmasked, rounding: 'up' }).value), '0.0');
  });

  it('takes numbers apart', () => {
    const { exponent, significand } = extract(integer(-12));
    assert.deepEqual([exponent, significand.value], [integer(3), [3n << 62n, 0xbfff]]);
    assert.equal(textOf(extract([1n, 0]).exponent), textOf(integer(-16445)));
    assert.equal(extract([0n, 0]).significand.raised, 4);
  });

  it('leaves remainders with quotients, and partial ones where exponents are far apart', () => {
    assert.deepEqual(remainder(integer(17), integer(5), modes, false), {
      result: { value: integer(2), raised: 0, up: false },
      quotient: 3n,
    });
    assert.deepEqual(remainder(integer(18), integer(5), modes, true), {
      result: { value: integer(-2), raised: 0, up: false },
      quotient: 4n,
    });
    const far = remainder([1n << 63n, 0x3fff + 100], integer(3), modes, false);
    assert.equal(far.quotient, 'partial');
    // 2 to the 100 less a multiple of 3 that is one of 2 to the 63 too.
    assert.equal(textOf(far.result.value), textOf([1n << 63n, 0x3fff + 64]));
    const pseudo = remainder([1n << 63n, 0], [1n << 63n, 0x7fff], modes, false);
    assert.equal(textOf(pseudo.result.value), '1.8000000000000000');
    assert.equal(remainder(integer(1), [0n, 0], modes, false).quotient, 'none');
  });

  it('reads and writes decimals', () => {
    assert.deepEqual(ofDecimal(0x80000000000000001234n), integer(-1234));
    assert.equal(toDecimal(integer(-1234), modes).value, 0x80000000000000001234n);
    assert.deepEqual(toDecimal(half, modes), { value: 0n, raised: 0x20, up: false });
    const largest = extendedOfInteger(999_999_999_999_999_999n);
    assert.equal(toDecimal(largest, modes).value, 0x999999999999999999n);
    const { value, raised } = toDecimal(extendedOfInteger(10n ** 18n), modes);
    assert.deepEqual([value, raised], [0xffffc000000000000000n, 1]);
  });
});
