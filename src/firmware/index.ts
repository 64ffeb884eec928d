/**
 * firmware: the boot environment of a guest and the files that it is built from: memory map, tables, kernel images
 * in any packaging, initramfs, and packages and indexes of a Debian archive. It converts bytes to plain values and
 * back. It reads no files and uses no network; it refuses bad input with InputError.
 */
export * as arm64 from './arm64/index.js';
export type { Architecture } from './architecture.js';
export type { MemoryRange } from './memory_range.js';

// Kernels and initramfs
export { collect } from './byte_streams.js';
export type { Pieces } from './byte_streams.js';
export { compressionOf, decompress } from './compression.js';
export type { Compression } from './compression.js';
export * from './cpio.js';
export * from './crash_initramfs.js';
export { elfLibraries } from './elf_libraries.js';
export type { ElfLibraries } from './elf_libraries.js';
export * from './initramfs.js';
export { linuxBannerIn, linuxVersionIn } from './image_bytes.js';
export * from './kernel_file.js';
export * from './kernel_image.js';
export { kexecFile } from './x86_64/kexec_file.js';
export { isBzImage } from './x86_64/kernel_image.js';

// Debian's packages and archives
export * from './archive/control_file.js';
export * from './archive/deb.js';
export * from './archive/debian_index.js';
export * from './archive/debian_kernels.js';
export { compareVersions } from './archive/debian_version.js';
export type { ArchiveFile } from './archive/tar.js';
