/** How a domain comes to the FIFO event ABI and back: control blocks and pages of the event array. */
import {
  EVTCHN_2L_NR_CHANNELS,
  evtchn_fifo_control_block,
  EVTCHN_FIFO_MAX_QUEUES,
  EVTCHN_FIFO_NR_CHANNELS,
  EVTCHN_FIFO_PRIORITY_DEFAULT,
  XEN_EINVAL,
  XEN_ENOSPC,
  XEN_EOPNOTSUPP,
} from '../../abi/index.js';
import { frameBytes, present } from '../../base/index.js';
import type { Domain, VcpuState } from '../domain.js';
import { mfnOfGfn } from '../physmap.js';
import { channelAt, makeChannel, validPorts } from './channel.js';
import * as fifo from './fifo.js';
import * as twoLevel from './two_level.js';

/** The machine frame that Xen can map for itself at `gfn`, writable; null when there is none. */
function mapGuestPage(domain: Domain, gfn: bigint): number | null {
  const mfn = mfnOfGfn(domain, Number(gfn));
  return mfn === null || domain.memory.readable(mfn) === undefined ? null : mfn;
}

/** Whether a control block may lie at this offset in a page: whole within it, and 8-byte aligned. */
export function isControlBlockOffset(offset: number): boolean {
  return offset <= frameBytes - evtchn_fifo_control_block.size && offset % 8 === 0;
}

/**
 * Gives `vcpu` its control block. The first of a domain switches it to the FIFO ABI, with an empty event array.
 * 0, or -XEN_EINVAL: the vCPU has one, or there is no page (Xen 4.17 common/event_fifo.c, evtchn_fifo_init_control).
 */
export function initControl(domain: Domain, vcpu: VcpuState, gfn: bigint, offset: number): number {
  if (vcpu.fifo !== null) return -XEN_EINVAL;
  const controlMfn = mapGuestPage(domain, gfn);
  if (controlMfn === null) return -XEN_EINVAL;
  const tails = Array.from({ length: EVTCHN_FIFO_MAX_QUEUES }, () => 0);
  vcpu.fifo = { controlMfn, controlOffset: offset, tails };
  if (domain.state.events.abi === '2l') switchToFifo(domain);
  return 0;
}

/** Keeps what is pending by the two-level bitmap until the array has a page for it (setup_ports). */
function switchToFifo(domain: Domain): void {
  const { events } = domain.state;
  for (let port = 1; port < Math.min(validPorts(domain), EVTCHN_2L_NR_CHANNELS); port += 1) {
    if (twoLevel.isPending(domain, port)) makeChannel(domain, port).pendingEarly = true;
    const channel = events.channels[port];
    if (channel !== undefined) channel.priority = EVTCHN_FIFO_PRIORITY_DEFAULT;
  }
  events.abi = 'fifo';
}

/**
 * Adds a page to the event array: 1024 more ports, whose early events are raised now. 0, -XEN_EOPNOTSUPP under the
 * two-level ABI, -XEN_ENOSPC when all 131072 ports have their words, -XEN_EINVAL when there is no page
 * (Xen 4.17 common/event_fifo.c, add_page_to_event_array).
 */
export function expandArray(domain: Domain, gfn: bigint): number {
  const { abi, arrayMfns } = domain.state.events;
  if (abi !== 'fifo') return -XEN_EOPNOTSUPP;
  const first = arrayMfns.length * fifo.wordsPerPage;
  if (first >= EVTCHN_FIFO_NR_CHANNELS) return -XEN_ENOSPC;
  const mfn = mapGuestPage(domain, gfn);
  if (mfn === null) return -XEN_EINVAL;
  arrayMfns.push(mfn);
  for (let port = first; port < first + fifo.wordsPerPage; port += 1) raiseEarly(domain, port);
  return 0;
}

/** The note of an early event is never cleared: another array, after a reset, raises it anew. Xen does so too. */
function raiseEarly(domain: Domain, port: number): void {
  const channel = channelAt(domain, port);
  if (!channel?.pendingEarly) return;
  const vcpu = present(domain.state.vcpus[channel.notifyVcpu], `vCPU ${channel.notifyVcpu}`);
  fifo.setPending(domain, vcpu, port);
}

/** Back to the two-level ABI. What stands in the guest's pages stays there (evtchn_fifo_destroy). */
export function destroyFifo({ state }: Domain): void {
  for (const vcpu of state.vcpus) vcpu.fifo = null;
  state.events.arrayMfns = [];
  state.events.abi = '2l';
}
