/** Giving ports out and taking them back (Xen 4.17 common/event_channel.c). */
import { EVTCHN_2L_NR_CHANNELS, EVTCHN_FIFO_NR_CHANNELS } from '../../abi/index.js';
import { XEN_EBUSY, XEN_EINVAL, XEN_ENOSPC } from '../../abi/index.js';
import { present } from '../../base/index.js';
import type { XenVcpuId } from '../../identity/index.js';
import type { Binding, Channel, Domain } from '../domain.js';
import { channelAt, makeChannel } from './channel.js';
import { destroyFifo } from './fifo_setup.js';
import { clearPending, initPort, isBusy } from './pending.js';
import { forgetVirq } from './virq.js';

/** xl's own `max_event_channels` (tools/libs/light/libxl_create.c, libxl__domain_build_info_setdefault). */
const defaultMaxPort = 1023;

/** Xen's evtchn_allocate_port: 0, -XEN_ENOSPC beyond the last port, -XEN_EBUSY. The port is valid from now on. */
function allocatePort(domain: Domain, port: number): number {
  const { config, events } = domain.state;
  const abiPorts = events.abi === 'fifo' ? EVTCHN_FIFO_NR_CHANNELS : EVTCHN_2L_NR_CHANNELS;
  if (port > (config.maxEvtchnPort ?? defaultMaxPort) || port >= abiPorts) return -XEN_ENOSPC;
  const channel = channelAt(domain, port);
  if (channel !== null && (channel.binding.kind !== 'free' || isBusy(domain, port))) return -XEN_EBUSY;
  if (channel === null) makeChannel(domain, port);
  return 0;
}

/** The lowest free port, now valid but not bound; -XEN_ENOSPC when there is none (get_free_port). */
export function getFreePort(domain: Domain): number {
  for (let port = 0; ; port += 1) {
    const error = allocatePort(domain, port);
    if (error === 0) return port;
    if (error !== -XEN_EBUSY) return error;
  }
}

/** Binds `port`, which is free; its events go to `vcpu`. */
export function bindPort(domain: Domain, port: number, binding: Binding, vcpu: XenVcpuId): Channel {
  const channel = makeChannel(domain, port);
  channel.binding = binding;
  channel.notifyVcpu = vcpu;
  initPort(domain, channel);
  return channel;
}

/** Frees a bound port. Its mask, its priority and its place in a queue stay (evtchn_free). */
function freePort(domain: Domain, port: number, channel: Channel): void {
  clearPending(domain, port);
  channel.binding = { kind: 'free' };
  channel.notifyVcpu = 0 as XenVcpuId;
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
 * reset. Always 0, for nothing here interrupts it and Xen itself holds no port of a domain without a device model
 * (Xen 4.17 common/event_channel.c, evtchn_reset).
 */
export function resetEvents(domain: Domain): number {
  for (let port = 1; port < domain.state.events.channels.length; port += 1) closePort(domain, port);
  if (domain.state.events.abi === 'fifo') destroyFifo(domain);
  return 0;
}
