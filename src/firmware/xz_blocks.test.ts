import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import fc from 'fast-check';
import { InputError } from '../base/index.js';
import { collect } from './byte_streams.js';
import { decompress } from './compression.js';
import { crc32, usesX86Filter } from './xz_blocks.js';

const missing = spawnSync('xz', ['--version'], { stdio: 'ignore' }).status === 0 ? false : 'no xz (xz-utils)';

function unpack(bytes: Uint8Array): Promise<Uint8Array> {
  return collect(decompress(bytes, 'xz', 'it'), 1 << 26, 'it');
}

function pack(bytes: Uint8Array, ...options: string[]): Uint8Array {
  const { status, stdout } = spawnSync('xz', ['--format=xz', '-c', ...options], { input: bytes });
  assert.equal(status, 0);
  return Uint8Array.from(stdout);
}

const filtered = ['--x86', '--lzma2=dict=64KiB'];

/** Calls of one function from twelve places, each with bytes behind it that look like the start of a branch. */
function calls(): Uint8Array {
  const bytes = new Uint8Array(12 * 14);
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < bytes.length; at += 14) {
    bytes.set([0x90, 0xe8], at);
    view.setInt32(at + 2, 0x100 - (at + 6), true);
    bytes.set([0xe9, 0xe8, 0, 0, 0x12, 0, 0xff, 0xe8], at + 6);
  }
  return bytes;
}

/** The same, as "xz --check=crc32 --x86 --lzma2=dict=4KiB" of XZ Utils packs it. */
const packedCalls = `fd377a585a0000016922de360201040021010000da33ad03e000a700505d004839fc000f875236566521168dc3961d89e7e4ff6da3fc48
  2015fc625b8e2899a4b28a6d256dfaee47d56a096037f97df029202a745538b105c80790ff567629c76ec9dd42adb5c62f3660152ccc24
  7f00a4e1a9ac000168a801000000d8ea19df3e300d8b020000000001595a`;

test('data behind the x86 filter are unpacked, and their checksum is checked', async () => {
  const bytes = Uint8Array.from(Buffer.from(packedCalls.replace(/\s/g, ''), 'hex'));
  assert.ok(usesX86Filter(bytes));
  assert.deepEqual(await unpack(bytes), calls());
  for (let length = 0; length < bytes.length; length += 1)
    await assert.rejects(unpack(bytes.subarray(0, length)), InputError);
  for (let at = 0; at < bytes.length; at += 1) {
    const bent = bytes.slice();
    bent[at]! ^= 0x10;
    try {
      assert.deepEqual(await unpack(bent), calls());
    } catch (error) {
      assert.ok(error instanceof InputError, String(error));
    }
  }
});

test('CRC-32 is that of the standard', () => {
  assert.equal(crc32(Uint8Array.from(Buffer.from('123456789'))), 0xcbf4_3926);
});

/** Bytes among which branches and signs are frequent, as in code. */
const code = fc
  .array(
    fc.oneof(
      { weight: 3, arbitrary: fc.constantFrom(0xe8, 0xe9, 0, 0xff, 1, 0xfe) },
      { weight: 1, arbitrary: fc.nat(255) },
    ),
    { maxLength: 400 },
  )
  .map((bytes) => Uint8Array.from(bytes));

test('whatever xz packs with the filter is unpacked again', { skip: missing }, async () => {
  await fc.assert(
    fc.asyncProperty(code, fc.constantFrom('crc32', 'none'), async (bytes, check) => {
      assert.deepEqual(await unpack(pack(bytes, `--check=${check}`, ...filtered)), bytes);
    }),
    { numRuns: 150 },
  );
});

test(
  'files of several blocks, and with sizes in their headers, are unpacked too',
  { skip: missing },
  async () => {
    const bytes = Uint8Array.from({ length: 300_000 }, (_, i) => (i % 7 === 0 ? 0xe8 : (i * i) >> 5) & 0xff);
    for (const options of [['--block-size=65536'], ['--block-size=65536', '-T2'], ['-T1']])
      assert.deepEqual(await unpack(pack(bytes, '--check=crc32', ...options, ...filtered)), bytes);
  },
);

test(
  'other checksums are not known here, and other filters are left to the library',
  { skip: missing },
  async () => {
    const bytes = calls();
    await assert.rejects(
      unpack(pack(bytes, '--check=sha256', ...filtered)),
      /use what is not supported here/,
    );
    assert.equal(usesX86Filter(pack(bytes, '--check=crc32')), false);
    await assert.rejects(
      unpack(pack(bytes, '--check=crc32', '--arm', '--lzma2')),
      /use what is not supported here/,
    );
  },
);
