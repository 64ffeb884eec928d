import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import fc from 'fast-check';
import { unpackLz4 } from './lz4_blocks.js';

const magic = [0x02, 0x21, 0x4c, 0x18];

function word(value: number): number[] {
  return [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24];
}

function file(...blocks: readonly (readonly number[])[]): Uint8Array {
  return Uint8Array.from([...magic, ...blocks.flatMap((block) => [...word(block.length), ...block])]);
}

function unpacked(bytes: Uint8Array): string {
  return Buffer.concat([...unpackLz4(bytes)]).toString('latin1');
}

const letters = (text: string): number[] => Array.from(text, (letter) => letter.charCodeAt(0));

test('literals and matches are unpacked, also matches that overlap themselves, and long ones', () => {
  assert.equal(unpacked(file([0x30, ...letters('abc')])), 'abc');
  // abc, then 6 bytes from 3 before, then the end.
  assert.equal(unpacked(file([0x32, ...letters('abc'), 3, 0, 0x10, ...letters('d')])), 'abcabcabcd');
  // 15 + 255 + 3 literals; a match of 4 + 15 + 20 bytes.
  const long = 'x'.repeat(273);
  const block = [0xff, 255, 3, ...letters(long), 1, 0, 20, 0x10, ...letters('y')];
  assert.equal(unpacked(file(block)), `${'x'.repeat(273 + 39)}y`);
});

test('blocks do not depend on each other, and frames may follow each other', () => {
  const one = file([0x10, ...letters('a')], [0x10, ...letters('b')]);
  assert.equal(unpacked(Uint8Array.from([...one, ...one])), 'abab');
  assert.equal(unpacked(Uint8Array.from(magic)), '');
});

test('what is cut short or refers to nothing is an error', () => {
  const whole = file([0x32, ...letters('abc'), 3, 0, 0x10, ...letters('d')]);
  for (let length = 0; length < whole.length; length += 1) {
    if (length === magic.length) continue;
    assert.throws(() => unpacked(whole.subarray(0, length)), /^Error: they (end too early|are corrupt)$/);
  }
  assert.throws(() => unpacked(file([0x32, ...letters('abc'), 4, 0, 0x10, 0x64])), /corrupt/);
  assert.throws(() => unpacked(file([0x32, ...letters('abc'), 0, 0, 0x10, 0x64])), /corrupt/);
});

test('any bytes are unpacked or refused', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(255), { maxLength: 60 }), (block) => {
      try {
        unpacked(file(block));
      } catch (error) {
        assert.match(String(error), /^Error: they /);
      }
    }),
  );
});

const missing = spawnSync('lz4', ['--version']).status === 0 ? false : 'no lz4';
test('what lz4 packs is unpacked', { skip: missing }, () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 40 }), fc.integer({ min: 1, max: 500 })), {
        minLength: 1,
        maxLength: 40,
      }),
      (parts) => {
        const input = Buffer.concat(parts.flatMap(([bytes, times]) => Array<Uint8Array>(times).fill(bytes)));
        const { stdout } = spawnSync('lz4', ['-l', '-c'], { input });
        assert.deepEqual(Buffer.concat([...unpackLz4(Uint8Array.from(stdout))]), input);
      },
    ),
    { numRuns: 10 },
  );
});
