import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { equalValues, InputError } from '../base/index.js';
import { decodeCheckpoint, encodeCheckpoint, mostFileBytes } from './checkpoint_format.js';
import { mostFrames } from './checkpoint_sizes.js';
import type { SavedFrame } from '../boot/index.js';

const software = 'domulator 1.2.3';

const content = fc.oneof(
  fc.constant(new Uint8Array(4096)),
  fc.uint8Array({ minLength: 1, maxLength: 64 }).map((some) => {
    const bytes = new Uint8Array(4096);
    bytes.set(some, 4096 - some.length);
    return bytes;
  }),
  fc.uint8Array({ minLength: 4096, maxLength: 4096 }),
);
const frames: fc.Arbitrary<SavedFrame[]> = fc
  .array(fc.record({ number: fc.nat(0xffff_ffff), bytes: content }, { noNullPrototype: true }), {
    maxLength: 6,
  })
  .map((list) => [...new Map(list.map((frame) => [frame.number, frame])).values()])
  .map((list) => list.sort((a, b) => a.number - b.number));
const value = fc.dictionary(
  fc.string().filter((key) => !key.startsWith('$')),
  fc.oneof(fc.integer(), fc.bigInt(), fc.string(), fc.uint8Array(), fc.boolean(), fc.constant(null)),
  { noNullPrototype: true },
);
const isZero = ({ bytes }: SavedFrame): boolean => bytes.every((byte) => byte === 0);

const refused = (file: Uint8Array, message: RegExp): void => {
  assert.throws(
    () => decodeCheckpoint(software, file),
    (error) => error instanceof InputError && message.test(error.message) && !error.message.includes('\n'),
  );
};

void test('what is written is read, without the frames that are all zero', () => {
  fc.assert(
    fc.property(value, frames, (saved, list) => {
      const file = encodeCheckpoint(software, { value: saved, frames: list });
      const read = decodeCheckpoint(software, file);
      assert.ok(equalValues(read.value, saved));
      const kept = list.filter((frame) => !isZero(frame));
      assert.deepEqual(
        read.frames.map(({ number, bytes }) => ({ number, bytes: new Uint8Array(bytes) })),
        kept,
      );
    }),
  );
});

void test('equal frames are stored once', () => {
  const bytes = Uint8Array.from({ length: 4096 }, (_, i) => (i * i * 31) >>> 3);
  const sized = (count: number): number => {
    const list = Array.from({ length: count }, (_, number) => ({ number, bytes }));
    return encodeCheckpoint(software, { value: null, frames: list }).length;
  };
  assert.equal(sized(101) - sized(1), 100 * 8);
});

void test('a cut, lengthened or altered file is refused in one line', () => {
  const file = encodeCheckpoint(software, {
    value: { a: 1n },
    frames: [{ number: 7, bytes: new Uint8Array(4096).fill(3) }],
  });
  fc.assert(
    fc.property(fc.nat(file.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
      const altered = Uint8Array.from(file);
      altered[at] = (altered[at] ?? 0) ^ change;
      refused(altered, at < 16 ? /not one/ : at < 20 ? /format has version/ : /cut short or altered/);
      refused(file.subarray(0, at), at < 16 ? /not one/ : /cut short or altered/);
    }),
  );
  refused(Uint8Array.from([...file, 0]), /cut short or altered/);
});

void test('a file whose hash was made to fit is still refused in one line, or read', () => {
  const file = encodeCheckpoint(software, {
    value: { a: 'text' },
    frames: [1, 2].map((number) => ({ number, bytes: new Uint8Array(4096).fill(number) })),
  });
  const rehashed = (body: Uint8Array): Uint8Array =>
    Buffer.concat([body, createHash('sha256').update(body).digest()]);
  fc.assert(
    fc.property(
      fc.integer({ min: 20, max: file.length - 33 }),
      fc.nat(255),
      fc.boolean(),
      (at, byte, cut) => {
        const body = Uint8Array.from(file.subarray(0, cut ? at : file.length - 32));
        if (!cut) body[at] = byte;
        try {
          const read = decodeCheckpoint(software, rehashed(body));
          for (const frame of read.frames) assert.equal(frame.bytes.length, 4096);
        } catch (error) {
          assert.ok(error instanceof InputError && !error.message.includes('\n'), String(error));
        }
      },
    ),
    { numRuns: 500 },
  );
});

void test('frames are unpacked when their bytes are asked for, and wrong ones are refused then', () => {
  // Of several groups, and not to be packed much smaller.
  const list = Array.from({ length: 200 }, (_, number) => ({
    number,
    bytes: Uint8Array.from({ length: 4096 }, (_unused, i) => Math.imul(i * i + number, 0x9e3779b1) >>> 24),
  }));
  const file = encodeCheckpoint(software, { value: null, frames: list });
  const body = file.subarray(0, -32);
  // In the last group.
  body[body.length - 1000] = (body[body.length - 1000] ?? 0) ^ 0x55;
  const wrong = Buffer.concat([body, createHash('sha256').update(body).digest()]);
  const refusal = (why: string): Error => new InputError(`a.file: ${why}`);
  const { frames: read } = decodeCheckpoint(software, wrong, refusal);
  assert.deepEqual(
    read.slice(0, 128).map(({ bytes }) => [...bytes]),
    list.slice(0, 128).map(({ bytes }) => [...bytes]),
  );
  assert.throws(() => read[199]?.bytes, { message: /^a\.file: a (?:part|frame) of it / });
});

void test('a file of other software names both', () => {
  const file = encodeCheckpoint('domulator 1.2.2', { value: null, frames: [] });
  refused(file, /written by domulator 1\.2\.2, and this is domulator 1\.2\.3; write it anew/);
});

void test('two builds of one version are told apart', () => {
  const file = encodeCheckpoint('domulator 1.2.3 (build 0123)', { value: null, frames: [] });
  assert.throws(() => decodeCheckpoint('domulator 1.2.3 (build 4567)', file), {
    message:
      'it was written by domulator 1.2.3 (build 0123), and this is domulator 1.2.3 (build 4567); write it anew with this one',
  });
});

void test('what would be larger than a file that is read is not written', () => {
  const list = Array.from({ length: 40 }, (_, number) => ({
    number,
    bytes: new Uint8Array(randomBytes(4096)),
  }));
  const written = (fileBytes: number, headerBytes = 1000): number =>
    encodeCheckpoint(software, { value: 'a value', frames: list }, { fileBytes, headerBytes }).length;
  const size = written(2 ** 20);
  assert.equal(written(size), size);
  for (const most of [size - 1, 40 * 4096, 4096, 0])
    assert.throws(
      () => written(most),
      (error) =>
        error instanceof InputError && /^[^\n]*cannot be packed into the \d MiB[^\n]*$/.test(error.message),
    );
  assert.throws(() => written(size, 20), /too much for a checkpoint/);
  // Hashed at once: createHash takes no more.
  assert.equal(mostFileBytes, 2 ** 31 - 1);
});

void test('a file with more frames than any guest has is refused before they are made', () => {
  const one = Buffer.from(
    encodeCheckpoint(software, { value: null, frames: [{ number: 0, bytes: new Uint8Array(4096).fill(3) }] }),
  );
  const counts = 24 + one.readUInt32LE(20);
  const withFrames = (count: number): Buffer => {
    const list = new Uint32Array(2 * count);
    for (let number = 0; number < count; number += 1) list[2 * number] = number;
    const head = Buffer.from(one.subarray(0, counts + 8));
    head.writeUInt32LE(count, counts);
    const body = Buffer.concat([head, new Uint8Array(list.buffer), one.subarray(counts + 16, -32)]);
    return Buffer.concat([body, createHash('sha256').update(body).digest()]);
  };
  assert.equal(decodeCheckpoint(software, withFrames(1000)).frames.length, 1000);
  assert.equal(decodeCheckpoint(software, withFrames(mostFrames)).frames.length, mostFrames);
  refused(withFrames(mostFrames + 1), /more frames than any guest$/);
});

void test('other files are not checkpoints', () => {
  refused(new Uint8Array(), /not one/);
  refused(new TextEncoder().encode('domulator state\n'), /cut short/);
  refused(new TextEncoder().encode('#!/bin/sh\nexec something\n'), /not one/);
});

void test('a copy of a frame that is read shares nothing with it', () => {
  const written = encodeCheckpoint(software, {
    value: null,
    frames: [{ number: 1, bytes: new Uint8Array(4096).fill(7) }],
  });
  const [frame] = decodeCheckpoint(software, written).frames;
  const copy = frame?.bytes.slice();
  copy?.fill(8);
  assert.equal(frame?.bytes[0], 7);
});
