/** Reads the memory of a running guest by guest physical address, and compares it with kernels in files. */
import { frameBytes } from '../base/index.js';
import { mfnOfGfn } from '../hypervisor/index.js';
import type { GuestMachine } from './guest.js';
import type { KernelImage } from './kernel_image.js';

/**
 * No kernel's image with all its memory is larger: Debian's have some 40 MiB on arm64. A guest must not make the host keep many
 * copies of its memory.
 */
export const mostImageBytes = 128 << 20;

/** `size` bytes at a guest physical address; null if a part of them is not in memory. */
export function readPhysical(machine: GuestMachine, address: bigint, size: number): Uint8Array | null {
  const bytes = new Uint8Array(size);
  for (let done = 0; done < size;) {
    const at = address + BigInt(done);
    const mfn = mfnOfGfn(machine.domain, Number(at >> 12n));
    const frame = mfn === null ? undefined : machine.frames.readable(mfn);
    if (frame === undefined) return null;
    const from = Number(at & 0xfffn);
    const count = Math.min(frameBytes - from, size - done);
    bytes.set(frame.subarray(from, from + count), done);
    done += count;
  }
  return bytes;
}

/** The memory page at a guest physical address, to be looked at now; null where there is none. */
export function peekPhysical(
  { domain, frames, processor }: GuestMachine,
  address: bigint,
): Uint8Array | null {
  const mfn = mfnOfGfn(domain, Number(address >> 12n));
  const offset = mfn === null ? null : frames.offsetOf(mfn);
  return offset === null ? null : processor.peek(offset);
}

/**
 * Whether an address is in the RAM that the guest was built with. Something else may be mapped there by now: the shared_info that a
 * kernel before had mapped may lie within the image of the next one.
 */
export function isInRam({ domain }: GuestMachine, address: bigint): boolean {
  if (address < 0n || address >> 48n !== 0n) return false;
  const frame = Number(address >> 12n);
  return domain.state.config.ram.some(({ start, count }) => frame >= start && frame < start + count);
}

/** The memory of an image; zeros where none is mapped. */
export function readImage(machine: GuestMachine, at: bigint, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let done = 0; done < size; done += frameBytes) {
    const part = readPhysical(machine, at + BigInt(done), Math.min(frameBytes, size - done));
    if (part !== null) bytes.set(part, done);
  }
  return bytes;
}

/** How much of each page is compared. */
const comparedBytes = 64;

/**
 * Whether an image in memory, when it is entered, is `file`: at least `share` of its pages must begin alike. It may have written a few
 * variables, and a loader may have relocated it.
 */
export function isImageOf(
  machine: GuestMachine,
  at: bigint,
  size: number,
  { bytes: file }: KernelImage,
  share: number,
): boolean {
  if (size < file.length) return false;
  const pages = Math.floor(file.length / frameBytes);
  let equal = 0;
  for (let page = 0; page < pages; page += 1) {
    const found = peekPhysical(machine, at + BigInt(page * frameBytes));
    let same = 0;
    while (same < comparedBytes && found?.[same] === file[page * frameBytes + same]) same += 1;
    if (same === comparedBytes) equal += 1;
  }
  return pages > 0 && equal >= share * pages;
}
