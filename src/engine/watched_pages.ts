/**
 * Memory pages with decoded code. Such a page is never writable through a TLB, so that every store to it is seen. When many
 * stores have been seen, the page's records should be dropped, so that stores become fast again.
 */
import { packWords, setIndices, unpackWords } from './packed_words.js';
import type { Tlbs } from './tlb.js';

/** Stores to a watched page after which its records should be dropped. Doubles each time. */
const firstPatience = 64;
const mostPatience = 1 << 20;

export const pageShift = 12;
export const pageBytes = 1 << pageShift;

/** The state as a plain value: packed lists of page numbers (packed_words.ts). */
export interface WatchedPagesValue {
  readonly watched: Uint8Array;
  readonly writable: Uint8Array;
  readonly touched: Uint8Array;
  /** Three words for each page that has been stored to while it was watched: the page, the stores left, the next limit. */
  readonly patience: Uint8Array;
}

/** The records that depend on watched pages. */
export interface WatchedRecords {
  /** Drops all records of a watched page. */
  drop(page: number): void;
  /** Notes a store of `bytes` bytes within one page, watched or not. */
  stored(offset: number, bytes: number): void;
}

/** Pages are identified by their number: the byte offset in the engine's memory divided by 4096. */
export class WatchedPages {
  readonly #tlbs: Tlbs;
  /** By page: whether it is watched, whether a TLB may have it for writing, and whether it was ever written. */
  readonly #watched: Uint8Array;
  readonly #writable: Uint8Array;
  readonly #touched: Uint8Array;
  readonly #records: WatchedRecords;
  readonly #patience = new Map<number, { left: number; next: number }>();

  /** For memory up to the byte offset `memoryEnd`. */
  constructor(tlbs: Tlbs, memoryEnd: number, records: WatchedRecords) {
    this.#tlbs = tlbs;
    this.#records = records;
    const pages = Math.ceil(memoryEnd / 4096);
    this.#watched = new Uint8Array(pages);
    this.#writable = new Uint8Array(pages);
    this.#touched = new Uint8Array(pages);
  }

  isWatched(page: number): boolean {
    return this.#watched[page] !== 0;
  }

  /** From now on, stores to the page are seen. */
  watch(page: number): void {
    if (this.#watched[page] !== 0) return;
    this.#watched[page] = 1;
    if (this.#writable[page] !== 0) this.#tlbs.flushWrites((page << pageShift) >>> 0);
    this.#writable[page] = 0;
  }

  unwatch(page: number): void {
    this.#watched[page] = 0;
  }

  /** Whether a TLB may have the page at a byte offset for writing. If so, the page counts as writable from now on. */
  letWrite(offset: number): boolean {
    const page = offset >>> pageShift;
    this.#touched[page] = 1;
    if (this.#watched[page] !== 0) return false;
    this.#writable[page] = 1;
    return true;
  }

  touch(page: number): void {
    this.#touched[page] = 1;
  }

  /** Called when memory was written by anything other than a vCPU. */
  written(offset: number, bytes: number): void {
    const end = offset + bytes;
    for (let at = offset; at < end;) {
      const count = Math.min(end - at, pageBytes - (at % pageBytes));
      if (count === pageBytes) this.#replaced(at >>> pageShift);
      else this.#records.stored(at, count);
      at += count;
    }
  }

  /** A whole page has new contents. */
  #replaced(page: number): void {
    this.#touched[page] = 1;
    if (this.#watched[page] !== 0) this.#records.drop(page);
  }

  /** Whether the page at a byte offset may contain nonzero bytes: it was written, or was writable, at some time. */
  wasWritten(offset: number): boolean {
    return this.#touched[offset >>> pageShift] !== 0;
  }

  /** The first page from `page` on that may contain nonzero bytes; -1 if there is none. */
  nextWritten(page: number): number {
    return this.#touched.indexOf(1, page);
  }

  /** Counts a store to a watched page. True if the page's records should be dropped, because there were many stores. */
  isOverborne(page: number): boolean {
    const patience = this.#patience.get(page) ?? { left: firstPatience, next: 2 * firstPatience };
    this.#patience.set(page, patience);
    patience.left -= 1;
    if (patience.left > 0) return false;
    patience.left = patience.next;
    patience.next = Math.min(2 * patience.next, mostPatience);
    return true;
  }

  save(): WatchedPagesValue {
    const patience = [...this.#patience].sort(([a], [b]) => a - b);
    return {
      watched: packWords(setIndices(this.#watched)),
      writable: packWords(setIndices(this.#writable)),
      touched: packWords(setIndices(this.#touched)),
      patience: packWords(patience.flatMap(([page, { left, next }]) => [page, left, next])),
    };
  }

  load(value: WatchedPagesValue): void {
    for (const [flags, pages] of [
      [this.#watched, value.watched],
      [this.#writable, value.writable],
      [this.#touched, value.touched],
    ] as const) {
      flags.fill(0);
      for (const page of unpackWords(pages)) flags[page] = 1;
    }
    this.#patience.clear();
    const words = unpackWords(value.patience);
    for (let at = 0; at < words.length; at += 3) {
      const [page = 0, left = 0, next = 0] = words.slice(at, at + 3);
      this.#patience.set(page, { left, next });
    }
  }
}
