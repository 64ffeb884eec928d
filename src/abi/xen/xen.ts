/** public/xen.h: hypercall numbers, domain ids, VIRQs, and the pages that a domain shares with Xen. */
import { array, bytes, s8, struct, u32, u64, u8, union } from '../struct.js';
import { arch_shared_info, arch_vcpu_info, XEN_LEGACY_MAX_VCPUS } from './arch.js';
import { xen_pfn_t, xen_ulong_t } from './types.js';

export const __HYPERVISOR_set_trap_table = 0;
export const __HYPERVISOR_mmu_update = 1;
export const __HYPERVISOR_set_gdt = 2;
export const __HYPERVISOR_stack_switch = 3;
export const __HYPERVISOR_set_callbacks = 4;
export const __HYPERVISOR_fpu_taskswitch = 5;
export const __HYPERVISOR_sched_op_compat = 6;
export const __HYPERVISOR_platform_op = 7;
export const __HYPERVISOR_set_debugreg = 8;
export const __HYPERVISOR_get_debugreg = 9;
export const __HYPERVISOR_update_descriptor = 10;
export const __HYPERVISOR_memory_op = 12;
export const __HYPERVISOR_multicall = 13;
export const __HYPERVISOR_update_va_mapping = 14;
export const __HYPERVISOR_set_timer_op = 15;
export const __HYPERVISOR_event_channel_op_compat = 16;
export const __HYPERVISOR_xen_version = 17;
export const __HYPERVISOR_console_io = 18;
export const __HYPERVISOR_physdev_op_compat = 19;
export const __HYPERVISOR_grant_table_op = 20;
export const __HYPERVISOR_vm_assist = 21;
export const __HYPERVISOR_update_va_mapping_otherdomain = 22;
export const __HYPERVISOR_iret = 23;
export const __HYPERVISOR_vcpu_op = 24;
export const __HYPERVISOR_set_segment_base = 25;
export const __HYPERVISOR_mmuext_op = 26;
export const __HYPERVISOR_xsm_op = 27;
export const __HYPERVISOR_nmi_op = 28;
export const __HYPERVISOR_sched_op = 29;
export const __HYPERVISOR_callback_op = 30;
export const __HYPERVISOR_xenoprof_op = 31;
export const __HYPERVISOR_event_channel_op = 32;
export const __HYPERVISOR_physdev_op = 33;
export const __HYPERVISOR_hvm_op = 34;
export const __HYPERVISOR_sysctl = 35;
export const __HYPERVISOR_domctl = 36;
export const __HYPERVISOR_kexec_op = 37;
export const __HYPERVISOR_tmem_op = 38;
export const __HYPERVISOR_argo_op = 39;
export const __HYPERVISOR_xenpmu_op = 40;
export const __HYPERVISOR_dm_op = 41;
export const __HYPERVISOR_hypfs_op = 42;
export const __HYPERVISOR_arch_0 = 48;
export const __HYPERVISOR_arch_1 = 49;
export const __HYPERVISOR_arch_2 = 50;
export const __HYPERVISOR_arch_3 = 51;
export const __HYPERVISOR_arch_4 = 52;
export const __HYPERVISOR_arch_5 = 53;
export const __HYPERVISOR_arch_6 = 54;
export const __HYPERVISOR_arch_7 = 55;

export const VIRQ_TIMER = 0;
export const VIRQ_DEBUG = 1;
export const VIRQ_CONSOLE = 2;
export const VIRQ_DOM_EXC = 3;
export const VIRQ_TBUF = 4;
export const VIRQ_DEBUGGER = 6;
export const VIRQ_XENOPROF = 7;
export const VIRQ_CON_RING = 8;
export const VIRQ_PCPU_STATE = 9;
export const VIRQ_MEM_EVENT = 10;
export const VIRQ_ARGO = 11;
export const VIRQ_ENOMEM = 12;
export const VIRQ_XENPMU = 13;
export const VIRQ_ARCH_0 = 16;
export const VIRQ_ARCH_1 = 17;
export const VIRQ_ARCH_2 = 18;
export const VIRQ_ARCH_3 = 19;
export const VIRQ_ARCH_4 = 20;
export const VIRQ_ARCH_5 = 21;
export const VIRQ_ARCH_6 = 22;
export const VIRQ_ARCH_7 = 23;
export const NR_VIRQS = 24;

export const CONSOLEIO_write = 0;
export const CONSOLEIO_read = 1;

export const VMASST_CMD_enable = 0;
export const VMASST_CMD_disable = 1;
export const VMASST_TYPE_4gb_segments = 0;
export const VMASST_TYPE_4gb_segments_notify = 1;
export const VMASST_TYPE_writable_pagetables = 2;
export const VMASST_TYPE_pae_extended_cr3 = 3;
export const VMASST_TYPE_architectural_iopl = 4;
export const VMASST_TYPE_runstate_update_flag = 5;
export const VMASST_TYPE_m2p_strict = 32;

/** Domain ids from here on name no ordinary domain. */
export const DOMID_FIRST_RESERVED = 0x7ff0;
export const DOMID_SELF = 0x7ff0;
export const DOMID_IO = 0x7ff1;
export const DOMID_XEN = 0x7ff2;
export const DOMID_COW = 0x7ff3;
export const DOMID_INVALID = 0x7ff4;
export const DOMID_IDLE = 0x7fff;
export const DOMID_MASK = 0x7fff;

export const multicall_entry = struct('multicall_entry', {
  op: xen_ulong_t,
  result: xen_ulong_t,
  args: array(xen_ulong_t, 6),
});

/** Bits of vcpu_time_info's `flags`. */
export const XEN_PVCLOCK_TSC_STABLE_BIT = 1;
export const XEN_PVCLOCK_GUEST_STOPPED = 2;

/**
 * How a vCPU turns its TSC into system time. `version` is odd while Xen writes; times in ns, and
 * ns = system_time + (((tsc - tsc_timestamp) << tsc_shift) * tsc_to_system_mul >> 32).
 */
export const vcpu_time_info = struct('vcpu_time_info', {
  version: u32,
  pad0: u32,
  tsc_timestamp: u64,
  system_time: u64,
  tsc_to_system_mul: u32,
  tsc_shift: s8,
  flags: u8,
  pad1: array(u8, 2),
});

/** A vCPU's upcall state: in its slot of shared_info, or where it was registered. */
export const vcpu_info = {
  x86_64: struct('vcpu_info', {
    evtchn_upcall_pending: u8,
    evtchn_upcall_mask: u8,
    evtchn_pending_sel: xen_ulong_t,
    arch: arch_vcpu_info.x86_64,
    time: vcpu_time_info,
  }),
  arm64: struct('vcpu_info', {
    evtchn_upcall_pending: u8,
    pad0: u8,
    evtchn_pending_sel: xen_ulong_t,
    arch: arch_vcpu_info.arm64,
    time: vcpu_time_info,
  }),
} as const;

const portBitmap = array(xen_ulong_t, 64);

/** Bitmaps of the two-level event ABI, and the wall clock: `wc_sec` and so on are UTC at system time 0. */
const sharedTail = {
  evtchn_pending: portBitmap,
  evtchn_mask: portBitmap,
  wc_version: u32,
  wc_sec: u32,
  wc_nsec: u32,
  wc_sec_hi: u32,
} as const;

/** The page that every domain shares with Xen. It is shorter than a page on both architectures. */
export const shared_info = {
  x86_64: struct('shared_info', {
    vcpu_info: array(vcpu_info.x86_64, XEN_LEGACY_MAX_VCPUS.x86_64),
    ...sharedTail,
    arch: arch_shared_info.x86_64,
  }),
  arm64: struct('shared_info', {
    vcpu_info: array(vcpu_info.arm64, XEN_LEGACY_MAX_VCPUS.arm64),
    ...sharedTail,
    arch: arch_shared_info.arm64,
  }),
} as const;

export const MAX_GUEST_CMDLINE = 1024;

/** Bits of start_info's `flags`. */
export const SIF_PRIVILEGED = 1;
export const SIF_INITDOMAIN = 2;
export const SIF_MULTIBOOT_MOD = 4;
export const SIF_MOD_START_PFN = 8;
export const SIF_VIRT_P2M_4TOOLS = 16;
export const SIF_PM_MASK = 0xff00;

/** What a PV guest finds in memory when it starts. x86 alone has it; a PVH guest gets hvm_start_info. */
export const start_info = struct('start_info', {
  magic: bytes(32),
  nr_pages: u64,
  shared_info: u64,
  flags: u32,
  store_mfn: xen_pfn_t,
  store_evtchn: u32,
  console: union('console', {
    domU: struct('domU', { mfn: xen_pfn_t, evtchn: u32 }),
    dom0: struct('dom0', { info_off: u32, info_size: u32 }),
  }),
  pt_base: u64,
  nr_pt_frames: u64,
  mfn_list: u64,
  mod_start: u64,
  mod_len: u64,
  cmd_line: bytes(MAX_GUEST_CMDLINE),
  first_p2m_pfn: u64,
  nr_p2m_frames: u64,
});
