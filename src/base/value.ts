/**
 * Plain values, the building blocks of a domain's state: null, booleans, numbers, bigints, strings, byte arrays, and
 * arrays and records of these. They can be cloned, compared, hashed, and written to and read from JSON. Search,
 * snapshots and replay depend on this.
 */
import { _SHA256, sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex } from '@noble/hashes/utils.js';
import { InputError, InvariantError } from './assert.js';

const bigintTag = '$bigint';
const bytesTag = '$bytes';

type PlainRecord = Record<string, unknown>;

const decimal = /^(?:0|[1-9][0-9]*)$/;
const lastDigit = 0x39;

function bySize(a: string, b: string): number {
  return a.length - b.length || (a < b ? -1 : 1);
}

function isSorted(keys: readonly string[]): boolean {
  return keys.every((key, index) => index === 0 || (keys[index - 1] ?? '') < key);
}

/** Record keys in canonical order: decimal numbers by size, then all others. */
function sortedKeys(record: PlainRecord): string[] {
  const keys = Object.keys(record);
  // The usual record has field names only. A key that starts with a digit is below all of those.
  if (!keys.some((key) => key.charCodeAt(0) <= lastDigit)) return isSorted(keys) ? keys : keys.sort();
  const numbers = keys.filter((key) => decimal.test(key)).sort(bySize);
  const names = keys.filter((key) => !decimal.test(key)).sort();
  return [...numbers, ...names];
}

function describe(value: unknown): string {
  if (typeof value !== 'object' || value === null) return `a ${typeof value}`;
  return bigintTag in value || bytesTag in value
    ? 'a record with the key of a tag'
    : 'an object with a prototype of its own';
}

function unsupported(value: unknown): never {
  throw new InvariantError(`${describe(value)} cannot be part of a plain value`);
}

/**
 * Checks that `value` is a plain record. A class instance (such as a Map) is refused, because its state would be lost.
 */
function plainRecord(value: object): PlainRecord {
  if (Object.getPrototypeOf(value) !== Object.prototype) unsupported(value);
  return value as PlainRecord;
}

/** A deep copy of `value`. Throws {@link InvariantError} on a function, symbol or undefined. */
export function cloneValue<T>(value: T): T {
  return clone(value) as T;
}

function clone(value: unknown): unknown {
  if (typeof value === 'function' || typeof value === 'symbol' || value === undefined) unsupported(value);
  if (value === null || typeof value !== 'object') return value;
  if (value instanceof Uint8Array) return value.slice();
  if (Array.isArray(value)) return value.map(clone);
  // Not by assignment: the key may be `__proto__`, and assigning it would set the prototype.
  return Object.fromEntries(Object.entries(plainRecord(value)).map(([key, member]) => [key, clone(member)]));
}

const name = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** JSON text of a key. */
function quoted(key: string): string {
  return name.test(key) ? `"${key}"` : JSON.stringify(key);
}

function encode(value: unknown): string {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) unsupported(value);
    return String(value);
  }
  if (typeof value === 'bigint') return `{"${bigintTag}":"${value.toString()}"}`;
  if (typeof value !== 'object') unsupported(value);
  if (value instanceof Uint8Array) return `{"${bytesTag}":"${bytesToHex(value)}"}`;
  if (Array.isArray(value)) return `[${value.map(encode).join(',')}]`;
  const record = plainRecord(value);
  let members = '';
  for (const key of sortedKeys(record)) {
    if (key === bigintTag || key === bytesTag) unsupported(value);
    members += `${members === '' ? '' : ','}${quoted(key)}:${encode(record[key])}`;
  }
  return `{${members}}`;
}

/**
 * The canonical JSON text of `value`: record keys sorted, no white space, a bigint as `{"$bigint":"12"}`, bytes as
 * `{"$bytes":"0aff"}`. Equal values have equal texts. Throws {@link InvariantError} for a value that is not plain.
 */
export function valueToJson(value: unknown): string {
  return encode(value);
}

/** By character code: the value of a lower-case hex digit; 16 for other characters. */
const hexDigits = Uint8Array.from({ length: 128 }, (_, code) => {
  const value = '0123456789abcdef'.indexOf(String.fromCharCode(code));
  return value < 0 ? 16 : value;
});

function bytesOfHex(text: string): Uint8Array {
  if (text.length % 2 !== 0) throw new InputError('bytes that are not hex');
  const bytes = new Uint8Array(text.length / 2);
  for (let i = 0; i < bytes.length; i += 1) {
    const high = hexDigits[text.charCodeAt(2 * i)] ?? 16;
    const low = hexDigits[text.charCodeAt(2 * i + 1)] ?? 16;
    if (high > 15 || low > 15) throw new InputError('bytes that are not hex');
    bytes[i] = high * 16 + low;
  }
  return bytes;
}

/** The value of a part of parsed JSON, whose records are changed in place: JSON's own way of doing this takes several times as long. */
function revived(node: unknown): unknown {
  if (node === null || typeof node !== 'object') return node;
  if (Array.isArray(node)) {
    const list: unknown[] = node;
    for (const [index, member] of list.entries())
      if (typeof member === 'object') list[index] = revived(member);
    return list;
  }
  const record = node as PlainRecord;
  const { [bigintTag]: integer, [bytesTag]: bytes } = record;
  if (typeof integer === 'string') return BigInt(integer);
  if (typeof bytes === 'string') return bytesOfHex(bytes);
  for (const key of Object.keys(record)) {
    const member = record[key];
    if (member === null || typeof member !== 'object') continue;
    const value = revived(member);
    // Not by assignment: the key may be `__proto__`.
    if (value !== member) Object.defineProperty(record, key, { value });
  }
  return record;
}

/** Parses a canonical JSON text. Throws {@link InputError} if it is not JSON. */
export function valueFromJson(text: string): unknown {
  try {
    return revived(JSON.parse(text) as unknown);
  } catch (error) {
    throw new InputError(`not a saved value: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Whether two plain values are equal, including all members. */
export function equalValues(a: unknown, b: unknown): boolean {
  return encode(a) === encode(b);
}

/** SHA-256 of the canonical JSON text, as 64 hex digits. */
export function hashValue(value: unknown): string {
  return hashText(encode(value));
}

/** `text`, which is JSON, in ASCII: JSON has an escape for every other UTF-16 code unit (ECMA-404, 9). */
function asciiOf(text: string): Uint8Array {
  // Not by TextEncoder, which the language itself does not have.
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i += 1) {
    const unit = text.charCodeAt(i);
    if (unit > 0x7f) return asciiOf(escaped(text));
    bytes[i] = unit;
  }
  return bytes;
}

function escaped(text: string): string {
  return text.replace(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** SHA-256 of JSON text in ASCII, as 64 hex digits. Other characters count as their escapes. */
export function hashText(text: string): string {
  return hashBytes(asciiOf(text));
}

/** SHA-256 of `bytes`, as 64 hex digits. */
export function hashBytes(bytes: Uint8Array): string {
  return bytesToHex(sha256(bytes));
}

/**
 * Number of UTF-16 code units to collect before hashing. Many small hash updates are slower than the hashing itself.
 */
const hashedAtOnce = 1 << 14;

/** SHA-256 in progress, a plain value: the chaining value, the bytes that fill no block yet, and the number of all bytes. */
export interface Sha256State {
  /** Eight words of 32 bits (RFC 6234, 6.2). */
  readonly chaining: readonly number[];
  readonly block: Uint8Array;
  readonly bytes: number;
}

/** SHA-256 that can be saved between two updates. */
class SavableSha256 extends _SHA256 {
  save(): Sha256State {
    return { chaining: this.get(), block: this.buffer.slice(0, this.pos), bytes: this.length };
  }

  load({ chaining, block, bytes }: Sha256State): void {
    const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = chaining;
    this.set(a, b, c, d, e, f, g, h);
    this.buffer.set(block);
    this.pos = block.length;
    this.length = bytes;
  }
}

/** A {@link ValueHash} in progress, a plain value. */
export interface ValueHashState {
  readonly hashed: Sha256State;
  /** Text that is not hashed yet. */
  readonly waiting: string;
}

/** SHA-256 of a sequence of values: of their canonical texts as in {@link hashText}, each followed by a line feed. */
export class ValueHash {
  readonly #hash = new SavableSha256();
  #waiting = '';

  add(value: unknown): void {
    this.addText(encode(value));
  }

  /** Adds a value by its canonical text, for callers that already have it. */
  addText(text: string): void {
    this.#waiting += `${text}\n`;
    if (this.#waiting.length >= hashedAtOnce) this.#flush();
  }

  #flush(): void {
    this.#hash.update(asciiOf(this.#waiting));
    this.#waiting = '';
  }

  /** The hash in progress, before its {@link digest}. */
  save(): ValueHashState {
    return { hashed: this.#hash.save(), waiting: this.#waiting };
  }

  /** Continues the saved hash. */
  load({ hashed, waiting }: ValueHashState): void {
    this.#hash.load(hashed);
    this.#waiting = waiting;
  }

  /** The hash as 64 hex digits. No value can be added afterwards. */
  digest(): string {
    this.#flush();
    return bytesToHex(this.#hash.digest());
  }
}
