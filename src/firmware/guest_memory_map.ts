/**
 * Where things are in an arm64 guest's physical memory: the banks of RAM, the regions that are free for mapping other
 * domains' memory, and the places at which Xen loads kernel, device tree and initrd (Xen 4.17 arch/arm/domain_build.c
 * and kernel.c). Addresses and sizes are in bytes.
 */
import { GUEST_RAM0_BASE, GUEST_RAM0_SIZE, GUEST_RAM1_BASE, GUEST_RAM1_SIZE } from '../abi/index.js';
import { InputError } from '../base/index.js';

export interface MemoryRange {
  readonly start: bigint;
  readonly size: bigint;
}

const mebibyte = 1n << 20n;
/** Xen aligns what it loads, and the regions that it offers, to this. */
const sectionBytes = 2n * mebibyte;
const minRegionBytes = 64n * mebibyte;

/** The room that Xen's memory map has for RAM: a bank below 4 GiB and one from 8 GiB on. */
const ramRoom: readonly MemoryRange[] = [
  { start: GUEST_RAM0_BASE, size: GUEST_RAM0_SIZE },
  { start: GUEST_RAM1_BASE, size: GUEST_RAM1_SIZE },
];

/** The most memory that a guest can have, in MiB: 3 GiB in the first bank and 1,016 GiB in the second. */
export const maxMemoryMiB = Number(ramRoom.reduce((sum, { size }) => sum + size, 0n) / mebibyte);

function alignUp(value: bigint, alignment: bigint): bigint {
  return ((value + alignment - 1n) / alignment) * alignment;
}

function least(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}

/** The guest's RAM: the first bank is filled first. Throws {@link InputError} unless 1 <= `memoryMiB` <= {@link maxMemoryMiB}. */
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
 * The extended regions: what the RAM leaves free of each bank's room, from a 2 MiB boundary on, within
 * `addressBits` bits of guest physical address; none below 64 MiB (find_domU_holes).
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

/** What is to be loaded, in bytes. */
export interface LoadSizes {
  /** The kernel's text_offset: how far from the start of RAM it wants to be. */
  readonly textOffset: number;
  /** What the kernel takes from there on. */
  readonly kernel: number;
  readonly deviceTree: number;
  /** 0 for none. */
  readonly initrd: number;
}

/** Where each goes; `initrd` is meaningless when there is none. */
export interface LoadAddresses {
  readonly kernel: bigint;
  readonly deviceTree: bigint;
  readonly initrd: bigint;
}

/**
 * Where Xen loads a guest's kernel, device tree and initrd: the kernel at the start of RAM plus its offset, the other
 * two, each rounded to 2 MiB, from 128 MiB on; where RAM ends before that or the kernel reaches it, at the end of the
 * first bank (place_modules). Throws {@link InputError} when the first bank has no room for them.
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
