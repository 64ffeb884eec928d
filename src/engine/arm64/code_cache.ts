/**
 * The decoded code pages. For each page of memory that code was fetched from, there is one page of records per decode
 * variant. Every record starts as a "decode" record, which decodes its word when it is first run. A store to a page
 * with decoded records resets the records of the stored words, so that self-modifying code runs correctly. To catch
 * these stores, such a page is never writable through a TLB.
 */
import { InputError } from '../../base/index.js';
import type { CodeCache } from '../code_cache.js';
import { specialHandlers } from '../handlers.js';
import { recordBytes } from '../layout.js';
import type { EngineMemory } from '../memory.js';
import { packWords, unpackWords } from '../packed_words.js';
import type { Tlbs } from '../tlb.js';
import { pageShift, WatchedPages } from '../watched_pages.js';
import type { WatchedPagesValue } from '../watched_pages.js';
import { wordBytes } from './code_layout.js';

const instructionsPerPage = 4096 / wordBytes;
/** One extra record after the last instruction leads to the next page. */
const pageRecords = instructionsPerPage + 1;

/** Size of a page of records in bytes. */
export const recordPageBytes = pageRecords * recordBytes;

/**
 * The state as a plain value. The records are not part of it: they are decoded again. Which pages have some is, because it
 * decides which stores use a TLB, and when records are evicted.
 */
export interface RecordPagesValue {
  readonly next: number;
  readonly full: boolean;
  /** Three words for each record page in use: its number, the memory page, the variant. */
  readonly slots: Uint8Array;
  readonly watched: WatchedPagesValue;
}

const none = -1;
/** When all record pages are in use, 1/8 of them is evicted at once. */
const evictedPart = 8;

export class RecordPages implements CodeCache {
  readonly #memory: EngineMemory;
  readonly #tlbs: Tlbs;
  readonly #start: number;
  readonly #capacity: number;
  /** By record page: the memory page that it decodes, the variant, and the next record page of the same memory page. */
  readonly #pageOf: Int32Array;
  readonly #variantOf: Uint8Array;
  readonly #nextOf: Int32Array;
  /** By memory page: its first record page. */
  readonly #first: Int32Array;
  readonly watched: WatchedPages;
  /** The record page to allocate next, and whether all were allocated once. */
  #next = 0;
  #full = false;
  #tellOfReset: ((start: number, end: number) => void) | null = null;

  /** Manages `capacity` record pages from the byte offset `start`, for memory up to `memoryEnd`. */
  constructor(memory: EngineMemory, tlbs: Tlbs, start: number, capacity: number, memoryEnd: number) {
    this.#memory = memory;
    this.#tlbs = tlbs;
    this.#start = start;
    this.#capacity = capacity;
    this.#pageOf = new Int32Array(capacity).fill(none);
    this.#variantOf = new Uint8Array(capacity);
    this.#nextOf = new Int32Array(capacity).fill(none);
    this.#first = new Int32Array(Math.ceil(memoryEnd / 4096)).fill(none);
    this.watched = new WatchedPages(tlbs, memoryEnd, {
      drop: (page) => this.#drop(page),
      stored: (offset, bytes) => this.stored(offset, bytes),
    });
  }

  /** The byte offset of the records for the memory page that contains the byte offset `offset`. */
  records(offset: number, variant: number): number {
    const page = offset >>> pageShift;
    for (let slot = this.#first[page] ?? none; slot !== none; slot = this.#nextOf[slot] ?? none) {
      if (this.#variantOf[slot] === variant) return this.#start + slot * recordPageBytes;
    }
    const slot = this.#newSlot();
    this.#attach(slot, page, variant);
    return this.#start + slot * recordPageBytes;
  }

  /** Lets a free record page decode a memory page. */
  #attach(slot: number, page: number, variant: number): void {
    this.#pageOf[slot] = page;
    this.#variantOf[slot] = variant;
    this.#nextOf[slot] = this.#first[page] ?? none;
    this.#first[page] = slot;
    const records = this.#start + slot * recordPageBytes;
    this.#memory.words[(records + instructionsPerPage * recordBytes) >>> 2] = specialHandlers.endOfRun;
  }

  find(instruction: number, variant: number): number {
    return this.records(instruction, variant) + (instruction & 0xfff) * (recordBytes / wordBytes);
  }

  holds(value: number): boolean {
    const slot = (value - this.#start) / recordPageBytes;
    // There is no slot with a fraction.
    return (this.#pageOf[slot] ?? none) !== none;
  }

  instructionOf(record: number): number {
    const slot = this.#slotOf(record);
    const offset = record - this.#start - slot * recordPageBytes;
    return (this.#pageOf[slot] ?? 0) * 4096 + offset / (recordBytes / wordBytes);
  }

  variantOf(record: number): number {
    return this.#variantOf[this.#slotOf(record)] ?? 0;
  }

  /** Called before a record is decoded. From now on, stores to its page are watched. */
  watch(record: number): void {
    this.watched.watch(this.#pageOf[this.#slotOf(record)] ?? 0);
  }

  tellOfResets(listener: (start: number, end: number) => void): void {
    this.#tellOfReset = listener;
  }

  stored(offset: number, bytes: number): void {
    const page = offset >>> pageShift;
    this.watched.touch(page);
    if (!this.watched.isWatched(page)) return;
    if (this.watched.isOverborne(page)) {
      this.#drop(page);
      return;
    }
    const first = Math.floor((offset & 0xfff) / wordBytes);
    const last = Math.floor(((offset & 0xfff) + bytes - 1) / wordBytes);
    for (let slot = this.#first[page] ?? none; slot !== none; slot = this.#nextOf[slot] ?? none) {
      this.#reset(slot, first, last);
    }
  }

  #slotOf(record: number): number {
    return Math.floor((record - this.#start) / recordPageBytes);
  }

  /** Resets all records of a memory page. */
  #drop(page: number): void {
    this.watched.unwatch(page);
    for (let slot = this.#first[page] ?? none; slot !== none; slot = this.#nextOf[slot] ?? none) {
      this.#reset(slot, 0, instructionsPerPage - 1);
    }
  }

  /** Makes records `first` to `last` of a record page "not decoded" ones. Their operands stay; see CodeCache. */
  #reset(slot: number, first: number, last: number): void {
    const records = this.#start + slot * recordPageBytes;
    this.#tellOfReset?.(records + first * recordBytes, records + (last + 1) * recordBytes);
    for (let index = first; index <= last; index += 1) {
      this.#memory.view.setUint16(records + index * recordBytes, specialHandlers.notDecoded, true);
    }
  }

  #erase(slot: number): void {
    const records = this.#start + slot * recordPageBytes;
    this.#tellOfReset?.(records, records + instructionsPerPage * recordBytes);
    this.#memory.bytes.fill(0, records, records + instructionsPerPage * recordBytes);
  }

  #newSlot(): number {
    if (this.#full && this.#pageOf[this.#next] !== none) this.#evict();
    const slot = this.#next;
    this.#next += 1;
    if (this.#next === this.#capacity) {
      this.#next = 0;
      this.#full = true;
    }
    return slot;
  }

  /** Evicts the oldest record pages, starting with the next one to allocate. */
  #evict(): void {
    const count = Math.min(Math.ceil(this.#capacity / evictedPart), this.#capacity - this.#next);
    for (let slot = this.#next; slot < this.#next + count; slot += 1) this.#release(slot);
    const start = this.#start + this.#next * recordPageBytes;
    const end = start + count * recordPageBytes;
    this.#tlbs.flushRecords((records) => records >= start && records < end);
  }

  /** Detaches a record page from its memory page. */
  #release(slot: number): void {
    const page = this.#pageOf[slot] ?? none;
    if (page === none) return;
    const next = this.#nextOf[slot] ?? none;
    if (this.#first[page] === slot) {
      this.#first[page] = next;
    } else {
      let before = this.#first[page] ?? none;
      while (before !== none && this.#nextOf[before] !== slot) before = this.#nextOf[before] ?? none;
      if (before !== none) this.#nextOf[before] = next;
    }
    if (this.#first[page] === none) this.watched.unwatch(page);
    this.#pageOf[slot] = none;
    this.#nextOf[slot] = none;
    this.#erase(slot);
  }

  save(): RecordPagesValue {
    const used = [...this.#pageOf.keys()].filter((slot) => this.#pageOf[slot] !== none);
    return {
      next: this.#next,
      full: this.#full,
      slots: packWords(used.flatMap((slot) => [slot, this.#pageOf[slot] ?? 0, this.#variantOf[slot] ?? 0])),
      watched: this.watched.save(),
    };
  }

  /** Throws {@link InputError} on a value that `save` did not return: with it, a search could go on without end. */
  load({ next, full, slots, watched }: RecordPagesValue): void {
    const words = unpackWords(slots);
    this.#check(next, full, words);
    for (const slot of this.#pageOf.keys()) this.#release(slot);
    for (let at = 0; at < words.length; at += 3) {
      const [slot = 0, page = 0, variant = 0] = words.slice(at, at + 3);
      this.#attach(slot, page, variant);
    }
    this.#next = next;
    this.#full = full;
    this.watched.load(watched);
  }

  #check(next: number, full: boolean, words: readonly number[]): void {
    // Before all were allocated once, those from the next one on are free.
    const end = full ? this.#capacity : next;
    const used = words.filter((_, at) => at % 3 === 0);
    const pages = words.filter((_, at) => at % 3 === 1);
    const isRight =
      Number.isInteger(next) &&
      next >= 0 &&
      next < this.#capacity &&
      words.length % 3 === 0 &&
      new Set(used).size === used.length &&
      used.every((slot) => slot < end) &&
      pages.every((page) => page < this.#first.length);
    if (!isRight) throw new InputError('its pages of decoded instructions are not possible');
  }
}
