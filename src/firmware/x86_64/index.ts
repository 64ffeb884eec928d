/** The boot environment of an x86-64 PVH guest: memory map, ACPI tables, kernel images, and how a kernel is entered. */
export * from './entry.js';
export * from './initrd.js';
export * from './kernel_image.js';
export * from './memory_map.js';
export * from './tables.js';
