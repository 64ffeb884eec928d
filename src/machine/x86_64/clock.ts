/** The time-stamp counter, which is the machine's time (hypervisor/clock.ts): it is the same on every vCPU. */
import type { GuestTsc } from '../../devices/index.js';
import type { TimestampLine } from '../../engine/x86_64/index.js';
import { clockOf, tscAt } from '../../hypervisor/index.js';
import type { Domain } from '../../hypervisor/index.js';

const kHzTimesNs = 1_000_000n;

/** The TSC of a domain's vCPUs. */
export interface MachineTsc extends GuestTsc {
  /** How it goes on from system time `ns`, in ns, while each instruction takes 1 ns. */
  lineFrom(ns: bigint): TimestampLine;
}

export function guestTsc(domain: () => Domain): MachineTsc {
  return {
    at: (ns) => tscAt(domain(), ns),
    lineFrom: (ns) => {
      const rate = BigInt(clockOf(domain()).tscKHz);
      const millionths = ns * rate;
      return { ticks: millionths / kHzTimesNs, part: millionths % kHzTimesNs, rate };
    },
    timeOf: (tsc) => {
      const kHz = BigInt(clockOf(domain()).tscKHz);
      return (tsc * kHzTimesNs + kHz - 1n) / kHz;
    },
  };
}
