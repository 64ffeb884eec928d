/** A range of guest physical addresses, in bytes. */
export interface MemoryRange {
  readonly start: bigint;
  readonly size: bigint;
}
