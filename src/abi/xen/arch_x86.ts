/**
 * public/arch-x86/xen.h and xen-x86_64.h: what x86-64 alone has. What both
 * architectures have, each in its own form, is in arch.ts.
 */
import { array, struct, u16, u32, u64, u8 } from '../struct.js';

/** The first GDT page that belongs to Xen in a PV guest; see the public header's note on selectors. */
export const FIRST_RESERVED_GDT_PAGE = 14;
export const FIRST_RESERVED_GDT_BYTE = 57344;
export const FIRST_RESERVED_GDT_ENTRY = 7168;

/** Flat segments that Xen's own GDT pages offer to a 64-bit PV guest. */
export const FLAT_KERNEL_CS = 0xe033;
export const FLAT_KERNEL_DS = 0x0000;
export const FLAT_KERNEL_SS = 0xe02b;

/** `which` of the set_segment_base hypercall. */
export const SEGBASE_FS = 0;
export const SEGBASE_GS_USER = 1;
export const SEGBASE_GS_KERNEL = 2;
export const SEGBASE_GS_USER_SEL = 3;

/** An I/O port: bytes written go to Xen's console. */
export const XEN_HVM_DEBUGCONS_IOPORT = 0xe9;

export const trap_info = struct('trap_info', { vector: u8, flags: u8, cs: u16, address: u64 });

/** Registers as a PV guest hands them to VCPUOP_initialise; the members are the 64-bit views. */
export const cpu_user_regs = struct('cpu_user_regs', {
  r15: u64,
  r14: u64,
  r13: u64,
  r12: u64,
  rbp: u64,
  rbx: u64,
  r11: u64,
  r10: u64,
  r9: u64,
  r8: u64,
  rax: u64,
  rcx: u64,
  rdx: u64,
  rsi: u64,
  rdi: u64,
  error_code: u32,
  entry_vector: u32,
  rip: u64,
  cs: u16,
  _pad0: array(u16, 1),
  saved_upcall_mask: u8,
  _pad1: array(u8, 3),
  rflags: u64,
  rsp: u64,
  ss: u16,
  _pad2: array(u16, 3),
  es: u16,
  _pad3: array(u16, 3),
  ds: u16,
  _pad4: array(u16, 3),
  fs: u16,
  _pad5: array(u16, 3),
  gs: u16,
  _pad6: array(u16, 3),
});

export const VGCF_i387_valid = 1;
export const VGCF_in_kernel = 4;
export const VGCF_failsafe_disables_events = 8;
export const VGCF_syscall_disables_events = 16;
