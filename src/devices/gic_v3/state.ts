/**
 * The state of a GICv3 (Arm IHI 0069H) as plain data: affinity routing always on, no LPIs, every interrupt in Group 1.
 * The interrupt numbers (INTIDs): 0 to 15 SGIs and 16 to 31 PPIs, private to a CPU; 32 to 255 SPIs, shared. They come in
 * banks of 32, one bit of a word each: bank 0 is private, a CPU has its own.
 */

export const bankSize = 32;
/** Banks of shared interrupts: 224 SPIs, as the reference guest's kernel finds. */
export const sharedBanks = 7;
export const intidCount = bankSize * (1 + sharedBanks);
/** The SGIs in their bank. */
export const sgiMask = 0xffff;
/** What ICC_IAR1_EL1 answers when nothing waits (IHI 0069H, "Special INTIDs"). */
export const spurious = 1023;
/** Priority of an idle CPU: lower than any. */
export const idlePriority = 0xff;
/** Five bits of priority are told apart, as by the hardware under the reference guest. */
export const priorityMask = 0xf8;
/** The smallest ICC_BPR0_EL1 and ICC_BPR1_EL1 that five bits allow (IHI 0069H, "Priority grouping"). */
export const minBinaryPoint = { group0: 2, group1: 3 } as const;

/** 32 interrupts; in each word bit n speaks of the bank's n-th. */
export interface InterruptBank {
  enabled: number;
  /** An edge, a software interrupt or a write to ISPENDR: waits until it is acknowledged. */
  latched: number;
  /** The level of the line, as the device drives it. */
  line: number;
  active: number;
  /** Ones for edge-triggered ones, zeroes for level-triggered ones. */
  edge: number;
  /** GICD_ICFGR's other bit of each, which says nothing but is kept (as Xen does). */
  configuration: number;
  /** GICD_IPRIORITYR, all eight bits of each. */
  priorities: Uint8Array;
}

export interface CpuInterfaceState {
  /** ICC_PMR_EL1: interrupts of this priority value and above wait. */
  priorityMask: number;
  /** ICC_BPR0_EL1 and ICC_BPR1_EL1. */
  binaryPoint0: number;
  binaryPoint1: number;
  /** ICC_IGRPEN0_EL1 and ICC_IGRPEN1_EL1. */
  enabled0: boolean;
  enabled1: boolean;
  /** ICC_CTLR_EL1.CBPR: Group 1 uses ICC_BPR0_EL1. */
  commonBinaryPoint: boolean;
  /** ICC_CTLR_EL1.EOImode: an EOI only drops the priority, deactivation is a write of its own. */
  splitEoi: boolean;
  /** ICC_AP1R0_EL1: bit n when an interrupt of group priority 8n is being handled. */
  activePriorities: number;
}

export interface GicCpuState {
  /** Interrupts for a CPU that is off are lost (Xen 4.17 arch/arm/vgic.c, vgic_inject_irq). */
  powered: boolean;
  own: InterruptBank;
  interface: CpuInterfaceState;
}

export interface GicState {
  /** GICD_CTLR.EnableGrp1. */
  enabled: boolean;
  /** By bank; the first holds INTIDs 32 to 63. */
  shared: InterruptBank[];
  /** The CPU that each shared interrupt goes to, by INTID from 32 on. */
  routes: number[];
  cpus: GicCpuState[];
}

function newBank(edge: number): InterruptBank {
  return {
    enabled: 0,
    latched: 0,
    line: 0,
    active: 0,
    edge,
    configuration: 0,
    priorities: new Uint8Array(bankSize),
  };
}

function newCpu(): GicCpuState {
  return {
    powered: false,
    own: newBank(sgiMask),
    interface: {
      priorityMask: 0,
      binaryPoint0: minBinaryPoint.group0,
      binaryPoint1: minBinaryPoint.group1,
      enabled0: false,
      enabled1: false,
      commonBinaryPoint: false,
      splitEoi: false,
      activePriorities: 0,
    },
  };
}

/** A GIC of `cpus` CPUs after reset, all of them off. */
export function newGic(cpus: number): GicState {
  return {
    enabled: false,
    shared: Array.from({ length: sharedBanks }, () => newBank(0)),
    routes: Array.from({ length: bankSize * sharedBanks }, () => 0),
    cpus: Array.from({ length: cpus }, newCpu),
  };
}

/** The interrupts of a bank that wait and may be signalled. */
export function pendingOf({ enabled, active, latched, line, edge }: InterruptBank): number {
  return (enabled & ~active & (latched | (line & ~edge))) >>> 0;
}
