/** The CPU interface: which interrupt a CPU is to take, and the ICC_* registers by which it takes it (IHI 0069H, 12.2). */
import type { GicState, InterruptState } from './state.js';
import { idlePriority, isPending, privateCount, sgiCount, spurious } from './state.js';

/** A GIC, and the affinity of each of its CPUs as MPIDR has it. */
export interface Gic {
  readonly state: GicState;
  readonly affinities: readonly number[];
}

/** The interrupt `intid` as CPU `cpu` sees it; undefined where there is none. */
export function interruptOf({ state }: Gic, cpu: number, intid: number): InterruptState | undefined {
  return intid < privateCount ? state.cpus[cpu]?.own[intid] : state.shared[intid - privateCount];
}

/** GICD_IROUTER's bit that lets any CPU take the interrupt. */
const anyCpu = 1n << 31n;

/** Whether shared interrupt `intid` goes to `cpu`; one for any CPU goes to the first. */
function routedTo({ state, affinities }: Gic, cpu: number, intid: number): boolean {
  const route = state.routes[intid - privateCount] ?? 0n;
  if ((route & anyCpu) !== 0n) return cpu === 0;
  return BigInt(affinities[cpu] ?? -1) === (route & 0xff_00ff_ffffn);
}

/** The waiting interrupt of highest priority that `cpu` could take, whatever its mask; null when none waits. */
function highestPending(gic: Gic, cpu: number): { intid: number; priority: number } | null {
  const own = gic.state.cpus[cpu];
  if (own === undefined || !gic.state.enabled) return null;
  let best: { intid: number; priority: number } | null = null;
  const consider = (interrupt: InterruptState, intid: number): void => {
    if (!interrupt.enabled || !interrupt.group1 || interrupt.active || !isPending(interrupt)) return;
    if (best === null || interrupt.priority < best.priority) best = { intid, priority: interrupt.priority };
  };
  own.own.forEach(consider);
  gic.state.shared.forEach((interrupt, index) => {
    if (interrupt.enabled && routedTo(gic, cpu, index + privateCount))
      consider(interrupt, index + privateCount);
  });
  return best;
}

/** The priority of what `cpu` is handling. */
export function runningPriority({ state }: Gic, cpu: number): number {
  return state.cpus[cpu]?.interface.activePriorities.at(-1) ?? idlePriority;
}

/** The bits of a priority that decide whether it interrupts another (IHI 0069H, 4.8.3). */
function groupPriority(priority: number, binaryPoint: number): number {
  return priority & (0xff << Math.max(binaryPoint, 1)) & 0xff;
}

/** What `cpu` would acknowledge now; null when nothing of sufficient priority waits. */
function deliverable(gic: Gic, cpu: number): { intid: number; priority: number } | null {
  const cpuInterface = gic.state.cpus[cpu]?.interface;
  if (cpuInterface?.enabled !== true) return null;
  const best = highestPending(gic, cpu);
  if (best === null || best.priority >= cpuInterface.priorityMask) return null;
  const running = runningPriority(gic, cpu);
  if (running === idlePriority) return best;
  const { binaryPoint } = cpuInterface;
  return groupPriority(best.priority, binaryPoint) < groupPriority(running, binaryPoint) ? best : null;
}

/** Whether the CPU's IRQ line is asserted. */
export function irqAsserted(gic: Gic, cpu: number): boolean {
  return deliverable(gic, cpu) !== null;
}

/** ICC_IAR1_EL1: takes the interrupt and answers its INTID, or that there is none. */
export function acknowledge(gic: Gic, cpu: number): number {
  const taken = deliverable(gic, cpu);
  const interrupt = taken === null ? undefined : interruptOf(gic, cpu, taken.intid);
  if (taken === null || interrupt === undefined) return spurious;
  interrupt.latched = false;
  interrupt.active = true;
  gic.state.cpus[cpu]?.interface.activePriorities.push(taken.priority);
  return taken.intid;
}

/** ICC_EOIR1_EL1: drops the running priority and, unless the two are split, deactivates. */
export function endOfInterrupt(gic: Gic, cpu: number, intid: number): void {
  const cpuInterface = gic.state.cpus[cpu]?.interface;
  if (cpuInterface === undefined || intid >= 1020) return;
  cpuInterface.activePriorities.pop();
  if (!cpuInterface.splitEoi) deactivate(gic, cpu, intid);
}

/** ICC_DIR_EL1. */
export function deactivate(gic: Gic, cpu: number, intid: number): void {
  const interrupt = interruptOf(gic, cpu, intid);
  if (interrupt !== undefined) interrupt.active = false;
}

/**
 * ICC_SGI1R_EL1: a software interrupt to the CPUs of a list, or to all others. Xen names the targets by AFF1 and the
 * list alone (Xen 4.17 arch/arm/vgic-v3.c, vgic_v3_to_sgi); so does this.
 */
export function sendSgi(gic: Gic, from: number, value: bigint): void {
  const intid = Number((value >> 24n) & 0xfn);
  const toOthers = ((value >> 40n) & 1n) !== 0n;
  const list = Number(value & 0xffffn);
  const affinity1 = Number((value >> 16n) & 0xffn);
  for (const [cpu, affinity] of gic.affinities.entries()) {
    const listed =
      ((affinity >>> 8) & 0xff) === affinity1 &&
      (affinity & 0xff) < sgiCount &&
      ((list >>> (affinity & 0xf)) & 1) === 1;
    const interrupt = interruptOf(gic, cpu, intid);
    if (interrupt !== undefined && (toOthers ? cpu !== from : listed)) interrupt.latched = true;
  }
}

/** Drives the line of an interrupt: level ones wait while it is high, edge ones from its rise on. */
export function setLine(gic: Gic, cpu: number, intid: number, high: boolean): void {
  const interrupt = interruptOf(gic, cpu, intid);
  if (interrupt === undefined) return;
  if (interrupt.edge && high && !interrupt.line) interrupt.latched = true;
  interrupt.line = high;
}
