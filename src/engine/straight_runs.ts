/**
 * Decoded code of instructions of varying length. Records are dense: those of a straight run of instructions follow each other,
 * from where it was first entered up to an unconditional jump, an instruction that has a record already, or the end of the page.
 * For each page and decode variant, a table leads from the offset of an instruction to its record, so nothing is decoded twice.
 *
 * Records lie in chunks of 4 KiB. The first 512 bytes of a chunk hold, for each 16 bytes of it, the offset in the page of that
 * record's instruction (16 bits); where the header itself would have offsets is the byte offset of the page's table. Both are found
 * from a record's byte offset alone (straight_layout.ts).
 *
 * No record refers to one of another page, so dropping and evicting a page needs no unlinking elsewhere. An instruction that goes
 * on in the next page has a record that neither the table nor any other record leads to: every arrival asks the host, which
 * translates both pages. That record depends on both.
 */
import { equalValues, InputError, invariant, present } from '../base/index.js';
import type { CodeCache } from './code_cache.js';
import { specialHandlers } from './handlers.js';
import { recordBytes } from './layout.js';
import type { EngineMemory } from './memory.js';
import { packWords, unpackWords } from './packed_words.js';
import type { Tlbs } from './tlb.js';
import { pageShift, WatchedPages } from './watched_pages.js';
import type { WatchedPagesValue } from './watched_pages.js';

const pageBytes = 4096;
/** A table has 32 bits for each byte of a page: a record's byte offset, or 0. */
const tableBytes = 4 * pageBytes;

export const chunkBytes = 4096;
/** Binary logarithm of the number of bytes of a record for each byte of its entry in the chunk's header. */
export const headerShift = 3;
const headerBytes = chunkBytes >> headerShift;
/** Where the header has the byte offset of the table. */
export const tableInHeader = 0;
const recordsPerChunk = (chunkBytes - headerBytes) / recordBytes;

/** Where a record keeps the byte offset of the record that it leads to; 0 until that is known. */
export const linkInRecord = 12;

/** What a record keeps there that asks the host for what is to be done behind the instruction before it. */
export const behindInstruction = 1;

/** Chunks for each page, on average; and the most that one page takes: two records an instruction, if each is a run. */
const chunksPerPage = 2;
const mostChunksOfPage = 40;
/** When all tables or chunks are in use, 1/8 of the tables is evicted at once. */
const evictedPart = 8;
/** No instruction has more bytes. */
const longestInstruction = 16;

/** The answer of `find` for an instruction that goes on in the next page. */
export const crossesPage = 0;

/** An instruction to decode. */
export interface CodeBytes {
  /** The bytes from `at` up to `end` (exclusive) may be read. */
  readonly bytes: Uint8Array;
  readonly at: number;
  readonly end: number;
  /** Offset of the instruction in its page. */
  readonly offset: number;
  readonly variant: number;
  /** Byte offset of the record to fill. It is all 0. */
  readonly record: number;
}

export interface DecodedInstruction {
  readonly bytes: number;
  /** Whether execution may go on behind it (isa, Flow). */
  readonly fallsThrough: boolean;
  /** Whether the host is to be asked behind it (`behindInstruction`), before the next one. */
  readonly isStep?: boolean;
}

/** Decodes an instruction into its record. Null if it does not end before `end`; then the record stays. */
export type DecodeInstruction = (code: CodeBytes) => DecodedInstruction | null;

/** The record of an instruction that crosses into the memory page `second`. 0 and -1 before it is decoded. */
interface Crossing {
  record: number;
  second: number;
}

/** The decoded code of one memory page in one variant. */
interface DecodedPage {
  readonly table: number;
  readonly page: number;
  readonly variant: number;
  /** Byte offsets of its chunks. All but the first `used` are spare. */
  readonly chunks: number[];
  used: number;
  /** Number of records in the last chunk that is used. */
  filled: number;
  /** By offset in the page. */
  readonly crossings: Map<number, Crossing>;
  /** Where runs start and crossing instructions are, in the order in which they got records. */
  readonly order: number[];
}

/** A decoded page as a plain value. Its records are decoded again, in the same order. */
interface DecodedPageValue {
  readonly table: number;
  readonly page: number;
  readonly variant: number;
  /** How many chunks it has. */
  readonly chunks: number;
  /** Two words for each run and each crossing instruction: its offset, and 0 or one more than the second page (0 if unknown). */
  readonly order: Uint8Array;
}

/** The state as a plain value. It fits a cache in the same room only. */
export interface StraightRunsValue {
  /** The oldest first. */
  readonly pages: readonly DecodedPageValue[];
  readonly freeTables: Uint8Array;
  /** By memory page: which bytes belong to instructions that are or were decoded. */
  readonly codeBytes: readonly { readonly page: number; readonly marks: Uint8Array }[];
  readonly watched: WatchedPagesValue;
}

export class StraightRuns implements CodeCache {
  readonly #memory: EngineMemory;
  readonly #tlbs: Tlbs;
  readonly watched: WatchedPages;
  readonly #decode: DecodeInstruction;
  readonly #capacity: number;
  readonly #firstTable: number;
  readonly #memoryEnd: number;
  #freeTables: number[];
  readonly #freeChunks: number[];
  /** By table, the oldest first. */
  readonly #pages = new Map<number, DecodedPage>();
  /** By memory page. */
  readonly #pagesOf = new Map<number, DecodedPage[]>();
  /** By memory page: which of its bytes belong to decoded instructions. */
  readonly #codeBytes = new Map<number, Uint8Array>();
  /** By memory page: the pages before it with an instruction that may end in it. */
  readonly #dependents = new Map<number, Set<DecodedPage>>();

  /** Size in bytes of the room for `pages` tables with their records. */
  static bytes(pages: number): number {
    return chunkBytes + pages * tableBytes + chunksOf(pages) * chunkBytes;
  }

  /** Uses `StraightRuns.bytes(pages)` bytes from `start`, for code in memory up to `memoryEnd`. The room must be all 0. */
  constructor(
    memory: EngineMemory,
    tlbs: Tlbs,
    { start, pages }: { readonly start: number; readonly pages: number },
    memoryEnd: number,
    decode: DecodeInstruction,
  ) {
    this.#memory = memory;
    this.#tlbs = tlbs;
    this.watched = new WatchedPages(tlbs, memoryEnd, {
      drop: (page) => this.#drop(page),
      stored: (offset, bytes) => this.stored(offset, bytes),
    });
    this.#decode = decode;
    this.#capacity = pages;
    const chunks = Math.ceil(start / chunkBytes) * chunkBytes;
    this.#firstTable = chunks + chunksOf(pages) * chunkBytes;
    this.#memoryEnd = memoryEnd;
    this.#freeChunks = Array.from({ length: chunksOf(pages) }, (_, index) => chunks + index * chunkBytes);
    this.#freeTables = this.#allTables();
  }

  #allTables(): number[] {
    return Array.from({ length: this.#capacity }, (_, index) => this.#firstTable + index * tableBytes);
  }

  /** As in CodeCache; `crossesPage` if the instruction goes on in the next page (`findCrossing`). */
  find(instruction: number, variant: number): number {
    const decoded = this.#pageOf(instruction >>> pageShift, variant);
    const offset = instruction & (pageBytes - 1);
    const known = this.#memory.word(decoded.table + 4 * offset);
    if (known !== 0) return known;
    return decoded.crossings.has(offset) ? crossesPage : this.#decodeRun(decoded, offset);
  }

  /** The record of an instruction that goes on in the memory page that starts at byte offset `second`. */
  findCrossing(instruction: number, second: number, variant: number): number {
    const decoded = this.#pageOf(instruction >>> pageShift, variant);
    const offset = instruction & (pageBytes - 1);
    const crossing = present(decoded.crossings.get(offset), 'an instruction that crosses the end of a page');
    if (crossing.record === 0 || crossing.second !== second >>> pageShift) {
      this.#decodeCrossing(decoded, offset, second, crossing);
    }
    return crossing.record;
  }

  holds(value: number): boolean {
    return this.#pages.has(value);
  }

  instructionOf(record: number): number {
    const { page } = present(this.#pages.get(this.tableOf(record)), 'the page of a record');
    return page * pageBytes + this.#memory.view.getUint16(headerEntry(record), true);
  }

  /** The number of bytes of a record's instruction. */
  lengthOf(record: number): number {
    const { view } = this.#memory;
    return (
      view.getUint16(headerEntry(record + recordBytes), true) - view.getUint16(headerEntry(record), true)
    );
  }

  /** The byte offset of the table of a record's page, which is the value of the code TLB's entries. */
  tableOf(record: number): number {
    return this.#memory.word(chunkOf(record) + tableInHeader);
  }

  stored(offset: number, bytes: number): void {
    const page = offset >>> pageShift;
    this.watched.touch(page);
    if (!this.watched.isWatched(page)) return;
    const first = offset & (pageBytes - 1);
    const hitsCode =
      this.#codeBytes
        .get(page)
        ?.subarray(first, first + bytes)
        .includes(1) ?? false;
    if (this.watched.isOverborne(page) || hitsCode) this.#drop(page);
  }

  // Decoding

  /** Decodes the run that starts at an offset. Returns its first record, or `crossesPage`. */
  #decodeRun(decoded: DecodedPage, start: number): number {
    const { table, page, variant } = decoded;
    const { bytes } = this.#memory;
    this.#memory.bringIn(page * pageBytes);
    decoded.order.push(start);
    let first = crossesPage;
    for (let offset = start; ;) {
      const known = offset < pageBytes ? this.#memory.word(table + 4 * offset) : 0;
      if (offset === pageBytes || known !== 0) {
        this.#endRun(decoded, offset, specialHandlers.endOfRun, known);
        return first;
      }
      const record = this.#newRecord(decoded, offset);
      const [at, end] = [page * pageBytes + offset, (page + 1) * pageBytes];
      const found = this.#decode({ bytes, at, end, offset, variant, record });
      if (found === null) {
        // The record stays a "not decoded" one, and so leads to the host. That it crosses depends on these bytes.
        decoded.crossings.set(offset, { record: 0, second: -1 });
        this.#markCode(page, offset, pageBytes - offset);
        return first;
      }
      this.#memory.setWord(table + 4 * offset, record);
      this.#markCode(page, offset, found.bytes);
      if (first === crossesPage) first = record;
      offset += found.bytes;
      if (!found.fallsThrough || found.isStep === true) {
        const isStep = found.fallsThrough;
        const handler = isStep ? specialHandlers.vectorTrap : specialHandlers.notDecoded;
        this.#endRun(decoded, offset, handler, isStep ? behindInstruction : 0);
        return first;
      }
    }
  }

  #decodeCrossing(decoded: DecodedPage, offset: number, second: number, crossing: Crossing): void {
    const { bytes } = this.#memory;
    const { page, variant } = decoded;
    const here = pageBytes - offset;
    this.#memory.bringIn(page * pageBytes);
    this.#memory.bringIn(second);
    const code = new Uint8Array(here + longestInstruction);
    code.set(bytes.subarray(page * pageBytes + offset, (page + 1) * pageBytes));
    code.set(bytes.subarray(second, second + longestInstruction), here);
    if (crossing.record === 0) this.#placeCrossing(decoded, offset, crossing);
    const { record } = crossing;
    // An earlier record and the one behind it are used again.
    this.#memory.bytes.fill(0, record, record + 2 * recordBytes);
    const found = this.#decode({ bytes: code, at: 0, end: code.length, offset, variant, record });
    invariant(
      found !== null && found.bytes > here,
      'an instruction that crosses the end of a page ends in the next',
    );
    this.#memory.view.setUint16(headerEntry(record + recordBytes), offset + found.bytes, true);
    const isStep = found.isStep === true && found.fallsThrough;
    if (isStep) this.#link(record + recordBytes, specialHandlers.vectorTrap, behindInstruction);
    else this.#link(record + recordBytes, specialHandlers.endOfRun, 0);
    const next = second >>> pageShift;
    this.#markCode(next, 0, found.bytes - here);
    const dependents = this.#dependents.get(next) ?? new Set();
    this.#dependents.set(next, dependents.add(decoded));
    const before = crossing.second;
    crossing.second = next;
    const goesInto = (second: number): boolean =>
      [...decoded.crossings.values()].some((each) => each.second === second);
    if (!goesInto(before)) this.#dependents.get(before)?.delete(decoded);
  }

  /** Gives a crossing instruction its record, and one behind that. */
  #placeCrossing(decoded: DecodedPage, offset: number, crossing: Crossing): void {
    decoded.order.push(offset);
    crossing.record = this.#newRecord(decoded, offset);
    this.#putRecord(decoded, offset);
  }

  #markCode(page: number, offset: number, bytes: number): void {
    this.watched.watch(page);
    const marks = this.#codeBytes.get(page) ?? new Uint8Array(pageBytes);
    this.#codeBytes.set(page, marks.fill(1, offset, offset + bytes));
  }

  // Records

  /** A new record for the instruction at an offset, which is all 0 and has another record behind it. */
  #newRecord(decoded: DecodedPage, offset: number): number {
    if (decoded.used === 0) this.#addChunk(decoded);
    if (decoded.filled + 1 >= recordsPerChunk) {
      const last = decoded.filled < recordsPerChunk ? this.#putRecord(decoded, offset) : null;
      this.#addChunk(decoded);
      const next = this.#putRecord(decoded, offset);
      if (last !== null) this.#link(last, specialHandlers.endOfRun, next);
      return next;
    }
    return this.#putRecord(decoded, offset);
  }

  /** Puts the record behind the last one of a run. */
  #endRun(decoded: DecodedPage, offset: number, handler: number, link: number): void {
    this.#link(this.#putRecord(decoded, offset), handler, link);
  }

  #link(record: number, handler: number, link: number): void {
    this.#memory.view.setUint16(record, handler, true);
    this.#memory.setWord(record + linkInRecord, link);
  }

  #putRecord(decoded: DecodedPage, offset: number): number {
    const chunk = present(decoded.chunks[decoded.used - 1], 'a chunk');
    invariant(decoded.filled < recordsPerChunk, 'a chunk has room for another record');
    const record = chunk + headerBytes + decoded.filled * recordBytes;
    decoded.filled += 1;
    this.#memory.bytes.fill(0, record, record + recordBytes);
    this.#memory.view.setUint16(headerEntry(record), offset, true);
    return record;
  }

  #addChunk(decoded: DecodedPage): void {
    if (decoded.used === decoded.chunks.length) {
      if (this.#freeChunks.length === 0) this.#evict(decoded);
      this.#takeChunk(decoded);
    }
    decoded.used += 1;
    decoded.filled = 0;
  }

  #takeChunk(decoded: DecodedPage): void {
    const chunk = present(this.#freeChunks.pop(), 'a free chunk');
    this.#memory.setWord(chunk + tableInHeader, decoded.table);
    decoded.chunks.push(chunk);
  }

  // Pages

  #pageOf(page: number, variant: number): DecodedPage {
    const known = this.#pagesOf.get(page)?.find((each) => each.variant === variant);
    if (known !== undefined) return known;
    if (this.#freeTables.length === 0) this.#evict(null);
    return this.#attach(present(this.#freeTables.pop(), 'a free table'), page, variant);
  }

  #attach(table: number, page: number, variant: number): DecodedPage {
    const made: DecodedPage = {
      table,
      page,
      variant,
      chunks: [],
      used: 0,
      filled: 0,
      crossings: new Map(),
      order: [],
    };
    this.#pages.set(table, made);
    this.#pagesOf.set(page, [...(this.#pagesOf.get(page) ?? []), made]);
    return made;
  }

  /** Drops the records that depend on a memory page. Their operands stay; see CodeCache. */
  #drop(page: number): void {
    this.watched.unwatch(page);
    this.#codeBytes.delete(page);
    for (const decoded of this.#pagesOf.get(page) ?? []) this.#reset(decoded);
    const crossings = [...(this.#dependents.get(page) ?? [])].flatMap((each) => [...each.crossings.values()]);
    for (const crossing of crossings) {
      if (crossing.second === page) {
        this.#memory.view.setUint16(crossing.record, specialHandlers.notDecoded, true);
        crossing.second = -1;
      }
    }
    this.#dependents.delete(page);
  }

  #reset(decoded: DecodedPage): void {
    for (const [index, chunk] of decoded.chunks.slice(0, decoded.used).entries()) {
      const count = index === decoded.used - 1 ? decoded.filled : recordsPerChunk;
      for (let record = 0; record < count; record += 1) {
        const at = chunk + headerBytes + record * recordBytes;
        if (!this.#staysBehind(at)) this.#memory.view.setUint16(at, specialHandlers.notDecoded, true);
      }
    }
    this.#clear(decoded);
    decoded.used = 0;
    decoded.filled = 0;
  }

  /**
   * Whether a record does what is due behind the instruction before it, whatever comes next: it ends the page, where a slice may end, or
   * traps behind a single step. That instruction may be the one that stores to its own page.
   */
  #staysBehind(record: number): boolean {
    const { view } = this.#memory;
    const handler = view.getUint16(record, true);
    if (handler === specialHandlers.endOfRun) return view.getUint16(headerEntry(record), true) >= pageBytes;
    return (
      handler === specialHandlers.vectorTrap && this.#memory.word(record + linkInRecord) === behindInstruction
    );
  }

  #clear(decoded: DecodedPage): void {
    const { table, crossings } = decoded;
    this.#memory.bytes.fill(0, table, table + tableBytes);
    for (const { second } of crossings.values()) this.#dependents.get(second)?.delete(decoded);
    crossings.clear();
    decoded.order.length = 0;
  }

  /** Evicts the oldest pages, but not `except`: until a table and, for `except`, a chunk is free, and 1/8 of all at least. */
  #evict(except: DecodedPage | null): void {
    const tables = new Set<number>();
    const least = Math.ceil(this.#capacity / evictedPart);
    for (const decoded of this.#pages.values()) {
      if (tables.size >= least && this.#freeChunks.length > 0) break;
      if (decoded === except) continue;
      this.#release(decoded);
      tables.add(decoded.table);
    }
    this.#tlbs.flushRecords((table) => tables.has(table));
  }

  #release(decoded: DecodedPage): void {
    const { table, page, chunks } = decoded;
    this.#clear(decoded);
    this.#pages.delete(table);
    const others = (this.#pagesOf.get(page) ?? []).filter((each) => each !== decoded);
    if (others.length > 0) this.#pagesOf.set(page, others);
    else this.#forget(page);
    this.#freeTables.push(table);
    this.#freeChunks.push(...chunks);
  }

  /** Called when a memory page has no decoded page left. */
  #forget(page: number): void {
    this.#pagesOf.delete(page);
    const dependents = this.#dependents.get(page);
    if (dependents !== undefined && dependents.size > 0) return;
    this.#dependents.delete(page);
    this.#codeBytes.delete(page);
    this.watched.unwatch(page);
  }

  save(): StraightRunsValue {
    return {
      pages: [...this.#pages.values()].map(({ table, page, variant, chunks, order, crossings }) => ({
        table,
        page,
        variant,
        chunks: chunks.length,
        order: packWords(order.flatMap((offset) => [offset, (crossings.get(offset)?.second ?? -1) + 1])),
      })),
      freeTables: packWords(this.#freeTables),
      codeBytes: [...this.#codeBytes]
        .sort(([a], [b]) => a - b)
        .map(([page, marks]) => ({ page, marks: marks.slice() })),
      watched: this.watched.save(),
    };
  }

  /**
   * Memory must have been restored before. Throws {@link InputError} on a value that `save` did not return: a table elsewhere would
   * let the guest write records, with which the interpreter could go on without end.
   */
  load({ pages, freeTables, codeBytes, watched }: StraightRunsValue): void {
    const free = unpackWords(freeTables);
    const tables = [...pages.map(({ table }) => table), ...free].sort((a, b) => a - b);
    const places = [...pages, ...codeBytes];
    check(equalValues(tables, this.#allTables()) && places.every(({ page }) => this.#isCode(page)));
    for (const decoded of [...this.#pages.values()]) this.#release(decoded);
    this.#dependents.clear();
    for (const page of pages) this.#decodeAgain(page);
    // If there was too little room for all, some were evicted.
    check(this.#pages.size === pages.length);
    this.#freeTables = free;
    this.#codeBytes.clear();
    for (const { page, marks } of codeBytes) this.#codeBytes.set(page, marks.slice());
    this.watched.load(watched);
  }

  /** Whether code can be in a memory page: it lies behind the room for records, where the guest's memory is. */
  #isCode(page: number): boolean {
    const start = page * pageBytes;
    const roomEnd = this.#firstTable + this.#capacity * tableBytes;
    return Number.isInteger(page) && start >= roomEnd && start < this.#memoryEnd;
  }

  #decodeAgain({ table, page, variant, chunks, order }: DecodedPageValue): void {
    const decoded = this.#attach(table, page, variant);
    const words = unpackWords(order);
    for (let at = 0; at < words.length; at += 2) {
      const [offset = 0, second = 0] = words.slice(at, at + 2);
      check(offset < pageBytes && (second === 0 || this.#isCode(second - 1)));
      const crossing = decoded.crossings.get(offset);
      if (crossing === undefined) this.#decodeRun(decoded, offset);
      else if (second === 0) this.#placeCrossing(decoded, offset, crossing);
      else this.#decodeCrossing(decoded, offset, (second - 1) * pageBytes, crossing);
    }
    while (decoded.chunks.length < chunks) this.#takeChunk(decoded);
  }
}

function check(isPossible: boolean): void {
  if (!isPossible) throw new InputError('its pages of decoded instructions are not possible');
}

function chunksOf(pages: number): number {
  return Math.max(pages * chunksPerPage, mostChunksOfPage);
}

function chunkOf(record: number): number {
  return record - (record % chunkBytes);
}

/** Byte offset of the header's entry for a record. */
function headerEntry(record: number): number {
  return chunkOf(record) + ((record % chunkBytes) >> headerShift);
}
