import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { viewOf } from '../../abi/index.js';
import { kexecFile } from './kexec_file.js';

/** The start of a vmlinux that is loaded in two pieces, with a note in the second. */
function vmlinux(): Uint8Array {
  const bytes = new Uint8Array(0x1000);
  const view = viewOf(bytes);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1]);
  view.setUint16(16, 2, true);
  view.setUint16(18, 62, true);
  view.setBigUint64(24, 0x100_0080n, true);
  view.setBigUint64(32, 0x40n, true);
  view.setUint16(54, 56, true);
  view.setUint16(56, 3, true);
  for (const [i, [type, physical]] of [
    [1, 0x120_0000n],
    [1, 0x100_0000n],
    [4, 0x120_0100n],
  ].entries()) {
    view.setUint32(0x40 + 56 * i, Number(type), true);
    view.setBigUint64(0x40 + 56 * i + 24, BigInt(physical ?? 0), true);
  }
  return bytes;
}

/** Type of the file, entry, and the physical addresses of its three segments. */
function placed(bytes: Uint8Array): (number | bigint)[] {
  const view = viewOf(bytes);
  const physical = [0, 1, 2].map((i) => view.getBigUint64(0x40 + 56 * i + 24, true));
  return [view.getUint16(16, true), view.getBigUint64(24, true), ...physical];
}

test('a vmlinux, packed or not, becomes a program that lies anywhere, and the file is left alone', async () => {
  const file = vmlinux();
  for (const given of [file, new Uint8Array(gzipSync(file))]) {
    const made = await kexecFile(given, 'made');
    // What is no part of the program keeps its address.
    assert.deepEqual(placed(made), [3, 0x80n, 0x20_0000n, 0n, 0x120_0100n]);
    assert.equal(made.length, file.length);
  }
  assert.deepEqual(placed(file), [2, 0x100_0080n, 0x120_0000n, 0x100_0000n, 0x120_0100n]);
});

test('a bzImage is taken as it is, whatever it begins with', async () => {
  const file = new Uint8Array(0x400);
  file.set(Buffer.from('HdrS'), 0x202);
  file.set([0x1f, 0x8b]);
  assert.equal(await kexecFile(file, 'made'), file);
});
