/**
 * abi: layouts and numbers of what a guest and Xen, a PC's firmware, a device tree or a boot loader say to each other. Each is declared
 * once, with its source; what they mean and do is for other modules.
 */
export * from './releases.js';
export * from './struct.js';

// Xen's public headers, a file each
export * from './xen/arch.js';
export * from './xen/arch_arm.js';
export * from './xen/arch_x86.js';
export * from './xen/cpuid.js';
export * from './xen/errno.js';
export * from './xen/event_channel.js';
export * from './xen/features.js';
export * from './xen/grant_table.js';
export * from './xen/hvm_op.js';
export * from './xen/hvm_params.js';
export * from './xen/hvm_platform.js';
export * from './xen/hvm_start_info.js';
export * from './xen/hvm_vcpu.js';
export * from './xen/io_console.js';
export * from './xen/io_xs_wire.js';
export * from './xen/memory.js';
export * from './xen/names.js';
export * from './xen/physdev.js';
export * from './xen/sched.js';
export * from './xen/types.js';
export * from './xen/vcpu.js';
export * from './xen/version.js';
export * from './xen/xen.js';

// Arm's own firmware interfaces
export * from './arm/psci.js';
export * from './arm/smccc.js';
export * from './acpi/acpidump.js';
export * from './acpi/madt.js';
export * from './acpi/tables.js';
export * from './devicetree/fdt.js';
export * from './linux_boot.js';
export * from './mp_tables.js';
export * from './smbios.js';
