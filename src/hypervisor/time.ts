/** The effects of passing time: timers, poll timeouts, watchdogs, and the clocks that the guest reads. */
import { VIRQ_TIMER } from '../abi/index.js';
import { earlier, invariant } from '../base/index.js';
import { updateVcpuTime } from './clock.js';
import type { Domain, VcpuState } from './domain.js';
import { expirePolls, nextPollDeadline, raiseVirq } from './event_channels/index.js';
import { isRunnable } from './power.js';
import { updateRunstates } from './runstate.js';
import { fireWatchdogs, nextWatchdogDeadline } from './watchdog.js';

/**
 * Sets and starts a vCPU's periodic timer. The period counts from when it last fired, at first from system time 0; if
 * a whole period has passed, it fires immediately (Xen 4.17 common/sched/core.c, vcpu_set_periodic_timer).
 */
export function setPeriodicTimer(domain: Domain, vcpu: VcpuState, periodNs: bigint): void {
  vcpu.periodNs = periodNs;
  firePeriodic(domain, vcpu);
}

function firePeriodic(domain: Domain, vcpu: VcpuState): void {
  const { nowNs } = domain.state;
  if (vcpu.periodNs === null || nowNs < vcpu.lastPeriodicNs + vcpu.periodNs) return;
  vcpu.lastPeriodicNs = nowNs;
  raiseVirq(domain, vcpu.id, VIRQ_TIMER);
}

/** The periodic timer stops while its vCPU does not run, and does not wake it. */
function periodicDeadline(domain: Domain, vcpu: VcpuState): bigint | null {
  return vcpu.periodNs !== null && isRunnable(domain, vcpu.id) ? vcpu.lastPeriodicNs + vcpu.periodNs : null;
}

/**
 * The system time in ns of the next deadline, not before now; null if there is none.
 * If no vCPU may run, the machine should {@link advanceTo} that time.
 */
export function nextDeadline(domain: Domain): bigint | null {
  const { vcpus, nowNs } = domain.state;
  let first = earlier(nextPollDeadline(domain), nextWatchdogDeadline(domain));
  for (const vcpu of vcpus) {
    first = earlier(first, vcpu.singleshotNs);
    if (vcpu.periodNs !== null) first = earlier(first, periodicDeadline(domain, vcpu));
  }
  return first !== null && first < nowNs ? nowNs : first;
}

/**
 * Sets system time to `ns`, which must not be in the past. Everything that is due up to and including `ns` happens
 * in order of time; at the same time, in order of vCPU id.
 */
export function advanceTo(domain: Domain, ns: bigint): void {
  const { state } = domain;
  // The message costs more than the rest of the function, which is called for every call of a guest.
  if (ns < state.nowNs) {
    invariant(false, `time cannot go back from ${String(state.nowNs)} to ${String(ns)} ns`);
  }
  updateRunstates(domain);
  for (let next = nextDeadline(domain); next !== null && next <= ns; next = nextDeadline(domain)) {
    state.nowNs = next;
    fireDue(domain);
    updateRunstates(domain);
  }
  state.nowNs = ns;
  for (const vcpu of state.vcpus) {
    if (vcpu.up) updateVcpuTime(domain, vcpu, false);
  }
}

function fireDue(domain: Domain): void {
  for (const vcpu of domain.state.vcpus) fireVcpuTimers(domain, vcpu);
  expirePolls(domain);
  fireWatchdogs(domain);
}

function fireVcpuTimers(domain: Domain, vcpu: VcpuState): void {
  if (vcpu.singleshotNs !== null && vcpu.singleshotNs <= domain.state.nowNs) {
    vcpu.singleshotNs = null;
    raiseVirq(domain, vcpu.id, VIRQ_TIMER);
  }
  if (isRunnable(domain, vcpu.id)) firePeriodic(domain, vcpu);
}
