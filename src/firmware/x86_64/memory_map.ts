/**
 * The physical memory map of an x86-64 PVH guest as libxl of Xen 4.17 makes it (tools/libs/light/libxl_x86.c,
 * domain_construct_memmap; libxl_dom.c, libxl__build_hvm). Addresses and sizes are in bytes.
 */
import {
  XEN_HVM_MEMMAP_TYPE_ACPI,
  XEN_HVM_MEMMAP_TYPE_RAM,
  XEN_HVM_MEMMAP_TYPE_RESERVED,
} from '../../abi/index.js';
import { InputError } from '../../base/index.js';
import type { MemoryRange } from '../memory_range.js';

const mebibyte = 1n << 20n;
const fourGibibytes = 1n << 32n;
export const pageBytes = 0x1000n;

/**
 * The page that libacpi and its AML share (ACPI_INFO_PHYSICAL_ADDRESS in tools/libacpi), and the lowest address that is not
 * RAM in a PVH guest with more than 4032 MiB: the tables, the local APICs and the special pages are above it.
 */
export const acpiInfoAt = 0xfc00_0000n;

/** The pages of Xen and the toolstack: xenstore, console, ioreq and the like (X86_HVM_NR_SPECIAL_PAGES below 0xff000). */
export const specialPages: MemoryRange = { start: 0xfeff_8000n, size: 8n * pageBytes };
/** Guest physical addresses of the xenstore ring, the PV console's ring and the identity page table. */
export const specialPageAt = {
  xenstore: 0xfeff_c000n,
  identityPageTable: 0xfeff_e000n,
  console: 0xfeff_f000n,
} as const;

/** The address of each CPU's local APIC. */
export const localApicAt = 0xfee0_0000n;

/** Physical addresses have 48 bits at most here; RAM above 4 GiB must leave room for what follows it. */
export const maxMemoryMiB = 1 << 20;

/**
 * The guest's RAM: one piece from 0 on, and what does not fit below the hole at {@link acpiInfoAt} from 4 GiB on. There is RAM
 * at 0xa0000 too. Throws {@link InputError} unless 1 <= `memoryMiB` <= {@link maxMemoryMiB}.
 */
export function memoryBanks(memoryMiB: number): MemoryRange[] {
  if (!Number.isInteger(memoryMiB) || memoryMiB < 1 || memoryMiB > maxMemoryMiB) {
    throw new InputError(`a guest has 1 to ${maxMemoryMiB} MiB of memory, not ${memoryMiB}`);
  }
  const size = BigInt(memoryMiB) * mebibyte;
  if (size <= acpiInfoAt) return [{ start: 0n, size }];
  return [
    { start: 0n, size: acpiInfoAt },
    { start: fourGibibytes, size: size - acpiInfoAt },
  ];
}

/** An entry of the memory map: `type` is one of XEN_HVM_MEMMAP_TYPE_*. */
export interface MemoryMapEntry extends MemoryRange {
  readonly type: number;
}

/**
 * The memory map that the guest gets, in libxl's order, which is not sorted: low RAM, the special pages, the ACPI modules in
 * the order in which libxl loads them, and RAM above 4 GiB.
 */
export function memoryMap(
  [low, ...high]: readonly MemoryRange[],
  acpiModules: readonly MemoryRange[],
): MemoryMapEntry[] {
  const ram = { type: XEN_HVM_MEMMAP_TYPE_RAM };
  return [
    ...(low === undefined ? [] : [{ ...low, ...ram }]),
    { ...specialPages, type: XEN_HVM_MEMMAP_TYPE_RESERVED },
    ...acpiModules.map((range) => ({ ...range, type: XEN_HVM_MEMMAP_TYPE_ACPI })),
    ...high.map((range) => ({ ...range, ...ram })),
  ];
}
