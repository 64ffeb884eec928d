/** Event channels: the valid ports and their bindings. This file knows neither event ABI. */
import { alignUp, present } from '../../base/index.js';
import { firstXenVcpu } from '../../identity/index.js';
import type { Channel, Domain } from '../domain.js';

/**
 * Xen allocates its records of ports by the page: 64 records of 64 bytes each (Xen 4.17 include/xen/sched.h,
 * EVTCHNS_PER_BUCKET). All ports of an allocated page are valid, even if they are free.
 */
const portsPerBucket = 64;

/** A port that was never used. All fields are zero, as Xen allocates it; so is the priority, until FIFO sets it. */
export function freeChannel(): Channel {
  return {
    binding: { kind: 'free' },
    notifyVcpu: firstXenVcpu,
    priority: 0,
    lastVcpu: firstXenVcpu,
    lastPriority: 0,
    pendingEarly: false,
    lostNs: null,
    polled: false,
  };
}

/** The number of valid ports, from 0 on. It never shrinks, even after a reset. */
export function validPorts({ state }: Domain): number {
  return alignUp(state.events.channels.length, portsPerBucket);
}

/**
 * The channel at `port`; null if the port is not valid. For a port that was never used it is a free channel that is not
 * stored.
 */
export function channelAt(domain: Domain, port: number): Channel | null {
  if (port >= validPorts(domain)) return null;
  return domain.state.events.channels[port] ?? freeChannel();
}

/** The channel at `port`; it and all channels below it are created if needed. */
export function makeChannel({ state }: Domain, port: number): Channel {
  const { channels } = state.events;
  while (channels.length <= port) channels.push(freeChannel());
  return present(channels[port], `port ${port}`);
}

/** Whether events can come in at this channel (Xen 4.17 include/xen/event.h, evtchn_usable). */
export function isUsable({ binding }: Channel): boolean {
  return binding.kind !== 'free' && binding.kind !== 'reserved';
}
