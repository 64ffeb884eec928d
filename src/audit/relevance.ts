/** Which events of a trace the rules read. A trace in bounded form may omit the others. */
import type { HypercallEvent, TraceEvent } from './trace.js';

/** Families whose calls no rule reads. `hypercall_N` are hypercalls that Xen does not have. */
const unreadFamilies: ReadonlySet<string> = new Set([
  'console_io',
  'grant_table_op',
  'memory_op',
  'physdev_op',
  'vm_assist',
  'xen_version',
]);
const unreadOperations: ReadonlySet<string> = new Set([
  'EVTCHNOP_send',
  'EVTCHNOP_unmask',
  'EVTCHNOP_status',
  'HVMOP_get_param',
  'SCHEDOP_block',
  'SCHEDOP_poll',
  'SCHEDOP_yield',
]);

/**
 * Whether any rule reads `event`, beyond the fact that its vCPU ran then. A kind of event or an operation that is unknown here
 * counts as read.
 */
export function isRead(event: TraceEvent): boolean {
  if (event.kind === 'log') return false;
  if (event.kind !== 'hypercall' || event.call.vcpuId !== null) return true;
  const { hypercall, op } = event.call;
  return !(unreadFamilies.has(hypercall) || unreadOperations.has(op) || hypercall.startsWith('hypercall_'));
}

/** Questions, which change nothing. */
const questions: ReadonlySet<string> = new Set([
  'VCPUOP_is_up',
  'VCPUOP_get_runstate_info',
  'VCPUOP_get_physid',
]);

/** Calls whose second and later occurrences are for another CPU than the first (operations.ts): their number matters. */
const counted: ReadonlySet<string> = new Set([
  'EVTCHNOP_init_control',
  'HVMOP_set_evtchn_upcall_vector',
  'VCPUOP_initialise',
  'VCPUOP_up',
]);

/** Whether a call changes nothing, so that a repetition of it gives the rules no new information. */
export function isNeutral(event: TraceEvent): boolean {
  if (event.kind === 'start') return event.returned !== 0;
  return event.kind === 'hypercall' && isNeutralCall(event);
}

function isNeutralCall({ call: { op, returned } }: HypercallEvent): boolean {
  return (returned < 0 && !counted.has(op)) || questions.has(op);
}
