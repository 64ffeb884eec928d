/**
 * The interface to decoded code. Each layout of records implements it: a record for each instruction of a page
 * (arm64/code_cache.ts), or dense runs of records for instructions of varying length (straight_runs.ts).
 *
 * Records depend on the contents of physical memory. When a store changes these, the records are dropped: their handlers are
 * reset, and their operands stay readable until the next `find`, because the instruction that stored may have one of the records.
 */
import type { WatchedPages } from './watched_pages.js';

/** Decoded code. See above for when records are dropped. */
export interface CodeCache {
  /** The memory pages with records: which of them a TLB may have for writing, and what was written. */
  readonly watched: WatchedPages;
  /**
   * The byte offset of the record for the instruction at byte offset `instruction` of the engine's memory, decoded in a way that
   * `variant` selects. The record may be a "not decoded" one (handlers.ts). Evicts others where there is no room.
   */
  find(instruction: number, variant: number): number;
  /** Whether an entry of the code TLB may have this value: it leads to code that is decoded, and not to other memory. */
  holds(value: number): boolean;
  /** The byte offset of a record's instruction. */
  instructionOf(record: number): number;
  /** From now on, `listener` is told of records before they are reset or erased: by the byte offsets of their start and end. */
  tellOfResets?(listener: (start: number, end: number) => void): void;
  /** Called before a store of a few bytes that stays within one page. */
  stored(offset: number, bytes: number): void;
}
