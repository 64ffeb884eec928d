/**
 * The decoded code pages. For each page of memory that code was fetched from, there is one page of records per decode
 * variant. Every record starts as a "decode" record, which decodes its word when it is first run. A store to a page
 * with decoded records resets the records of the stored words, so that self-modifying code runs correctly. To catch
 * these stores, such a page is never writable through a TLB.
 */
import { specialHandlers } from './handlers.js';
import { instructionsPerPage, pageRecords, recordBytes } from './layout.js';
import type { EngineMemory } from './memory.js';
import type { Tlbs } from './tlb.js';

/** Size of a page of records in bytes. */
export const recordPageBytes = pageRecords * recordBytes;

const pageShift = 12;
const none = -1;
/** Stores to a decoded page after which its records are dropped, so that stores are fast again. Doubles each time. */
const firstPatience = 64;
const mostPatience = 1 << 20;
/** When all record pages are in use, 1/8 of them is evicted at once. */
const evictedPart = 8;

/** The location of a record's instruction, and its decode variant. */
export interface RecordPlace {
  /** Byte offset of the instruction word. */
  readonly word: number;
  /** Index of the instruction in its page. */
  readonly index: number;
  readonly variant: number;
}

export class CodePages {
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
  /** By memory page: whether any record of it is decoded, and whether a TLB may have it for writing. */
  readonly #decoded: Uint8Array;
  readonly #writable: Uint8Array;
  /** By memory page: whether it was ever written; see {@link wasWritten}. */
  readonly #touched: Uint8Array;
  /** By memory page: the number of stores left before its records are dropped, and the next limit. */
  readonly #patience = new Map<number, { left: number; next: number }>();
  /** The record page to allocate next, and whether all were allocated once. */
  #next = 0;
  #full = false;

  /** Manages `capacity` record pages from the byte offset `start`, for memory up to `memoryEnd`. */
  constructor(memory: EngineMemory, tlbs: Tlbs, start: number, capacity: number, memoryEnd: number) {
    this.#memory = memory;
    this.#tlbs = tlbs;
    this.#start = start;
    this.#capacity = capacity;
    this.#pageOf = new Int32Array(capacity).fill(none);
    this.#variantOf = new Uint8Array(capacity);
    this.#nextOf = new Int32Array(capacity).fill(none);
    const pages = Math.ceil(memoryEnd / 4096);
    this.#first = new Int32Array(pages).fill(none);
    this.#decoded = new Uint8Array(pages);
    this.#writable = new Uint8Array(pages);
    this.#touched = new Uint8Array(pages);
  }

  /** The byte offset of the records for the memory page at `place`. */
  records(place: number, variant: number): number {
    const page = place >>> pageShift;
    for (let slot = this.#first[page] ?? none; slot !== none; slot = this.#nextOf[slot] ?? none) {
      if (this.#variantOf[slot] === variant) return this.#start + slot * recordPageBytes;
    }
    const slot = this.#newSlot();
    this.#pageOf[slot] = page;
    this.#variantOf[slot] = variant;
    this.#nextOf[slot] = this.#first[page] ?? none;
    this.#first[page] = slot;
    const records = this.#start + slot * recordPageBytes;
    this.#memory.words[(records + instructionsPerPage * recordBytes) >>> 2] = specialHandlers.nextPage;
    return records;
  }

  /** The word that a record must decode. From now on, stores to its page are watched. */
  toDecode(record: number): RecordPlace {
    const offset = record - this.#start;
    const slot = Math.floor(offset / recordPageBytes);
    const index = (offset - slot * recordPageBytes) / recordBytes;
    const page = this.#pageOf[slot] ?? 0;
    if (this.#decoded[page] === 0) {
      this.#decoded[page] = 1;
      if (this.#writable[page] !== 0) this.#tlbs.forgetWrites((page << pageShift) >>> 0);
      this.#writable[page] = 0;
    }
    return { word: page * 4096 + 4 * index, index, variant: this.#variantOf[slot] ?? 0 };
  }

  /** Whether a TLB may have the memory page at `place` for writing. If so, the page counts as writable from now on. */
  letWrite(place: number): boolean {
    const page = place >>> pageShift;
    this.#touched[page] = 1;
    if (this.#decoded[page] !== 0) return false;
    this.#writable[page] = 1;
    return true;
  }

  /** Called after a store of a few bytes that stays within one page. */
  stored(place: number, bytes: number): void {
    const page = place >>> pageShift;
    this.#touched[page] = 1;
    if (this.#decoded[page] === 0) return;
    if (this.#isOverborne(page)) {
      this.#drop(page);
      return;
    }
    const first = (place & 0xfff) >>> 2;
    const last = ((place & 0xfff) + bytes - 1) >>> 2;
    for (let slot = this.#first[page] ?? none; slot !== none; slot = this.#nextOf[slot] ?? none) {
      const records = this.#start + slot * recordPageBytes;
      this.#reset(records, first, last);
    }
  }

  /** Called when memory from `place` on was written by anything other than a vCPU. */
  written(place: number, bytes: number): void {
    const last = (place + bytes - 1) >>> pageShift;
    for (let page = place >>> pageShift; page <= last; page += 1) {
      this.#touched[page] = 1;
      if (this.#decoded[page] !== 0) this.#drop(page);
    }
  }

  /** Whether the memory page at `place` may contain nonzero bytes: it was written, or was writable, at some time. */
  wasWritten(place: number): boolean {
    return this.#touched[place >>> pageShift] !== 0;
  }

  #isOverborne(page: number): boolean {
    const patience = this.#patience.get(page) ?? { left: firstPatience, next: 2 * firstPatience };
    this.#patience.set(page, patience);
    patience.left -= 1;
    if (patience.left > 0) return false;
    patience.left = patience.next;
    patience.next = Math.min(2 * patience.next, mostPatience);
    return true;
  }

  /** Resets all records of a memory page to "decode" records. */
  #drop(page: number): void {
    this.#decoded[page] = 0;
    for (let slot = this.#first[page] ?? none; slot !== none; slot = this.#nextOf[slot] ?? none) {
      this.#reset(this.#start + slot * recordPageBytes, 0, instructionsPerPage - 1);
    }
  }

  /**
   * Makes records `first` to `last` of a record page "decode" records. Their operands stay: the instruction that stored may
   * have one of these records, and still needs its operands.
   */
  #reset(records: number, first: number, last: number): void {
    for (let index = first; index <= last; index += 1) {
      this.#memory.view.setUint16(records + index * recordBytes, specialHandlers.decode, true);
    }
  }

  #erase(slot: number): void {
    const records = this.#start + slot * recordPageBytes;
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
    this.#tlbs.forgetRecords(start, start + count * recordPageBytes);
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
    if (this.#first[page] === none) this.#decoded[page] = 0;
    this.#pageOf[slot] = none;
    this.#nextOf[slot] = none;
    this.#erase(slot);
  }
}
