/**
 * public/arch-arm.h: what Arm alone has. What both architectures have, each in its own form, is in arch.ts.
 * The GUEST_* numbers are where Xen's toolstack puts things in a guest's physical memory; the header says that
 * they may change from release to release, so a guest finds them in its device tree or ACPI tables.
 */
import { struct, u32, u64 } from '../struct.js';

/** The immediate of the HVC instruction that is a hypercall; the number is in x16, arguments in x0 to x4. */
export const XEN_HYPERCALL_TAG = 0xea1;

export const vcpu_guest_core_regs = struct('vcpu_guest_core_regs', {
  x0: u64,
  x1: u64,
  x2: u64,
  x3: u64,
  x4: u64,
  x5: u64,
  x6: u64,
  x7: u64,
  x8: u64,
  x9: u64,
  x10: u64,
  x11: u64,
  x12: u64,
  x13: u64,
  x14: u64,
  x15: u64,
  x16: u64,
  x17: u64,
  x18: u64,
  x19: u64,
  x20: u64,
  x21: u64,
  x22: u64,
  x23: u64,
  x24: u64,
  x25: u64,
  x26: u64,
  x27: u64,
  x28: u64,
  x29: u64,
  x30: u64,
  pc64: u64,
  cpsr: u64,
  spsr_el1: u64,
  spsr_fiq: u32,
  spsr_irq: u32,
  spsr_und: u32,
  spsr_abt: u32,
  sp_el0: u64,
  sp_el1: u64,
  elr_el1: u64,
});

export const XEN_DOMCTL_CONFIG_GIC_NATIVE = 0;
export const XEN_DOMCTL_CONFIG_GIC_V2 = 1;
export const XEN_DOMCTL_CONFIG_GIC_V3 = 2;

/** Bits of cpsr and spsr. */
export const PSR_THUMB = 0x20;
export const PSR_FIQ_MASK = 0x40;
export const PSR_IRQ_MASK = 0x80;
export const PSR_ABT_MASK = 0x100;
export const PSR_DBG_MASK = 0x200;
export const PSR_MODE_EL1h = 0x05;
export const PSR_MODE_EL1t = 0x04;
export const PSR_MODE_EL0t = 0x00;
/** How a 64-bit vCPU starts: EL1h with asynchronous aborts, FIQ and IRQ masked. */
export const PSR_GUEST64_INIT = 0x1c5;
export const SCTLR_GUEST_INIT = 0xc5_0078n;

export const GUEST_GICD_BASE = 0x0300_1000n;
export const GUEST_GICD_SIZE = 0x1000n;
export const GUEST_GICC_BASE = 0x0300_2000n;
export const GUEST_GICC_SIZE = 0x2000n;
export const GUEST_GICV3_GICD_BASE = 0x0300_1000n;
export const GUEST_GICV3_GICD_SIZE = 0x1_0000n;
export const GUEST_GICV3_RDIST_REGIONS = 1;
export const GUEST_GICV3_GICR0_BASE = 0x0302_0000n;
export const GUEST_GICV3_GICR0_SIZE = 0x0100_0000n;
export const GUEST_ACPI_BASE = 0x2000_0000n;
export const GUEST_ACPI_SIZE = 0x0200_0000n;
export const GUEST_PL011_BASE = 0x2200_0000n;
export const GUEST_PL011_SIZE = 0x1000n;
export const GUEST_GNTTAB_BASE = 0x3800_0000n;
export const GUEST_GNTTAB_SIZE = 0x0100_0000n;
export const GUEST_MAGIC_BASE = 0x3900_0000n;
export const GUEST_MAGIC_SIZE = 0x0100_0000n;
export const GUEST_RAM_BANKS = 2;
export const GUEST_RAM0_BASE = 0x4000_0000n;
export const GUEST_RAM0_SIZE = 0xc000_0000n;
export const GUEST_RAM1_BASE = 0x2_0000_0000n;
export const GUEST_RAM1_SIZE = 0xfe_0000_0000n;

export const GUEST_MAX_VCPUS = 128;

/** Interrupt numbers (INTID) in a guest: private peripheral interrupts, and the emulated UART's shared one. */
export const GUEST_TIMER_VIRT_PPI = 27;
export const GUEST_TIMER_PHYS_S_PPI = 29;
export const GUEST_TIMER_PHYS_NS_PPI = 30;
export const GUEST_EVTCHN_PPI = 31;
export const GUEST_VPL011_SPI = 32;
