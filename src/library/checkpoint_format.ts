/**
 * The file format of a checkpoint: a plain value, and the frames of memory that are not all zero. Numbers are 32-bit
 * little-endian.
 *
 * ```text
 *   16 bytes   signature
 *    4 bytes   version of this format
 *    4 bytes   length of the header
 *              header: raw deflate of a JSON text: the software that wrote the file, and the value
 *    4 bytes   number of frames
 *    4 bytes   number of different contents
 *              for each frame: its number, the index of its content (frame numbers ascend)
 *              for each content: its first 4 bytes
 *              for each group of 16 contents (the last may have fewer): its length, and SHA-256 of the frames as they were in memory
 *              for each group: raw deflate of its frames
 *   32 bytes   SHA-256 of everything before
 * ```
 */
import { createHash } from 'node:crypto';
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { frameBytes, InputError, present, valueFromJson, valueToJson } from '../base/index.js';
import type { SavedFrame } from '../boot/index.js';
import { mostFrames } from './checkpoint_sizes.js';

export interface Checkpoint {
  /** A plain value (base/value.ts). */
  readonly value: unknown;
  /** In ascending order of their numbers, each once. Frames that are missing are all zero. */
  readonly frames: readonly SavedFrame[];
}

const signature = 'domulator state\n';
const formatVersion = 6;
const hashBytes = 32;
/** More than any header needs, bytes. A file that claims more is refused, and does not fill the memory. */
const mostHeaderBytes = 1 << 26;
/**
 * The largest file that is written and read, bytes: Node hashes and writes no more at once. Only a guest with nearly the most memory,
 * all of it filled with what cannot be compressed, would have a larger one.
 */
export const mostFileBytes = 2 ** 31 - 1;
/**
 * Frames in a group. Compressed one by one, a guest's 20,000 frames took three times as long to write and to read; in larger groups,
 * who needs one frame unpacks many.
 */
const groupFrames = 16;
const compression = { level: 1 } as const;
/** What is unpacked at once, bytes: a whole group. Smaller parts would have to be joined. */
const largestChunk = groupFrames * frameBytes;
/** Unpacked groups that are kept: of frames that are asked for one after the other, many are in one group. */
const mostUnpacked = 256;

const sha256 = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest();

/** The words of a frame. */
function wordsOf(frame: Uint8Array): Uint32Array {
  const { buffer, byteOffset, byteLength } = frame.byteOffset % 4 === 0 ? frame : frame.slice();
  return new Uint32Array(buffer, byteOffset, byteLength / 4);
}

/** A number that is the same for equal frames, and nearly always another one for others; 0 for a frame that is all zero. */
function keyOf(frame: Uint8Array): number {
  let [low, high, any] = [0, 0, 0];
  for (const word of wordsOf(frame)) {
    low = Math.imul(low ^ word, 0x01000193);
    high = (Math.imul(high, 0x9e3779b1) + word) | 0;
    any |= word;
  }
  return any === 0 ? 0 : 1 + (low >>> 0) + (high >>> 12) * 2 ** 32;
}

function words(...values: readonly number[]): Buffer {
  return wordBytes(values);
}

function wordBytes(values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length);
  for (const [i, value] of values.entries()) bytes.writeUInt32LE(value, 4 * i);
  return bytes;
}

/**
 * The file of a checkpoint. `software` names the software and its version; {@link decodeCheckpoint} refuses another's files.
 * Frames that are all zero are left out, and equal frames are stored once. What was used last comes first, because who goes on from
 * there needs it at once. Throws InputError if the file would be larger than one that is read: than `most` bytes.
 */
export function encodeCheckpoint(
  software: string,
  { value, frames }: Checkpoint,
  most = { fileBytes: mostFileBytes, headerBytes: mostHeaderBytes },
): Uint8Array {
  const text = Buffer.from(valueToJson({ software, value }));
  if (text.length > most.headerBytes)
    throw new InputError('what is known of the guest is too much for a checkpoint; write it earlier');
  const header = deflateRawSync(text, { level: 6 });
  const { list, contents, starts } = differentContents(frames);
  const heads: Buffer[] = [];
  const bodies: Buffer[] = [];
  let size = 0;
  for (let first = 0; first < contents.length; first += groupFrames) {
    const group = Buffer.concat(contents.slice(first, first + groupFrames).map(({ bytes }) => bytes));
    const body = deflateRawSync(group, compression);
    heads.push(words(body.length), sha256(group));
    bodies.push(body);
    size += body.length;
    if (size > most.fileBytes) throw tooLarge(most.fileBytes);
  }
  const start = [Buffer.from(signature, 'latin1'), words(formatVersion, header.length), header];
  const counts = words(list.length / 2, contents.length);
  const parts = [...start, counts, wordBytes(list), wordBytes(starts), ...heads, ...bodies];
  if (parts.reduce((sum, { length }) => sum + length, hashBytes) > most.fileBytes)
    throw tooLarge(most.fileBytes);
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return Buffer.concat([...parts, hash.digest()]);
}

function tooLarge(most: number): InputError {
  return new InputError(
    `the guest’s memory cannot be packed into the ${Math.ceil(most / 2 ** 20)} MiB of a checkpoint; boot it with less, or write it earlier`,
  );
}

const startOf = ([a = 0, b = 0, c = 0, d = 0]: Uint8Array): number =>
  (a | (b << 8) | (c << 16) | (d << 24)) >>> 0;

/** What is written of frames. */
interface DifferentContents {
  /** Of each frame that is not all zero: its number, and the index of its content. */
  readonly list: readonly number[];
  /** For each content a frame that has it, and its first 4 bytes. */
  readonly contents: readonly SavedFrame[];
  readonly starts: readonly number[];
}

function differentContents(frames: readonly SavedFrame[]): DifferentContents {
  const order = frames.map((_, index) => index);
  const lastUse = (index: number): number => frames[index]?.lastUse ?? 0;
  order.sort((a, b) => lastUse(b) - lastUse(a) || a - b);
  const indexes = new Map<number, number>();
  const contents: SavedFrame[] = [];
  const starts: number[] = [];
  /** By frame: the index of its content; -1 for zeros. */
  const contentOf = new Int32Array(frames.length).fill(-1);
  for (const index of order) {
    const frame = present(frames[index], 'a frame');
    const { bytes } = frame;
    const key = keyOf(bytes);
    if (key === 0) continue;
    const known = indexes.get(key);
    const isKnown = known !== undefined && Buffer.compare(contents[known]?.bytes ?? bytes, bytes) === 0;
    contentOf[index] = isKnown ? known : contents.length;
    if (isKnown) continue;
    indexes.set(key, contents.length);
    contents.push(frame);
    starts.push(startOf(bytes));
  }
  const list = frames.flatMap(({ number }, index) => {
    const content = contentOf[index] ?? -1;
    return content < 0 ? [] : [number, content];
  });
  return { list, contents, starts };
}

/** Reads a file from its start to its end. */
class Reader {
  #at = 0;
  readonly #bytes: Buffer;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  take(length: number): Buffer {
    if (length > this.#bytes.length - this.#at) throw new InputError('it ends too early');
    const taken = this.#bytes.subarray(this.#at, this.#at + length);
    this.#at += length;
    return taken;
  }

  word(): number {
    return this.take(4).readUInt32LE();
  }

  get atEnd(): boolean {
    return this.#at === this.#bytes.length;
  }
}

function inflate(bytes: Uint8Array, most: number): Buffer {
  try {
    return inflateRawSync(bytes, { maxOutputLength: most, chunkSize: Math.min(most, largestChunk) });
  } catch {
    throw new InputError('a part of it cannot be unpacked');
  }
}

/** The value in the header. Throws InputError if it was written by other software than `software`. */
function readHeader(packed: Uint8Array, software: string): unknown {
  const header = valueFromJson(inflate(packed, mostHeaderBytes).toString());
  if (typeof header !== 'object' || header === null || !('software' in header) || !('value' in header)) {
    throw new InputError('its header is incomplete');
  }
  if (header.software !== software) {
    const by = typeof header.software === 'string' ? header.software : 'other software';
    throw new InputError(`it was written by ${by}, and this is ${software}; write it anew with this one`);
  }
  return header.value;
}

/** A group of contents. */
interface Group {
  readonly packed: Buffer;
  readonly hash: Buffer;
  /** The number of its contents, and the first 4 bytes of each. */
  readonly count: number;
  readonly starts: readonly number[];
}

/** The error for a file that cannot be used; `why` continues "... cannot be used as a checkpoint: ". */
export type Refusal = (why: string, cause?: unknown) => Error;

function unpackGroup({ packed, hash, count, starts }: Group): Uint8Array {
  const bytes = inflate(packed, count * frameBytes);
  const isRight =
    bytes.length === count * frameBytes &&
    sha256(bytes).equals(hash) &&
    starts.every((start, i) => bytes.readUInt32LE(i * frameBytes) === start);
  if (!isRight) throw new InputError('a frame of it is wrong');
  // No Buffer, whose `slice` would not copy.
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** Unpacks the contents of a file's frames when they are asked for. */
class Contents {
  /** How many different ones there are. */
  readonly count: number;
  readonly #groups: readonly Group[];
  readonly #refusal: Refusal;
  /** By group, the one that was used last at the end. */
  readonly #unpacked = new Map<Group, Uint8Array>();

  constructor(count: number, groups: readonly Group[], refusal: Refusal) {
    this.count = count;
    this.#groups = groups;
    this.#refusal = refusal;
  }

  /** A content of a frame, by its index. */
  bytes(index: number): Uint8Array {
    const group = present(this.#groups[Math.floor(index / groupFrames)], 'the group of a frame');
    const start = (index % groupFrames) * frameBytes;
    return this.#unpack(group).subarray(start, start + frameBytes);
  }

  #unpack(group: Group): Uint8Array {
    const known = this.#unpacked.get(group);
    this.#unpacked.delete(group);
    const bytes = known ?? refusing(this.#refusal, () => unpackGroup(group));
    this.#unpacked.set(group, bytes);
    const [oldest] = this.#unpacked.keys();
    if (this.#unpacked.size > mostUnpacked && oldest !== undefined) this.#unpacked.delete(oldest);
    return bytes;
  }
}

/** A frame of a file, whose bytes are unpacked when they are asked for. */
class PackedFrame implements SavedFrame {
  readonly number: number;
  readonly start: number;
  readonly lastUse: number;
  readonly #index: number;
  readonly #contents: Contents;

  constructor(number: number, start: number, index: number, contents: Contents) {
    this.number = number;
    this.start = start;
    this.lastUse = contents.count - index;
    this.#index = index;
    this.#contents = contents;
  }

  get bytes(): Uint8Array {
    return this.#contents.bytes(this.#index);
  }
}

function readFrames(reader: Reader, refusal: Refusal): SavedFrame[] {
  const [frameCount, contentCount] = [reader.word(), reader.word()];
  if (frameCount > mostFrames) throw new InputError('it has more frames than any guest');
  if (contentCount > frameCount) throw new InputError('its list of frames is wrong');
  const list = reader.take(8 * frameCount);
  const starts = reader.take(4 * contentCount);
  const heads: (Omit<Group, 'packed'> & { readonly length: number })[] = [];
  for (let first = 0; first < contentCount; first += groupFrames) {
    const count = Math.min(contentCount - first, groupFrames);
    const starting = Array.from({ length: count }, (_, i) => starts.readUInt32LE(4 * (first + i)));
    heads.push({ length: reader.word(), hash: reader.take(hashBytes), count, starts: starting });
  }
  const groups = heads.map(({ length, ...head }) => ({ ...head, packed: reader.take(length) }));
  const contents = new Contents(contentCount, groups, refusal);
  const frames: SavedFrame[] = [];
  let last = -1;
  for (let i = 0; i < frameCount; i += 1) {
    const number = list.readUInt32LE(8 * i);
    const index = list.readUInt32LE(8 * i + 4);
    if (index >= contentCount || number <= last) throw new InputError('its list of frames is wrong');
    frames.push(new PackedFrame(number, starts.readUInt32LE(4 * index), index, contents));
    last = number;
  }
  return frames;
}

/** What `make` returns. The InputErrors that it throws become refusals. */
function refusing<T>(refusal: Refusal, make: () => T): T {
  try {
    return make();
  } catch (error) {
    throw error instanceof InputError ? refusal(error.message, error) : error;
  }
}

/** Checks signature, version and the hash of the whole; what remains is the rest of the file. */
function checkedReader(file: Uint8Array): Reader {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.byteLength);
  const start = signature.length + 4;
  if (bytes.length > mostFileBytes) throw new InputError('it is larger than any');
  if (bytes.subarray(0, signature.length).toString('latin1') !== signature)
    throw new InputError('it is not one');
  const version = bytes.length < start ? formatVersion : bytes.readUInt32LE(signature.length);
  if (version !== formatVersion) {
    throw new InputError(
      `its format has version ${version}, and this software reads version ${formatVersion}`,
    );
  }
  const body = bytes.subarray(0, Math.max(bytes.length - hashBytes, 0));
  if (body.length < start || !sha256(body).equals(bytes.subarray(body.length))) {
    throw new InputError('it was cut short or altered');
  }
  return new Reader(body.subarray(start));
}

/**
 * The checkpoint in a file. Throws `refusal` (default: an InputError), with a reason that continues "... cannot be used as a
 * checkpoint: ", if the file is no checkpoint, has another version, was written by other software, is cut short or altered, or has more frames than any guest. Frames
 * are unpacked when their bytes are asked for; those of a file with a right hash but wrong frames throw it then.
 */
export function decodeCheckpoint(
  software: string,
  file: Uint8Array,
  refusal: Refusal = (why, cause) => new InputError(why, { cause }),
): Checkpoint {
  return refusing(refusal, () => {
    const reader = checkedReader(file);
    const value = readHeader(reader.take(reader.word()), software);
    const frames = readFrames(reader, refusal);
    if (!reader.atEnd) throw new InputError('there is something behind its end');
    return { value, frames };
  });
}
