/**
 * Where a run can be meddled with, from outside of models and hypervisor alike. The tests that seed errors stand
 * here; an ordinary run has none.
 */
import type { CallRecord } from '../../hypervisor/index.js';
import type { XenVcpuId } from '../../identity/index.js';
import type { GuestCall } from './calls.js';
import type { World } from './world.js';

/** The call or step that is at hand. */
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

/** Each may be left out. All of them may change the world. */
export interface Interposers {
  /** What the guest asks for instead. */
  beforeCall?(occasion: Occasion, call: GuestCall): GuestCall;
  /** What the hypervisor answers, and an observer sees it answer, in place of its own: a hypervisor at fault. */
  faultyAnswer?(occasion: Occasion, record: CallRecord): CallRecord;
  /** What the guest is made to see in place of Xen's answer; the trace keeps the answer that Xen gave. */
  afterCall?(occasion: Occasion, record: CallRecord): CallRecord;
  /** After each step. */
  afterStep?(occasion: Occasion): void;
}
