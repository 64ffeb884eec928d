/** What the machine around A64 vCPUs must provide to the engine. */
import type { PhysicalMemory } from '../ports.js';

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
export interface Arm64Host {
  readonly memory: PhysicalMemory;
  readonly registers: DeviceRegisters;
  /**
   * Handles an HVC or SMC with its immediate; pc is already past it. Returns false to make the instruction Undefined.
   */
  call(vcpu: number, kind: 'hvc' | 'smc', immediate: number): boolean;
  /** A vCPU has switched address translation on or off (SCTLR_EL1.M); pc is past the instruction that did it. */
  translationSwitched?(vcpu: number, on: boolean): void;
  /** ESR_EL1.ISS of an access that nothing answers (default: a synchronous external abort, see `externalAbort`). */
  unansweredIss?(access: 'read' | 'write' | 'fetch'): number;
}
