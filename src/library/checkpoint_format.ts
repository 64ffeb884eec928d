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
 *              for each group of 64 contents (the last may have fewer): its length, and SHA-256 of the frames as they were in memory
 *              for each group: raw deflate of its frames
 *   32 bytes   SHA-256 of everything before
 * ```
 */
import { createHash } from 'node:crypto';
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { frameBytes, InputError, valueFromJson, valueToJson } from '../base/index.js';
import type { SavedFrame } from '../boot/index.js';

export interface Checkpoint {
  /** A plain value (base/value.ts). */
  readonly value: unknown;
  /** In ascending order of their numbers, each once. Frames that are missing are all zero. */
  readonly frames: readonly SavedFrame[];
}

const signature = 'domulator state\n';
const formatVersion = 2;
const hashBytes = 32;
/** More than any header needs. A file that claims more is refused, and does not fill the memory. */
const mostHeaderBytes = 1 << 26;
/** Frames in a group. Compressed one by one, a guest's 20,000 frames took three times as long to write and to read. */
const groupFrames = 64;
const compression = { level: 1 } as const;

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
 * Frames that are all zero are left out, and equal frames are stored once.
 */
export function encodeCheckpoint(software: string, { value, frames }: Checkpoint): Uint8Array {
  const header = deflateRawSync(Buffer.from(valueToJson({ software, value })), { level: 6 });
  const { list, contents } = differentContents(frames);
  const groups: Buffer[] = [];
  for (let first = 0; first < contents.length; first += groupFrames)
    groups.push(Buffer.concat(contents.slice(first, first + groupFrames)));
  const bodies = groups.map((group) => deflateRawSync(group, compression));
  const heads = groups.flatMap((group, i) => [words(bodies[i]?.length ?? 0), sha256(group)]);
  const start = [Buffer.from(signature, 'latin1'), words(formatVersion, header.length), header];
  const counts = words(list.length / 2, contents.length);
  const all = Buffer.concat([...start, counts, wordBytes(list), ...heads, ...bodies]);
  return Buffer.concat([all, sha256(all)]);
}

/** The frames that are not all zero: for each its number and the index of its content, and each content once. */
function differentContents(frames: readonly SavedFrame[]): { list: number[]; contents: Uint8Array[] } {
  const indexes = new Map<number, number>();
  const list: number[] = [];
  const contents: Uint8Array[] = [];
  for (const { number, bytes } of frames) {
    const key = keyOf(bytes);
    if (key === 0) continue;
    const known = indexes.get(key);
    const isKnown = known !== undefined && Buffer.compare(contents[known] ?? bytes, bytes) === 0;
    list.push(number, isKnown ? known : contents.length);
    if (isKnown) continue;
    indexes.set(key, contents.length);
    contents.push(bytes);
  }
  return { list, contents };
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
    return inflateRawSync(bytes, { maxOutputLength: most });
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
    throw new InputError(`it was written by ${by}, and this is ${software}; write it anew with this version`);
  }
  return header.value;
}

/** A group of contents. */
interface Group {
  readonly length: number;
  readonly hash: Buffer;
  /** The number of its contents. */
  readonly count: number;
}

function unpackGroup(packed: Uint8Array, { hash, count }: Group): Uint8Array[] {
  const bytes = inflate(packed, count * frameBytes);
  if (bytes.length !== count * frameBytes || !sha256(bytes).equals(hash))
    throw new InputError('a frame of it is wrong');
  // No Buffers, whose `slice` would not copy.
  return Array.from(
    { length: count },
    (_, i) => new Uint8Array(bytes.buffer, bytes.byteOffset + i * frameBytes, frameBytes),
  );
}

function readFrames(reader: Reader): SavedFrame[] {
  const [frameCount, contentCount] = [reader.word(), reader.word()];
  if (contentCount > frameCount) throw new InputError('its list of frames is wrong');
  const list = reader.take(8 * frameCount);
  const groups: Group[] = [];
  for (let left = contentCount; left > 0; left -= groupFrames) {
    const count = Math.min(left, groupFrames);
    groups.push({ length: reader.word(), hash: reader.take(hashBytes), count });
  }
  const unpacked = groups.flatMap((group) => unpackGroup(reader.take(group.length), group));
  const frames: SavedFrame[] = [];
  for (let i = 0; i < frameCount; i += 1) {
    const number = list.readUInt32LE(8 * i);
    const bytes = unpacked[list.readUInt32LE(8 * i + 4)];
    const last = frames.at(-1)?.number ?? -1;
    if (bytes === undefined || number <= last) throw new InputError('its list of frames is wrong');
    frames.push({ number, bytes });
  }
  return frames;
}

/** Checks signature, version and the hash of the whole; what remains is the rest of the file. */
function checkedReader(file: Uint8Array): Reader {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.byteLength);
  const start = signature.length + 4;
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
 * The checkpoint in a file. Throws InputError, with a reason that continues "... cannot be used as a checkpoint: ", if the file
 * is no checkpoint, has another version, was written by other software, or is cut short or altered.
 */
export function decodeCheckpoint(software: string, file: Uint8Array): Checkpoint {
  const reader = checkedReader(file);
  const value = readHeader(reader.take(reader.word()), software);
  const frames = readFrames(reader);
  if (!reader.atEnd) throw new InputError('there is something behind its end');
  return { value, frames };
}
