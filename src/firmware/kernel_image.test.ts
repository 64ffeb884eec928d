import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { bytesOf, concat, debPackage, kernelImage, zbootImage } from '../../test/debian/files.js';
import { InputError } from '../base/index.js';
import { readKernelFile } from './kernel_file.js';
import { kernelArchitecture, readKernelImage } from './kernel_image.js';
import { checkChangedFiles } from '../../test/changed_files.js';

const image = kernelImage();

test('the header fields of an uncompressed Image are read', async () => {
  const read = await readKernelImage(image, 'it');
  assert.deepEqual(read, {
    bytes: image,
    container: 'image',
    compression: 'none',
    memoryBytes: 0x2000,
    version: '6.1.0-99-arm64',
    placement: { architecture: 'arm64', textOffset: 0 },
  });
  const other = await readKernelImage(
    kernelImage({ flags: 4n, textOffset: 0x8_0000n, imageSize: 10n, pe: false }),
    'it',
  );
  assert.deepEqual(
    [other.placement, other.memoryBytes],
    [{ architecture: 'arm64', textOffset: 0x8_0000 }, 1024],
  );
});

test('an Image without a size is older than Linux 3.17, and has an offset of 512 KiB', async () => {
  const old = await readKernelImage(kernelImage({ imageSize: 0n, textOffset: 0n, pe: false }), 'it');
  assert.deepEqual([old.placement, old.memoryBytes], [{ architecture: 'arm64', textOffset: 0x8_0000 }, 1024]);
});

test('a kernel without a version text has no version', async () => {
  assert.equal((await readKernelImage(kernelImage({ version: 'x' }), 'it')).version, null);
});

test('a compressed Image is decompressed, and so is one in an EFI application', async () => {
  const packed = await readKernelImage(gzipSync(image), 'it');
  assert.deepEqual([packed.container, packed.compression], ['compressed', 'gzip']);
  assert.deepEqual(packed.bytes, image);
  const zboot = await readKernelImage(zbootImage(gzipSync(image), 'gzip'), 'it');
  assert.deepEqual([zboot.container, zboot.compression], ['zboot', 'gzip']);
  assert.deepEqual(zboot.bytes, image);
});

test('a kernel is complete if the file contains all sections, and truncated if one byte is missing', async () => {
  const whole = kernelImage({ version: 'x' });
  const end = 64 + 24 + 16 + 40;
  new DataView(whole.buffer).setUint32(64 + 24 + 16 + 20, 0, true); // the section from 0 on
  new DataView(whole.buffer).setUint32(64 + 24 + 16 + 16, 100, true); // and 100 bytes long
  assert.equal((await readKernelImage(whole.subarray(0, end), 'it')).container, 'image');
  await assert.rejects(
    readKernelImage(whole.subarray(0, end - 1), 'it'),
    /truncated: it has 143 bytes, but needs at least 144/,
  );
});

/** An Image without a PE header that begins with `words`. */
function plainImage(words: readonly number[]): Uint8Array {
  const bytes = kernelImage({ pe: false });
  const view = new DataView(bytes.buffer);
  words.forEach((word, i) => view.setUint32(4 * i, word, true));
  return bytes;
}

/** A B instruction at byte `from` to byte `to`. */
function branch(from: number, to: number): number {
  return (0x1400_0000 | (((to - from) >> 2) & 0x3ff_ffff)) >>> 0;
}

/** Kernels by their first words: a branch, a branch after the "MZ" instruction of 5.10 or of 6.1, or after a NOP. */
const beginnings: readonly (readonly number[])[] = [
  [branch(0, 900)],
  [0x9100_5a4d, branch(4, 900)],
  [0xfa40_5a4d, branch(4, 900)],
  [0xd503_201f, branch(4, 900)],
];

test('an Image without a PE header is complete if its first branch leads into it, and truncated otherwise', async () => {
  for (const words of beginnings) {
    const whole = plainImage(words);
    for (let length = 64; length <= whole.length; length += 4) {
      const cut = readKernelImage(whole.subarray(0, length), 'it');
      if (length >= 904) assert.equal((await cut).container, 'image');
      else await assert.rejects(cut, { message: cutAt(length) });
    }
    await assert.rejects(readKernelImage(gzipSync(whole.subarray(0, 800)), 'it'), { message: cutAt(800) });
  }
});

function cutAt(length: number): string {
  return `it is truncated: it has ${length} bytes, and its first instruction to run is at byte 900`;
}

test('a kernel that begins with a backward, self or register branch, or with data, is not called truncated', async () => {
  const others = [[branch(900, 0)], [branch(0, 0)], [0xd61f_0000], [0x1234_5678, branch(4, 9000)]];
  for (const words of others) {
    assert.equal((await readKernelImage(plainImage(words), 'it')).container, 'image');
  }
});

test('a compressed kernel truncated at any point is refused with one line', async () => {
  for (const whole of [gzipSync(image), zbootImage(gzipSync(image), 'gzip')]) {
    for (let length = 0; length < whole.length; length += 1) {
      await assert.rejects(readKernelImage(whole.subarray(0, length), 'it'), (error: unknown) => {
        assert.ok(error instanceof InputError, `${length}: ${String(error)}`);
        return /^it is (empty|too short|not a kernel|truncated|damaged)[^\n]*$/.test(error.message);
      });
    }
  }
});

/** The name of the case, the bytes, and the message after "it ". */
const refused: readonly (readonly [string, Uint8Array, RegExp])[] = [
  ['an empty file', new Uint8Array(), /^is empty$/],
  ['an empty file, packed', gzipSync(new Uint8Array()), /^is empty after unpacking$/],
  ['a few bytes', bytesOf('MZ'), /^is too short to be a kernel: it has 2 bytes$/],
  [
    'text',
    bytesOf('no kernel'.repeat(20)),
    /^is not a kernel: it has neither the "ARMd" of arm64 at byte 56 nor/,
  ],
  [
    'an amd64 kernel of old',
    bzImage(),
    /^is a kernel older than Linux 2\.6\.26, which no PVH guest can boot$/,
  ],
  ['the same, packed', gzipSync(bzImage()), /^is a kernel older than/],
  ['an amd64 program', elf(62), /^is damaged: its program headers are not in the file$/],
  ['a vmlinux', elf(183), /^is an ELF file \(a vmlinux\?\); the Image beside it/],
  ['a program for who knows what', elf(999), /^is an ELF file for unknown machines/],
  ['a big-endian kernel', kernelImage({ flags: 0xbn }), /^is a big-endian kernel/],
  ['an EFI program for x86', kernelImage({ machine: 0x8664 }), /^is an EFI program for another machine/],
  ['half a kernel', image.subarray(0, 600), /^is truncated: it has 600 bytes, but needs at least 1024$/],
  ['the start of a kernel', image.subarray(0, 100), /^is (truncated|damaged)/],
  ['half of a packed one', gzipSync(image).subarray(0, 100), /^is damaged: its gzip data cannot be unpacked/],
  [
    'a header that asks for everything',
    kernelImage({ imageSize: 1n << 60n }),
    /^is damaged: its header asks for/,
  ],
  [
    'an EFI application of another packing',
    zbootImage(image, 'lzo'),
    /packed as "lzo"; the known formats are gzip, /,
  ],
  ['half an EFI application', zbootImage(gzipSync(image), 'gzip').subarray(0, 1100), /^is truncated/],
  ['an EFI application with other bytes', zbootImage(image, 'gzip'), /^is damaged: its gzip data/],
  ['a 32-bit kernel', at(0x24, '\x18\x28\x6f\x01'), /32-bit Arm \(zImage\)/],
  ['a RISC-V kernel', at(56, 'RSC\x05'), /RISC-V/],
  ['a U-Boot image', at(0, '\x27\x05\x19\x56'), /U-Boot/],
  ['an initramfs', at(0, '070701'), /cpio/],
  ['a tar archive', at(257, 'ustar'), /tar archive/],
  ['an lz4 file', at(0, '\x04\x22\x4d\x18'), /^is compressed by lz4.* "lz4 -d" first$/],
  [
    'an lz4 file as the kernel makes them, with nothing in it',
    at(0, '\x02\x21\x4c\x18'),
    /^is damaged: its lz4 data/,
  ],
  ['a bzip2 file', at(0, 'BZh9'), /^is compressed by bzip2/],
  ['an lzma file', at(0, '\x5d\0\0\x80'), /^is compressed by lzma/],
  ['an lzop file', at(0, '\x89LZO'), /^is compressed by lzop/],
];

function at(offset: number, text: string): Uint8Array {
  const bytes = new Uint8Array(1024);
  bytes.set(bytesOf(text), offset);
  return bytes;
}

function bzImage(): Uint8Array {
  return concat(bytesOf('MZ'), at(0x200, 'HdrS'));
}

function elf(machine: number): Uint8Array {
  const bytes = at(0, '\x7fELF\x02\x01');
  bytes[18] = machine & 0xff;
  bytes[19] = machine >> 8;
  return bytes;
}

for (const [what, bytes, message] of refused) {
  test(`${what} is refused with one line`, async () => {
    await assert.rejects(readKernelFile(bytes, 'it'), (error: unknown) => {
      assert.ok(error instanceof InputError, String(error));
      assert.match(error.message.replace(/^it /, ''), message);
      return !error.message.includes('\n');
    });
  });
}

test('the architecture of a kernel is told from its contents', () => {
  assert.equal(kernelArchitecture(image), 'arm64');
  assert.equal(kernelArchitecture(zbootImage(image, 'gzip')), 'arm64');
  assert.equal(kernelArchitecture(elf(183)), 'arm64');
  assert.equal(kernelArchitecture(bzImage()), 'amd64');
  assert.equal(kernelArchitecture(elf(62)), 'amd64');
  const [elf32, bigEndian] = [elf(62), elf(183)];
  elf32[4] = 1;
  bigEndian[5] = 2;
  for (const other of [elf(243), elf32, bigEndian, at(257, 'ustar'), new Uint8Array()])
    assert.equal(kernelArchitecture(other), null);
});

test('a kernel is read from its package; a package without one names the package that has it', async () => {
  const control = { Package: 'linux-image-6.1.0-99-arm64', Version: '6.1.200-1', Depends: 'kmod' };
  const deb = await debPackage(control, {
    'boot/config-6.1': bytesOf('x'),
    'boot/vmlinuz-6.1.0-99-arm64': image,
  });
  const file = await readKernelFile(deb, 'it');
  assert.deepEqual(file.packed, image);
  assert.deepEqual(file.package, {
    name: control.Package,
    version: '6.1.200-1',
    path: 'boot/vmlinuz-6.1.0-99-arm64',
  });
  const meta = await debPackage({ ...control, Depends: 'kmod, linux-binary-7.2-arm64 (= 7.2-1)' }, {});
  await assert.rejects(
    readKernelFile(meta, 'it'),
    /try the package linux-binary-7\.2-arm64, which it depends on$/,
  );
  await assert.rejects(
    readKernelFile(await debPackage(control, {}), 'it'),
    /^InputError: it contains no kernel$/,
  );
});

test('random bytes and changed kernels are read, or refused with InputError', async () => {
  const files = [image, gzipSync(image), zbootImage(gzipSync(image), 'gzip')];
  await checkChangedFiles(files, 1200, async (bytes) => {
    const read = await readKernelFile(bytes, 'it');
    const { placement, memoryBytes } = read.image;
    const at = placement.architecture === 'arm64' ? placement.textOffset : placement.loadAt;
    assert.ok(Number.isSafeInteger(at + memoryBytes));
  });
});
