/** The domain's two watchdogs: timers that shut it down unless the guest sets them anew in time. */
import { SHUTDOWN_watchdog, XEN_EINVAL, XEN_ENOSPC } from '../abi/index.js';
import { firstXenVcpu } from '../identity/index.js';
import type { Domain } from './domain.js';
import { domainShutdown } from './power.js';

const nsPerSecond = 1_000_000_000n;

/**
 * SCHEDOP_watchdog: `id` 0 takes a free timer and answers its id, 1 or 2 (even with a `timeoutSec` of 0, which is
 * over at once); another id sets that timer anew, or gives it back with a `timeoutSec` of 0, and answers 0.
 * -XEN_EINVAL for an id above 2 or a timer not in use; -XEN_ENOSPC when both are (Xen 4.17 common/sched/core.c,
 * domain_watchdog).
 */
export function setWatchdog({ state }: Domain, id: number, timeoutSec: number): number {
  const { watchdogs, nowNs } = state;
  const deadlineNs = nowNs + BigInt(timeoutSec) * nsPerSecond;
  if (id > watchdogs.length) return -XEN_EINVAL;
  if (id === 0) {
    const free = watchdogs.findIndex(({ inUse }) => !inUse);
    if (free < 0) return -XEN_ENOSPC;
    watchdogs[free] = { inUse: true, deadlineNs };
    return free + 1;
  }
  if (watchdogs[id - 1]?.inUse !== true) return -XEN_EINVAL;
  watchdogs[id - 1] = timeoutSec === 0 ? { inUse: false, deadlineNs: null } : { inUse: true, deadlineNs };
  return 0;
}

/** When the next watchdog fires, system time in ns; null when none runs. */
export function nextWatchdogDeadline({ state }: Domain): bigint | null {
  let next: bigint | null = null;
  for (const { deadlineNs } of state.watchdogs) {
    if (deadlineNs !== null && (next === null || deadlineNs < next)) next = deadlineNs;
  }
  return next;
}

/**
 * Fires every watchdog whose deadline is not after `state.nowNs`: the domain shuts down with SHUTDOWN_watchdog, if
 * it does not already. No vCPU asked for it; vCPU 0 stands for the domain (Xen's domain_watchdog_timeout).
 */
export function fireWatchdogs(domain: Domain): void {
  const { state } = domain;
  for (const watchdog of state.watchdogs) {
    if (watchdog.deadlineNs === null || watchdog.deadlineNs > state.nowNs) continue;
    watchdog.deadlineNs = null;
    if (state.shutdown === null) domainShutdown(domain, SHUTDOWN_watchdog, firstXenVcpu);
  }
}
