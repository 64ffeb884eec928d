/**
 * The state of a GICv3 (Arm IHI 0069H) as plain data: affinity routing always on, no LPIs, every interrupt in Group 1.
 * Interrupt numbers (INTIDs): 0 to 15 are SGIs and 16 to 31 are PPIs, private to a CPU; 32 to 255 are SPIs, shared.
 * They are grouped in banks of 32, with one bit of a word per interrupt. Bank 0 is private: each CPU has its own.
 */

export const bankSize = 32;
/** Number of banks of shared interrupts: 224 SPIs, as on the reference guest. */
export const sharedBanks = 7;
export const intidCount = bankSize * (1 + sharedBanks);
/** The SGIs of bank 0. */
export const sgiMask = 0xffff;
/** The answer of ICC_IAR1_EL1 when no interrupt is pending (IHI 0069H, "Special INTIDs"). */
export const spurious = 1023;
/** Running priority of an idle CPU, lower than any priority. */
export const idlePriority = 0xff;
/** The five implemented bits of a priority, as on the hardware of the reference guest. */
export const priorityMask = 0xf8;
/** The smallest values of ICC_BPR0_EL1 and ICC_BPR1_EL1 with five bits (IHI 0069H, "Priority grouping"). */
export const minBinaryPoint = { group0: 2, group1: 3 } as const;

/** 32 interrupts. Bit n of each word is for interrupt n of the bank. */
export interface InterruptBank {
  enabled: number;
  /** Pending by an edge, an SGI or a write to ISPENDR, until it is acknowledged. */
  latched: number;
  /** The level of the line that the device drives. */
  line: number;
  active: number;
  /** 1 for edge-triggered, 0 for level-triggered. */
  edge: number;
  /** The other bit of each GICD_ICFGR field. It has no meaning but is stored, as in Xen. */
  configuration: number;
  /** GICD_IPRIORITYR, all eight bits of each. */
  priorities: Uint8Array;
}

export interface CpuInterfaceState {
  /** ICC_PMR_EL1: interrupts with this priority value or a greater one are not signalled. */
  priorityMask: number;
  /** ICC_BPR0_EL1 and ICC_BPR1_EL1. */
  binaryPoint0: number;
  binaryPoint1: number;
  /** ICC_IGRPEN0_EL1 and ICC_IGRPEN1_EL1. */
  enabled0: boolean;
  enabled1: boolean;
  /** ICC_CTLR_EL1.CBPR: Group 1 uses ICC_BPR0_EL1. */
  commonBinaryPoint: boolean;
  /** ICC_CTLR_EL1.EOImode: an EOI only drops the priority; deactivation needs a separate write. */
  splitEoi: boolean;
  /** ICC_AP1R0_EL1: bit n is set while an interrupt of group priority 8n is being handled. */
  activePriorities: number;
}

export interface GicCpuState {
  /** Whether the CPU is on. Interrupts for a CPU that is off are lost (Xen 4.17 arch/arm/vgic.c, vgic_inject_irq). */
  powered: boolean;
  own: InterruptBank;
  interface: CpuInterfaceState;
}

export interface GicState {
  /** GICD_CTLR.EnableGrp1. */
  enabled: boolean;
  /** By bank. The first bank has INTIDs 32 to 63. */
  shared: InterruptBank[];
  /** The target CPU of each shared interrupt, by INTID minus 32. */
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

/** The state after reset of a GIC with `cpus` CPUs, all off. */
export function newGic(cpus: number): GicState {
  return {
    enabled: false,
    shared: Array.from({ length: sharedBanks }, () => newBank(0)),
    routes: Array.from({ length: bankSize * sharedBanks }, () => 0),
    cpus: Array.from({ length: cpus }, newCpu),
  };
}

/** The interrupts of a bank that are pending, enabled and not active. */
export function pendingOf({ enabled, active, latched, line, edge }: InterruptBank): number {
  return (enabled & ~active & (latched | (line & ~edge))) >>> 0;
}
