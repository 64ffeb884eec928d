/**
 * The kernel's own symbol table (kallsyms), read from its image: compressed names, and an offset for each. The order of its
 * parts and the meaning of the offsets changed between releases, so all that are known are tried (Linux scripts/kallsyms.c,
 * 5.10 to 7.2).
 */
import type { KnownSymbol } from './anchors.js';
import { findTokenTable } from './token_table.js';
import type { TokenTable } from './token_table.js';

/** A symbol, and the distance of an address from its beginning. */
export interface SymbolOffset {
  readonly name: string;
  readonly offset: number;
}

/** Every kernel's first symbol, `_text` or `_stext`, is at a page boundary. */
const pageBytes = 4096;

/** Interval between names whose offset a marker gives. */
const namesPerMarker = 256;
/** Minimum and maximum number of a kernel's symbols. */
const fewestSymbols = 1000;
const mostSymbols = 1 << 22;
/** The longest name, without its NUL (KSYM_NAME_LEN; 128 before 6.1). */
const longestName = 511;
/** Maximum number of characters in all names: a kernel has some 6 million. */
const mostCharacters = 1 << 26;
/** Maximum number of names, divided by 256, that are read in false candidates for the table. */
const mostMarks = (4 * mostSymbols) / namesPerMarker;
/** Maximum distance of the names before the token table: they take some 2 MiB. */
const searchedBytes = 16 << 20;

/** Alignment of the parts of the table, in bytes: 4 in 7.2, 8 before. */
const alignments = [8, 4] as const;
type Alignment = (typeof alignments)[number];

interface Names {
  /** Offsets in the image of the number of symbols and of the first name after it. */
  readonly at: number;
  readonly first: number;
  readonly count: number;
  readonly alignment: Alignment;
}

function alignTo(alignment: Alignment, at: number): number {
  return Math.ceil(at / alignment) * alignment;
}

/** The length of the compressed name at `at`, and its start. From 6.1 on, bit 7 means that a second byte follows. */
function nameAt(image: Uint8Array, at: number): { readonly start: number; readonly length: number } {
  const low = image[at] ?? 0;
  if ((low & 0x80) === 0) return { start: at + 1, length: low };
  return { start: at + 2, length: (low & 0x7f) | ((image[at + 1] ?? 0) << 7) };
}

/** The name with its kind (nm's letter) in front. */
function expand(image: Uint8Array, { texts }: TokenTable, at: number): string {
  const { start, length } = nameAt(image, at);
  return Array.from(image.subarray(start, start + length), (token) => texts[token] ?? '').join('');
}

/** The offset of the name `count` names after the one at `at`; -1 if there are too few. */
function nameAfter(image: Uint8Array, at: number, count: number, end: number): number {
  let next = at;
  for (let left = count; left > 0; left -= 1) {
    const { start, length } = nameAt(image, next);
    next = start + length;
    if (length === 0 || length > longestName || next > end) return -1;
  }
  return next;
}

/** The rest of {@link mostMarks}. */
interface Walk {
  marks: number;
}

/** The start of each 256th name, and the end of the last; null if the data are not names. */
function markedNames(
  image: Uint8Array,
  first: number,
  count: number,
  table: TokenTable,
  walk: Walk,
): number[] | null {
  if (walk.marks <= 0 || nameAfter(image, first, namesPerMarker, table.start) < 0) return null;
  if (!/^[A-Za-z?][\x20-\x7e]+$/.test(expand(image, table, first))) return null;
  const starts = [first];
  for (let left = count; left > 0; left -= namesPerMarker) {
    walk.marks -= 1;
    if (walk.marks < 0) return null;
    const next = nameAfter(image, starts.at(-1) ?? first, Math.min(left, namesPerMarker), table.start);
    if (next < 0) return null;
    starts.push(next);
  }
  return starts;
}

/** The names whose number is at `at`, if the 32-bit markers after them match. */
function namesAt(
  image: Uint8Array,
  view: DataView,
  at: number,
  alignment: Alignment,
  table: TokenTable,
  walk: Walk,
): Names | null {
  const count = view.getUint32(at, true);
  if (count < fewestSymbols || count > mostSymbols) return null;
  if (alignment === 8 && view.getUint32(at + 4, true) !== 0) return null;
  const first = at + alignment;
  const starts = markedNames(image, first, count, table, walk);
  if (starts === null) return null;
  const markers = alignTo(alignment, starts.pop() ?? first);
  if (markers + 4 * starts.length > table.start) return null;
  const borneOut = starts.every((start, i) => view.getUint32(markers + 4 * i, true) === start - first);
  return borneOut ? { at, first, count, alignment } : null;
}

function findNames(image: Uint8Array, view: DataView, table: TokenTable): Names | null {
  const least = Math.max(table.start - searchedBytes, 0);
  const walk: Walk = { marks: mostMarks };
  for (const alignment of alignments) {
    for (let at = alignTo(alignment, least); at + 8 < table.start; at += alignment) {
      const names = namesAt(image, view, at, alignment, table, walk);
      if (names !== null) return names;
    }
  }
  return null;
}

/**
 * What an offset counts from: its own address; a base; or a base if it is negative, and address 0 if it is not. The last is that of
 * x86-64 with its per-CPU section at address 0 (CONFIG_KALLSYMS_ABSOLUTE_PERCPU, up to 6.14).
 */
type Counting = 'from itself' | 'from a base' | 'from a base or 0';

/** A candidate for the array of offsets. */
interface OffsetShape {
  readonly start: number;
  readonly counting: Counting;
}

/**
 * Behind the tokens, each from its own address (7.2), which nothing else looks like; there, from a base (6.12); before the
 * names, with the base in between (5.10, 6.1).
 */
function offsetShapes({ at, count, alignment }: Names, { end }: TokenTable): readonly OffsetShape[] {
  const behind = alignTo(alignment, end);
  const before = at - 8 - alignTo(8, 4 * count);
  return [
    { start: behind, counting: 'from itself' },
    { start: behind, counting: 'from a base' },
    { start: before, counting: 'from a base' },
    { start: behind, counting: 'from a base or 0' },
    { start: before, counting: 'from a base or 0' },
  ];
}

/**
 * For a running kernel, the target of the pointer at an offset in its image, as an offset from `_text`; null if it is
 * not known. Relocations have been applied by then.
 */
export type PointerAt = (offset: number) => number | null;

/** What gives the base of the symbols' offsets: a known symbol among the names, and what is known about the running kernel. */
interface Anchoring {
  readonly names: readonly string[];
  readonly known: KnownSymbol;
  readonly pointerAt: PointerAt;
}

type ReadOffset = (index: number) => number;

/** With a base or 0, the offset -1 is the base itself (Linux kernel/kallsyms.c, kallsyms_sym_address). */
function offsetReader(view: DataView, { start, counting }: OffsetShape): ReadOffset {
  switch (counting) {
    case 'from itself':
      return (i) => start + 4 * i + view.getInt32(start + 4 * i, true);
    case 'from a base':
      return (i) => view.getUint32(start + 4 * i, true);
    case 'from a base or 0':
      return (i) => -1 - view.getInt32(start + 4 * i, true);
  }
}

/**
 * What must be added to each offset. `_text` is listed with CONFIG_KALLSYMS_ALL; else the word behind the offsets holds the
 * address that they count from; in a kernel that does not run, the usual offset of the known symbol must do.
 */
function shiftOf(
  { names, known, pointerAt }: Anchoring,
  read: ReadOffset,
  { start, counting }: OffsetShape,
): number {
  if (counting === 'from itself') return 0;
  const text = names.indexOf('_text');
  if (text >= 0) return -read(text);
  const pointed = pointerAt(start + alignTo(8, 4 * names.length));
  if (pointed !== null || known.usualOffset === null) return pointed ?? NaN;
  return known.usualOffset - read(names.indexOf(known.name));
}

/** The number of symbols with addresses that count from 0, which come first. */
function countAbsolute(view: DataView, count: number, { start, counting }: OffsetShape): number {
  if (counting !== 'from a base or 0') return 0;
  let absolute = 0;
  while (absolute < count && view.getInt32(start + 4 * absolute, true) >= 0) absolute += 1;
  return absolute;
}

/** Whether these can be the offsets of a kernel: they grow, the first begins a page, and the known symbol is aligned. */
function arePlausible(offsets: Float64Array, names: readonly string[], known: KnownSymbol): boolean {
  const first = offsets[0] ?? -1;
  if (!(first >= 0) || first % pageBytes !== 0) return false;
  if ((offsets[names.indexOf('_text')] ?? 0) !== 0) return false;
  const ofKnown = offsets[names.indexOf(known.name)] ?? NaN;
  if (ofKnown % known.alignment !== 0) return false;
  return offsets.every((value, i) => i === 0 || value >= (offsets[i - 1] ?? 0));
}

/** The symbols whose offsets lie in that shape; null where no such array is. */
function readSymbols(view: DataView, anchoring: Anchoring, shape: OffsetShape): Kallsyms | null {
  const { names, known } = anchoring;
  if (shape.start < 0 || shape.start + 4 * names.length > view.byteLength) return null;
  const absolute = countAbsolute(view, names.length, shape);
  const read = offsetReader(view, shape);
  const shift = shiftOf(anchoring, read, shape);
  const listed = names.slice(absolute);
  const offsets = Float64Array.from(listed, (_, i) => read(absolute + i) + shift);
  if (!arePlausible(offsets, listed, known)) return null;
  const base = absolute === 0 ? 0n : baseOf(view, names.length, shape);
  const addresses = names
    .slice(0, absolute)
    .map((name, i): [string, number] => [
      name,
      Number(BigInt.asUintN(64, BigInt(view.getInt32(shape.start + 4 * i, true)) - base)) + shift,
    ]);
  return new Kallsyms(listed, offsets, new Map(addresses.reverse()));
}

/** The word behind the offsets, from which they count. A kernel of x86-64 has it in its file. */
function baseOf(view: DataView, count: number, { start }: OffsetShape): bigint {
  const at = start + alignTo(8, 4 * count);
  return at + 8 > view.byteLength ? 0n : view.getBigUint64(at, true);
}

export class Kallsyms {
  readonly #names: readonly string[];
  /** Offset of each symbol from `_text`, ascending. */
  readonly #offsets: Float64Array;
  readonly #absolute: ReadonlyMap<string, number>;

  /** `absolute`: symbols outside of the image, by name; their offsets are modulo 2^64 from where `_text` was linked. */
  constructor(
    names: readonly string[],
    offsets: Float64Array,
    absolute: ReadonlyMap<string, number> = new Map(),
  ) {
    this.#names = names;
    this.#offsets = offsets;
    this.#absolute = absolute;
  }

  get count(): number {
    return this.#names.length + this.#absolute.size;
  }

  /**
   * The offset from `_text` of the first symbol with that name; null if there is none. For a per-CPU variable of x86-64, which may be
   * linked at an address near 0, this is its address less that of `_text` in the file, modulo 2^64.
   */
  offsetOf(name: string): number | null {
    return this.#offsets[this.#names.indexOf(name)] ?? this.#absolute.get(name) ?? null;
  }

  /** The last symbol at or before an offset from `_text`; null before the first symbol and after the last. */
  symbolAt(offset: number): SymbolOffset | null {
    let [low, high] = [0, this.#offsets.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#offsets[middle] ?? 0) <= offset) low = middle + 1;
      else high = middle;
    }
    if (low === 0 || low === this.#offsets.length) return null;
    // Of several names for the same address, the first: the table lists the better ones first.
    let first = low - 1;
    while (first > 0 && this.#offsets[first - 1] === this.#offsets[first]) first -= 1;
    return { name: this.#names[first] ?? '', offset: offset - (this.#offsets[first] ?? 0) };
  }
}

/** All names, without their kinds; null if they are longer than any kernel's. */
function readNames(image: Uint8Array, table: TokenTable, { first, count }: Names): string[] | null {
  const names: string[] = [];
  let characters = 0;
  for (let at = first; names.length < count; at = nameAfter(image, at, 1, table.start)) {
    const name = expand(image, table, at).slice(1);
    characters += name.length;
    if (characters > mostCharacters) return null;
    names.push(name);
  }
  return names;
}

/**
 * The symbols in `image`, an unpacked kernel image as in the file; null if it has none, or none called as `known`. `pointerAt`
 * reads the running kernel; without it, the base of a table that does not list `_text` follows from the usual offset of `known`.
 */
export function findKallsyms(
  image: Uint8Array,
  known: KnownSymbol,
  pointerAt: PointerAt = () => null,
): Kallsyms | null {
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  const table = findTokenTable(image);
  const found = table === null ? null : findNames(image, view, table);
  if (table === null || found === null) return null;
  const names = readNames(image, table, found);
  if (!names?.includes(known.name)) return null;
  for (const shape of offsetShapes(found, table)) {
    const symbols = readSymbols(view, { names, known, pointerAt }, shape);
    if (symbols !== null) return symbols;
  }
  return null;
}
