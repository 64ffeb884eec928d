/**
 * The CPU interface: selects the interrupt that a CPU takes, and handles acknowledge, end of interrupt and SGIs (IHI
 * 0069H, "Interrupt prioritization" and "Interrupt lifecycle").
 */
import type { GicState, InterruptBank } from './state.js';
import { bankSize, idlePriority, pendingOf, priorityMask, spurious } from './state.js';

/** A GIC, and how its CPUs are named. A CPU is an index here; the machine maps affinities to indexes. */
export interface Gic {
  readonly state: GicState;
  /** The affinity of each CPU, as in MPIDR_EL1: AFF3 in bits 39:32, AFF2 to AFF0 in 23:0. */
  readonly affinities: readonly number[];
  /** The CPU for an affinity in GICD_IROUTER. It need not exist. */
  readonly cpuOfAffinity: (affinity: bigint) => number;
  /** The CPUs for the affinity and target list of a write to ICC_SGI1R_EL1. They need not exist. */
  readonly cpusOfSgi: (value: bigint) => readonly number[];
  /** The CPUs whose IRQ line may have changed since it was last driven. The code that drives the lines removes them. */
  readonly stale: Set<number>;
}

/** Marks the lines of all CPUs as possibly changed. */
export function allStale({ state, stale }: Gic): void {
  for (const cpu of state.cpus.keys()) stale.add(cpu);
}

interface Waiting {
  readonly intid: number;
  /** Has only bits of {@link priorityMask}. */
  readonly priority: number;
}

/** The bank that contains `intid` as seen by CPU `cpu`; undefined if there is none. */
function bankOf({ state }: Gic, cpu: number, intid: number): InterruptBank | undefined {
  return intid < bankSize ? state.cpus[cpu]?.own : state.shared[Math.floor(intid / bankSize) - 1];
}

/** The more urgent of `best` and the interrupts pending for `cpu` in `bank`, whose first INTID is `first`. */
function better(
  gic: Gic,
  cpu: number,
  bank: InterruptBank,
  first: number,
  best: Waiting | null,
): Waiting | null {
  let found = best;
  for (let rest = pendingOf(bank); rest !== 0; rest &= rest - 1) {
    const bit = 31 - Math.clz32(rest & -rest);
    if (first >= bankSize && gic.state.routes[first - bankSize + bit] !== cpu) continue;
    const priority = (bank.priorities[bit] ?? 0) & priorityMask;
    if (found === null || priority < found.priority) found = { intid: first + bit, priority };
  }
  return found;
}

/** The interrupt pending for `cpu` with the highest priority, ignoring its masks. Among equals, the lowest INTID. */
function highestPending(gic: Gic, cpu: number): Waiting | null {
  const own = gic.state.cpus[cpu];
  if (own?.powered !== true || !gic.state.enabled || !own.interface.enabled1) return null;
  let best = better(gic, cpu, own.own, 0, null);
  for (const [i, bank] of gic.state.shared.entries()) best = better(gic, cpu, bank, bankSize * (i + 1), best);
  return best;
}

/** ICC_RPR_EL1: the group priority of the interrupt that `cpu` is handling; 0xff when it is idle. */
export function runningPriority({ state }: Gic, cpu: number): number {
  const active = state.cpus[cpu]?.interface.activePriorities ?? 0;
  return active === 0 ? idlePriority : 8 * (31 - Math.clz32(active & -active));
}

/** The bits of a priority that decide about preemption. */
function groupPriority({ state }: Gic, cpu: number, priority: number): number {
  const own = state.cpus[cpu]?.interface;
  if (own === undefined) return priority;
  // ICC_BPR0_EL1 counts one bit more than ICC_BPR1_EL1.
  const point = own.commonBinaryPoint ? own.binaryPoint0 + 1 : own.binaryPoint1;
  return priority & (0xff << point) & 0xff;
}

/** The interrupt that `cpu` would acknowledge now; null if none has sufficient priority. */
function deliverable(gic: Gic, cpu: number): Waiting | null {
  const best = highestPending(gic, cpu);
  const mask = gic.state.cpus[cpu]?.interface.priorityMask ?? 0;
  if (best === null || best.priority >= mask) return null;
  return groupPriority(gic, cpu, best.priority) < runningPriority(gic, cpu) ? best : null;
}

/** Whether the CPU's IRQ line is asserted. */
export function irqAsserted(gic: Gic, cpu: number): boolean {
  return deliverable(gic, cpu) !== null;
}

/** ICC_HPPIR1_EL1: the INTID of the highest priority pending interrupt, even if it may not preempt. */
export function highestPendingIntid(gic: Gic, cpu: number): number {
  return highestPending(gic, cpu)?.intid ?? spurious;
}

/** ICC_IAR1_EL1: acknowledges the interrupt and returns its INTID, or the spurious INTID. */
export function acknowledge(gic: Gic, cpu: number): number {
  const taken = deliverable(gic, cpu);
  const bank = taken === null ? undefined : bankOf(gic, cpu, taken.intid);
  const own = gic.state.cpus[cpu]?.interface;
  if (taken === null || bank === undefined || own === undefined) return spurious;
  const bit = 1 << (taken.intid % bankSize);
  bank.latched = (bank.latched & ~bit) >>> 0;
  bank.active = (bank.active | bit) >>> 0;
  gic.stale.add(cpu);
  own.activePriorities =
    (own.activePriorities | (1 << (groupPriority(gic, cpu, taken.priority) >>> 3))) >>> 0;
  return taken.intid;
}

/**
 * ICC_EOIR1_EL1: drops the running priority and, unless EOImode splits the two, deactivates. Special INTIDs are
 * ignored.
 */
export function endOfInterrupt(gic: Gic, cpu: number, intid: number): void {
  const own = gic.state.cpus[cpu]?.interface;
  if (own === undefined || (intid >= 1020 && intid <= spurious)) return;
  own.activePriorities = (own.activePriorities & (own.activePriorities - 1)) >>> 0;
  gic.stale.add(cpu);
  if (!own.splitEoi) clearActive(gic, cpu, intid);
}

/** ICC_DIR_EL1. It has no effect unless EOImode splits priority drop and deactivation. */
export function deactivate(gic: Gic, cpu: number, intid: number): void {
  if (gic.state.cpus[cpu]?.interface.splitEoi === true) clearActive(gic, cpu, intid);
}

function clearActive(gic: Gic, cpu: number, intid: number): void {
  const bank = bankOf(gic, cpu, intid);
  if (bank === undefined) return;
  bank.active = (bank.active & ~(1 << (intid % bankSize))) >>> 0;
  gic.stale.add(targetOf(gic, cpu, intid));
}

/** The CPU that `intid` goes to. For a private interrupt, this is `cpu`. */
function targetOf({ state }: Gic, cpu: number, intid: number): number {
  return intid < bankSize ? cpu : (state.routes[intid - bankSize] ?? 0);
}

/** Makes the private interrupts `bits` of `cpu` pending, unless the CPU is off. */
export function latchPrivate({ state, stale }: Gic, cpu: number, bits: number): void {
  const own = state.cpus[cpu];
  if (own?.powered !== true) return;
  own.own.latched = (own.own.latched | bits) >>> 0;
  stale.add(cpu);
}

/** Makes the interrupts `bits` of shared bank `bank` pending, except those whose CPU is off. */
export function latchShared({ state, stale }: Gic, bank: number, bits: number): void {
  const interrupts = state.shared[bank];
  if (interrupts === undefined) return;
  for (let rest = bits; rest !== 0; rest &= rest - 1) {
    const bit = 31 - Math.clz32(rest & -rest);
    const cpu = state.routes[bank * bankSize + bit] ?? 0;
    if (state.cpus[cpu]?.powered !== true) continue;
    interrupts.latched = (interrupts.latched | (1 << bit)) >>> 0;
    stale.add(cpu);
  }
}

/** ICC_SGI1R_EL1.IRM: all CPUs except the sender. */
const toOthers = 1n << 40n;

/** ICC_SGI1R_EL1: sends an SGI to a list of CPUs, or to all others. */
export function sendSgi(gic: Gic, from: number, value: bigint): void {
  const bit = 1 << Number((value >> 24n) & 0xfn);
  const others = (): number[] => gic.state.cpus.map((_, cpu) => cpu).filter((cpu) => cpu !== from);
  const targets = (value & toOthers) === 0n ? gic.cpusOfSgi(value) : others();
  for (const cpu of targets) latchPrivate(gic, cpu, bit);
}

/**
 * Drives the line of an interrupt. A level-triggered interrupt is pending while its line is high; an edge-triggered one
 * becomes pending at a rising edge. `cpu` is the CPU of a private interrupt, and is ignored for a shared one.
 */
export function setLine(gic: Gic, cpu: number, intid: number, high: boolean): void {
  const bank = bankOf(gic, cpu, intid);
  if (bank === undefined) return;
  const bit = 1 << (intid % bankSize);
  if (high === ((bank.line & bit) !== 0)) return;
  gic.stale.add(targetOf(gic, cpu, intid));
  if (high && (bank.edge & bit) !== 0) {
    if (intid < bankSize) latchPrivate(gic, cpu, bit);
    else latchShared(gic, Math.floor(intid / bankSize) - 1, bit);
  }
  bank.line = (high ? bank.line | bit : bank.line & ~bit) >>> 0;
}

/** Whether that private interrupt of a CPU has come and was not taken. */
export function isPrivateLatched({ state }: Gic, cpu: number, intid: number): boolean {
  return (((state.cpus[cpu]?.own.latched ?? 0) >>> intid) & 1) !== 0;
}

/**
 * Turns a CPU on or off. Turning it on clears its pending and active interrupts, but keeps its register settings (Xen
 * 4.17 arch/arm/vpsci.c, do_common_cpu_on).
 */
export function setCpuPower({ state, stale }: Gic, cpu: number, powered: boolean): void {
  const own = state.cpus[cpu];
  if (own === undefined) return;
  stale.add(cpu);
  if (powered && !own.powered) {
    own.own.latched = 0;
    own.own.active = 0;
    own.interface.activePriorities = 0;
  }
  own.powered = powered;
}
