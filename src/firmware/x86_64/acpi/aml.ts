/**
 * An encoder for the part of AML that the DSDTs of this module need (ACPI 6.5, chapter 20). Each function returns the bytes of one
 * term. Names are NameSegs of four characters with dots between them, optionally behind `\` or `^`; `\` alone is the root.
 */

export type Aml = readonly number[];

function characters(text: string): number[] {
  return Array.from(text, (character) => character.charCodeAt(0));
}

/** PkgLength (20.2.4): its own bytes count too. */
function packageLength(contents: number): number[] {
  if (contents + 1 < 0x40) return [contents + 1];
  const more = contents + 2 < 0x1000 ? 1 : contents + 3 < 0x10_0000 ? 2 : 3;
  const total = contents + 1 + more;
  const bytes = Array.from({ length: more }, (_, i) => (total >> (4 + 8 * i)) & 0xff);
  return [(more << 6) | (total & 0xf), ...bytes];
}

function packaged(op: readonly number[], contents: Aml): Aml {
  return [...op, ...packageLength(contents.length), ...contents];
}

export function device(path: string, ...terms: Aml[]): Aml {
  return packaged([0x5b, 0x82], [...name(path), ...terms.flat()]);
}

/** A package: at most 255 elements. */
export function packageOf(...elements: Aml[]): Aml {
  return packaged([0x12], [elements.length, ...elements.flat()]);
}

/** The id of a device as EISAID gives it, three capital letters and four hexadecimal digits: a constant of 32 bits (19.6.36). */
export function eisaId(id: string): Aml {
  const [a = 0, b = 0, c = 0] = characters(id.slice(0, 3)).map((letter) => letter - 0x40);
  const product = parseInt(id.slice(3), 16);
  return [0x0c, (a << 2) | (b >> 3), ((b & 7) << 5) | c, product >> 8, product & 0xff];
}

/** The length of a field in bits, in the same encoding as PkgLength, but without counting itself. */
function bitLength(bits: number): number[] {
  if (bits < 0x40) return [bits];
  return [(1 << 6) | (bits & 0xf), (bits >> 4) & 0xff];
}

/** A NameString (20.2.2): prefixes, then NameSegs with dots between them. */
export function name(path: string): Aml {
  const [, prefix = '', dotted = ''] = /^([\\^]*)(\w{4}(?:\.\w{4})*)?$/.exec(path) ?? [];
  const segments = dotted === '' ? [] : dotted.split('.');
  const count = { 0: [0], 1: [], 2: [0x2e] }[segments.length] ?? [0x2f, segments.length];
  return [...characters(prefix), ...count, ...characters(segments.join(''))];
}

/** An integer constant, in its shortest form (20.2.3): 32 bits at most. */
export function integer(value: number): Aml {
  if (value === 0 || value === 1) return [value];
  const bytes = [0, 8, 16, 24].map((shift) => (value >>> shift) & 0xff);
  if (value <= 0xff) return [0x0a, ...bytes.slice(0, 1)];
  return value <= 0xffff ? [0x0b, ...bytes.slice(0, 2)] : [0x0c, ...bytes];
}

export function text(value: string): Aml {
  return [0x0d, ...characters(value), 0];
}

/** A buffer of these bytes. */
export function buffer(bytes: readonly number[]): Aml {
  return packaged([0x11], [...integer(bytes.length), ...bytes]);
}

export function scope(path: string, ...terms: Aml[]): Aml {
  return packaged([0x10], [...name(path), ...terms.flat()]);
}

export function named(path: string, value: Aml): Aml {
  return [0x08, ...name(path), ...value];
}

/** A method that is not serialized. */
export function method(path: string, args: number, ...terms: Aml[]): Aml {
  return packaged([0x14], [...name(path), args, ...terms.flat()]);
}

/** A processor object (ACPI 5.0, 19.5.99): its id, and the address and length of its register block. */
export function processor(
  path: string,
  id: number,
  block: { readonly at: number; readonly bytes: number },
  ...terms: Aml[]
): Aml {
  const at = [0, 8, 16, 24].map((shift) => (block.at >>> shift) & 0xff);
  return packaged([0x5b, 0x83], [...name(path), id, ...at, block.bytes, ...terms.flat()]);
}

export const space = { memory: 0, io: 1, pciConfig: 2 } as const;

export function operationRegion(
  path: string,
  kind: (typeof space)[keyof typeof space],
  at: Aml,
  bytes: Aml,
): Aml {
  return [0x5b, 0x80, ...name(path), kind, ...at, ...bytes];
}

/** Names and their lengths in bits; null for bits without a name. */
type FieldUnits = readonly (readonly [path: string | null, bits: number])[];

function fieldList(region: string, flags: number, units: FieldUnits): Aml {
  const list = units.flatMap(([path, bits]) => [...(path === null ? [0] : name(path)), ...bitLength(bits)]);
  return packaged([0x5b, 0x81], [...name(region), flags, ...list]);
}

/** A field list that is accessed by bytes, without a lock, preserving other bits. */
export function field(region: string, ...units: FieldUnits): Aml {
  return fieldList(region, 1, units);
}

/** A field list that is accessed by words of 32 bits, without a lock, writing other bits as zeros. */
export function wordField(region: string, ...units: FieldUnits): Aml {
  const [wordAccess, writeAsZeros] = [3, 2 << 5];
  return fieldList(region, wordAccess | writeAsZeros, units);
}

/** A field of 16 or 32 bits in a buffer, from a byte on. */
export function bufferField(bits: 16 | 32, buffer: Aml, at: Aml, path: string): Aml {
  return [bits === 16 ? 0x8b : 0x8a, ...buffer, ...at, ...name(path)];
}

export function local(index: number): Aml {
  return [0x60 + index];
}

export function arg(index: number): Aml {
  return [0x68 + index];
}

const noTarget = [0];

export function store(value: Aml, target: Aml): Aml {
  return [0x70, ...value, ...target];
}

export function add(a: Aml, b: Aml, target: Aml = noTarget): Aml {
  return [0x72, ...a, ...b, ...target];
}

export function subtract(a: Aml, b: Aml, target: Aml = noTarget): Aml {
  return [0x74, ...a, ...b, ...target];
}

export function and(a: Aml, b: Aml, target: Aml = noTarget): Aml {
  return [0x7b, ...a, ...b, ...target];
}

export function or(a: Aml, b: Aml, target: Aml = noTarget): Aml {
  return [0x7d, ...a, ...b, ...target];
}

export function shiftLeft(value: Aml, count: Aml, target: Aml = noTarget): Aml {
  return [0x79, ...value, ...count, ...target];
}

/** The number of the lowest bit that is set, counted from 1. */
export function lowestBit(value: Aml, target: Aml): Aml {
  return [0x82, ...value, ...target];
}

export function increment(target: Aml): Aml {
  return [0x75, ...target];
}

export function decrement(target: Aml): Aml {
  return [0x76, ...target];
}

export function shiftRight(value: Aml, count: Aml, target: Aml = noTarget): Aml {
  return [0x7a, ...value, ...count, ...target];
}

export function index(source: Aml, at: Aml): Aml {
  return [0x88, ...source, ...at, ...noTarget];
}

export function dereference(reference: Aml): Aml {
  return [0x83, ...reference];
}

export function toBuffer(value: Aml, target: Aml = noTarget): Aml {
  return [0x96, ...value, ...target];
}

export function equal(a: Aml, b: Aml): Aml {
  return [0x93, ...a, ...b];
}

export function less(a: Aml, b: Aml): Aml {
  return [0x95, ...a, ...b];
}

export function not(value: Aml): Aml {
  return [0x92, ...value];
}

export function notify(object: string, value: number): Aml {
  return [0x86, ...name(object), ...integer(value)];
}

/** `otherwise`: the terms of Else; empty for none. */
export function when(condition: Aml, then: Aml, otherwise: Aml = []): Aml {
  const taken = packaged([0xa0], [...condition, ...then]);
  return otherwise.length === 0 ? taken : [...taken, ...packaged([0xa1], otherwise)];
}

export function give(value: Aml): Aml {
  return [0xa4, ...value];
}

/** Calls a method by its name. */
export function call(path: string, ...args: Aml[]): Aml {
  return [...name(path), ...args.flat()];
}

export function sleep(milliseconds: number): Aml {
  return [0x5b, 0x22, ...integer(milliseconds)];
}
