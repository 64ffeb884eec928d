/**
 * The CPU interface: which interrupt a CPU is to take, how it takes and ends it, and how it sends one to others
 * (IHI 0069H, "Interrupt prioritization" and "Interrupt lifecycle").
 */
import type { GicState, InterruptBank } from './state.js';
import { bankSize, idlePriority, pendingOf, priorityMask, spurious } from './state.js';

/** A GIC, and how its CPUs are named. Who is who is for the machine to say; here a CPU is an index. */
export interface Gic {
  readonly state: GicState;
  /** The affinity of each CPU, as in MPIDR_EL1: AFF3 in bits 39:32, AFF2 to AFF0 in 23:0. */
  readonly affinities: readonly number[];
  /** The CPU that an affinity in GICD_IROUTER names; it need not exist. */
  readonly cpuOfAffinity: (affinity: bigint) => number;
  /** The CPUs that affinity and target list of a write to ICC_SGI1R_EL1 name; they need not exist. */
  readonly cpusOfSgi: (value: bigint) => readonly number[];
  /** The CPUs whose IRQ line may be another one than when it was last driven: who drives the lines takes them out. */
  readonly stale: Set<number>;
}

/** Says that any CPU's line may be another one. */
export function allStale({ state, stale }: Gic): void {
  for (const cpu of state.cpus.keys()) stale.add(cpu);
}

interface Waiting {
  readonly intid: number;
  /** Only bits of {@link priorityMask}. */
  readonly priority: number;
}

/** The bank that has `intid` as CPU `cpu` sees it; undefined where there is none. */
function bankOf({ state }: Gic, cpu: number, intid: number): InterruptBank | undefined {
  return intid < bankSize ? state.cpus[cpu]?.own : state.shared[Math.floor(intid / bankSize) - 1];
}

/** The more urgent of `best` and what waits for `cpu` in `bank`, whose first INTID is `first`. */
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

/** What waits for `cpu` with the highest priority, whatever its masks; of equals, the lowest INTID. */
function highestPending(gic: Gic, cpu: number): Waiting | null {
  const own = gic.state.cpus[cpu];
  if (own?.powered !== true || !gic.state.enabled || !own.interface.enabled1) return null;
  let best = better(gic, cpu, own.own, 0, null);
  for (const [i, bank] of gic.state.shared.entries()) best = better(gic, cpu, bank, bankSize * (i + 1), best);
  return best;
}

/** ICC_RPR_EL1: the group priority of what `cpu` is handling; 0xff when it is idle. */
export function runningPriority({ state }: Gic, cpu: number): number {
  const active = state.cpus[cpu]?.interface.activePriorities ?? 0;
  return active === 0 ? idlePriority : 8 * (31 - Math.clz32(active & -active));
}

/** The bits of a priority that decide whether it interrupts another. */
function groupPriority({ state }: Gic, cpu: number, priority: number): number {
  const own = state.cpus[cpu]?.interface;
  if (own === undefined) return priority;
  // ICC_BPR0_EL1 counts one bit further than ICC_BPR1_EL1 does.
  const point = own.commonBinaryPoint ? own.binaryPoint0 + 1 : own.binaryPoint1;
  return priority & (0xff << point) & 0xff;
}

/** What `cpu` would acknowledge now; null when nothing of sufficient priority waits. */
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

/** ICC_HPPIR1_EL1: the INTID that waits with the highest priority, also when it may not interrupt. */
export function highestPendingIntid(gic: Gic, cpu: number): number {
  return highestPending(gic, cpu)?.intid ?? spurious;
}

/** ICC_IAR1_EL1: takes the interrupt and answers its INTID, or that there is none. */
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

/** ICC_EOIR1_EL1: drops the running priority and, unless the two are split, deactivates. Special INTIDs do nothing. */
export function endOfInterrupt(gic: Gic, cpu: number, intid: number): void {
  const own = gic.state.cpus[cpu]?.interface;
  if (own === undefined || (intid >= 1020 && intid <= spurious)) return;
  own.activePriorities = (own.activePriorities & (own.activePriorities - 1)) >>> 0;
  gic.stale.add(cpu);
  if (!own.splitEoi) clearActive(gic, cpu, intid);
}

/** ICC_DIR_EL1, which has no effect unless priority drop and deactivation are split. */
export function deactivate(gic: Gic, cpu: number, intid: number): void {
  if (gic.state.cpus[cpu]?.interface.splitEoi === true) clearActive(gic, cpu, intid);
}

function clearActive(gic: Gic, cpu: number, intid: number): void {
  const bank = bankOf(gic, cpu, intid);
  if (bank === undefined) return;
  bank.active = (bank.active & ~(1 << (intid % bankSize))) >>> 0;
  gic.stale.add(targetOf(gic, cpu, intid));
}

/** The CPU to which `intid` goes; `cpu` says whose, of a private one. */
function targetOf({ state }: Gic, cpu: number, intid: number): number {
  return intid < bankSize ? cpu : (state.routes[intid - bankSize] ?? 0);
}

/** Makes the private interrupts `bits` of `cpu` wait, unless the CPU is off. */
export function latchPrivate({ state, stale }: Gic, cpu: number, bits: number): void {
  const own = state.cpus[cpu];
  if (own?.powered !== true) return;
  own.own.latched = (own.own.latched | bits) >>> 0;
  stale.add(cpu);
}

/** Makes the interrupts `bits` of shared bank `bank` wait, but for those whose CPU is off. */
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

/** ICC_SGI1R_EL1.IRM: to all CPUs but the sender. */
const toOthers = 1n << 40n;

/** ICC_SGI1R_EL1: a software interrupt to the CPUs of a list, or to all others. */
export function sendSgi(gic: Gic, from: number, value: bigint): void {
  const bit = 1 << Number((value >> 24n) & 0xfn);
  const others = (): number[] => gic.state.cpus.map((_, cpu) => cpu).filter((cpu) => cpu !== from);
  const targets = (value & toOthers) === 0n ? gic.cpusOfSgi(value) : others();
  for (const cpu of targets) latchPrivate(gic, cpu, bit);
}

/**
 * Drives the line of an interrupt: a level-triggered one waits while it is high, an edge-triggered one from its rise
 * on. `cpu` is whose, of a private interrupt; it is not looked at for a shared one.
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

/**
 * Tells the GIC that a CPU was turned on or off. One that is turned on has forgotten what waited for it or was being
 * handled; what its registers were set to stays (Xen 4.17 arch/arm/vpsci.c, do_common_cpu_on).
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
