/**
 * Where Xen loads a guest's kernel, device tree and initrd (Xen 4.17 arch/arm/kernel.c). The kernel is entered at its first byte,
 * with the address of the device tree in x0 (Linux Documentation/arm64/booting.rst). Addresses and sizes are in bytes.
 */
import { InputError } from '../../base/index.js';
import type { MemoryRange } from '../memory_range.js';
import { alignUp, mebibyte, sectionBytes } from './memory_map.js';

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
