/** Allocating and freeing ports (Xen 4.17 common/event_channel.c). */
import { EVTCHN_2L_NR_CHANNELS, EVTCHN_FIFO_NR_CHANNELS } from '../../abi/index.js';
import { XEN_EINVAL, XEN_ENOSPC } from '../../abi/index.js';
import { present } from '../../base/index.js';
import { firstXenVcpu } from '../../identity/index.js';
import type { XenVcpuId } from '../../identity/index.js';
import type { Binding, Channel, Domain } from '../domain.js';
import { channelAt, makeChannel } from './channel.js';
import { destroyFifo } from './fifo_setup.js';
import { clearPending, initPort, isBusy } from './pending.js';
import { forgetVirq } from './virq.js';

/** xl's own `max_event_channels` (tools/libs/light/libxl_create.c, libxl__domain_build_info_setdefault). */
const defaultMaxPort = 1023;

/** How many ports the domain's ABI and its configuration allow. */
function portCount({ state: { config, events } }: Domain): number {
  const abiPorts = events.abi === 'fifo' ? EVTCHN_FIFO_NR_CHANNELS : EVTCHN_2L_NR_CHANNELS;
  return Math.min((config.maxEvtchnPort ?? defaultMaxPort) + 1, abiPorts);
}

/** For the channels of a domain: no port below this one is free. A hint for the search, and no part of the state. */
const lowestFree = new WeakMap<readonly Channel[], number>();

function isBound(channels: readonly Channel[], port: number): boolean {
  return (channels[port]?.binding.kind ?? 'free') !== 'free';
}

/** The lowest free port, now valid but not bound; -XEN_ENOSPC when there is none (get_free_port, evtchn_allocate_port). */
export function getFreePort(domain: Domain): number {
  const { channels } = domain.state.events;
  const count = portCount(domain);
  let lowest = lowestFree.get(channels) ?? 0;
  while (lowest < count && isBound(channels, lowest)) lowest += 1;
  lowestFree.set(channels, lowest);
  for (let port = lowest; port < count; port += 1) {
    if (isBound(channels, port)) continue;
    const isValid = channelAt(domain, port) !== null;
    if (isValid && isBusy(domain, port)) continue;
    if (!isValid) makeChannel(domain, port);
    return port;
  }
  return -XEN_ENOSPC;
}

/** Binds `port`, which is free; its events go to `vcpu`. */
export function bindPort(domain: Domain, port: number, binding: Binding, vcpu: XenVcpuId): Channel {
  const channel = makeChannel(domain, port);
  channel.binding = binding;
  channel.notifyVcpu = vcpu;
  channel.lostNs = null;
  channel.polled = false;
  initPort(domain, channel);
  return channel;
}

/** Frees a bound port. Its mask, its priority and its place in a queue stay (evtchn_free). */
function freePort(domain: Domain, port: number, channel: Channel): void {
  clearPending(domain, port);
  channel.binding = { kind: 'free' };
  const { channels } = domain.state.events;
  lowestFree.set(channels, Math.min(port, lowestFree.get(channels) ?? 0));
  channel.notifyVcpu = firstXenVcpu;
}

/** Closes a port; the other end of an interdomain channel becomes unbound. 0 or -XEN_EINVAL (evtchn_close). */
export function closePort(domain: Domain, port: number): number {
  const { channels } = domain.state.events;
  const channel = channels[port];
  if (channel === undefined) return -XEN_EINVAL;
  const { binding } = channel;
  if (binding.kind === 'free' || binding.kind === 'reserved') return -XEN_EINVAL;
  if (binding.kind === 'virq') forgetVirq(domain, binding.virq, channel.notifyVcpu);
  freePort(domain, port, channel);
  const { domid } = domain.state.config;
  if (binding.kind === 'interdomain' && binding.remoteDomid === domid) {
    const other = present(channels[binding.remotePort], `the other end of port ${port}`);
    other.binding = { kind: 'unbound', remoteDomid: domid };
  }
  return 0;
}

/**
 * Closes every port and goes back to the two-level ABI: EVTCHNOP_reset on oneself, and the first step of a soft
 * reset. Always 0, for nothing here interrupts it. Ports that Xen itself holds for a device model are reserved, and stay
 * (Xen 4.17 common/event_channel.c, evtchn_reset).
 */
export function resetEvents(domain: Domain): number {
  for (let port = 1; port < domain.state.events.channels.length; port += 1) closePort(domain, port);
  if (domain.state.events.abi === 'fifo') destroyFifo(domain);
  return 0;
}
