/**
 * How the kernel of a PVHVM guest is entered: what hvmloader, SeaBIOS and QEMU's boot loader leave in memory, and then what the kernel's
 * own decompressor would leave, whose work the host has done (Linux Documentation/arch/x86/boot.rst, "64-bit boot protocol";
 * zero-page.rst). Addresses and sizes are in bytes.
 */
import { mapEntryBytes, setupMagic, viewOf, zeroPage } from '../../abi/index.js';
import { InputError } from '../../base/index.js';
import type { MemoryRange } from '../memory_range.js';
import { commandLineBytes } from './command_line.js';
import { endOfUsableRam, extendedBiosData } from './hvm_memory_map.js';
import { pageBytes } from './memory_map.js';
import type { MemoryMapEntry } from './memory_map.js';
import type { Loaded } from './table_bytes.js';

/** Where things lie below 1 MiB: QEMU's loader puts the kernel's setup code at the first address, and the command line at the second. */
const low = { bootParams: 0x1_0000n, commandLine: 0x2_0000n, pageTables: 0x3_0000n } as const;

/** QEMU, version 0. */
const loaderType = 0xb0;
/** LOADED_HIGH and CAN_USE_HEAP. */
const loadFlags = 0x81;
/** XLF_KERNEL_64, XLF_CAN_BE_LOADED_ABOVE_4G. */
const extendedFlags = 0x3;
const protocol = 0x20f;
/** SeaBIOS keeps the initrd's end below this much at the end of RAM for tables of its own. */
const belowEnd = 0x1_0000n;

/** Words of the BIOS data area: the segment of the extended one, and the KiB of conventional memory before it. */
const biosData = { at: 0x400n, extendedSegment: 0xe, baseKiB: 0x13 } as const;

/** An entry of a page table: present, writable. Of a directory: a page of 2 MiB. */
const entryBits = { table: 0x3n, large: 0x83n } as const;
const largePage = 1n << 21n;
/** The segments that the protocol demands: code at 0x10, data at 0x18, both flat. */
const descriptors = [0n, 0n, 0x00af_9b00_0000_ffffn, 0x00cf_9300_0000_ffffn] as const;

export interface HvmParts {
  readonly kernel: MemoryRange;
  /** The setup header of a bzImage that unpacks itself; absent of a kernel that the host has unpacked. */
  readonly header?: Uint8Array;
  readonly commandLine: string;
  /** Null for no initrd. */
  readonly initrd: Uint8Array | null;
  readonly memoryMiB: number;
  readonly memoryMap: readonly MemoryMapEntry[];
}

export interface HvmEntry {
  /** Guest physical address of boot_params, which RSI has when the kernel is entered. */
  readonly bootParamsAt: bigint;
  /** The tables with which it is entered: addresses below 4 GiB are what they are. */
  readonly longMode: {
    readonly pageTable: bigint;
    readonly descriptorTable: { readonly base: bigint; readonly limit: number };
  };
  readonly load: readonly Loaded[];
}

/** A table of level 4 and one of level 3, four directories, and the descriptors behind them. */
function translation(): HvmEntry['longMode'] & { readonly pages: Loaded } {
  const bytes = new Uint8Array(7 * Number(pageBytes));
  const view = viewOf(bytes);
  const pageAt = (page: number): bigint => low.pageTables + BigInt(page) * pageBytes;
  view.setBigUint64(0, pageAt(1) | entryBits.table, true);
  for (let directory = 0; directory < 4; directory += 1) {
    view.setBigUint64(Number(pageBytes) + 8 * directory, pageAt(2 + directory) | entryBits.table, true);
  }
  for (let page = 0; page < 4 * 512; page += 1) {
    view.setBigUint64(2 * Number(pageBytes) + 8 * page, (BigInt(page) * largePage) | entryBits.large, true);
  }
  for (const [i, descriptor] of descriptors.entries())
    view.setBigUint64(6 * Number(pageBytes) + 8 * i, descriptor, true);
  return {
    pageTable: pageAt(0),
    descriptorTable: { base: pageAt(6), limit: 8 * descriptors.length - 1 },
    pages: { at: pageAt(0), bytes },
  };
}

/** What stands in the setup header of a bzImage, for a kernel that has none. */
function setOwnHeader(view: DataView, kernel: MemoryRange, commandLineRoom: number): void {
  view.setUint16(zeroPage.bootFlag, 0xaa55, true);
  view.setUint32(zeroPage.magic, setupMagic, true);
  view.setUint16(zeroPage.version, protocol, true);
  view.setUint8(zeroPage.loadFlags, loadFlags);
  view.setUint32(zeroPage.codeAt, Number(kernel.start), true);
  view.setUint32(zeroPage.highestInitrd, 0x7fff_ffff, true);
  view.setUint32(zeroPage.alignment, Number(largePage), true);
  view.setUint8(zeroPage.isRelocatable, 1);
  view.setUint8(zeroPage.leastAlignment, 21);
  view.setUint16(zeroPage.extendedFlags, extendedFlags, true);
  view.setUint32(zeroPage.mostCommandLine, commandLineRoom, true);
  view.setBigUint64(zeroPage.preferredAt, kernel.start, true);
  view.setUint32(zeroPage.memoryBytes, Number(kernel.size), true);
}

function bootParams(
  { kernel, header, memoryMap, memoryMiB }: HvmParts,
  initrd: Loaded | null,
  commandLineRoom: number,
): Loaded {
  const bytes = new Uint8Array(Number(pageBytes));
  const view = viewOf(bytes);
  const word = (at: number, value: number | bigint): void => view.setUint32(at, Number(value), true);
  // The screen of a BIOS without a display: 80 columns and 25 lines of text.
  view.setUint8(zeroPage.screenY, 8);
  view.setUint16(zeroPage.extendedKiB, 0xfc00, true);
  view.setUint8(zeroPage.videoMode, 3);
  view.setUint8(zeroPage.columns, 80);
  view.setUint8(zeroPage.lines, 25);
  word(zeroPage.alternativeKiB, (endOfUsableRam(memoryMiB) >> 10n) - 1024n);
  view.setUint8(zeroPage.mapEntries, memoryMap.length);
  if (header === undefined) setOwnHeader(view, kernel, commandLineRoom);
  else {
    bytes.set(header, zeroPage.header);
    view.setUint8(zeroPage.loadFlags, view.getUint8(zeroPage.loadFlags) | loadFlags);
  }
  view.setUint8(zeroPage.loader, loaderType);
  word(zeroPage.initrdAt, initrd?.at ?? 0);
  word(zeroPage.initrdBytes, initrd?.bytes.length ?? 0);
  view.setUint16(zeroPage.heapEnd, 0xfe00, true);
  word(zeroPage.commandLineAt, low.commandLine);
  for (const [i, { start, size, type }] of memoryMap.entries()) {
    const at = zeroPage.map + mapEntryBytes * i;
    view.setBigUint64(at, start, true);
    view.setBigUint64(at + 8, size, true);
    word(at + 16, type);
  }
  return { at: low.bootParams, bytes };
}

/** The longest command line that Linux reads, without the NUL (COMMAND_LINE_SIZE). */
const mostCommandLine = 2047;

function biosDataArea(): Loaded {
  const bytes = new Uint8Array(0x100);
  viewOf(bytes).setUint16(biosData.extendedSegment, Number(extendedBiosData.start >> 4n), true);
  viewOf(bytes).setUint16(biosData.baseKiB, Number(extendedBiosData.start >> 10n), true);
  return { at: biosData.at, bytes };
}

/** The initrd at the end of RAM, as QEMU's loader places it. */
function placedInitrd({ initrd, memoryMiB, kernel }: HvmParts): Loaded | null {
  if (initrd === null) return null;
  const end = (BigInt(memoryMiB) << 20n) - belowEnd;
  const at = ((end - BigInt(initrd.length)) / pageBytes) * pageBytes;
  const kernelEnd = kernel.start + kernel.size;
  if (at < kernelEnd) {
    const needed = kernelEnd + BigInt(initrd.length) + belowEnd + pageBytes;
    throw new InputError(
      `${memoryMiB} MiB of memory is too little: the kernel and the initrd alone take ${(needed + 0xf_ffffn) >> 20n} MiB`,
    );
  }
  return { at, bytes: initrd };
}

/**
 * Places what the kernel finds: boot_params and the command line below 1 MiB, the initrd at the end of RAM. Throws {@link InputError} if
 * the command line is no text, or if RAM is too small for kernel and initrd.
 */
export function hvmEntry(parts: HvmParts): HvmEntry {
  const { kernel, memoryMiB } = parts;
  if (kernel.start + kernel.size > endOfUsableRam(memoryMiB)) {
    const needed = (kernel.start + kernel.size + 0xf_ffffn) >> 20n;
    throw new InputError(`${memoryMiB} MiB of memory is too little: the kernel alone takes ${needed} MiB`);
  }
  const commandLine = commandLineBytes(parts.commandLine);
  const initrd = placedInitrd(parts);
  const { pages, ...longMode } = translation();
  return {
    bootParamsAt: low.bootParams,
    longMode,
    load: [
      biosDataArea(),
      bootParams(parts, initrd, mostCommandLine),
      { at: low.commandLine, bytes: commandLine },
      pages,
      ...(initrd === null ? [] : [initrd]),
    ],
  };
}
