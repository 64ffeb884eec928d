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
 *              for each content: its length, and SHA-256 of the frame as it was in memory
 *              for each content: raw deflate of the frame
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
const formatVersion = 1;
const hashBytes = 32;
/** More than any header needs. A file that claims more is refused, and does not fill the memory. */
const mostHeaderBytes = 1 << 26;
/** A frame fits in a window of 2^12 bytes; smaller windows make compression of small pieces cheaper. */
const compression = { level: 1, windowBits: 12, memLevel: 7 } as const;

const sha256 = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest();
const isZero = (bytes: Uint8Array): boolean => !bytes.some((byte) => byte !== 0);

function words(...values: readonly number[]): Buffer {
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
  const indexes = new Map<string, number>();
  const list: Buffer[] = [];
  const contents: Buffer[] = [];
  const bodies: Buffer[] = [];
  for (const { number, bytes } of frames) {
    if (isZero(bytes)) continue;
    const hash = sha256(bytes);
    const key = hash.toString('latin1');
    const known = indexes.get(key);
    list.push(words(number, known ?? indexes.size));
    if (known !== undefined) continue;
    indexes.set(key, indexes.size);
    const body = deflateRawSync(bytes, compression);
    contents.push(words(body.length), hash);
    bodies.push(body);
  }
  const start = [Buffer.from(signature, 'latin1'), words(formatVersion, header.length), header];
  const counts = words(list.length, bodies.length);
  const all = Buffer.concat([...start, counts, ...list, ...contents, ...bodies]);
  return Buffer.concat([all, sha256(all)]);
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

interface Content {
  readonly length: number;
  readonly hash: Buffer;
}

function unpackFrame(packed: Uint8Array, { hash }: Content): Uint8Array {
  const bytes = inflate(packed, frameBytes);
  if (bytes.length !== frameBytes || !sha256(bytes).equals(hash))
    throw new InputError('a frame of it is wrong');
  // No Buffer, whose `slice` would not copy.
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
}

function readFrames(reader: Reader): SavedFrame[] {
  const [frameCount, contentCount] = [reader.word(), reader.word()];
  if (contentCount > frameCount) throw new InputError('its list of frames is wrong');
  const list = reader.take(8 * frameCount);
  const contents: Content[] = [];
  for (let i = 0; i < contentCount; i += 1) {
    contents.push({ length: reader.word(), hash: reader.take(hashBytes) });
  }
  const unpacked = contents.map((content) => unpackFrame(reader.take(content.length), content));
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
