import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { InputError } from '../base/index.js';
import { byteText, collect, fromWebStream, piecesOf, toWebStream } from './byte_streams.js';
import { compressionOf, decompress } from './compression.js';
import type { Compression } from './compression.js';

const text = 'Which CPU is which?\n'.repeat(40);
const plain = Uint8Array.from(Buffer.from(text));

/** The text above, compressed by xz (with a CRC32) and by zstd. lz4_blocks.test.ts tests lz4. */
const packed: Readonly<Record<Exclude<Compression, 'none' | 'lz4'>, Uint8Array>> = {
  gzip: Uint8Array.from(gzipSync(plain)),
  xz: fromHex(`fd377a585a0000016922de360200210116000000742fe5a3e0031f001d5d002b9a092646e07b9eb12ef9525f11dd60dc
    335c9eca792708bb821640000000000003a79a82000135a0060000008982aec23e300d8b020000000001595a`),
  zstd: fromHex('28b52ffd0468dd0000a05768696368204350552069732077686963683f0a0100125e3599dd00b775'),
};

function fromHex(digits: string): Uint8Array {
  return Uint8Array.from(Buffer.from(digits.replace(/\s/g, ''), 'hex'));
}

const kinds = ['gzip', 'xz', 'zstd'] as const;

function unpack(bytes: Uint8Array, kind: Compression, limit = 1 << 20): Promise<Uint8Array> {
  return collect(decompress(bytes, kind, 'it'), limit, 'it');
}

for (const kind of kinds) {
  test(`${kind}: decompression gives the original`, async () => {
    assert.equal(compressionOf(packed[kind]), kind);
    assert.equal(byteText(await unpack(packed[kind], kind)), text);
  });

  test(`${kind}: data truncated at any point is refused with one line`, async () => {
    for (let length = 0; length < packed[kind].length; length += 1) {
      await assert.rejects(unpack(packed[kind].subarray(0, length), kind), (error: unknown) => {
        assert.ok(error instanceof InputError, String(error));
        return /^it is damaged: its \w+ data cannot be unpacked \([^\n]+\)$/.test(error.message);
      });
    }
  });

  test(`${kind}: a changed byte gives the content or an InputError, and the next one works again`, async () => {
    for (let at = 0; at < packed[kind].length; at += 1) {
      const bent = packed[kind].slice();
      bent[at]! ^= 0x10;
      try {
        const content = await unpack(bent, kind);
        // Only the checksums of gzip and xz are verified, and some header bytes have no meaning.
        if (kind !== 'zstd') assert.equal(byteText(content), text);
      } catch (error) {
        assert.ok(error instanceof InputError, String(error));
      }
      assert.equal((await unpack(packed[kind], kind)).length, plain.length);
    }
  });

  test(`${kind}: random bytes only throw InputError`, async () => {
    const begun = fc
      .uint8Array({ maxLength: 60 })
      .map((tail) => Uint8Array.from([...packed[kind].slice(0, 24), ...tail]));
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.uint8Array({ maxLength: 80 }), begun), async (bytes) => {
        try {
          await unpack(bytes, kind);
        } catch (error) {
          assert.ok(error instanceof InputError, String(error));
        }
      }),
      { numRuns: 200 },
    );
  });
}

test('gzip: bytes after the end are ignored, such as the padding after a kernel', async () => {
  const padded = Uint8Array.from([...packed.gzip, ...new Uint8Array(512)]);
  assert.equal(byteText(await unpack(padded, 'gzip')), text);
});

test('output above the limit is refused before it is complete', async () => {
  assert.equal((await unpack(packed.gzip, 'gzip', plain.length)).length, plain.length);
  await assert.rejects(unpack(packed.gzip, 'gzip', plain.length - 1), InputError);
  const bomb = gzipSync(new Uint8Array(8 << 20));
  await assert.rejects(unpack(bomb, 'gzip', 1 << 20), /^InputError: it unpacks to more than 1 MiB$/);
});

test('a reader that stops early ends its decompression, and others can continue', async () => {
  for (const kind of kinds) {
    for await (const piece of decompress(packed[kind], kind, 'it')) {
      assert.ok(piece.length > 0);
      break;
    }
    assert.equal((await unpack(packed[kind], kind)).length, plain.length);
  }
});

test('uncompressed data is recognised', () => {
  assert.equal(compressionOf(plain), 'none');
  assert.equal(compressionOf(new Uint8Array()), 'none');
  assert.equal(compressionOf(packed.xz.subarray(0, 5)), 'none');
});

test('pieces pass unchanged through a stream of the Streams API', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ maxLength: 100 }),
      fc.integer({ min: 1, max: 30 }),
      async (bytes, size) => {
        assert.deepEqual(await collect(fromWebStream(toWebStream(piecesOf(bytes, size))), 100, 'it'), bytes);
      },
    ),
  );
});
