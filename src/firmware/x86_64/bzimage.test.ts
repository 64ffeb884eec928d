import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { viewOf } from '../../abi/index.js';
import { InputError } from '../../base/index.js';
import { readSelfUnpacking } from './bzimage.js';
import { hvmEntry } from './hvm_entry.js';
import { hvmMemoryMap } from './hvm_memory_map.js';

/** A bzImage with two sectors of setup code, whose header ends at 0x26c, and 0x900 bytes of code. */
function bzImage(): Uint8Array {
  const bytes = new Uint8Array(3 * 512 + 0x900).fill(0x90, 3 * 512);
  const view = viewOf(bytes);
  view.setUint8(0x1f1, 2);
  view.setUint16(0x200, 0x6aeb, true);
  bytes.set(Buffer.from('HdrS'), 0x202);
  view.setUint16(0x206, 0x20f, true);
  view.setUint8(0x211, 1);
  view.setUint16(0x236, 0x7f, true);
  view.setBigUint64(0x258, 0x100_0000n, true);
  view.setUint32(0x260, 0x337_8000, true);
  view.setUint32(0x268, 0x1234_5678, true);
  return bytes;
}

test('a bzImage is loaded where it prefers to lie, and entered 0x200 bytes behind that', () => {
  const { header, code, memory, entry } = readSelfUnpacking(bzImage(), 'made');
  assert.deepEqual([header.length, code.length, entry], [0x26c - 0x1f1, 0x900, 0x100_0200n]);
  assert.deepEqual(memory, { start: 0x100_0000n, size: 0x337_8000n });
});

test('its setup header stands in boot_params, with what a loader sets', () => {
  const { header, memory } = readSelfUnpacking(bzImage(), 'made');
  const entry = hvmEntry({
    kernel: memory,
    header,
    commandLine: 'quiet',
    initrd: new Uint8Array(0x1000),
    memoryMiB: 128,
    memoryMap: hvmMemoryMap(128, 0xb000n),
  });
  const page = entry.load.find(({ at }) => at === entry.bootParamsAt);
  assert.ok(page);
  const view = viewOf(page.bytes);
  // Loader, flags (LOADED_HIGH of the file, CAN_USE_HEAP), initrd, and a field of the file that no loader sets.
  assert.deepEqual([view.getUint8(0x210), view.getUint8(0x211)], [0xb0, 0x81]);
  assert.deepEqual([view.getUint32(0x218, true), view.getUint32(0x21c, true)], [0x7fe_f000, 0x1000]);
  assert.deepEqual([view.getUint16(0x236, true), view.getUint32(0x268, true)], [0x7f, 0x1234_5678]);
  assert.equal(view.getUint8(0x1e8), hvmMemoryMap(128, 0xb000n).length);
});

test('what has no entry in 64-bit mode is refused with one line', () => {
  for (const [at, value] of [
    [0x206, 0x20b],
    [0x236, 2],
  ] as const) {
    const bytes = bzImage();
    viewOf(bytes).setUint16(at, value, true);
    assert.throws(() => readSelfUnpacking(bytes, 'made'), {
      name: InputError.name,
      message: 'made has no entry in 64-bit mode; let the host unpack it',
    });
  }
});

test('a damaged or cut file is read, or refused with one line', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(0x26c), fc.nat(255)), { maxLength: 4 }),
      fc.nat(3 * 512 + 0x900),
      (changes, length) => {
        const bytes = bzImage();
        for (const [at, value] of changes) bytes[at] = value;
        try {
          const { code, header, memory } = readSelfUnpacking(bytes.subarray(0, length), 'made');
          assert.ok(BigInt(code.length) <= memory.size && header.length <= 0x2d0 - 0x1f1);
        } catch (error) {
          assert.ok(error instanceof InputError);
          assert.match(error.message, /^made [^\n]+$/);
        }
      },
    ),
  );
});
