/**
 * The guest's side of event channels, as drivers/xen/events does it: which ports are masked, and what an upcall
 * finds pending, in the two-level bitmaps or in the FIFO queues.
 */
import {
  array,
  EVTCHN_FIFO_LINK_MASK,
  EVTCHN_FIFO_LINKED,
  EVTCHN_FIFO_MASKED,
  EVTCHN_FIFO_PENDING,
  evtchn_fifo_control_block,
  shared_info,
  u32 as word32,
  vcpu_info,
} from '../../abi/index.js';
import { frameBytes, hasBit, present, u32 } from '../../base/index.js';
import type { LinuxCpu } from '../../identity/index.js';
import { archOfPlatform } from './platform.js';
import type { StepContext } from './context.js';
import { readPlace, writePlace } from './guest_memory.js';
import type { CpuState, KernelState, Place, PortUse } from './world.js';

/** Event words to a page of the event array. */
export const wordsPerPage = frameBytes / 4;

const controlHeads = array(word32, 16);

function archOf({ environment }: StepContext): ReturnType<typeof archOfPlatform> {
  return archOfPlatform(environment.scenario.platform);
}

/** FIFO: where the event word of `port` is; null beyond the event array. */
function wordPlace({ arrayGfns }: KernelState, port: number): Place | null {
  const gfn = arrayGfns[Math.floor(port / wordsPerPage)];
  return gfn === undefined ? null : { gfn, offset: (port % wordsPerPage) * 4 };
}

function readWord({ world, kernel }: StepContext, port: number): number {
  const place = wordPlace(kernel, port);
  return place === null ? 0 : readPlace(world.domain, place).getUint32(0, true);
}

function writeWord({ world, kernel }: StepContext, port: number, word: number): void {
  const place = wordPlace(kernel, port);
  if (place !== null) writePlace(world.domain, place).setUint32(0, u32(word), true);
}

/** 2-level: the byte of a bitmap of shared_info that holds the bit of `port`. */
function bitmapByte(context: StepContext, bitmap: 'evtchn_pending' | 'evtchn_mask', port: number): Place {
  const { offsets } = shared_info[archOf(context)];
  return { gfn: context.kernel.sharedInfoGfn ?? 0, offset: offsets[bitmap] + (port >>> 3) };
}

function testBit(context: StepContext, bitmap: 'evtchn_pending' | 'evtchn_mask', port: number): boolean {
  const place = bitmapByte(context, bitmap, port);
  return hasBit(readPlace(context.world.domain, place).getUint8(0), port & 7);
}

function setBit(
  context: StepContext,
  bitmap: 'evtchn_pending' | 'evtchn_mask',
  port: number,
  on: boolean,
): void {
  const view = writePlace(context.world.domain, bitmapByte(context, bitmap, port));
  const bit = 1 << (port & 7);
  view.setUint8(0, on ? view.getUint8(0) | bit : view.getUint8(0) & ~bit);
}

/** 2-level: nothing is to be delivered until it has been bound (drivers/xen/events, xen_evtchn_mask_all). */
export function maskAllPorts(context: StepContext): void {
  const place = bitmapByte(context, 'evtchn_mask', 0);
  const view = writePlace(context.world.domain, place);
  for (let byte = 0; byte < 512; byte += 1) view.setUint8(byte, 0xff);
}

/** FIFO: a fresh page of the event array, all of it masked (events_fifo.c, init_array_page). */
export function maskArrayPage({ world }: StepContext, gfn: number): void {
  const view = writePlace(world.domain, { gfn, offset: 0 });
  for (let i = 0; i < wordsPerPage; i += 1) view.setUint32(4 * i, 2 ** EVTCHN_FIFO_MASKED, true);
}

export function isPending(context: StepContext, port: number): boolean {
  if (context.kernel.events === 'fifo') return hasBit(readWord(context, port), EVTCHN_FIFO_PENDING);
  return testBit(context, 'evtchn_pending', port);
}

export function mask(context: StepContext, port: number): void {
  if (context.kernel.events === 'fifo') {
    writeWord(context, port, readWord(context, port) | (1 << EVTCHN_FIFO_MASKED));
  } else setBit(context, 'evtchn_mask', port, true);
}

/** Clears the mask in memory. The answer: whether Xen must be asked to deliver what came meanwhile. */
export function unmask(context: StepContext, port: number): boolean {
  if (context.kernel.events === 'fifo') {
    writeWord(context, port, readWord(context, port) & ~(1 << EVTCHN_FIFO_MASKED));
  } else setBit(context, 'evtchn_mask', port, false);
  return isPending(context, port);
}

/** The event is being handled: no longer pending. */
function clearPending(context: StepContext, port: number): void {
  if (context.kernel.events === 'fifo') {
    writeWord(context, port, readWord(context, port) & ~(1 << EVTCHN_FIFO_PENDING));
  } else setBit(context, 'evtchn_pending', port, false);
}

function isMasked(context: StepContext, port: number): boolean {
  if (context.kernel.events === 'fifo') return hasBit(readWord(context, port), EVTCHN_FIFO_MASKED);
  return testBit(context, 'evtchn_mask', port);
}

/** Takes the first event off queue `priority` of `cpu`; its port, or 0 when the queue is empty. */
function consume(context: StepContext, cpu: CpuState, priority: number): number {
  const control: Place = { gfn: cpu.controlGfn ?? 0, offset: evtchn_fifo_control_block.offsets.head };
  const heads = controlHeads.read(readPlace(context.world.domain, control), 0);
  const port = (cpu.heads[priority] ?? 0) || (heads[priority] ?? 0);
  if (port === 0) return 0;
  const word = readWord(context, port);
  // The link goes away with the LINKED bit; what it named is the next head.
  writeWord(context, port, word & ~((1 << EVTCHN_FIFO_LINKED) | EVTCHN_FIFO_LINK_MASK));
  cpu.heads[priority] = word & EVTCHN_FIFO_LINK_MASK;
  return port;
}

function takeReady({ world }: StepContext, { controlGfn }: CpuState): number {
  const place: Place = { gfn: controlGfn ?? 0, offset: evtchn_fifo_control_block.offsets.ready };
  const ready = readPlace(world.domain, place).getUint32(0, true);
  if (ready !== 0) writePlace(world.domain, place).setUint32(0, 0, true);
  return ready;
}

/** FIFO: empties the queues that are ready, highest priority first (events_fifo.c, __evtchn_fifo_handle_events). */
function fifoEvents(context: StepContext, cpu: CpuState): number[] {
  const ports: number[] = [];
  if (cpu.controlGfn === null) return ports;
  for (let ready = takeReady(context, cpu); ready !== 0; ready |= takeReady(context, cpu)) {
    const priority = 31 - Math.clz32(ready & -ready);
    const port = consume(context, cpu, priority);
    if (port !== 0 && isPending(context, port) && !isMasked(context, port)) ports.push(port);
    if (port === 0 || cpu.heads[priority] === 0) ready &= ~(1 << priority);
  }
  return ports;
}

/** 2-level: the words that evtchn_pending_sel names, and in them the ports that are this CPU's and not masked. */
function twoLevelEvents(context: StepContext, cpu: CpuState): number[] {
  const selector = takeSelector(context, cpu);
  const ports: number[] = [];
  for (const port of Object.keys(context.kernel.ports).map(Number)) {
    const selected = ((selector >> BigInt(port >>> 6)) & 1n) === 1n;
    const ours = context.kernel.ports[port]?.cpu === cpu.linuxCpu;
    if (selected && ours && isPending(context, port) && !isMasked(context, port)) ports.push(port);
  }
  return ports;
}

function takeSelector(context: StepContext, { vcpuInfo }: CpuState): bigint {
  if (vcpuInfo === null) return 0n;
  const at = vcpu_info[archOf(context)].offsets.evtchn_pending_sel;
  const place = { gfn: vcpuInfo.gfn, offset: vcpuInfo.offset + at };
  const selector = readPlace(context.world.domain, place).getBigUint64(0, true);
  if (selector !== 0n) writePlace(context.world.domain, place).setBigUint64(0, 0n, true);
  return selector;
}

/**
 * The ports that this CPU is to handle now, each no longer pending. Clears the upcall flag where the kernel looks
 * for it, which is not where Xen set it if the kernel's idea of its vCPU is wrong.
 */
export function takeEvents(context: StepContext): number[] {
  const { kernel, cpu, world } = context;
  if (cpu.vcpuInfo !== null) {
    const { gfn, offset } = cpu.vcpuInfo;
    const at = vcpu_info[archOf(context)].offsets.evtchn_upcall_pending;
    writePlace(world.domain, { gfn, offset: offset + at }).setUint8(0, 0);
  }
  const ports = kernel.events === 'fifo' ? fifoEvents(context, cpu) : twoLevelEvents(context, cpu);
  for (const port of ports) clearPending(context, port);
  return ports;
}

/** FIFO: forgets what is queued for a CPU that is gone (events_fifo.c, evtchn_fifo_percpu_deinit). */
export function drain(context: StepContext, cpu: CpuState): void {
  if (context.kernel.events === 'fifo') fifoEvents(context, cpu);
}

/** PV: lets upcalls through, or holds them back, where the kernel believes its vcpu_info to be. */
export function setUpcallMask({ world, cpu }: StepContext, masked: boolean): void {
  if (cpu.vcpuInfo === null) return;
  const { gfn, offset } = cpu.vcpuInfo;
  const at = vcpu_info.x86_64.offsets.evtchn_upcall_mask;
  writePlace(world.domain, { gfn, offset: offset + at }).setUint8(0, masked ? 1 : 0);
}

/** The kernel has bound `port`. */
export function notePort(kernel: KernelState, port: number, use: PortUse): void {
  kernel.ports[port] = use;
}

export function forgetPort(kernel: KernelState, cpu: CpuState, purpose: string): void {
  const port = cpu.ports[purpose];
  if (port === undefined) return;
  // eslint-disable-next-line @typescript-eslint/no-dynamic-delete
  delete kernel.ports[port];
  // eslint-disable-next-line @typescript-eslint/no-dynamic-delete
  delete cpu.ports[purpose];
}

/**
 * The CPU that is to handle a port which any CPU may handle: of those that are online, `leaving` aside, the first of
 * those that have the fewest ports (Linux 6.1 drivers/xen/events/events_base.c, select_target_cpu). Before 5.11 it is
 * the first of all.
 */
export function targetCpu({ cpus, ports, era }: KernelState, leaving: CpuState | null = null): LinuxCpu {
  const counts = new Map<LinuxCpu, number>();
  for (const { cpu } of Object.values(ports)) counts.set(cpu, (counts.get(cpu) ?? 0) + 1);
  const load = ({ linuxCpu }: CpuState): number => (era.spreadsPorts ? (counts.get(linuxCpu) ?? 0) : 0);
  const [first, ...others] = cpus.filter((cpu) => cpu.online && cpu !== leaving);
  const online = present(first, 'a CPU that is online');
  return others.reduce((best, cpu) => (load(cpu) < load(best) ? cpu : best), online).linuxCpu;
}

/** What an upcall's port is for, and for whom the kernel bound it. */
export function usesOf(kernel: KernelState, port: number): { purpose: string; boundFor: LinuxCpu | null } {
  return kernel.ports[port] ?? { purpose: 'unknown', boundFor: null };
}
