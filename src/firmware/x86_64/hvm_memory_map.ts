/**
 * The physical memory of a PVHVM guest after hvmloader and SeaBIOS of Xen 4.17 (tools/firmware/hvmloader/e820.c; SeaBIOS src/e820map.c),
 * as observed. Addresses and sizes are in bytes.
 */
import {
  PCI_MEM_START,
  XEN_HVM_MEMMAP_TYPE_NVS,
  XEN_HVM_MEMMAP_TYPE_RAM,
  XEN_HVM_MEMMAP_TYPE_RESERVED,
} from '../../abi/index.js';
import { InputError } from '../../base/index.js';
import type { MemoryRange } from '../memory_range.js';
import { acpiInfoAt, pageBytes, specialPages } from './memory_map.js';
import type { MemoryMapEntry } from './memory_map.js';

/** The window of PCI devices' memory, as hvmloader sets it by default. */
export const pciWindow = { start: PCI_MEM_START, bytes: 0xc00_0000 } as const;

/** VGA's memory, where this guest has nothing. */
const videoMemory: MemoryRange = { start: 0xa_0000n, size: 0x2_0000n };
/** The extended BIOS data area, at the end of conventional memory. */
export const extendedBiosData: MemoryRange = { start: 0x9_fc00n, size: 0x400n };
/** Where SeaBIOS keeps itself and its tables. */
const bios: MemoryRange = { start: 0xf_0000n, size: 0x1_0000n };
/** SeaBIOS's hypercall page, the last page of RAM. */
const hypercallPage = pageBytes;
/** The pages that hvmloader adds for the ACPI tables. */
const tablePages: MemoryRange = { start: acpiInfoAt, size: 0xb000n };
/** The pages that hvmloader adds for its own use: SMBIOS structures, MP tables and a TSS. */
export const loaderPages: MemoryRange = { start: 0xfc10_0000n, size: 3n * pageBytes };

const endOf = ({ start, size }: MemoryRange): bigint => start + size;

/** The RAM of the domain: its memory, which xl gives it below 4 GiB, and the pages of hvmloader and the toolstack. */
export function hvmBanks(memoryMiB: number, tableBytes: bigint): MemoryRange[] {
  const size = BigInt(memoryMiB) << 20n;
  if (size > BigInt(pciWindow.start)) {
    throw new InputError(
      `a PVHVM guest has at most ${pciWindow.start / 2 ** 20} MiB of memory, not ${memoryMiB}`,
    );
  }
  const tables = { ...tablePages, size: tableBytes > tablePages.size ? tableBytes : tablePages.size };
  return [
    { start: 0n, size: videoMemory.start },
    { start: endOf(videoMemory), size: size - endOf(videoMemory) },
    tables,
    loaderPages,
    specialPages,
  ];
}

/** The end of the memory that the guest may use, below {@link hypercallPage}. */
export function endOfUsableRam(memoryMiB: number): bigint {
  return (BigInt(memoryMiB) << 20n) - hypercallPage;
}

/** The map that the BIOS gives, in its order. `tableBytes`: size of the pages with ACPI tables. */
export function hvmMemoryMap(memoryMiB: number, tableBytes: bigint): MemoryMapEntry[] {
  const oneMebibyte = 1n << 20n;
  const end = endOfUsableRam(memoryMiB);
  const tablesEnd = acpiInfoAt + (tableBytes > tablePages.size ? tableBytes : tablePages.size);
  return [
    { start: 0n, size: extendedBiosData.start, type: XEN_HVM_MEMMAP_TYPE_RAM },
    { ...extendedBiosData, type: XEN_HVM_MEMMAP_TYPE_RESERVED },
    { ...bios, type: XEN_HVM_MEMMAP_TYPE_RESERVED },
    { start: oneMebibyte, size: end - oneMebibyte, type: XEN_HVM_MEMMAP_TYPE_RAM },
    { start: end, size: hypercallPage, type: XEN_HVM_MEMMAP_TYPE_RESERVED },
    { start: acpiInfoAt, size: tablesEnd - acpiInfoAt, type: XEN_HVM_MEMMAP_TYPE_NVS },
    { start: tablesEnd, size: (1n << 32n) - tablesEnd, type: XEN_HVM_MEMMAP_TYPE_RESERVED },
  ];
}
