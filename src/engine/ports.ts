/** What the engine needs of the machine around it. Physical addresses are numbers below 2^48. */

/** Physical memory, as it is laid out for guests. */
export interface PhysicalMemory {
  /**
   * Where in the engine's memory the page of 4 KiB at `address` (a multiple of 4096) is, as a byte offset; -1 where there is
   * no memory, or none that may be written when `write` is asked for. What was answered is kept until the engine is told
   * to forget it (`Processor.forgetTranslations`).
   */
  frame(address: number, write: boolean): number;
  /** Reads 1, 2, 4 or 8 bytes where there is no memory, zero-extended; null where nothing answers. */
  read(vcpu: number, address: number, bytes: number): bigint | null;
  /** Writes them; false where nothing answers. */
  write(vcpu: number, address: number, bytes: number, value: bigint): boolean;
}

/** System registers that belong to devices (ICC_*, CNT*), by encoding (see isa, SystemRegister). */
export interface DeviceRegisters {
  /** The register's value; or that there is none here; or that EL0 may not read it and traps to EL1. */
  read(vcpu: number, encoding: number, el: 0 | 1): bigint | 'undefined' | 'trapped';
  write(vcpu: number, encoding: number, value: bigint, el: 0 | 1): 'done' | 'undefined' | 'trapped';
}

/**
 * The machine around the vCPUs. Its functions are called while a vCPU runs; they may change any vCPU's interrupt lines,
 * the memory, and (in `call`) the registers of the calling vCPU.
 */
export interface EngineHost {
  readonly memory: PhysicalMemory;
  readonly registers: DeviceRegisters;
  /** HVC or SMC with its immediate; pc is behind it. False: the instruction is Undefined. */
  call(vcpu: number, kind: 'hvc' | 'smc', immediate: number): boolean;
  /**
   * ESR_EL1.ISS of an access that nothing answers: a synchronous external abort unless said otherwise, for which there is
   * `externalAbort`.
   */
  unansweredIss?(access: 'read' | 'write' | 'fetch'): number;
}

/** Why a run ended. */
export type StopReason =
  /** The budget is used up. */
  | 'budget'
  /** WFI without a pending interrupt; WFE without an event; YIELD. */
  | 'waitForInterrupt'
  | 'waitForEvent'
  | 'yield'
  /** The machine asked for it. */
  | 'stopped';

export interface RunResult {
  readonly reason: StopReason;
  /** Instructions that ran; one that took an exception counts too. */
  readonly executed: number;
}
