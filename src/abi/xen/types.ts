/**
 * The scalar types that Xen's headers share (public/xen.h, arch-x86/xen.h, arch-arm.h), and what it means that
 * a layout or a number depends on the architecture. Both architectures here are 64-bit, little-endian.
 */
import { u16, u32, u64 } from '../struct.js';

/** The architectures whose guest ABI is declared here, by the names of public/foreign. */
export type Arch = 'x86_64' | 'arm64';

/** What differs by architecture: pick with `[arch]`. */
export interface PerArch<X86, Arm = X86> {
  readonly x86_64: X86;
  readonly arm64: Arm;
}

export const domid_t = u16;
/** `unsigned long` on x86-64, `uint64_t` on Arm: eight bytes on both. */
export const xen_ulong_t = u64;
/** A guest frame number as wide as the ABI carries it. */
export const xen_pfn_t = u64;
export const evtchn_port_t = u32;
export const grant_ref_t = u32;
export const grant_handle_t = u32;

/** XEN_GUEST_HANDLE(type): a guest virtual address, or null. Always eight bytes, on arm64 by design. */
export const guest_handle = u64;
