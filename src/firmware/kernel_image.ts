/**
 * Kernels as a loader takes them: the arm64 Image (Linux Documentation/arm64/booting.rst), bare, compressed, or within
 * the EFI application that unpacks itself (Linux drivers/firmware/efi/libstub/zboot-header.S).
 */
import { viewOf } from '../abi/index.js';
import { InputError } from '../base/index.js';
import { byteText, collect } from './byte_streams.js';
import { compressionOf, decompress } from './compression.js';
import type { Compression } from './compression.js';

/** A kernel that is ready to be loaded. */
export interface KernelImage {
  /** The Image itself. */
  readonly bytes: Uint8Array;
  /** How what was given held it. */
  readonly container: 'image' | 'zboot' | 'compressed';
  readonly compression: Compression;
  /** How far from a 2 MiB boundary it wants to be, in bytes. */
  readonly textOffset: number;
  /** The memory that it takes from there on, in bytes, what it clears for itself at the start included. */
  readonly memoryBytes: number;
  /** The size of its pages in KiB; null when it does not say. */
  readonly pageKiB: 4 | 16 | 64 | null;
  /** Whether it may lie anywhere in memory, rather than near its start. */
  readonly anywhere: boolean;
  /** What it calls itself after "Linux version", as `6.1.0-56-arm64`; null when it does not say. */
  readonly version: string | null;
}

/** An Image may have this many bytes. */
const imageLimit = 1 << 29;
const headerBytes = 64;

/** The header's fields as byte offsets. */
const at = { textOffset: 8, imageSize: 16, flags: 24, magic: 56, peHeader: 60 } as const;
/** "ARM" and 0x64, as bytes. */
const imageMagic = 0x644d_5241;
const peMachineArm64 = 0xaa64;
const zbootTag = 'zimg';

/** zboot-header.S: the payload's place and size, and the name of its compression. */
const zboot = { tag: 4, payloadOffset: 8, payloadSize: 12, compression: 24, compressionBytes: 32 } as const;
const zbootCompressions: Readonly<Record<string, Compression>> = {
  gzip: 'gzip',
  xzkern: 'xz',
  xz: 'xz',
  zstd: 'zstd',
  zstd22: 'zstd',
};

function textAt(bytes: Uint8Array, offset: number, length: number): string {
  return byteText(bytes.subarray(offset, offset + length));
}

/** ELF's e_machine, for those that people have kernels of (System V ABI). */
const elfMachines: Readonly<Record<number, string>> = {
  3: 'x86',
  21: 'PowerPC',
  22: 'S/390',
  40: '32-bit Arm',
  62: 'amd64',
  183: 'arm64',
  243: 'RISC-V',
};

function describeElf(bytes: Uint8Array): string {
  const machine = (bytes[18] ?? 0) | ((bytes[19] ?? 0) << 8);
  const name = elfMachines[machine] ?? 'unknown';
  return machine === 183
    ? 'an ELF file (a vmlinux?); the Image beside it in arch/arm64/boot is what can be booted'
    : `an ELF file for ${name} machines, not an arm64 kernel`;
}

/** What people give by mistake, by what stands where in it; the last resort has nothing to say. */
const mistakes: readonly (readonly [
  test: (bytes: Uint8Array) => boolean,
  what: string | typeof describeElf,
])[] = [
  [(bytes) => textAt(bytes, 0, 4) === '\x7fELF', describeElf],
  [(bytes) => textAt(bytes, 0x202, 4) === 'HdrS', 'an x86 kernel (bzImage), not an arm64 one'],
  [
    (bytes) => textAt(bytes, 0x24, 4) === '\x18\x28\x6f\x01',
    'a kernel for 32-bit Arm (zImage), not an arm64 one',
  ],
  [(bytes) => textAt(bytes, 56, 4) === 'RSC\x05', 'a RISC-V kernel, not an arm64 one'],
  [(bytes) => textAt(bytes, 0, 4) === '\x27\x05\x19\x56', 'a U-Boot image; the Image in it is needed'],
  [(bytes) => textAt(bytes, 0, 6) === '070701', 'a cpio archive: an initramfs rather than a kernel?'],
  [(bytes) => textAt(bytes, 257, 5) === 'ustar', 'a tar archive, not a kernel'],
  [
    (bytes) => ['\x04\x22\x4d\x18', '\x02\x21\x4c\x18'].includes(textAt(bytes, 0, 4)),
    'compressed by lz4, which cannot be unpacked here; unpack it with "lz4 -d" first',
  ],
  [
    (bytes) => textAt(bytes, 0, 3) === 'BZh',
    'compressed by bzip2, which cannot be unpacked here; unpack it with "bunzip2" first',
  ],
  [
    (bytes) => textAt(bytes, 0, 3) === '\x5d\0\0',
    'compressed by lzma, which cannot be unpacked here; unpack it with "unlzma" first',
  ],
  [
    (bytes) => textAt(bytes, 0, 4) === '\x89LZO',
    'compressed by lzop, which cannot be unpacked here; unpack it with "lzop -d" first',
  ],
];

function refuse(bytes: Uint8Array, what: string): never {
  const mistake = mistakes.find(([test]) => test(bytes))?.[1];
  if (mistake !== undefined) {
    throw new InputError(`${what} is ${typeof mistake === 'string' ? mistake : mistake(bytes)}`);
  }
  if (bytes.length < headerBytes) {
    throw new InputError(`${what} is too short to be a kernel: it has ${bytes.length} bytes`);
  }
  throw new InputError(`${what} is not an arm64 kernel: it has no "ARMd" at byte ${at.magic}`);
}

/**
 * Checks that no section of the PE file that the Image also is (Microsoft PE Format; it is how UEFI starts it) lies
 * behind the end of `bytes`, which is how a file that was cut short shows.
 */
function checkSections(bytes: Uint8Array, what: string): void {
  const view = viewOf(bytes);
  const pe = view.getUint32(at.peHeader, true);
  // Without that stub, checkEntry is all that there is.
  if (pe === 0 || textAt(bytes, 0, 2) !== 'MZ') return;
  if (pe + 24 > bytes.length || textAt(bytes, pe, 4) !== 'PE\0\0') {
    throw new InputError(`${what} is damaged: its PE header is not in the expected place`);
  }
  if (view.getUint16(pe + 4, true) !== peMachineArm64) {
    throw new InputError(`${what} is an EFI program for another machine, not an arm64 kernel`);
  }
  const table = pe + 24 + view.getUint16(pe + 20, true);
  for (let i = 0; i < view.getUint16(pe + 6, true); i += 1) {
    const section = table + 40 * i;
    const whole = section + 40 <= bytes.length;
    const end = whole
      ? view.getUint32(section + 20, true) + view.getUint32(section + 16, true)
      : section + 40;
    if (end > bytes.length) {
      throw new InputError(`${what} is truncated: it has ${bytes.length} bytes, but needs at least ${end}`);
    }
  }
}

/** Words that an EFI kernel has at its start, which are an "MZ" that does nothing (Linux arch/arm64/kernel/efi-header.S), and NOP. */
const harmlessWords: readonly number[] = [0xfa40_5a4d, 0x9100_5a4d, 0xd503_201f];

/** How far on an unconditional B goes, in bytes; null where the word is another instruction (Arm DDI 0487, C6.2.26). */
function branchOffset(word: number): number | null {
  return word >>> 26 === 0b000101 ? (word << 6) >> 4 : null;
}

/**
 * Checks that the branch that a kernel begins with leads into the file. image_size cannot tell whether a file is whole,
 * because it counts memory behind the file's end too (booting.rst).
 */
function checkEntry(bytes: Uint8Array, what: string): void {
  const view = viewOf(bytes);
  const place = harmlessWords.includes(view.getUint32(0, true)) ? 4 : 0;
  const offset = branchOffset(view.getUint32(place, true));
  if (offset === null || place + offset + 4 <= bytes.length) return;
  throw new InputError(
    `${what} is truncated: it has ${bytes.length} bytes, and its first instruction to run is at byte ${place + offset}`,
  );
}

function number64(view: DataView, offset: number, what: string): number {
  const value = view.getBigUint64(offset, true);
  // More than any memory there is, and few enough to be added up.
  if (value >= 1n << 48n) throw new InputError(`${what} is damaged: its header asks for ${value} bytes`);
  return Number(value);
}

/** What the kernel calls itself. */
function versionOf(bytes: Uint8Array): string | null {
  const words = Uint8Array.from('Linux version ', (character) => character.charCodeAt(0));
  const first = words[0] ?? 0;
  for (let i = bytes.indexOf(first); i >= 0; i = bytes.indexOf(first, i + 1)) {
    if (!words.every((byte, k) => bytes[i + k] === byte)) continue;
    const version = /^[0-9][^\s\0%]*/.exec(textAt(bytes, i + words.length, 96))?.[0];
    if (version !== undefined) return version;
  }
  return null;
}

type Container = Pick<KernelImage, 'container' | 'compression'>;

/** The Image in `bytes`, which nothing is wrapped around. */
function readImage(bytes: Uint8Array, what: string, container: Container): KernelImage {
  if (bytes.length < headerBytes || viewOf(bytes).getUint32(at.magic, true) !== imageMagic)
    refuse(bytes, what);
  const view = viewOf(bytes);
  const flags = Number(view.getBigUint64(at.flags, true) & 0xffn);
  if ((flags & 1) !== 0) {
    throw new InputError(`${what} is a big-endian kernel; only little-endian ones can be booted`);
  }
  checkSections(bytes, what);
  checkEntry(bytes, what);
  const imageSize = number64(view, at.imageSize, what);
  return {
    bytes,
    ...container,
    // Before Linux 3.17 there was no size, and the offset was not in the file's byte order: it is this one.
    textOffset: imageSize === 0 ? 0x8_0000 : number64(view, at.textOffset, what),
    memoryBytes: Math.max(imageSize, bytes.length),
    pageKiB: ([null, 4, 16, 64] as const)[(flags >> 1) & 3] ?? null,
    anywhere: (flags & 8) !== 0,
    version: versionOf(bytes),
  };
}

function isZboot(bytes: Uint8Array): boolean {
  return textAt(bytes, 0, 2) === 'MZ' && textAt(bytes, zboot.tag, 4) === zbootTag;
}

/** Unpacks the EFI application that holds an Image. */
async function readZboot(bytes: Uint8Array, what: string): Promise<KernelImage> {
  if (bytes.length < headerBytes) refuse(bytes, what);
  checkSections(bytes, what);
  const view = viewOf(bytes);
  const [start, size] = [view.getUint32(zboot.payloadOffset, true), view.getUint32(zboot.payloadSize, true)];
  const name = textAt(bytes, zboot.compression, zboot.compressionBytes).replace(/\0.*/s, '');
  const compression = zbootCompressions[name];
  if (compression === undefined) {
    const known = Object.keys(zbootCompressions).join(', ');
    throw new InputError(
      `${what} is an EFI kernel packed as ${JSON.stringify(name)}; the known formats are ${known}`,
    );
  }
  if (start + size > bytes.length) {
    throw new InputError(
      `${what} is truncated: it has ${bytes.length} bytes, but needs at least ${start + size}`,
    );
  }
  const payload = decompress(bytes.subarray(start, start + size), compression, what);
  return readImage(await collect(payload, imageLimit, what), what, { container: 'zboot', compression });
}

/**
 * The kernel in `bytes`: an arm64 Image, bare, compressed by gzip, xz or Zstandard, or an EFI zboot application. Throws
 * {@link InputError} with one line that says what it is instead, or what is wrong with it; `what` names it there.
 */
export async function readKernelImage(bytes: Uint8Array, what: string): Promise<KernelImage> {
  if (bytes.length === 0) throw new InputError(`${what} is empty`);
  if (isZboot(bytes)) return await readZboot(bytes, what);
  const compression = compressionOf(bytes);
  if (compression === 'none') return readImage(bytes, what, { container: 'image', compression });
  const image = await collect(decompress(bytes, compression, what), imageLimit, what);
  if (image.length === 0) throw new InputError(`${what} is empty after unpacking`);
  return readImage(image, what, { container: 'compressed', compression });
}
