/**
 * firmware: what a guest finds when it starts, and what it is started from: its memory map and device tree, its kernel
 * out of whatever it came packed in, its initramfs, and the packages and indices of a Debian archive. It turns bytes
 * into plain values and back; it reads no file and asks no network, and it refuses bad input with InputError.
 */
export * from './guest_device_tree.js';
export * from './guest_memory_map.js';

// Kernels and initramfs
export { collect } from './byte_streams.js';
export type { Pieces } from './byte_streams.js';
export { compressionOf, decompress } from './compression.js';
export type { Compression } from './compression.js';
export * from './cpio.js';
export * from './initramfs.js';
export * from './kernel_file.js';
export * from './kernel_image.js';

// Debian's packages and archives
export * from './control_file.js';
export * from './deb.js';
export * from './debian_index.js';
export * from './debian_kernels.js';
export { compareVersions } from './debian_version.js';
export type { ArchiveFile } from './tar.js';
