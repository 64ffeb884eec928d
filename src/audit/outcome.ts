/** The outcome of a guest. It is not a rule: a guest may reach its goal by luck, or fail for other reasons. */
import type { Run } from './finding.js';
import type { EndEvent } from './trace.js';

/** How the run ended; null when the trace stops before the guest does. */
export function endOf({ events }: Run): EndEvent | null {
  return events.findLast((event): event is EndEvent => event.kind === 'end') ?? null;
}

/** Whether the last kernel reached user space and stayed there, or powered off as asked. */
export function reachesGoal(run: Run): boolean {
  const end = endOf(run);
  return end !== null && (end.outcome === 'userspace' || end.outcome === 'poweroff');
}
