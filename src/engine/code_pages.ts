/**
 * The decoded pages: for a page of memory that code was fetched from, one page of records for each way to decode it. A
 * record begins as one that decodes itself. A store to a page of which anything was decoded makes those records so again,
 * so that code which was just written runs as it was written; such pages are never in a TLB for writing.
 */
import { specialHandlers } from './handlers.js';
import { instructionsPerPage, pageRecords, recordBytes } from './layout.js';
import type { EngineMemory } from './memory.js';
import type { Tlbs } from './tlb.js';

/** Bytes that a page of records takes. */
export const recordPageBytes = pageRecords * recordBytes;

const pageShift = 12;
const none = -1;
/** Stores to a decoded page after which its records are dropped, so that stores are fast again; each time twice as many. */
const firstPatience = 64;
const mostPatience = 1 << 20;
/** What part of all pages is dropped when there is no room: one of so many. */
const evictedPart = 8;

/** Where a record's instruction is, and how it is to be decoded. */
export interface RecordPlace {
  /** The place of its word in memory. */
  readonly word: number;
  /** Its number in its page. */
  readonly index: number;
  readonly variant: number;
}

export class CodePages {
  readonly #memory: EngineMemory;
  readonly #tlbs: Tlbs;
  readonly #start: number;
  readonly #capacity: number;
  /** By page of records: the page of memory that it decodes, the variant, and the next of the same page of memory. */
  readonly #pageOf: Int32Array;
  readonly #variantOf: Uint8Array;
  readonly #nextOf: Int32Array;
  /** By page of memory: the first of its pages of records. */
  readonly #first: Int32Array;
  /** By page of memory: whether any record of it is decoded; whether a TLB may have it for writing. */
  readonly #decoded: Uint8Array;
  readonly #writable: Uint8Array;
  /** By page of memory: whether anything was ever written there; see {@link wasWritten}. */
  readonly #touched: Uint8Array;
  /** By page of memory: stores that are still borne, and what that was at first. */
  readonly #patience = new Map<number, { left: number; next: number }>();
  /** The page of records that is given out next, and whether all were given out. */
  #next = 0;
  #full = false;

  /** `capacity` pages of records from `start` on, for the memory up to `memoryEnd`. */
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

  /** The place of the records of the page of memory at `place`. */
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

  /** What is to be decoded into a record. From now on, stores to its page are watched. */
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

  /** Whether a TLB may take the page of memory at `place` for writing; it is taken to do so. */
  letWrite(place: number): boolean {
    const page = place >>> pageShift;
    this.#touched[page] = 1;
    if (this.#decoded[page] !== 0) return false;
    this.#writable[page] = 1;
    return true;
  }

  /** Told of a store of a few bytes, which do not leave their page. */
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
      for (let index = first; index <= last; index += 1) {
        this.#memory.words[(records + index * recordBytes) >>> 2] = specialHandlers.decode;
      }
    }
  }

  /** Told that memory from `place` on was written by somebody other than a vCPU. */
  written(place: number, bytes: number): void {
    const last = (place + bytes - 1) >>> pageShift;
    for (let page = place >>> pageShift; page <= last; page += 1) {
      this.#touched[page] = 1;
      if (this.#decoded[page] !== 0) this.#drop(page);
    }
  }

  /** Whether the page of memory at `place` may hold anything but zeros: it was written, or let be written, at some time. */
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

  /** Makes all records of a page of memory ones that decode themselves. */
  #drop(page: number): void {
    this.#decoded[page] = 0;
    for (let slot = this.#first[page] ?? none; slot !== none; slot = this.#nextOf[slot] ?? none) {
      this.#erase(slot);
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

  /** Drops the pages of records that were given out first, from the next one on. */
  #evict(): void {
    const count = Math.min(Math.ceil(this.#capacity / evictedPart), this.#capacity - this.#next);
    for (let slot = this.#next; slot < this.#next + count; slot += 1) this.#release(slot);
    const start = this.#start + this.#next * recordPageBytes;
    this.#tlbs.forgetRecords(start, start + count * recordPageBytes);
  }

  /** Takes a page of records from its page of memory. */
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
