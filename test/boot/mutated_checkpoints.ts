/**
 * Checkpoint files with errors in them, drawn from a seed: bytes flipped, cut and inserted; the same with the file's hash made
 * right again; and files whose hashes are right and whose contents are wrong, in the header's text, in the value, or in memory.
 */
import { createHash } from 'node:crypto';
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { boot, InputError } from '../../src/library/index.js';
import type { BootReport } from '../../src/library/index.js';

/** Draws numbers. Its sequence depends on the seed alone (a 32-bit generator: mulberry32). */
export class Draw {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** From 0 to `count` - 1. */
  below(count: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let x = this.#state;
    x = Math.imul(x ^ (x >>> 15), x | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return Math.floor((((x ^ (x >>> 14)) >>> 0) / 2 ** 32) * count);
  }

  of<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }
}

const sha256 = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest();
const hashBytes = 32;
/** Contents that are compressed together. */
const groupFrames = 16;
/** Signature and version. */
const startBytes = 20;

function words(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length);
  for (const [i, value] of values.entries()) bytes.writeUInt32LE(value >>> 0, 4 * i);
  return bytes;
}

/** A file in its parts (library/checkpoint_format.ts). */
interface Parts {
  readonly start: Buffer;
  /** The JSON text. */
  header: string;
  frames: { number: number; content: number }[];
  contents: Buffer[];
}

function partsOf(file: Buffer): Parts {
  const headerBytes = file.readUInt32LE(startBytes);
  let at = startBytes + 4 + headerBytes;
  const header = inflateRawSync(file.subarray(startBytes + 4, at)).toString();
  const [frameCount, contentCount] = [file.readUInt32LE(at), file.readUInt32LE(at + 4)];
  at += 8;
  const frames = Array.from({ length: frameCount }, (_, i) => ({
    number: file.readUInt32LE(at + 8 * i),
    content: file.readUInt32LE(at + 8 * i + 4),
  }));
  at += 8 * frameCount + 4 * contentCount;
  const groupCount = Math.ceil(contentCount / groupFrames);
  const lengths = Array.from({ length: groupCount }, (_, i) => file.readUInt32LE(at + 36 * i));
  at += 36 * groupCount;
  const memory = Buffer.concat(
    lengths.map((length) => {
      at += length;
      return inflateRawSync(file.subarray(at - length, at));
    }),
  );
  const contents = Array.from({ length: contentCount }, (_, i) => memory.subarray(4096 * i, 4096 * (i + 1)));
  return { start: file.subarray(0, startBytes), header, frames, contents };
}

/** The file with these parts; all of its hashes are right. */
function fileOf({ start, header, frames, contents }: Parts): Buffer {
  const packed = deflateRawSync(Buffer.from(header), { level: 1 });
  const groups = Array.from({ length: Math.ceil(contents.length / groupFrames) }, (_, i) =>
    Buffer.concat(contents.slice(groupFrames * i, groupFrames * (i + 1))),
  );
  const bodies = groups.map((group) => deflateRawSync(group, { level: 1 }));
  const all = Buffer.concat([
    start,
    words(packed.length),
    packed,
    words(frames.length, contents.length),
    ...frames.map(({ number, content }) => words(number, content)),
    ...contents.map((content) => content.subarray(0, 4)),
    ...groups.flatMap((group, i) => [words(bodies[i]!.length), sha256(group)]),
    ...bodies,
  ]);
  return Buffer.concat([all, sha256(all)]);
}

function withRightHash(file: Buffer): Buffer {
  const body = file.subarray(0, Math.max(file.length - hashBytes, 0));
  return Buffer.concat([body, sha256(body)]);
}

/** Bytes with a few changes: flipped, cut, taken out, put in, or a range of zeros. */
function changedBytes(bytes: Buffer, draw: Draw): Buffer {
  const at = draw.below(bytes.length);
  const some = 1 + draw.below(64);
  switch (draw.below(6)) {
    case 0:
      return bytes.subarray(0, at);
    case 1:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + some)]);
    case 2:
      return Buffer.concat([bytes.subarray(0, at), Buffer.alloc(some, draw.below(256)), bytes.subarray(at)]);
    case 3: {
      const changed = Buffer.from(bytes);
      return changed.fill(draw.of([0, 0xff]), at, at + some);
    }
    default: {
      const changed = Buffer.from(bytes);
      // Near the start lie the parts that say how long the others are.
      const most = draw.of([64, 4096, bytes.length]);
      for (let i = 0; i <= draw.below(8); i += 1)
        changed[draw.below(Math.min(most, bytes.length))]! ^= 1 << draw.below(8);
      return changed;
    }
  }
}

type Node = Record<string, unknown> | unknown[];

/** Every place in a value that can be changed. */
function placesIn(value: unknown, found: { readonly node: Node; readonly key: string }[] = []): typeof found {
  if (typeof value !== 'object' || value === null) return found;
  for (const [key, member] of Object.entries(value)) {
    found.push({ node: value as Node, key });
    placesIn(member, found);
  }
  return found;
}

const numbers = [0, 1, -1, 2, 255, 4096, 65_536, 2 ** 31, 2 ** 32, -(2 ** 31), 2 ** 53, 1e300, 0.5];
const bigints = [
  '0',
  '1',
  '-1',
  '4096',
  String(2n ** 63n),
  String(2n ** 64n),
  String(-(2n ** 63n)),
  '1'.repeat(200),
];
const others = [
  null,
  true,
  '',
  'x'.repeat(5000),
  [],
  {},
  [[]],
  { $bigint: 'no' },
  { $bytes: '0' },
  { length: 1e9 },
];

/** Something that may stand in the place of `old`: most often of its kind. */
function replacement(old: unknown, draw: Draw): unknown {
  if (draw.below(5) === 0) return structuredClone(draw.of(others));
  if (typeof old === 'number') return draw.below(3) === 0 ? old + draw.of([1, -1, 8]) : draw.of(numbers);
  if (typeof old === 'boolean') return !old;
  if (typeof old === 'string' && /^-?\d+$/.test(old)) return draw.of(bigints);
  if (typeof old === 'string')
    return draw.of(['', `${old}${old}`, old.slice(1), 'poweroff', '0'.repeat(old.length)]);
  if (Array.isArray(old) && old.length > 0) {
    const members = old as readonly unknown[];
    const at = draw.below(members.length);
    return draw.of<unknown>([
      members.slice(0, at),
      [...members, members[at]],
      members.toReversed(),
      [...members, null],
    ]);
  }
  return draw.of<unknown>([null, 0, {}, []]);
}

function changeValue(header: string, draw: Draw): string {
  const value = JSON.parse(header) as { value: unknown };
  for (let i = 0; i <= draw.below(3); i += 1) {
    const { node, key } = draw.of(placesIn(value.value));
    const members = node as Record<string, unknown>;
    if (!Array.isArray(node) && draw.below(8) === 0) Reflect.deleteProperty(members, key);
    else members[key] = replacement(members[key], draw);
  }
  return JSON.stringify(value);
}

function changeText(header: string, draw: Draw): string {
  return changedBytes(Buffer.from(header), draw).toString();
}

function changeMemory(parts: Parts, draw: Draw): void {
  const frame = draw.of(parts.frames);
  switch (draw.below(6)) {
    case 0:
      frame.number = draw.of([0, 1, frame.number + 1, 2 ** 20, 2 ** 28, 2 ** 31 + 5, 2 ** 32 - 1]);
      break;
    case 1:
      frame.content = draw.of([0, parts.contents.length, 2 ** 31]);
      break;
    case 2:
      parts.frames = parts.frames.filter(() => draw.below(4) > 0);
      break;
    case 3:
      parts.contents[frame.content] = draw.of([
        Buffer.alloc(0),
        Buffer.alloc(4095),
        Buffer.alloc(8192),
        Buffer.alloc(4096, 0xff),
      ]);
      break;
    default: {
      const content = Buffer.from(parts.contents[frame.content]!);
      for (let i = 0; i <= draw.below(64); i += 1) content[draw.below(4096)]! ^= 1 << draw.below(8);
      parts.contents[frame.content] = content;
    }
  }
}

const kinds = ['bytes', 'bytes, right hash', 'text', 'value', 'value', 'value', 'value', 'memory'] as const;
export type Kind = (typeof kinds)[number];

export interface Mutant {
  readonly kind: Kind;
  readonly file: Buffer;
}

/** Makes the mutants of one file. */
export class Mutants {
  readonly #file: Buffer;
  readonly #parts: Parts;

  constructor(file: Uint8Array) {
    this.#file = Buffer.from(file);
    this.#parts = partsOf(this.#file);
  }

  /** The mutant with a number. */
  mutant(number: number): Mutant {
    const draw = new Draw(number);
    const kind = draw.of(kinds);
    if (kind === 'bytes') return { kind, file: changedBytes(this.#file, draw) };
    if (kind === 'bytes, right hash') return { kind, file: withRightHash(changedBytes(this.#file, draw)) };
    const { start, header, frames, contents } = this.#parts;
    const parts = { start, header, frames: frames.map((frame) => ({ ...frame })), contents: [...contents] };
    if (kind === 'text') parts.header = changeText(header, draw);
    else if (kind === 'value') parts.header = changeValue(header, draw);
    else changeMemory(parts, draw);
    return { kind, file: fileOf(parts) };
  }
}

/** A checkpoint in the middle of the builtin guest's run. */
export async function checkpointFile(): Promise<Uint8Array> {
  const { checkpointBytes } = await import('../../src/library/index.js');
  const run = boot({ kernel: 'builtin', vcpus: 3, memoryMiB: 64 });
  await run.reach(/events, FIFO/);
  return checkpointBytes(await run.checkpoint());
}

function textOf(report: BootReport): string {
  return JSON.stringify({ ...report, host: null });
}

/** What became of a file: `equal` to the unchanged run, `another` run, or `refused` with one line. */
export interface Became {
  readonly what: 'equal' | 'another' | 'refused';
  /** The line, or how the run ended. */
  readonly line: string;
}

/** Some times what the unchanged run takes. */
const limits = { instructions: 3_000_000, guestSeconds: 1 };

/** Goes on from a file. Throws what is no answer to a file: an error other than InputError, or more than one line. */
export async function goOnFrom(file: Uint8Array, unchanged: string): Promise<Became> {
  try {
    const report = await boot({ from: file, limits }).report();
    const what = textOf(report) === unchanged ? 'equal' : 'another';
    return { what, line: JSON.stringify(report.runs.map(({ outcome }) => outcome)) };
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    if (error.message.includes('\n') || error.message.length > 300)
      throw new Error(`not one line: ${error.message}`, { cause: error });
    return { what: 'refused', line: error.message };
  }
}

/** The report of the run from an unchanged file. */
export async function unchangedReport(file: Uint8Array): Promise<string> {
  return textOf(await boot({ from: file, limits }).report());
}
