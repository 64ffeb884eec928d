/** Cryptographic instructions, checked with the test vectors of the standards. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { VcpuView } from '../../src/engine/index.js';
import { Program } from './a64_program.js';

type Halves = readonly [bigint, bigint];

/** Sixteen bytes, lowest first. */
function fromBytes(hex: string): Halves {
  const bytes = Buffer.from(hex, 'hex');
  return [bytes.readBigUInt64LE(0), bytes.readBigUInt64LE(8)];
}

function toBytes([low, high]: Halves): string {
  const bytes = Buffer.alloc(16);
  bytes.writeBigUInt64LE(low, 0);
  bytes.writeBigUInt64LE(high, 8);
  return bytes.toString('hex');
}

/** Four words, lowest first. */
function fromWords(words: readonly number[]): Halves {
  const [a = 0n, b = 0n, c = 0n, d = 0n] = words.map((word) => BigInt(word >>> 0));
  return [a | (b << 32n), c | (d << 32n)];
}

function toWords([low, high]: Halves): string[] {
  return [low, low >> 32n, high, high >> 32n].map((value) =>
    BigInt.asUintN(32, value).toString(16).padStart(8, '0'),
  );
}

const program = new Program();

// FIPS 197, appendices A.1 and B.
const roundKeys = [
  '2b7e151628aed2a6abf7158809cf4f3c',
  'a0fafe1788542cb123a339392a6c7605',
  'f2c295f27a96b9435935807a7359f67f',
  '3d80477d4716fe3e1e237e446d7a883b',
  'ef44a541a8525b7fb671253bdb0bad00',
  'd4d1c6f87c839d87caf2b8bc11f915bc',
  '6d88a37a110b3efddbf98641ca0093fd',
  '4e54f70e5f5fc9f384a64fb24ea6dc4f',
  'ead27321b58dbad2312bf5607f8d292f',
  'ac7766f319fadc2128d12941575c006e',
  'd014f9a8c9ee2589e13f0cc8b6630ca6',
];
const plainText = '3243f6a8885a308d313198a2e0370734';
const cipherText = '3925841d02dc09fbdc118597196a0b32';

function withKeys(block: string): (cpu: VcpuView) => void {
  return (cpu) => {
    cpu.setVector(0, fromBytes(block));
    for (const [index, key] of roundKeys.entries()) cpu.setVector(16 + index, fromBytes(key));
  };
}

test('AES-128 encrypts and decrypts the example of the standard', () => {
  const rounds = Array.from({ length: 9 }, (_, round) => [
    `aese v0.16b, v${16 + round}.16b`,
    'aesmc v0.16b, v0.16b',
  ]).flat();
  const last = ['aese v0.16b, v25.16b', 'eor v0.16b, v0.16b, v26.16b'];
  assert.equal(toBytes(program.run([...rounds, ...last], withKeys(plainText)).vector(0)), cipherText);
  const mixedKeys = Array.from({ length: 9 }, (_, index) => `aesimc v${17 + index}.16b, v${17 + index}.16b`);
  const back = Array.from({ length: 9 }, (_, round) => [
    `aesd v0.16b, v${26 - round}.16b`,
    'aesimc v0.16b, v0.16b',
  ]).flat();
  const end = ['aesd v0.16b, v17.16b', 'eor v0.16b, v0.16b, v16.16b'];
  const decrypted = program.run([...mixedKeys, ...back, ...end], withKeys(cipherText));
  assert.equal(toBytes(decrypted.vector(0)), plainText);
});

/** "abc", padded to one block (FIPS 180-4, 5.1.1). */
const message = [0x61626380, ...Array.from({ length: 14 }, () => 0), 24];

/** The first 32 fraction bits of the square or cube roots of the first primes. */
function rootFractions(count: number, degree: 2n | 3n): number[] {
  const primes: number[] = [];
  for (let candidate = 2; primes.length < count; candidate += 1) {
    if (primes.every((prime) => candidate % prime !== 0)) primes.push(candidate);
  }
  return primes.map((prime) => {
    const scaled = BigInt(prime) << (32n * degree);
    let root = 0n;
    for (let bit = 1n << 40n; bit > 0n; bit >>= 1n) if ((root + bit) ** degree <= scaled) root += bit;
    return Number(BigInt.asUintN(32, root));
  });
}

function setSchedule(cpu: VcpuView, constants: readonly number[]): void {
  for (let group = 0; group < 4; group += 1) {
    cpu.setVector(4 + group, fromWords(message.slice(4 * group, 4 * group + 4)));
  }
  for (let group = 0; group < constants.length / 4; group += 1) {
    cpu.setVector(16 + group, fromWords(constants.slice(4 * group, 4 * group + 4)));
  }
}

test('SHA-256 of "abc" is the value in the standard', () => {
  const lines = Array.from({ length: 16 }, (_, round) => {
    const [w0, w1, w2, w3] = [0, 1, 2, 3].map((next) => `v${4 + ((round + next) % 4)}.4s`);
    const rounds = [
      `add v2.4s, ${w0!}, v${16 + round}.4s`,
      'orr v3.16b, v0.16b, v0.16b',
      'sha256h q0, q1, v2.4s',
      'sha256h2 q1, q3, v2.4s',
    ];
    const schedule = [`sha256su0 ${w0!}, ${w1!}`, `sha256su1 ${w0!}, ${w2!}, ${w3!}`];
    return round < 12 ? [...rounds, ...schedule] : rounds;
  }).flat();
  const start = rootFractions(8, 2n);
  const ending = ['add v0.4s, v0.4s, v8.4s', 'add v1.4s, v1.4s, v9.4s'];
  const cpu = program.run([...lines, ...ending], (prepared) => {
    setSchedule(prepared, rootFractions(64, 3n));
    for (const register of [0, 8]) prepared.setVector(register, fromWords(start.slice(0, 4)));
    for (const register of [1, 9]) prepared.setVector(register, fromWords(start.slice(4)));
  });
  const digest = [...toWords(cpu.vector(0)), ...toWords(cpu.vector(1))].join('');
  assert.equal(digest, 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
});

test('SHA-1 of "abc" is the value in the standard', () => {
  const kinds = ['sha1c', 'sha1p', 'sha1m', 'sha1p'];
  const lines = Array.from({ length: 20 }, (_, round) => {
    const [w0, w1, w2, w3] = [0, 1, 2, 3].map((next) => `v${4 + ((round + next) % 4)}.4s`);
    const phase = Math.floor(round / 5);
    const rounds = [
      `add v2.4s, ${w0!}, v${16 + phase}.4s`,
      'sha1h s3, s0',
      `${kinds[phase]!} q0, s1, v2.4s`,
      'orr v1.16b, v3.16b, v3.16b',
    ];
    const schedule = [`sha1su0 ${w0!}, ${w1!}, ${w2!}`, `sha1su1 ${w0!}, ${w3!}`];
    return round < 16 ? [...rounds, ...schedule] : rounds;
  }).flat();
  const start = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0];
  const constants = [0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6].flatMap((k) => [k, k, k, k]);
  const ending = ['add v0.4s, v0.4s, v8.4s', 'add v1.4s, v1.4s, v9.4s'];
  const cpu = program.run([...lines, ...ending], (prepared) => {
    setSchedule(prepared, constants);
    for (const register of [0, 8]) prepared.setVector(register, fromWords(start.slice(0, 4)));
    for (const register of [1, 9]) prepared.setVector(register, fromWords(start.slice(4)));
  });
  const digest = [...toWords(cpu.vector(0)), toWords(cpu.vector(1))[0]!].join('');
  assert.equal(digest, 'a9993e364706816aba3e25717850c26c9cd0d89d');
});

test('CRC32 and CRC32C of "123456789" are their published check values', () => {
  const data = Buffer.from('123456789');
  for (const [stem, check] of [
    ['crc32', 0xcbf43926],
    ['crc32c', 0xe3069283],
  ] as const) {
    // prettier-ignore
    const steps = [`${stem}x w0, w0, x1`, `${stem}b w0, w0, w2`];
    const cpu = program.run(steps, (prepared) => {
      prepared.setRegister(0, 0xffffffffn);
      prepared.setRegister(1, data.readBigUInt64LE(0));
      prepared.setRegister(2, BigInt(data.readUInt8(8)));
    });
    assert.equal(Number(cpu.register(0) ^ 0xffffffffn), check);
  }
});

test('the long polynomial product is the carry-less sum of shifted factors', () => {
  const half = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
  fc.assert(
    fc.property(half, half, (a, b) => {
      let product = 0n;
      for (let bit = 0n; bit < 64n; bit += 1n) if (((a >> bit) & 1n) === 1n) product ^= b << bit;
      const cpu = program.run(['pmull2 v0.1q, v1.2d, v2.2d'], (prepared) => {
        prepared.setVector(1, [0n, a]);
        prepared.setVector(2, [0n, b]);
      });
      assert.deepEqual(cpu.vector(0), [BigInt.asUintN(64, product), product >> 64n]);
    }),
  );
});
