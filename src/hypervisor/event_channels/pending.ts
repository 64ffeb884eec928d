/** Operations on ports, dispatched to the event ABI that the domain uses (Xen's evtchn_port_ops). */
import { EVTCHN_FIFO_PRIORITY_DEFAULT, EVTCHN_FIFO_PRIORITY_MIN } from '../../abi/index.js';
import { XEN_EACCES, XEN_EINVAL, XEN_ENOSYS } from '../../abi/index.js';
import { present } from '../../base/index.js';
import type { XenVcpuId } from '../../identity/index.js';
import type { Channel, Domain, VcpuState } from '../domain.js';
import { channelAt, isUsable, makeChannel } from './channel.js';
import * as fifo from './fifo.js';
import * as twoLevel from './two_level.js';

function abiOf({ state }: Domain): typeof fifo | typeof twoLevel {
  return state.events.abi === 'fifo' ? fifo : twoLevel;
}

/** Whether events can come in at `port`. */
function isUsablePort(domain: Domain, port: number): boolean {
  const channel = channelAt(domain, port);
  return channel !== null && isUsable(channel);
}

function vcpuOf({ state }: Domain, id: XenVcpuId): VcpuState {
  return present(state.vcpus[id], `vCPU ${id}`);
}

/** An event came in at `port`, for vCPU `vcpu`. Nothing happens at a port that is free or reserved. */
export function setPending(domain: Domain, vcpu: XenVcpuId, port: number): void {
  if (!isUsablePort(domain, port)) return;
  const target = vcpuOf(domain, vcpu);
  abiOf(domain).setPending(domain, target, port);
  makeChannel(domain, port).lostNs = target.up ? null : domain.state.nowNs;
}

/** The same as {@link setPending}, for the vCPU that the channel notifies. */
export function notify(domain: Domain, port: number): void {
  const vcpu = channelAt(domain, port)?.notifyVcpu;
  if (vcpu !== undefined) setPending(domain, vcpu, port);
}

export function clearPending(domain: Domain, port: number): void {
  if (isUsablePort(domain, port)) abiOf(domain).clearPending(domain, port);
}

/** Unmasks a valid port; if it is pending, notifies the channel's vCPU. */
export function unmask(domain: Domain, port: number): void {
  const channel = channelAt(domain, port);
  if (channel === null || !isUsable(channel)) return;
  abiOf(domain).unmask(domain, vcpuOf(domain, channel.notifyVcpu), port);
}

/** Whether the port is pending; -XEN_EINVAL unless events can come in there (Xen's evtchn_port_poll). */
export function pollPort(domain: Domain, port: number): boolean | number {
  return isUsablePort(domain, port) ? abiOf(domain).isPending(domain, port) : -XEN_EINVAL;
}

/** Whether the guest has masked the port. Under FIFO, a port without an event word counts as masked. */
export function isMasked(domain: Domain, port: number): boolean {
  return abiOf(domain).isMasked(domain, port);
}

/** Whether a free port must not be allocated yet: under FIFO, while it is linked in a queue. */
export function isBusy(domain: Domain, port: number): boolean {
  return domain.state.events.abi === 'fifo' && fifo.isBusy(domain, port);
}

/** A channel is newly bound. The priority is reset under FIFO only (evtchn_fifo_init). */
export function initPort({ state }: Domain, channel: Channel): void {
  if (state.events.abi === 'fifo') channel.priority = EVTCHN_FIFO_PRIORITY_DEFAULT;
}

/**
 * Sets the priority of a valid port, from 0 (the highest) to 15, for events to come. 0 or, in this order:
 * -XEN_ENOSYS under the two-level ABI, -XEN_EACCES for a port that is free or reserved, -XEN_EINVAL for a priority
 * above 15 (Xen 4.17 common/event_channel.h, evtchn_port_set_priority; event_fifo.c, evtchn_fifo_set_priority).
 */
export function setPriority({ state }: Domain, channel: Channel, priority: number): number {
  if (state.events.abi !== 'fifo') return -XEN_ENOSYS;
  if (!isUsable(channel)) return -XEN_EACCES;
  if (priority > EVTCHN_FIFO_PRIORITY_MIN) return -XEN_EINVAL;
  channel.priority = priority;
  return 0;
}
