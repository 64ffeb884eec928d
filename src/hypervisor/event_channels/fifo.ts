/**
 * The FIFO event ABI: a word for each port, and for each vCPU 16 queues by priority, which are lists through the
 * words' LINK fields. Xen puts ports in at the tail, the guest takes them out at the head, both without a lock
 * (Xen 4.17 common/event_fifo.c; the ABI is described in "Event Channel Internals", FIFO, and public/event_channel.h).
 *
 * To a linked port the guest may only do this: set or clear MASKED, clear PENDING, clear LINKED and LINK. A call
 * into Xen is one step here, so that nothing comes between Xen's reading a word and its writing it: the retries
 * under BUSY, which in Xen keep a guest from unmasking meanwhile, always succeed at once.
 */
import {
  EVTCHN_FIFO_BUSY,
  evtchn_fifo_control_block,
  EVTCHN_FIFO_LINK_MASK,
  EVTCHN_FIFO_LINKED,
  EVTCHN_FIFO_MASKED,
  EVTCHN_FIFO_PENDING,
  viewOf,
} from '../../abi/index.js';
import { frameBytes, hasBit, present, u32 } from '../../base/index.js';
import type { Channel, Domain, FifoVcpu, VcpuState } from '../domain.js';
import { makeChannel } from './channel.js';
import { checkPollers } from './pollers.js';
import { markEventsPending } from './upcall.js';

const wordBytes = 4;
/** Event words in a page of the event array. */
export const wordsPerPage = frameBytes / wordBytes;

function frameView({ memory }: Domain, mfn: number, write: boolean): DataView {
  return viewOf(
    present(write ? memory.writable(mfn) : memory.readable(mfn), `frame ${mfn} of the event ABI`),
  );
}

/** The port's event word; null while the array has no page for it. */
export function readWord(domain: Domain, port: number): number | null {
  const mfn = domain.state.events.arrayMfns[Math.floor(port / wordsPerPage)];
  if (mfn === undefined) return null;
  return frameView(domain, mfn, false).getUint32((port % wordsPerPage) * wordBytes, true);
}

function writeWord(domain: Domain, port: number, word: number): void {
  const mfn = present(domain.state.events.arrayMfns[Math.floor(port / wordsPerPage)], `word ${port}`);
  frameView(domain, mfn, true).setUint32((port % wordsPerPage) * wordBytes, u32(word), true);
}

function testFlag(domain: Domain, port: number, flag: number): boolean {
  const word = readWord(domain, port);
  return word !== null && hasBit(word, flag);
}

/** Sets or clears a flag of a word that exists; what it was. */
function exchangeFlag(domain: Domain, port: number, flag: number, value: boolean): boolean {
  const word = present(readWord(domain, port), `word ${port}`);
  const changed = value ? word | (1 << flag) : word & ~(1 << flag);
  if (u32(changed) !== word) writeWord(domain, port, changed);
  return hasBit(word, flag);
}

/** Sets the queue's bit in the control block's READY; what it was. */
function exchangeReady(domain: Domain, { controlMfn, controlOffset }: FifoVcpu, queue: number): boolean {
  const at = controlOffset + evtchn_fifo_control_block.offsets.ready;
  const ready = frameView(domain, controlMfn, false).getUint32(at, true);
  if (hasBit(ready, queue)) return true;
  frameView(domain, controlMfn, true).setUint32(at, u32(ready | (1 << queue)), true);
  return false;
}

function writeHead(
  domain: Domain,
  { controlMfn, controlOffset }: FifoVcpu,
  queue: number,
  port: number,
): void {
  const at = controlOffset + evtchn_fifo_control_block.offsets.head + queue * wordBytes;
  frameView(domain, controlMfn, true).setUint32(at, port, true);
}

/**
 * Marks the port pending and, unless it is masked or in a queue already, puts it at the end of the queue of its
 * priority on `vcpu`. Without a page of the array for it, the event is kept for later; without a control block on
 * `vcpu` it is lost, and counted: Xen writes "has no FIFO event channel control block" to its log (4.17 common/event_fifo.c,
 * evtchn_fifo_set_pending).
 */
export function setPending(domain: Domain, vcpu: VcpuState, port: number): void {
  const channel = makeChannel(domain, port);
  if (readWord(domain, port) === null) {
    channel.pendingEarly = true;
    return;
  }
  const { fifo } = vcpu;
  if (fifo === null) {
    vcpu.droppedEvents += 1;
    return;
  }
  const wasPending = exchangeFlag(domain, port, EVTCHN_FIFO_PENDING, true);
  const queued = isMasked(domain, port) || exchangeFlag(domain, port, EVTCHN_FIFO_LINKED, true);
  if (!queued) enqueue(domain, vcpu, fifo, channel, port);
  if (!wasPending) checkPollers(domain, port);
}

/** Puts a port that was just marked LINKED at the end of its queue, and tells the vCPU of a queue that was empty. */
function enqueue(domain: Domain, vcpu: VcpuState, fifo: FifoVcpu, channel: Channel, port: number): void {
  const queue = channel.priority;
  forgetOldTail(domain, channel, port);
  channel.lastVcpu = vcpu.id;
  channel.lastPriority = queue;
  const tail = fifo.tails[queue] ?? 0;
  const appended = tail !== 0 && linkTail(domain, tail, port);
  fifo.tails[queue] = port;
  if (appended) return;
  writeHead(domain, fifo, queue, port);
  if (!exchangeReady(domain, fifo, queue)) markEventsPending(domain, vcpu, port);
}

/**
 * If the port is the tail of the queue it was last in, that queue is empty by now, for the port was not linked;
 * a later event must not be hung behind it there, since it goes on in another queue.
 */
function forgetOldTail({ state }: Domain, { lastVcpu, lastPriority }: Channel, port: number): void {
  const tails = state.vcpus[lastVcpu]?.fifo?.tails;
  if (tails?.[lastPriority] === port) tails[lastPriority] = 0;
}

/** Points the tail's LINK at `port`; false when the guest has taken the tail out, and the queue with it is empty. */
function linkTail(domain: Domain, tail: number, port: number): boolean {
  const word = present(readWord(domain, tail), `word ${tail}`);
  if (!hasBit(word, EVTCHN_FIFO_LINKED)) return false;
  writeWord(domain, tail, (word & ~((1 << EVTCHN_FIFO_BUSY) | EVTCHN_FIFO_LINK_MASK)) | port);
  return true;
}

/** The port stays in its queue: the guest takes it out and finds it no longer pending. */
export function clearPending(domain: Domain, port: number): void {
  if (readWord(domain, port) !== null) exchangeFlag(domain, port, EVTCHN_FIFO_PENDING, false);
}

export function unmask(domain: Domain, vcpu: VcpuState, port: number): void {
  if (readWord(domain, port) === null) return;
  exchangeFlag(domain, port, EVTCHN_FIFO_MASKED, false);
  if (isPending(domain, port)) setPending(domain, vcpu, port);
}

export function isPending(domain: Domain, port: number): boolean {
  return testFlag(domain, port, EVTCHN_FIFO_PENDING);
}

/** A port without a word counts as masked. */
export function isMasked(domain: Domain, port: number): boolean {
  return readWord(domain, port) === null || testFlag(domain, port, EVTCHN_FIFO_MASKED);
}

/** Whether the port is still in a queue, so that it cannot be given out anew though it was closed. */
export function isBusy(domain: Domain, port: number): boolean {
  return testFlag(domain, port, EVTCHN_FIFO_LINKED);
}
