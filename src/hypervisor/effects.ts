/**
 * The effects of a hypercall that concern more than the guest's own memory. A call's record carries them, so that no reader
 * has to know from an operation's name what it did.
 */
import type { XenVcpuId } from '../identity/index.js';

/** One effect of a call. */
export type CallEffect =
  /** A port notifies the vCPU that the call named, or for a virq of the domain vCPU 0. */
  | { readonly kind: 'portBound'; readonly port: number; readonly vcpu: XenVcpuId }
  | { readonly kind: 'portClosed'; readonly port: number }
  /** All ports were closed, and events are delivered by the two-level ABI again. */
  | { readonly kind: 'eventsReset' }
  /** The guest's physical memory map has changed, also if the call was refused. */
  | { readonly kind: 'memoryMap' }
  /** A vCPU that was down runs from now on, or one that ran is down. */
  | { readonly kind: 'vcpuUp' | 'vcpuDown'; readonly vcpu: XenVcpuId }
  /** The call enables interrupts of the CPU that made it, as Arm's SCHEDOP_block does. */
  | { readonly kind: 'interruptsEnabled' };
