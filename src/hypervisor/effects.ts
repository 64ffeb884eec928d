/**
 * The effects of a hypercall that concern more than the guest's own memory. A call's record carries them, so that no reader
 * has to know from an operation's name what it did.
 */
import type { XenVcpuId } from '../identity/index.js';
import type { Domain } from './domain.js';

/** The areas of memory that a guest registers for Xen to write. */
export type RegisteredArea = 'vcpu_info' | 'runstate' | 'time';

export type CallEffect =
  /** A port notifies the vCPU that the call named, or for a virq of the domain vCPU 0. */
  | { readonly kind: 'portBound'; readonly port: number; readonly vcpu: XenVcpuId }
  /** A port was made, which notifies vCPU 0 until it is bound to another. */
  | { readonly kind: 'portOpened'; readonly port: number }
  | { readonly kind: 'portClosed'; readonly port: number }
  /** All ports were closed, and events are delivered by the two-level ABI again. */
  | { readonly kind: 'eventsReset' }
  /** A vCPU has its control block: events are delivered by the FIFO ABI. */
  | { readonly kind: 'controlBlock'; readonly vcpu: XenVcpuId }
  /** An area was registered for a vCPU, or its registration was removed. */
  | { readonly kind: 'areaRegistered'; readonly area: RegisteredArea; readonly vcpu: XenVcpuId }
  /** A vCPU may run from now on, or no longer. */
  | { readonly kind: 'vcpuUp' | 'vcpuDown'; readonly vcpu: XenVcpuId }
  /** The domain is shut down; `reason` is SHUTDOWN_*. */
  | { readonly kind: 'shutDown'; readonly reason: number }
  /** The guest's physical memory map has changed, also if the call was refused. */
  | { readonly kind: 'memoryMap' }
  /** The call enables interrupts of the CPU that made it, as Arm's SCHEDOP_block does. */
  | { readonly kind: 'interruptsEnabled' };

/** The domain's shutdown as an effect; none if it is not shut down. */
export function shutdownEffect({ state: { shutdown } }: Domain): readonly CallEffect[] {
  return shutdown === null ? [] : [{ kind: 'shutDown', reason: shutdown.reason }];
}
