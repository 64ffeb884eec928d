/**
 * introspect: reads a stock kernel's own records and log from its image and its memory, as a debugger does, without
 * symbol files. The module changes nothing and judges nothing.
 */
export * from './anchors.js';
export { arm64 } from './arm64/anchors.js';
export type { Arm64Cpu } from './arm64/anchors.js';
export { x86_64 } from './x86_64/anchors.js';
export type { X86Cpu } from './x86_64/anchors.js';
export * from './btf.js';
export * from './export_table.js';
export * from './image_facts.js';
export * from './irq_table.js';
export * from './kallsyms.js';
export * from './kernel_records.js';
export type * from './layouts.js';
export * from './printk_log.js';
export * from './printk_ring.js';
export * from './running_areas.js';
export * from './vmcoreinfo.js';
