/** The time-stamp counter, which is the machine's time (hypervisor/clock.ts): it is the same on every vCPU. */
import type { GuestTsc } from '../../devices/index.js';
import { clockOf, tscAt } from '../../hypervisor/index.js';
import type { Domain } from '../../hypervisor/index.js';

const kHzTimesNs = 1_000_000n;

/** The TSC of a domain's vCPUs. */
export function guestTsc(domain: () => Domain): GuestTsc {
  return {
    at: (ns) => tscAt(domain(), ns),
    timeOf: (tsc) => {
      const kHz = BigInt(clockOf(domain()).tscKHz);
      return (tsc * kHzTimesNs + kHz - 1n) / kHz;
    },
  };
}
