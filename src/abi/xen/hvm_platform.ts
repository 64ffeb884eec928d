/**
 * Where an x86 HVM guest finds devices of its platform, as its ACPI tables say. The ports of power management are public/hvm/ioreq.h's;
 * the other places are Xen's and its device model's by convention, and in no public header.
 */

/** Ports of PM1 events, of PM1 control, of the PM timer and of general-purpose events. */
export const ACPI_PM1A_EVT_BLK_ADDRESS_V1 = 0xb000;
export const ACPI_PM1A_CNT_BLK_ADDRESS_V1 = 0xb004;
export const ACPI_PM_TMR_BLK_ADDRESS_V1 = 0xb008;
export const ACPI_GPE0_BLK_ADDRESS_V1 = 0xafe0;

/** Ports of the hot-plug of PCI slots and of the map of CPUs, and the port that resets (QEMU, as for its PIIX). */
export const ACPI_PCIHP_ADDR_PIIX4 = 0xae00;
export const PIIX4_CPU_HOTPLUG_IO_BASE = 0xaf00;
export const PIIX_RCR_IOPORT = 0xcf9;

/** Addresses of I/O APIC and HPET (Xen 4.17 arch/x86/include/asm/hvm/vioapic.h and arch/x86/hvm/hpet.c). */
export const VIOAPIC_DEFAULT_BASE_ADDRESS = 0xfec0_0000;
export const HPET_BASE_ADDRESS = 0xfed0_0000;

/** The start of the window of PCI devices' memory, by default (Xen 4.17 tools/firmware/hvmloader/config.h). */
export const PCI_MEM_START = 0xf000_0000;
