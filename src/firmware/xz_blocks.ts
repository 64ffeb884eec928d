/**
 * Blocks of an xz file whose data went through the x86 filter (BCJ) before they were compressed, as those of bzImage are. The xz
 * library does not have that filter. So each block is wrapped in an xz file of its own without the filter, which the library
 * unpacks; then the filter is undone and the block's CRC-32 is checked here. The format is that of "The .xz File Format" 1.2.1.
 */
import { viewOf } from '../abi/index.js';

/** The two filters of such a block (5.3): an unfiltered address becomes a relative one, then LZMA2 compresses. */
const filterId = { x86: 0x04, lzma2: 0x21 } as const;
/** Check types that are known here (2.1.1.2), and the bytes that each takes in a block. */
const checkBytes: Readonly<Record<number, number>> = { 0: 0, 1: 4 };
const headerBytes = 12;
const footerBytes = 12;
const streamMagic = [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00];
const footerMagic = [0x59, 0x5a];
/** Bit of the block flags: a size is given in the header (3.1.2). */
const hasPackedSize = 0x40;
const hasUnpackedSize = 0x80;

/** A block, ready to be unpacked. */
export interface FilteredBlock {
  /** An xz file with the block's data, without the filter and without a checksum. */
  readonly file: Uint8Array;
  /** The CRC-32 of the unpacked data behind the filter; null if the file has none. */
  readonly crc32: number | null;
}

const crcTable = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit += 1) value = (value & 1) === 1 ? (value >>> 1) ^ 0xedb8_8320 : value >>> 1;
  return value;
});

/** CRC-32 as in IEEE 802.3. */
export function crc32(bytes: Uint8Array): number {
  const value = bytes.reduce(
    (rest, byte) => (rest >>> 8) ^ (crcTable[(rest ^ byte) & 0xff] ?? 0),
    0xffff_ffff,
  );
  return ~value >>> 0;
}

function damaged(): never {
  throw new Error('they are corrupt');
}

/** A number of variable length (1.2). */
class Reader {
  readonly #bytes: Uint8Array;
  at: number;

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes;
    this.at = at;
  }

  byte(): number {
    const value = this.#bytes[this.at] ?? damaged();
    this.at += 1;
    return value;
  }

  number(): number {
    let value = 0;
    for (let scale = 1; scale < 2 ** 50; scale *= 128) {
      const byte = this.byte();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
    return damaged();
  }
}

function numberBytes(value: number): number[] {
  return value < 128 ? [value] : [(value % 128) | 0x80, ...numberBytes(Math.floor(value / 128))];
}

function padded(bytes: readonly number[]): number[] {
  return [...bytes, ...Array<number>((4 - (bytes.length % 4)) % 4).fill(0)];
}

function word(value: number): number[] {
  return [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24];
}

function withCrc(bytes: readonly number[]): number[] {
  return [...bytes, ...word(crc32(Uint8Array.from(bytes)))];
}

/** The LZMA2 property (the dictionary's size) of a block that uses the x86 filter and LZMA2; null for other filters. */
function dictionaryOf(bytes: Uint8Array, at: number): number | null {
  const reader = new Reader(bytes, at + 1);
  const flags = reader.byte();
  if ((flags & 3) !== 1) return null;
  if ((flags & hasPackedSize) !== 0) reader.number();
  if ((flags & hasUnpackedSize) !== 0) reader.number();
  // The x86 filter may have a start offset as a property; nobody uses one.
  if (reader.number() !== filterId.x86 || reader.number() !== 0) return null;
  if (reader.number() !== filterId.lzma2 || reader.number() !== 1) return null;
  return reader.byte();
}

/** Whether the first block of an xz file uses the x86 filter. */
export function usesX86Filter(bytes: Uint8Array): boolean {
  return bytes.length > headerBytes + 8 && dictionaryOf(bytes, headerBytes) !== null;
}

/** The sizes of the blocks by the index at the end of the file (section 4). */
function blockSizes(bytes: Uint8Array): { readonly unpadded: number; readonly unpacked: number }[] {
  const footer = bytes.length - footerBytes;
  if (footer < headerBytes || !footerMagic.every((byte, i) => bytes[footer + 10 + i] === byte)) {
    throw new Error('they end too early');
  }
  const view = viewOf(bytes);
  const index = footer - (view.getUint32(footer + 4, true) + 1) * 4;
  if (index < headerBytes || crc32(bytes.subarray(index, footer - 4)) !== view.getUint32(footer - 4, true)) {
    damaged();
  }
  const reader = new Reader(bytes, index + 1);
  const count = reader.number();
  if (count > bytes.length) damaged();
  return Array.from({ length: count }, () => ({ unpadded: reader.number(), unpacked: reader.number() }));
}

/** An xz file of one block (sections 2 to 4) whose LZMA2 data are `data`. */
function xzFile(data: Uint8Array, dictionary: number, unpacked: number): Uint8Array {
  const streamFlags = [0, 0];
  const header = withCrc([2, 0, filterId.lzma2, 1, dictionary, 0, 0, 0]);
  const index = withCrc(
    padded([0, 1, ...numberBytes(header.length + data.length), ...numberBytes(unpacked)]),
  );
  const start = [...streamMagic, ...withCrc(streamFlags), ...header];
  const backward = [...word(index.length / 4 - 1), ...streamFlags];
  const end = [...index, ...word(crc32(Uint8Array.from(backward))), ...backward, ...footerMagic];
  const file = new Uint8Array(start.length + Math.ceil(data.length / 4) * 4 + end.length);
  file.set(start);
  file.set(data, start.length);
  file.set(end, file.length - end.length);
  return file;
}

/** The blocks of an xz file for which {@link usesX86Filter} is true. Throws Error with a clause that says what is wrong. */
export function filteredBlocks(bytes: Uint8Array): FilteredBlock[] {
  const check = checkBytes[bytes[7] ?? 0];
  if (check === undefined) throw new Error('they use what is not supported here');
  let at = headerBytes;
  return blockSizes(bytes).map(({ unpadded, unpacked }) => {
    const dictionary = dictionaryOf(bytes, at);
    const header = ((bytes[at] ?? 0) + 1) * 4;
    const [start, end] = [at + header, at + unpadded - check];
    if (dictionary === null || end < start || end + check > bytes.length) damaged();
    const checkAt = start + Math.ceil((end - start) / 4) * 4;
    at = checkAt + check;
    return {
      file: xzFile(bytes.subarray(start, end), dictionary, unpacked),
      crc32: check === 0 ? null : viewOf(bytes).getUint32(checkAt, true),
    };
  });
}

/** E8 and E9: CALL and JMP with a relative address. */
const isBranch = (byte: number): boolean => (byte & 0xfe) === 0xe8;
/** The filter converts only addresses whose highest byte is a sign. */
const isSign = (byte: number): boolean => byte === 0 || byte === 0xff;
/**
 * By the branches that began in the three bytes before: whether an address here may have been converted, and which byte of it
 * tells.
 */
const mayConvert = [true, true, true, false, true, false, false, false];
const tellingByte = [0, 1, 2, 2, 3, 3, 3, 3];

/** The relative address that the filter turned into `absolute`; `end` is the address behind the branch. */
function relativeOf(absolute: number, end: number, before: number): number {
  const bits = (tellingByte[before] ?? 0) * 8;
  let value = absolute;
  let relative = (value - end) >>> 0;
  while (before !== 0 && isSign((relative >>> (24 - bits)) & 0xff)) {
    value = (relative ^ (2 ** (32 - bits) - 1)) >>> 0;
    relative = (value - end) >>> 0;
  }
  const low = relative & 0x1ff_ffff;
  return (low & 0x100_0000) !== 0 ? (low | 0xfe00_0000) >>> 0 : low;
}

/** Undoes the x86 filter in `bytes`, the whole of a block (XZ Embedded 20210201, linux/lib/xz/xz_dec_bcj.c, bcj_x86). */
export function undoX86Filter(bytes: Uint8Array): void {
  const view = viewOf(bytes);
  let last = -1;
  /** A bit for each of the three bytes before that may begin a branch. */
  let before = 0;
  for (let at = 0; at + 4 < bytes.length; at += 1) {
    if (!isBranch(bytes[at] ?? 0)) continue;
    const distance = at - last;
    last = at;
    before = distance > 3 ? 0 : (before << (distance - 1)) & 7;
    const telling = bytes[at + 4 - (tellingByte[before] ?? 0)] ?? 0;
    const isPart = before !== 0 && (mayConvert[before] !== true || isSign(telling));
    if (isPart || !isSign(bytes[at + 4] ?? 0)) {
      before = (before << 1) | 1;
      continue;
    }
    view.setUint32(at + 1, relativeOf(view.getUint32(at + 1, true), at + 5, before), true);
    at += 4;
  }
}
