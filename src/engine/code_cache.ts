/**
 * The interface to decoded code. Each layout of records implements it: a record for each instruction of a page
 * (arm64/code_cache.ts), or dense runs of records for instructions of varying length (straight_runs.ts).
 *
 * Records depend on the contents of physical memory. When a store changes these, the records are dropped: their handlers are
 * reset, and their operands stay readable until the next `find`, because the instruction that stored may have one of the records.
 */
export interface CodeCache {
  /**
   * The byte offset of the record for the instruction at byte offset `instruction` of the engine's memory, decoded in a way that
   * `variant` selects. The record may be a "not decoded" one (handlers.ts). Evicts others where there is no room.
   */
  find(instruction: number, variant: number): number;
  /** The byte offset of a record's instruction. */
  instructionOf(record: number): number;
  /** Whether a TLB may have the memory page at a byte offset for writing. If so, the page counts as writable from now on. */
  letWrite(page: number): boolean;
  /** Called before a store of a few bytes that stays within one page. */
  stored(offset: number, bytes: number): void;
  /** Called when memory was written by anything other than a vCPU. */
  written(offset: number, bytes: number): void;
  /** Whether the memory page at a byte offset may contain nonzero bytes: it was written, or was writable, at some time. */
  wasWritten(offset: number): boolean;
}
