/** Which events of a trace the rules read. Who keeps a trace in bounded form may leave the others out. */
import type { HypercallEvent, TraceEvent } from './trace.js';

/** Families of which no rule reads a call. `hypercall_N` are those that Xen does not have. */
const unreadFamilies: ReadonlySet<string> = new Set([
  'console_io',
  'grant_table_op',
  'memory_op',
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
 * Whether any rule looks at `event`, beyond that its vCPU ran then. What is not known here counts as read: a new kind of
 * event, and a new operation.
 */
export function isRead(event: TraceEvent): boolean {
  if (event.kind === 'log') return false;
  if (event.kind !== 'hypercall' || event.call.vcpuId !== null) return true;
  const { hypercall, op } = event.call;
  return !(unreadFamilies.has(hypercall) || unreadOperations.has(op) || hypercall.startsWith('hypercall_'));
}

/** Questions: when they are answered, nothing has changed. */
const questions: ReadonlySet<string> = new Set([
  'VCPUOP_is_up',
  'VCPUOP_get_runstate_info',
  'VCPUOP_get_physid',
]);

/** Calls of which the second or a later one is for another CPU than the first (operations.ts): how many there are counts. */
const counted: ReadonlySet<string> = new Set([
  'EVTCHNOP_init_control',
  'HVMOP_set_evtchn_upcall_vector',
  'VCPUOP_initialise',
  'VCPUOP_up',
]);

/** Whether a call leaves everything as it was, so that the same call once more tells the rules nothing new. */
export function isNeutral(event: TraceEvent): boolean {
  if (event.kind === 'start') return event.returned !== 0;
  return event.kind === 'hypercall' && isNeutralCall(event);
}

function isNeutralCall({ call: { op, returned } }: HypercallEvent): boolean {
  return (returned < 0 && !counted.has(op)) || questions.has(op);
}
