/** The seam between hypercalls and a CPU's registers: how a guest passes a call to Xen, and how it gets the answer. */
import type { XenVcpuId } from '../identity/index.js';

/** A hypercall as a vCPU asks for it. */
export interface AskedCall {
  /** The call's number; a number that no call has where the register holds more than 2^53. */
  readonly number: number;
  /** The five argument registers, unsigned 64-bit. */
  readonly args: readonly bigint[];
}

/** The functions are called while the vCPU's program counter is behind the instruction that made the call. */
export interface HypercallAbi {
  /** The call that the vCPU makes. */
  read(vcpu: XenVcpuId): AskedCall;
  /** Puts the answer, signed, into the register where the guest expects it. */
  answer(vcpu: XenVcpuId, returned: number): void;
  /**
   * Makes the vCPU repeat the call with these argument registers, the same number and the program counter at the
   * instruction (Xen's hypercall_create_continuation).
   */
  rewind(vcpu: XenVcpuId, args: readonly bigint[]): void;
  /** Whether the CPU would take an interrupt now. */
  takesInterrupts(vcpu: XenVcpuId): boolean;
  /** Unmasks the CPU's interrupts, as a call that waits for one does. */
  enableInterrupts(vcpu: XenVcpuId): void;
}
