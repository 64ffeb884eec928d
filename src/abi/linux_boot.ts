/**
 * What a boot loader and an x86 Linux say to each other: boot_params, the "zero page", and the setup header in it, which begins at the
 * same offset of a bzImage (Linux Documentation/arch/x86/boot.rst and zero-page.rst; arch/x86/include/uapi/asm/bootparam.h).
 */

/** Fields of boot_params, by offset in bytes: its memory map, its setup header, and others. */
export const zeroPage = {
  screenY: 0x1,
  extendedKiB: 0x2,
  videoMode: 0x6,
  columns: 0x7,
  lines: 0xe,
  alternativeKiB: 0x1e0,
  mapEntries: 0x1e8,
  header: 0x1f1,
  bootFlag: 0x1fe,
  jump: 0x200,
  magic: 0x202,
  version: 0x206,
  loader: 0x210,
  loadFlags: 0x211,
  codeAt: 0x214,
  initrdAt: 0x218,
  initrdBytes: 0x21c,
  heapEnd: 0x224,
  commandLineAt: 0x228,
  highestInitrd: 0x22c,
  alignment: 0x230,
  isRelocatable: 0x234,
  leastAlignment: 0x235,
  extendedFlags: 0x236,
  mostCommandLine: 0x238,
  payloadOffset: 0x248,
  payloadBytes: 0x24c,
  preferredAt: 0x258,
  memoryBytes: 0x260,
  map: 0x2d0,
} as const;

/** Marks a setup header: `HdrS`. */
export const setupMagic = 0x5372_6448;
/** Of the memory map: address and size in 8 bytes each, and the type in 4. */
export const mapEntryBytes = 20;
/** E820_MAX_ENTRIES_ZEROPAGE. */
export const mostMapEntries = 128;
