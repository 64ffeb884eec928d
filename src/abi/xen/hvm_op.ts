/** public/hvm/hvm_op.h: operations of guests that run in hardware-assisted virtual machines. */
import { array, struct, u16, u32, u64, u8 } from '../struct.js';
import { domid_t } from './types.js';

export const HVMOP_set_param = 0;
export const HVMOP_get_param = 1;
export const HVMOP_flush_tlbs = 5;
export const HVMOP_pagetable_dying = 9;
export const HVMOP_get_time = 10;
export const HVMOP_xentrace = 11;
export const HVMOP_set_mem_access = 12;
export const HVMOP_get_mem_access = 13;
export const HVMOP_get_mem_type = 15;
/** x86 only. */
export const HVMOP_set_evtchn_upcall_vector = 23;
export const HVMOP_guest_request_vm_event = 24;
export const HVMOP_altp2m = 25;

/** `index` is one of HVM_PARAM_* (hvm_params.ts). */
export const xen_hvm_param = struct('xen_hvm_param', { domid: domid_t, pad: u16, index: u32, value: u64 });

/** What HVMOP_get_mem_type answers of a frame. */
export const HVMMEM_ram_rw = 0;
export const HVMMEM_ram_ro = 1;
export const HVMMEM_mmio_dm = 2;
export const HVMMEM_unused = 3;
export const HVMMEM_ioreq_server = 4;

export const xen_hvm_pagetable_dying = struct('xen_hvm_pagetable_dying', {
  domid: domid_t,
  pad: array(u16, 3),
  gpa: u64,
});

/** Out: system time in ns. */
export const xen_hvm_get_time = struct('xen_hvm_get_time', { now: u64 });

export const xen_hvm_get_mem_type = struct('xen_hvm_get_mem_type', {
  domid: domid_t,
  mem_type: u16,
  pad: array(u16, 2),
  pfn: u64,
});

/** x86 only: the interrupt vector by which `vcpu` gets its event upcalls through its local APIC. */
export const xen_hvm_evtchn_upcall_vector = struct('xen_hvm_evtchn_upcall_vector', { vcpu: u32, vector: u8 });
