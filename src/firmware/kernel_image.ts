/**
 * Kernels in the formats that a loader accepts: the arm64 Image (Linux Documentation/arm64/booting.rst), uncompressed,
 * compressed, or in the self-extracting EFI application (Linux drivers/firmware/efi/libstub/zboot-header.S).
 */
import { viewOf } from '../abi/index.js';
import { InputError } from '../base/index.js';
import { byteText, collect } from './byte_streams.js';
import { compressionOf, decompress } from './compression.js';
import type { Compression } from './compression.js';

/** A kernel image, ready to be loaded. */
export interface KernelImage {
  /** The Image itself. */
  readonly bytes: Uint8Array;
  /** The format of the input. */
  readonly container: 'image' | 'zboot' | 'compressed';
  readonly compression: Compression;
  /** The required offset from a 2 MiB boundary, in bytes. */
  readonly textOffset: number;
  /** Size in memory from there on, in bytes, including memory that it clears at its start. */
  readonly memoryBytes: number;
  /** Page size in KiB; null if the header does not tell. */
  readonly pageKiB: 4 | 16 | 64 | null;
  /** Whether it can be loaded anywhere in memory. If not, it must be near the start. */
  readonly anywhere: boolean;
  /** The version text after "Linux version", such as `6.1.0-56-arm64`; null if there is none. */
  readonly version: string | null;
}

/** Maximum size of an Image in bytes. */
const imageLimit = 1 << 29;
const headerBytes = 64;

/** Byte offsets of the header's fields. */
const at = { textOffset: 8, imageSize: 16, flags: 24, magic: 56, peHeader: 60 } as const;
/** "ARM" and 0x64, as bytes. */
const imageMagic = 0x644d_5241;
const peMachineArm64 = 0xaa64;
const zbootTag = 'zimg';

/** zboot-header.S: offset and size of the payload, and the name of its compression. */
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

/** Names for ELF's e_machine (System V ABI), for common kernel architectures. */
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

/** Files that users give by mistake, by signature. The last entry matches everything and has no hint. */
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
 * Checks that all sections of the PE file are within `bytes`. An Image is also a PE file (Microsoft PE Format), so that
 * UEFI can start it. A section past the end means that the file is truncated.
 */
function checkSections(bytes: Uint8Array, what: string): void {
  const view = viewOf(bytes);
  const pe = view.getUint32(at.peHeader, true);
  // Without the EFI stub, only checkEntry can check the size.
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

/**
 * The instructions that form "MZ" at the start of an EFI kernel and have no effect (Linux
 * arch/arm64/kernel/efi-header.S), and NOP.
 */
const harmlessWords: readonly number[] = [0xfa40_5a4d, 0x9100_5a4d, 0xd503_201f];

/** The offset of an unconditional B in bytes; null if the word is another instruction (Arm DDI 0487, C6.2.26). */
function branchOffset(word: number): number | null {
  return word >>> 26 === 0b000101 ? (word << 6) >> 4 : null;
}

/**
 * Checks that the branch at the start of a kernel leads into the file. The field image_size cannot show whether a file
 * is complete, because it includes memory after the end of the file (booting.rst).
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
  // More than any memory, and small enough to be added without loss.
  if (value >= 1n << 48n) throw new InputError(`${what} is damaged: its header asks for ${value} bytes`);
  return Number(value);
}

/** The version text of the kernel. */
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

/** Reads an uncompressed Image. */
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
    // Before Linux 3.17 there was no size, and the offset was not stored in the file's byte order. Its value was always
    // this.
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

/** Extracts the Image from an EFI zboot application. */
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
 * Reads the kernel in `bytes`: an arm64 Image, uncompressed or compressed by gzip, xz or Zstandard, or an EFI zboot
 * application. Throws {@link InputError} with one line that tells what it is instead, or what is wrong with it; `what`
 * names it.
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
