/**
 * How a PVH kernel is entered: where libxl of Xen 4.17 loads its parts, and the start_info by which the kernel finds them
 * (tools/libs/guest/xg_dom_x86.c; public/arch-x86/hvm/start_info.h). Addresses and sizes are in bytes.
 */
import {
  XEN_HVM_START_MAGIC_VALUE,
  hvm_memmap_table_entry,
  hvm_modlist_entry,
  hvm_start_info,
} from '../../abi/index.js';
import { InputError } from '../../base/index.js';
import type { MemoryRange } from '../memory_range.js';
import { commandLineBytes } from './command_line.js';
import type { MemoryMapEntry } from './memory_map.js';
import { pageBytes } from './memory_map.js';
import type { Loaded } from './table_bytes.js';

/** libxl has room for so many modules, and so many bytes of a command line for each (HVMLOADER_MODULE_*). */
const modules = { most: 2, commandLineBytes: 1024 } as const;
/** The version of start_info with a memory map. */
const version = 1;

/** The parts of a guest to place. */
export interface PvhParts {
  /** The kernel's image in memory, from its first byte to the end of the memory that it takes. */
  readonly kernel: MemoryRange;
  readonly commandLine: string;
  /** Null for no initrd. */
  readonly initrd: Uint8Array | null;
  readonly rsdpAt: bigint;
  readonly memoryMap: readonly MemoryMapEntry[];
  /** The RAM that begins at 0. */
  readonly lowRam: MemoryRange;
}

export interface PvhEntry {
  /** Guest physical address of start_info, which EBX has when the kernel is entered. */
  readonly startInfoAt: bigint;
  /** The page with start_info, and the initrd. */
  readonly load: readonly Loaded[];
}

function alignUp(value: bigint, to: bigint): bigint {
  return ((value + to - 1n) / to) * to;
}

/** Offsets from start_info, in libxl's order: command line, modules, their command lines, and the memory map. */
function offsetsOf(
  commandLine: Uint8Array,
  entries: number,
): Record<'modules' | 'memoryMap' | 'end', number> {
  const modulesAt = Number(alignUp(BigInt(hvm_start_info.size + commandLine.length), 8n));
  const memoryMap = modulesAt + modules.most * (hvm_modlist_entry.size + modules.commandLineBytes);
  return { modules: modulesAt, memoryMap, end: memoryMap + entries * hvm_memmap_table_entry.size };
}

/**
 * Places start_info in the pages behind the kernel and the initrd in those behind it. Throws {@link InputError} if the
 * command line is no text, or if RAM ends before the initrd does.
 */
export function pvhEntry({ kernel, initrd, memoryMap, rsdpAt, lowRam, ...parts }: PvhParts): PvhEntry {
  const commandLine = commandLineBytes(parts.commandLine);
  const at = offsetsOf(commandLine, memoryMap.length);
  const startInfoAt = alignUp(kernel.start + kernel.size, pageBytes);
  const initrdAt = alignUp(startInfoAt + BigInt(at.end), pageBytes);
  const end = initrdAt + BigInt(initrd?.length ?? 0);
  const ramEnd = lowRam.start + lowRam.size;
  if (end > ramEnd) {
    throw new InputError(
      `${ramEnd >> 20n} MiB of memory is too little: the kernel and the initrd alone take ${(end + 0xf_ffffn) >> 20n} MiB`,
    );
  }
  const bytes = new Uint8Array(at.end);
  bytes.set(
    hvm_start_info.encode({
      magic: XEN_HVM_START_MAGIC_VALUE,
      version,
      flags: 0,
      nr_modules: initrd === null ? 0 : 1,
      modlist_paddr: initrd === null ? 0n : startInfoAt + BigInt(at.modules),
      cmdline_paddr: startInfoAt + BigInt(hvm_start_info.size),
      rsdp_paddr: rsdpAt,
      memmap_paddr: startInfoAt + BigInt(at.memoryMap),
      memmap_entries: memoryMap.length,
      reserved: 0,
    }),
  );
  bytes.set(commandLine, hvm_start_info.size);
  if (initrd !== null) {
    const module = { paddr: initrdAt, size: BigInt(initrd.length), cmdline_paddr: 0n, reserved: 0n };
    bytes.set(hvm_modlist_entry.encode(module), at.modules);
  }
  for (const [i, { start, size, type }] of memoryMap.entries()) {
    const entry = hvm_memmap_table_entry.encode({ addr: start, size, type, reserved: 0 });
    bytes.set(entry, at.memoryMap + i * hvm_memmap_table_entry.size);
  }
  const load = [{ at: startInfoAt, bytes }];
  return { startInfoAt, load: initrd === null ? load : [...load, { at: initrdAt, bytes: initrd }] };
}
