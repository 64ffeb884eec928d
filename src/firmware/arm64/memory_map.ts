/**
 * The physical memory map of an arm64 guest: the RAM banks, and the regions that are free for mapping other domains'
 * memory (Xen 4.17 arch/arm/domain_build.c). Addresses and sizes are in bytes.
 */
import { GUEST_RAM0_BASE, GUEST_RAM0_SIZE, GUEST_RAM1_BASE, GUEST_RAM1_SIZE } from '../../abi/index.js';
import { InputError } from '../../base/index.js';
import type { MemoryRange } from '../memory_range.js';

export const mebibyte = 1n << 20n;
/** Alignment of loaded images and of extended regions in Xen. */
export const sectionBytes = 2n * mebibyte;
const minRegionBytes = 64n * mebibyte;

/** The address ranges for RAM in Xen's memory map: a bank below 4 GiB and one from 8 GiB on. */
const ramRoom: readonly MemoryRange[] = [
  { start: GUEST_RAM0_BASE, size: GUEST_RAM0_SIZE },
  { start: GUEST_RAM1_BASE, size: GUEST_RAM1_SIZE },
];

/** The maximum memory of a guest in MiB: 3 GiB in the first bank and 1,016 GiB in the second. */
export const maxMemoryMiB = Number(ramRoom.reduce((sum, { size }) => sum + size, 0n) / mebibyte);

export function alignUp(value: bigint, alignment: bigint): bigint {
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
