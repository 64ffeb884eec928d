/** The ends of a vCPU's wait: an unblock, an event at a polled port, a timeout. */
import type { Domain, VcpuState } from '../domain.js';

/** The vCPU no longer blocks nor polls (Xen 4.17 common/sched/core.c, vcpu_unblock). */
export function unblock(vcpu: VcpuState): void {
  vcpu.blocked = null;
}

/**
 * `port` became pending: wakes the vCPUs that poll it. Xen stores the port of a poll only if it is for exactly one port; a
 * poll for none or for several ends at any event (Xen 4.17 common/event_channel.c, evtchn_check_pollers; do_poll).
 */
export function checkPollers({ state }: Domain, port: number): void {
  for (const vcpu of state.vcpus) {
    if (vcpu.blocked?.why !== 'poll') continue;
    const { ports } = vcpu.blocked;
    if (ports.length !== 1 || ports[0] === port) unblock(vcpu);
  }
}

/** The next timeout of a SCHEDOP_poll, system time in ns; null if there is none. */
export function nextPollDeadline({ state }: Domain): bigint | null {
  let next: bigint | null = null;
  for (const { blocked } of state.vcpus) {
    if (blocked?.why !== 'poll' || blocked.deadlineNs === null) continue;
    if (next === null || blocked.deadlineNs < next) next = blocked.deadlineNs;
  }
  return next;
}

/** Ends every poll whose timeout is not after `state.nowNs`. */
export function expirePolls({ state }: Domain): void {
  for (const vcpu of state.vcpus) {
    if (vcpu.blocked?.why !== 'poll') continue;
    const { deadlineNs } = vcpu.blocked;
    if (deadlineNs !== null && deadlineNs <= state.nowNs) unblock(vcpu);
  }
}
