/** Interfaces that the machine must provide to the engine. Physical addresses are numbers below 2^48. */

/** Physical memory as the guests see it. */
export interface PhysicalMemory {
  /**
   * The byte offset in the engine's memory of the 4 KiB page at `address` (a multiple of 4096); -1 where there is no
   * memory, or no writable memory when `write` is set. The engine caches the result until
   * `Processor.flushTranslations`.
   */
  frame(address: number, write: boolean): number;
  /** Reads 1, 2, 4 or 8 bytes outside memory, zero-extended; null where no device answers. */
  read(vcpu: number, address: number, bytes: number): bigint | null;
  /** Writes 1, 2, 4 or 8 bytes outside memory; false where no device answers. */
  write(vcpu: number, address: number, bytes: number, value: bigint): boolean;
}

/** The reason why a run ended. */
export type StopReason =
  /** The budget was used up. */
  | 'budget'
  /** The vCPU waits for an interrupt or for an event of another vCPU, or lets others run. */
  | 'waitForInterrupt'
  | 'waitForEvent'
  | 'yield'
  /** The machine requested it. */
  | 'stopped';

export interface RunResult {
  readonly reason: StopReason;
  /** Number of instructions that ran, including those that took an exception. */
  readonly executed: number;
}
