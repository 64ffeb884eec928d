/** Interfaces that the machine must provide to the engine. Physical addresses are numbers below 2^48. */

/** Physical memory as the guests see it. */
export interface PhysicalMemory {
  /**
   * The byte offset in the engine's memory of the 4 KiB page at `address` (a multiple of 4096); -1 where there is no
   * memory, or no writable memory when `write` is set. The engine caches the result until
   * `Processor.forgetTranslations`.
   */
  frame(address: number, write: boolean): number;
  /** Reads 1, 2, 4 or 8 bytes outside memory, zero-extended; null where no device answers. */
  read(vcpu: number, address: number, bytes: number): bigint | null;
  /** Writes 1, 2, 4 or 8 bytes outside memory; false where no device answers. */
  write(vcpu: number, address: number, bytes: number, value: bigint): boolean;
}

/** System registers that belong to devices (ICC_*, CNT*), by encoding (see isa, SystemRegister). */
export interface DeviceRegisters {
  /**
   * The value of the register; 'undefined' if there is no such register; 'trapped' if EL0 may not read it and traps to
   * EL1.
   */
  read(vcpu: number, encoding: number, el: 0 | 1): bigint | 'undefined' | 'trapped';
  write(vcpu: number, encoding: number, value: bigint, el: 0 | 1): 'done' | 'undefined' | 'trapped';
}

/**
 * The machine around the vCPUs. The engine calls these functions while a vCPU runs. They may change the interrupt lines
 * of any vCPU, the memory, and (in `call`) the registers of the calling vCPU.
 */
export interface EngineHost {
  readonly memory: PhysicalMemory;
  readonly registers: DeviceRegisters;
  /**
   * Handles an HVC or SMC with its immediate; pc is already past it. Returns false to make the instruction Undefined.
   */
  call(vcpu: number, kind: 'hvc' | 'smc', immediate: number): boolean;
  /** ESR_EL1.ISS of an access that nothing answers (default: a synchronous external abort, see `externalAbort`). */
  unansweredIss?(access: 'read' | 'write' | 'fetch'): number;
}

/** The reason why a run ended. */
export type StopReason =
  /** The budget was used up. */
  | 'budget'
  /** WFI without a pending interrupt, WFE without an event, or YIELD. */
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
