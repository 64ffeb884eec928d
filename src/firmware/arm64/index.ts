/** The boot environment of an arm64 guest: memory map, device tree, and where its parts are loaded. */
export * from './entry.js';
export * from './memory_map.js';
export * from './tables.js';
export { imageMemoryBytes } from './kernel_image.js';
export type { Arm64Placement } from './kernel_image.js';
