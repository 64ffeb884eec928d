/** What public/arch-x86/xen.h and public/arch-arm.h both define, each in its own form. */
import { array, bytes, struct, u32, u64 } from '../struct.js';
import { vcpu_guest_core_regs } from './arch_arm.js';
import { cpu_user_regs, trap_info } from './arch_x86.js';
import { xen_pfn_t } from './types.js';

/** How many vCPUs have their vcpu_info in shared_info; the others have none until they register one. */
export const XEN_LEGACY_MAX_VCPUS = { x86_64: 32, arm64: 1 } as const;

/** Bit of vcpu_guest_context's `flags`: the vCPU is to start online. */
export const VGCF_online = { x86_64: 0x20, arm64: 0x1 } as const;

/** Part of vcpu_info. Empty on Arm (as a GNU C struct may be). */
export const arch_vcpu_info = {
  x86_64: struct('arch_vcpu_info', { cr2: u64, pad: u64 }),
  arm64: struct('arch_vcpu_info', {}),
} as const;

/** Part of shared_info, for PV guests. Empty on Arm. */
export const arch_shared_info = {
  x86_64: struct('arch_shared_info', {
    max_pfn: u64,
    pfn_to_mfn_frame_list_list: xen_pfn_t,
    nmi_reason: u64,
    p2m_cr3: u64,
    p2m_vaddr: u64,
    p2m_generation: u64,
  }),
  arm64: struct('arch_shared_info', {}),
} as const;

/** The registers with which VCPUOP_initialise starts a PV vCPU, and the toolstack an Arm one. */
export const vcpu_guest_context = {
  x86_64: struct('vcpu_guest_context', {
    fpu_ctxt: struct('fpu_ctxt', { x: bytes(512) }),
    flags: u64,
    user_regs: cpu_user_regs,
    trap_ctxt: array(trap_info, 256),
    ldt_base: u64,
    ldt_ents: u64,
    gdt_frames: array(u64, 16),
    gdt_ents: u64,
    kernel_ss: u64,
    kernel_sp: u64,
    ctrlreg: array(u64, 8),
    debugreg: array(u64, 8),
    event_callback_eip: u64,
    failsafe_callback_eip: u64,
    syscall_callback_eip: u64,
    vm_assist: u64,
    fs_base: u64,
    gs_base_kernel: u64,
    gs_base_user: u64,
  }),
  arm64: struct('vcpu_guest_context', {
    flags: u32,
    user_regs: vcpu_guest_core_regs,
    sctlr: u64,
    ttbcr: u64,
    ttbr0: u64,
    ttbr1: u64,
  }),
} as const;
