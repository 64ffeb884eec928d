/** The hypercalls of a boot as lines of text, to compare with the calls that a kernel makes under a real Xen. */
import type { TraceEvent } from '../../src/audit/index.js';

/** Calls whose number and order depend on the schedule and on time. */
const frequent =
  /^(EVTCHNOP_send|EVTCHNOP_unmask|VCPUOP_(set|stop)_singleshot_timer|SCHEDOP_poll|SCHEDOP_yield|PHYSDEVOP_eoi)$/;

/** Who made which call, for whom, and its answer: one line, or none for another event or a frequent call. */
export function callText(event: TraceEvent): string[] {
  if (event.kind !== 'hypercall' || frequent.test(event.call.op)) return [];
  const { op, vcpuId, returned } = event.call;
  return [`${op} by ${event.vcpu} for ${vcpuId ?? '-'} = ${returned}`];
}

/** The line of a call without its caller: where all CPUs are up, the rest of the start may run on any of them. */
export const anyCaller = (line: string): string => line.replace(/ by \d+ for [\d-]+/, '');
