/** One event channel: which ports there are, and what stands behind them. Knows neither event ABI. */
import { alignUp, present } from '../../base/index.js';
import type { XenVcpuId } from '../../identity/index.js';
import type { Channel, Domain } from '../domain.js';

/**
 * Xen makes its records of ports by the page: 64 of them, of 64 bytes each (Xen 4.17 include/xen/sched.h,
 * EVTCHNS_PER_BUCKET). A port of a page that was made is valid, though it be free.
 */
const portsPerBucket = 64;

/** A port that was never used. Zero throughout, as Xen allocates it; so is the priority, until FIFO sets it. */
export function freeChannel(): Channel {
  return {
    binding: { kind: 'free' },
    notifyVcpu: 0 as XenVcpuId,
    priority: 0,
    lastVcpu: 0 as XenVcpuId,
    lastPriority: 0,
    pendingEarly: false,
    lostNs: null,
    polled: false,
  };
}

/** How many ports are valid, from 0 on. Never shrinks, resets included. */
export function validPorts({ state }: Domain): number {
  return alignUp(state.events.channels.length, portsPerBucket);
}

/** The channel at `port`; null when the port is not valid. One that was never used is a free one, and not kept. */
export function channelAt(domain: Domain, port: number): Channel | null {
  if (port >= validPorts(domain)) return null;
  return domain.state.events.channels[port] ?? freeChannel();
}

/** The channel at `port`, which is kept from now on, as are those below it. */
export function makeChannel({ state }: Domain, port: number): Channel {
  const { channels } = state.events;
  while (channels.length <= port) channels.push(freeChannel());
  return present(channels[port], `port ${port}`);
}

/** Whether events can come in at this channel (Xen 4.17 include/xen/event.h, evtchn_usable). */
export function isUsable({ binding }: Channel): boolean {
  return binding.kind !== 'free' && binding.kind !== 'reserved';
}
