/**
 * The physical memory map of an arm64 guest: the RAM banks, the regions that are free for mapping other domains'
 * memory, and the addresses where Xen loads kernel, device tree and initrd (Xen 4.17 arch/arm/domain_build.c and
 * kernel.c). Addresses and sizes are in bytes.
 */
import { GUEST_RAM0_BASE, GUEST_RAM0_SIZE, GUEST_RAM1_BASE, GUEST_RAM1_SIZE } from '../abi/index.js';
import { InputError } from '../base/index.js';

export interface MemoryRange {
  readonly start: bigint;
  readonly size: bigint;
}

const mebibyte = 1n << 20n;
/** Alignment of loaded images and of extended regions in Xen. */
const sectionBytes = 2n * mebibyte;
const minRegionBytes = 64n * mebibyte;

/** The address ranges for RAM in Xen's memory map: a bank below 4 GiB and one from 8 GiB on. */
const ramRoom: readonly MemoryRange[] = [
  { start: GUEST_RAM0_BASE, size: GUEST_RAM0_SIZE },
  { start: GUEST_RAM1_BASE, size: GUEST_RAM1_SIZE },
];

/** The maximum memory of a guest in MiB: 3 GiB in the first bank and 1,016 GiB in the second. */
export const maxMemoryMiB = Number(ramRoom.reduce((sum, { size }) => sum + size, 0n) / mebibyte);

function alignUp(value: bigint, alignment: bigint): bigint {
  return ((value + alignment - 1n) / alignment) * alignment;
}

function least(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}

/**
 * The guest's RAM banks; the first is filled first. Throws {@link InputError} unless 1 <= `memoryMiB` <= {@link
 * maxMemoryMiB}.
 */
export function memoryBanks(memoryMiB: number): MemoryRange[] {
  if (!Number.isInteger(memoryMiB) || memoryMiB < 1 || memoryMiB > maxMemoryMiB) {
    throw new InputError(`a guest has 1 to ${maxMemoryMiB} MiB of memory, not ${memoryMiB}`);
  }
  let rest = BigInt(memoryMiB) * mebibyte;
  const banks = ramRoom.map(({ start, size }) => {
    const taken = least(size, rest);
    rest -= taken;
    return { start, size: taken };
  });
  return banks.filter(({ size }) => size > 0n);
}

/**
 * The extended regions: the part of each bank's range that RAM leaves free, from a 2 MiB boundary on, within
 * `addressBits` bits of guest physical address. Regions below 64 MiB are omitted (find_domU_holes).
 */
export function extendedRegions(banks: readonly MemoryRange[], addressBits: number): MemoryRange[] {
  const addressEnd = 1n << BigInt(addressBits);
  return ramRoom.flatMap(({ start, size }) => {
    const used = banks.find((bank) => bank.start === start)?.size ?? 0n;
    const first = alignUp(start + used, sectionBytes);
    const bytes = least(start + size, addressEnd) - first;
    return bytes < minRegionBytes ? [] : [{ start: first, size: bytes }];
  });
}

/** Sizes of the images to load, in bytes. */
export interface LoadSizes {
  /** The kernel's text_offset: its offset from the start of RAM. */
  readonly textOffset: number;
  /** Size of the kernel in memory from there on. */
  readonly kernel: number;
  readonly deviceTree: number;
  /** 0 for no initrd. */
  readonly initrd: number;
}

/** Load addresses. `initrd` is meaningless without an initrd. */
export interface LoadAddresses {
  readonly kernel: bigint;
  readonly deviceTree: bigint;
  readonly initrd: bigint;
}

/**
 * The addresses where Xen loads a guest's kernel, device tree and initrd. The kernel is at the start of RAM plus its
 * offset. The other two, each rounded up to 2 MiB, are at 128 MiB; or at the end of the first bank, if the bank or the
 * kernel leaves no space there (place_modules). Throws {@link InputError} if they do not fit in the first bank.
 */
export function placeGuest([bank]: readonly MemoryRange[], sizes: LoadSizes): LoadAddresses {
  const { start, size } = bank ?? { start: 0n, size: 0n };
  const kernel = start + BigInt(sizes.textOffset);
  const kernelEnd = alignUp(kernel + BigInt(sizes.kernel), sectionBytes);
  const treeBytes = alignUp(BigInt(sizes.deviceTree), sectionBytes);
  const moduleBytes = treeBytes + alignUp(BigInt(sizes.initrd), sectionBytes);
  const preferred = start + 128n * mebibyte;
  const fitsThere = start + size >= preferred + moduleBytes && kernelEnd <= preferred;
  const modules = fitsThere ? preferred : start + size - moduleBytes;
  if (modules < kernelEnd) {
    const needed = (kernelEnd - start + moduleBytes + mebibyte - 1n) / mebibyte;
    throw new InputError(
      `${size / mebibyte} MiB of memory is too little: the kernel, device tree and initrd alone take ${needed} MiB`,
    );
  }
  return { kernel, deviceTree: modules, initrd: modules + treeBytes };
}
