/**
 * Hooks that change a run from outside the models and the hypervisor. Tests use them to seed errors; an ordinary run has
 * none.
 */
import type { CallRecord } from '../../hypervisor/index.js';
import type { XenVcpuId } from '../../identity/index.js';
import type { GuestCall } from './calls.js';
import type { World } from './world.js';

/** The call or the step at which a hook runs. */
export interface Occasion {
  readonly world: World;
  readonly vcpu: XenVcpuId;
  readonly kernel: number;
  readonly linuxCpu: number;
  readonly phase: string | null;
  /** The routine and the label of the step. */
  readonly routine: string;
  readonly step: string;
}

/** The hooks. Each is optional, and each may change the world. */
export interface Interposers {
  /** Returns the call that the guest makes in place of `call`. */
  beforeCall?(occasion: Occasion, call: GuestCall): GuestCall;
  /** Returns the answer of a faulty hypervisor in place of `record`. Guest and observer see it. */
  faultyAnswer?(occasion: Occasion, record: CallRecord): CallRecord;
  /** Returns the answer that the guest sees in place of `record`. The trace keeps the answer that Xen gave. */
  afterCall?(occasion: Occasion, record: CallRecord): CallRecord;
  /** Runs after each step. */
  afterStep?(occasion: Occasion): void;
}
