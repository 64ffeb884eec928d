/** Expected results were computed with 700 bits by another program (mpmath), and rounded there. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as functions from './x87_transcendental.js';
import type { Extended, Modes, Result, Rounding } from './x87_numbers.js';

const modesWith = (rounding: Rounding): Modes => ({ rounding, digits: 64, masks: 0x3f });

/** A register as its sign and exponent and its mantissa, in hexadecimal digits. */
function register(text: string): Extended {
  const [exponent = '', mantissa = ''] = text.split('.');
  return [BigInt(`0x${mantissa}`), parseInt(exponent, 16)];
}

const textOf = ([mantissa, exponent]: Extended): string =>
  `${exponent.toString(16)}.${mantissa.toString(16)}`;

type Unary = (a: Extended, modes: Modes) => Result<Extended>;
type Binary = (a: Extended, b: Extended, modes: Modes) => Result<Extended>;
const unary = (name: 'powerMinusOne' | 'sine' | 'cosine' | 'tangent'): Unary => functions[name];
const binary = (name: 'logarithm' | 'logarithmOfSum' | 'arctangent'): Binary => functions[name];

const ofOne = [
  ['powerMinusOne', 'nearest', 'bfd6.9d3886bd90eac009', 'bfd5.d9f44e1ab00a7f50', true],
  ['powerMinusOne', 'down', 'bfd5.ac1387f6b9d52c81', 'bfd4.ee8c63a0eec802e3', true],
  ['powerMinusOne', 'up', 'bfdb.8c7d0659dd717b35', 'bfda.c2c21c705e4d128c', false],
  ['powerMinusOne', 'zero', '3fbb.aa857a8867fc85fe', '3fba.ec64923fe2611c1e', false],
  ['sine', 'nearest', 'c001.f7b001614139065a', 'bffe.fe587ebbcae7ead9', true],
  ['sine', 'down', '4002.c3b50a129df426e4', 'bffd.a82bc6053714e2b0', true],
  ['sine', 'up', 'c01d.d09d12cde78b37a3', '3ffb.e9e728ceaddfa991', true],
  ['sine', 'zero', '3fe9.a80a91ca5e5dc5c8', '3fe9.a80a91ca5e5ac176', false],
  ['cosine', 'nearest', 'c001.f7b001614139065a', '3ffb.e87376931b629985', true],
  ['cosine', 'down', '4002.c3b50a129df426e4', '3ffe.f1cbf28c95798c76', false],
  ['cosine', 'up', 'c01d.d09d12cde78b37a3', '3ffe.fe532ba295f548e7', true],
  ['cosine', 'zero', '3fe9.a80a91ca5e5dc5c8', '3ffe.fffffffffff23644', false],
  ['tangent', 'nearest', 'c001.f7b001614139065a', 'c002.8c0e6e5bcb1f8545', true],
  ['tangent', 'down', '4002.c3b50a129df426e4', 'bffd.b20cab51616b657b', true],
  ['tangent', 'up', 'c01d.d09d12cde78b37a3', '3ffb.eb718df7fbd17b08', true],
  ['tangent', 'zero', '3fe9.a80a91ca5e5dc5c8', '3fe9.a80a91ca5e63ce6b', false],
] as const;

const ofTwo = [
  ['logarithm', 'nearest', '4004.ceb084eed66ea149', '400b.c8e869f70cb1a640', '400e.8eedcce1f23499c4', true],
  ['logarithm', 'down', '3ffe.fcf9948b1da6469e', '4001.d66a585fe51a7169', 'bffb.eb55a50579f25d7d', true],
  ['logarithm', 'up', '5a8f.c6dbd37482ba7c16', '5516.ea1d46c7602c1b1c', '5523.c259f3ad24ae8384', true],
  ['logarithm', 'zero', '5cbd.adb8a49849e91726', '8f81.f564a8aeab1f0894', '8f8e.dc6c7a47fc278c75', false],
  [
    'logarithmOfSum',
    'nearest',
    'bfd1.dcedeec9abc8606b',
    '400b.c8e869f70cb1a640',
    'bfde.fa241ffeb6a3309a',
    false,
  ],
  [
    'logarithmOfSum',
    'down',
    '3ffb.de1e40ed03965175',
    '4001.d66a585fe51a7169',
    '3ffe.fed06d758a401fba',
    false,
  ],
  ['logarithmOfSum', 'up', '3fbb.b77452e2d48e78e7', '5516.ea1d46c7602c1b1c', '54d3.f20ac0ab28170811', true],
  [
    'logarithmOfSum',
    'zero',
    '3fc4.9aed8b213e4b2522',
    '8f81.f564a8aeab1f0894',
    '8f47.d640bf1c1a48430a',
    false,
  ],
  ['arctangent', 'nearest', 'bfe2.c33c2716e225d989', '3ff7.d5f0d8da09020401', '3fff.c90fde4898f17275', true],
  ['arctangent', 'down', '3ff6.96aea666103d72a6', '3fec.ec0e24c91dbba868', '3ff5.c8858aac3c982a07', false],
  ['arctangent', 'up', '43c8.c4765156d6f1abd6', '441e.b99e355cd96c516f', '3fff.c90fdaa22168c235', true],
  ['arctangent', 'zero', 'c31c.e08d334df238dd8d', '3ee5.95539c394a49a5d7', '4000.c90fdaa22168c234', false],
] as const;

const inexact = 0x20;

describe('the transcendental functions of x87', () => {
  for (const [name, rounding, operand, result, up] of ofOne) {
    it(`rounds ${name} of ${operand} correctly, ${rounding}`, () => {
      const found = unary(name)(register(operand), modesWith(rounding));
      assert.deepEqual([textOf(found.value), found.raised, found.up], [result, inexact, up]);
    });
  }

  for (const [name, rounding, a, b, result, up] of ofTwo) {
    it(`rounds ${name} of ${a} and ${b} correctly, ${rounding}`, () => {
      const found = binary(name)(register(a), register(b), modesWith(rounding));
      assert.deepEqual([textOf(found.value), found.raised, found.up], [result, inexact, up]);
    });
  }

  it('tells in which direction the rest of a tiny result lies', () => {
    const tiny = register('3000.8000000000000000');
    const below = '2fff.ffffffffffffffff';
    const results = (compute: Unary): string[] =>
      (['nearest', 'down', 'up', 'zero'] as const).map((rounding) =>
        textOf(compute(tiny, modesWith(rounding)).value),
      );
    const own = textOf(tiny);
    assert.deepEqual(results(functions.sine), [own, below, own, below]);
    assert.deepEqual(results(functions.tangent), [own, own, '3000.8000000000000001', own]);
    const one = '3fff.8000000000000000';
    assert.deepEqual(results(functions.cosine), [one, '3ffe.ffffffffffffffff', one, '3ffe.ffffffffffffffff']);
  });

  it('reduces angles by a pi of 66 bits', () => {
    const pi = register('4000.c90fdaa22168c235');
    assert.equal(textOf(functions.sine(pi, modesWith('nearest')).value), 'bfbf.8000000000000000');
    assert.equal(functions.reducible(register('403d.ffffffffffffffff')), true);
    assert.equal(functions.reducible(register('403e.8000000000000000')), false);
  });

  it('rounds the constants by the rounding mode', () => {
    // Rounded to the nearest number, and down.
    const rows = [
      ['log2Of10', '4000.d49a784bcd1b8afe', '4000.d49a784bcd1b8afe'],
      ['log2OfE', '3fff.b8aa3b295c17f0bc', '3fff.b8aa3b295c17f0bb'],
      ['pi', '4000.c90fdaa22168c235', '4000.c90fdaa22168c234'],
      ['log10Of2', '3ffd.9a209a84fbcff799', '3ffd.9a209a84fbcff798'],
      ['lnOf2', '3ffe.b17217f7d1cf79ac', '3ffe.b17217f7d1cf79ab'],
    ] as const;
    for (const [name, nearest, down] of rows) {
      assert.equal(textOf(functions.constant(name, modesWith('nearest'))), nearest, name);
      assert.equal(textOf(functions.constant(name, modesWith('down'))), down, name);
    }
  });
});
