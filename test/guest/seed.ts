/** An error to put into a run. */
import type { Change } from './runs.js';

export interface Seed extends Change {
  /** The rule that must be among the broken ones. */
  readonly rule: string;
}

// Calls that several seeds use.
export const vcpuInfo = 'VCPUOP_register_vcpu_info';
export const control = 'EVTCHNOP_init_control';
export const runstate = 'VCPUOP_register_runstate_memory_area';
export const upcall = 'HVMOP_set_evtchn_upcall_vector';
export const bindIpi = 'EVTCHNOP_bind_ipi';
export const oneshot = 'VCPUOP_set_singleshot_timer';
