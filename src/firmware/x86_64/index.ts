/** The boot environment of x86-64 guests: memory maps, ACPI tables, kernel images, and how a kernel is entered. */
export type { Loaded } from './table_bytes.js';
export * from './bzimage.js';
export * from './entry.js';
export * from './initrd.js';
export * from './kernel_image.js';
export * from './memory_map.js';
export * from './tables.js';
export * from './hvm_entry.js';
export * from './hvm_memory_map.js';
export * from './hvm_bios_tables.js';
export * from './hvm_tables.js';
