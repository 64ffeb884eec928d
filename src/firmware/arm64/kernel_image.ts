/**
 * The arm64 Image (Linux Documentation/arm64/booting.rst), also in the self-extracting EFI application (Linux
 * drivers/firmware/efi/libstub/zboot-header.S).
 */
import { viewOf } from '../../abi/index.js';
import { InputError } from '../../base/index.js';
import { collect, textAt } from '../byte_streams.js';
import { decompress } from '../compression.js';
import type { Compression } from '../compression.js';
import { imageLimit, linuxVersionIn } from '../image_bytes.js';
import type { KernelImage } from '../kernel_image.js';
import { refuseFile } from '../mistaken_files.js';

/** How an Image wants to be placed in memory. */
export interface Arm64Placement {
  readonly architecture: 'arm64';
  /** The required offset from a 2 MiB boundary, in bytes. */
  readonly textOffset: number;
}

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
  lz4: 'lz4',
};

/** Whether `bytes` start like an Image. */
export function isImage(bytes: Uint8Array): boolean {
  return bytes.length >= headerBytes && viewOf(bytes).getUint32(at.magic, true) === imageMagic;
}

/** The size in memory of the Image that begins with `bytes`, by its header; null if none does, or if it does not say. */
export function imageMemoryBytes(bytes: Uint8Array): number | null {
  if (!isImage(bytes)) return null;
  const size = viewOf(bytes).getBigUint64(at.imageSize, true);
  return size === 0n || size > BigInt(imageLimit) ? null : Number(size);
}

/** Whether `bytes` start like an EFI application that unpacks a kernel. */
export function isZboot(bytes: Uint8Array): boolean {
  return textAt(bytes, 0, 2) === 'MZ' && textAt(bytes, zboot.tag, 4) === zbootTag;
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

type Container = Pick<KernelImage, 'container' | 'compression'>;

/** Reads an uncompressed Image; `container` says how it was packed. Throws {@link InputError} if it cannot be booted. */
export function readImage(bytes: Uint8Array, what: string, container: Container): KernelImage {
  if (!isImage(bytes)) refuseFile(bytes, what);
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
    memoryBytes: Math.max(imageSize, bytes.length),
    version: linuxVersionIn(bytes),
    placement: {
      architecture: 'arm64',
      // Before Linux 3.17 there was no size, and the offset was not stored in the file's byte order. Its value was always
      // this.
      textOffset: imageSize === 0 ? 0x8_0000 : number64(view, at.textOffset, what),
    },
  };
}

/** Extracts the Image from an EFI application for which {@link isZboot} is true. */
export async function readZboot(bytes: Uint8Array, what: string): Promise<KernelImage> {
  if (bytes.length < headerBytes) refuseFile(bytes, what);
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
