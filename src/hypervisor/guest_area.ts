/** Memory that a guest registers and Xen writes to repeatedly: vcpu_info, runstate, time. */
import { XEN_EINVAL, XEN_ENXIO } from '../abi/index.js';
import { frameBytes, present } from '../base/index.js';
import type { CallerPort, Domain, FrameLocation } from './domain.js';
import { copyToGuest, mfnOfGfn } from './physmap.js';
import type { XenVcpuId } from '../identity/index.js';

/** Alignment of every such area: that of an xen_ulong_t, 8 bytes on both 64-bit architectures. */
export const areaAlignment = 8;

/**
 * The location of `size` bytes at guest physical `address`, or the negative error with which Xen refuses it: -XEN_ENXIO
 * when it crosses a page or is misaligned, -XEN_EINVAL when there is no page
 * (Xen 4.18 common/domain.c, map_guest_area; xen/common/memory.c, check_get_page_from_gfn).
 */
export function findLocation(domain: Domain, address: bigint, size: number): FrameLocation | number {
  const last = BigInt.asUintN(64, address + BigInt(size - 1));
  if (address >> 12n !== last >> 12n) return -XEN_ENXIO;
  if (address % BigInt(areaAlignment) !== 0n) return -XEN_ENXIO;
  const mfn = mfnOfGfn(domain, Number(address >> 12n));
  if (mfn === null) return -XEN_EINVAL;
  return { mfn, offset: Number(address & 0xfffn) };
}

/**
 * Whether a 64-bit PV guest may pass that virtual address: Xen reserves 16 * 512 GiB for itself, from the start of the
 * upper half (Xen 4.17 arch/x86/include/asm/x86_64/uaccess.h, __addr_ok). Other guests may pass any.
 */
export function isPvAddress(address: bigint): boolean {
  return address < 1n << 47n || address >= 0xffff_8800_0000_0000n;
}

/** Writes bytes into an area at a byte offset; does nothing if the area cannot be reached. */
export type AreaWriter = (offset: number, bytes: Uint8Array) => void;

/** Writes to a location that Xen keeps mapped. */
export function locationWriter({ memory }: Domain, location: FrameLocation): AreaWriter {
  return (offset, bytes) => {
    const from = location.offset + offset;
    const within = bytes.subarray(0, frameBytes - from);
    present(memory.writable(location.mfn, from, within.length), `frame ${location.mfn}`).set(within, from);
  };
}

/** Writes to a guest virtual address through the page tables of `vcpu`; does nothing if the access would fault. */
export function virtualWriter(domain: Domain, cpu: CallerPort, vcpu: XenVcpuId, address: bigint): AreaWriter {
  return (offset, bytes) => {
    copyToGuest(domain, cpu, vcpu, BigInt.asUintN(64, address + BigInt(offset)), bytes);
  };
}
