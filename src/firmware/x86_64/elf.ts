/** Offsets, sizes and numbers of a 64-bit ELF file (System V ABI, gABI 4.1). */

export const elf = {
  headerBytes: 64,
  type: 16,
  entry: 24,
  programHeaders: 32,
  entryBytes: 54,
  entries: 56,
} as const;
/** Types of files: a program that lies anywhere. */
export const ET_DYN = 3;

export const programHeader = {
  bytes: 56,
  type: 0,
  offset: 8,
  physical: 24,
  fileBytes: 32,
  memoryBytes: 40,
} as const;
/** Types of segments. */
export const PT_LOAD = 1;
export const PT_NOTE = 4;
