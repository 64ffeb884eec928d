/**
 * The state of a GICv3 (Arm IHI 0069H) as plain data: one security state, affinity routing always on, no LPIs. The
 * interrupt numbers (INTIDs): 0 to 15 SGIs and 16 to 31 PPIs, private to a CPU; 32 to 255 SPIs.
 */

export const sgiCount = 16;
export const privateCount = 32;
export const intidCount = 256;
/** ICC_IAR1_EL1's answer when nothing waits (IHI 0069H, 2.2.1). */
export const spurious = 1023;
/** Priority of an idle CPU: lower than any. */
export const idlePriority = 0xff;
/** Five bits of priority are implemented, as on the hardware that Xen's guests mostly meet. */
export const priorityMask = 0xf8;

/** One interrupt, or one CPU's copy of a private one. */
export interface InterruptState {
  enabled: boolean;
  group1: boolean;
  /** Edge or software: waits until it is acknowledged. */
  latched: boolean;
  /** The level of its line, as the device drives it. */
  line: boolean;
  active: boolean;
  /** 8 bits; only those in priorityMask are kept. */
  priority: number;
  edge: boolean;
}

export interface CpuInterfaceState {
  /** ICC_PMR_EL1: interrupts of this priority value and above wait. */
  priorityMask: number;
  binaryPoint: number;
  enabled: boolean;
  /** ICC_CTLR_EL1.EOImode: an EOI only drops the priority, deactivation is a write of its own. */
  splitEoi: boolean;
  /** Priorities of what is being handled, latest last. */
  activePriorities: number[];
}

export interface GicState {
  /** GICD_CTLR.EnableGrp1. */
  enabled: boolean;
  /** By INTID from 32 on. */
  shared: InterruptState[];
  /** GICD_IROUTER by INTID from 32 on: affinity as in MPIDR, or any CPU (bit 31). */
  routes: bigint[];
  cpus: {
    /** By INTID 0 to 31. */
    own: InterruptState[];
    /** GICR_WAKER.ProcessorSleep. */
    asleep: boolean;
    interface: CpuInterfaceState;
  }[];
}

function interrupt(edge: boolean): InterruptState {
  return { enabled: false, group1: true, latched: false, line: false, active: false, priority: 0, edge };
}

/** A GIC of `cpus` CPUs after reset. */
export function newGic(cpus: number): GicState {
  return {
    enabled: false,
    shared: Array.from({ length: intidCount - privateCount }, () => interrupt(false)),
    routes: Array.from({ length: intidCount - privateCount }, () => 0n),
    cpus: Array.from({ length: cpus }, () => ({
      own: Array.from({ length: privateCount }, (_, intid) => interrupt(intid < sgiCount)),
      asleep: true,
      interface: { priorityMask: 0, binaryPoint: 0, enabled: false, splitEoi: false, activePriorities: [] },
    })),
  };
}

/** Whether an interrupt waits to be taken. */
export function isPending({ latched, line, edge }: InterruptState): boolean {
  return latched || (!edge && line);
}
