import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { bytesOf, concat } from '../../../test/debian/files.js';
import { InputError } from '../../base/index.js';
import type { Architecture } from '../architecture.js';
import { kernelArchitecture } from '../kernel_image.js';
import { checkChangedFiles } from '../../../test/changed_files.js';
import { readX86Image } from './kernel_image.js';
import type { X86KernelImage } from './kernel_image.js';

interface Part {
  readonly physical: number;
  readonly bytes: Uint8Array;
  readonly memoryBytes: number;
}

interface VmlinuxParts {
  readonly segments?: readonly Part[];
  readonly notes?: Uint8Array;
  readonly entryNote?: number | null;
}

const text = bytesOf('Linux version 6.1.0-99-amd64 (somebody)\n'.padEnd(0x100, '\0'));

/** A note: its name, its type and its value. */
function note(name: string, type: number, value: Uint8Array): Uint8Array {
  const head = new Uint8Array(12);
  const view = new DataView(head.buffer);
  view.setUint32(0, name.length + 1, true);
  view.setUint32(4, value.length, true);
  view.setUint32(8, type, true);
  const pad = (bytes: Uint8Array): Uint8Array => concat(bytes, new Uint8Array((4 - (bytes.length % 4)) % 4));
  return concat(head, pad(bytesOf(`${name}\0`)), pad(value));
}

function entryNoteOf(entry: number | null): Uint8Array {
  if (entry === null) return new Uint8Array();
  const value = new Uint8Array(8);
  new DataView(value.buffer).setUint32(0, entry, true);
  return note('Xen', 18, value);
}

/** A vmlinux: an ELF header, a program header for each segment and one for the notes, then their contents. */
function vmlinux({
  segments = [
    { physical: 0x100_0000, bytes: text, memoryBytes: 0x100 },
    { physical: 0x100_1000, bytes: bytesOf('data'), memoryBytes: 0x2000 },
  ],
  entryNote = 0x100_0010,
  notes = concat(
    note('Linux', 257, bytesOf('x')),
    note('Xen', 6, bytesOf('linux\0')),
    entryNoteOf(entryNote),
  ),
}: VmlinuxParts = {}): Uint8Array {
  const parts = [...segments.map(({ bytes }) => bytes), notes];
  const table = new Uint8Array(64 + 56 * parts.length);
  const view = new DataView(table.buffer);
  table.set(bytesOf('\x7fELF\x02\x01\x01'));
  view.setUint16(18, 62, true);
  view.setBigUint64(32, 64n, true);
  view.setUint16(54, 56, true);
  view.setUint16(56, parts.length, true);
  let offset = table.length;
  for (const [i, bytes] of parts.entries()) {
    const at = 64 + 56 * i;
    const segment = segments[i];
    view.setUint32(at, segment === undefined ? 4 : 1, true);
    view.setBigUint64(at + 8, BigInt(offset), true);
    view.setBigUint64(at + 24, BigInt(segment?.physical ?? 0), true);
    view.setBigUint64(at + 32, BigInt(bytes.length), true);
    view.setBigUint64(at + 40, BigInt(segment?.memoryBytes ?? bytes.length), true);
    offset += bytes.length;
  }
  return concat(table, ...parts);
}

/** A bzImage with two sectors of setup code, and its payload 0x40 bytes into the rest. */
function bzImage(payload: Uint8Array, version = 0x20f): Uint8Array {
  const setup = new Uint8Array(3 * 512 + 0x40);
  const view = new DataView(setup.buffer);
  setup[0x1f1] = 2;
  setup.set(bytesOf('HdrS'), 0x202);
  view.setUint16(0x206, version, true);
  view.setUint32(0x248, 0x40, true);
  view.setUint32(0x24c, payload.length, true);
  return concat(setup, payload, new Uint8Array(16));
}

function read(bytes: Uint8Array): Promise<X86KernelImage> {
  return readX86Image(bytes, 'it', { container: 'image', compression: 'none' });
}

test('a vmlinux is laid out in memory by its segments, and entered where its note says', async () => {
  const image = await read(vmlinux());
  assert.deepEqual(image.placement, { architecture: 'amd64', loadAt: 0x100_0000, entry: 0x100_0010 });
  assert.equal(image.memoryBytes, 0x3000);
  assert.equal(image.version, '6.1.0-99-amd64');
  assert.equal(image.bytes.length, 0x1004);
  assert.deepEqual(image.bytes.subarray(0, 0x100), text);
  assert.ok(image.bytes.subarray(0x100, 0x1000).every((byte) => byte === 0));
  assert.deepEqual(image.bytes.subarray(0x1000), bytesOf('data'));
});

test('a bzImage is unpacked to the same kernel, and its method is told', async () => {
  const { bytes, placement, memoryBytes } = await read(vmlinux());
  const packed = await read(bzImage(gzipSync(vmlinux())));
  assert.deepEqual(packed.bytes, bytes);
  assert.deepEqual(
    [packed.placement, packed.memoryBytes, packed.container, packed.compression],
    [placement, memoryBytes, 'bzimage', 'gzip'],
  );
});

/** How the kernel's build packs a vmlinux; the unpacked size follows in 4 bytes (Linux scripts/Makefile.lib, size_append). */
const packers = [
  ['xz', ['--format=xz', '--check=crc32', '--x86', '--lzma2=dict=32MiB', '-c']],
  ['zstd', ['-22', '--ultra', '-c']],
  ['lz4', ['-l', '-9', '-c']],
] as const;

for (const [method, args] of packers) {
  const missing = spawnSync(method, ['--version']).status === 0 ? false : `no ${method}`;
  test(`a bzImage packed by ${method} is unpacked to the same kernel`, { skip: missing }, async () => {
    const kernel = vmlinux();
    const { status, stdout } = spawnSync(method, args, { input: kernel });
    assert.equal(status, 0);
    const size = new Uint8Array(4);
    new DataView(size.buffer).setUint32(0, kernel.length, true);
    const { bytes, compression } = await read(bzImage(concat(Uint8Array.from(stdout), size)));
    assert.deepEqual(bytes, (await read(kernel)).bytes);
    assert.equal(compression, method);
    size.set([0xff, 0xff, 0xff, 0xff]);
    await assert.rejects(
      read(bzImage(concat(Uint8Array.from(stdout), size))),
      /^InputError: it unpacks to more than 512 MiB$/,
    );
  });
}

test('both are known as amd64 kernels', () => {
  const known: readonly Architecture[] = ['amd64', 'amd64'];
  assert.deepEqual([vmlinux(), bzImage(gzipSync(vmlinux()))].map(kernelArchitecture), known);
});

const far = { physical: 0x4000_0000, bytes: bytesOf('x'), memoryBytes: 1 };

/** The name of the case, the bytes, and the message after "it ". */
const refused: readonly (readonly [string, Uint8Array, RegExp])[] = [
  ['a kernel without a PVH entry', vmlinux({ entryNote: null }), /^has no PVH entry \(XEN_ELFNOTE_PHYS32/],
  [
    'a kernel with an entry elsewhere',
    vmlinux({ entryNote: 0x1000 }),
    /^is damaged: its entry 0x1000 is outs/,
  ],
  ['a kernel without segments', vmlinux({ segments: [] }), /^is damaged: it asks for no bytes of memory$/],
  [
    'a kernel that takes all memory',
    vmlinux({ segments: [{ physical: 0x100_0000, bytes: text, memoryBytes: 0x100 }, far] }),
    /^is damaged: it asks for \d+ bytes of memory$/,
  ],
  [
    'a segment that is larger in the file',
    vmlinux({ segments: [{ physical: 0x100_0000, bytes: text, memoryBytes: 1 }] }),
    /^is damaged: a segment has more bytes in the file than in memory$/,
  ],
  ['half a vmlinux', vmlinux().subarray(0, 300), /^is truncated: it has 300 bytes, but needs at least \d+$/],
  [
    'the start of a vmlinux',
    vmlinux().subarray(0, 32),
    /^is truncated: it has 32 bytes, and its header has 64$/,
  ],
  [
    'a vmlinux without its headers',
    vmlinux().subarray(0, 100),
    /^is damaged: its program headers are not in/,
  ],
  ['half a bzImage', bzImage(gzipSync(vmlinux())).subarray(0, 1700), /^is truncated: it has 1700 bytes/],
  [
    'the start of a bzImage',
    bzImage(gzipSync(vmlinux())).subarray(0, 0x210),
    /^is truncated: .* header has 592$/,
  ],
  ['an old bzImage', bzImage(gzipSync(vmlinux()), 0x207), /^is a kernel older than Linux 2\.6\.26/],
  [
    'a bzImage packed otherwise',
    bzImage(bytesOf('\x89LZOdata')),
    /^is packed by lzop, which cannot be unpacked here; give its vmlinux instead$/,
  ],
  ['a bzImage with another file in it', bzImage(gzipSync(text)), /^is damaged: there is no kernel in it$/],
  ['a bzImage with other bytes in it', bzImage(bytesOf('\x1f\x8bdata')), /^is damaged: its gzip data/],
  ['an initramfs', concat(bytesOf('070701'), text), /^is a cpio archive/],
];

for (const [what, bytes, message] of refused) {
  test(`${what} is refused with one line`, async () => {
    await assert.rejects(read(bytes), (error: unknown) => {
      assert.ok(error instanceof InputError, String(error));
      assert.match(error.message.replace(/^it /, ''), message);
      return !error.message.includes('\n');
    });
  });
}

test('random bytes and changed kernels are read, or refused with InputError', async () => {
  await checkChangedFiles([vmlinux(), bzImage(gzipSync(vmlinux()))], 4096, async (bytes) => {
    const { placement, memoryBytes, bytes: image } = await read(bytes);
    assert.ok(image.length <= memoryBytes);
    assert.ok(placement.entry >= placement.loadAt && placement.entry < placement.loadAt + image.length);
  });
});
