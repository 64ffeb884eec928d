/** The devices of a PC that Xen and its device model emulate for an x86 HVM guest. */
export * from './acpi_pm.js';
export * from './dma.js';
export * from './hpet.js';
export * from './i8042.js';
export * from './interrupt_lines.js';
export * from './io_apic.js';
export * from './pci.js';
export * from './pic.js';
export * from './pit.js';
export * from './platform_timer.js';
export * from './rtc.js';
export * from './xen_platform.js';
