/** public/vcpu.h: operations on vCPUs, and the memory areas in which Xen tells a vCPU of its time and state. */
import { array, s32, struct, u32, u64, union } from '../struct.js';
import { guest_handle } from './types.js';

export const VCPUOP_initialise = 0;
export const VCPUOP_up = 1;
export const VCPUOP_down = 2;
export const VCPUOP_is_up = 3;
export const VCPUOP_get_runstate_info = 4;
export const VCPUOP_register_runstate_memory_area = 5;
export const VCPUOP_set_periodic_timer = 6;
export const VCPUOP_stop_periodic_timer = 7;
export const VCPUOP_set_singleshot_timer = 8;
export const VCPUOP_stop_singleshot_timer = 9;
export const VCPUOP_register_vcpu_info = 10;
export const VCPUOP_send_nmi = 11;
export const VCPUOP_get_physid = 12;
export const VCPUOP_register_vcpu_time_memory_area = 13;
/** Since 4.18, where XENFEAT_runstate_phys_area says so: `addr.p` is a guest physical address. */
export const VCPUOP_register_runstate_phys_area = 14;
/** Since 4.18, where XENFEAT_vcpu_time_phys_area says so: `addr.p` is a guest physical address. */
export const VCPUOP_register_vcpu_time_phys_area = 15;

export const RUNSTATE_running = 0;
export const RUNSTATE_runnable = 1;
export const RUNSTATE_blocked = 2;
export const RUNSTATE_offline = 3;

/** Set in `state_entry_time` while Xen writes the area, once VMASST_TYPE_runstate_update_flag is enabled. */
export const XEN_RUNSTATE_UPDATE = 0x8000_0000_0000_0000n;

/** Times in nanoseconds of system time; `time` is indexed by RUNSTATE_*. */
export const vcpu_runstate_info = struct('vcpu_runstate_info', {
  state: s32,
  state_entry_time: u64,
  time: array(u64, 4),
});

export const vcpu_register_runstate_memory_area = struct('vcpu_register_runstate_memory_area', {
  addr: union('addr', { h: guest_handle, v: u64, p: u64 }),
});

export const vcpu_set_periodic_timer = struct('vcpu_set_periodic_timer', { period_ns: u64 });

/** Flags of {@link vcpu_set_singleshot_timer}: answer ETIME for a time that is past. Ignored since 4.18. */
export const _VCPU_SSHOTTMR_future = 0;
export const VCPU_SSHOTTMR_future = 1;

export const vcpu_set_singleshot_timer = struct('vcpu_set_singleshot_timer', {
  timeout_abs_ns: u64,
  flags: u32,
});

/** `mfn` is a guest frame number in a translated guest; `offset` is in bytes within that frame. */
export const vcpu_register_vcpu_info = struct('vcpu_register_vcpu_info', {
  mfn: u64,
  offset: u32,
  rsvd: u32,
});

/** On x86 the low half is an APIC id, the high half an ACPI id: of the physical CPU, not of the vCPU. */
export const vcpu_get_physid = struct('vcpu_get_physid', { phys_id: u64 });

export const vcpu_register_time_memory_area = struct('vcpu_register_time_memory_area', {
  addr: union('addr', { h: guest_handle, v: u64, p: u64 }),
});
