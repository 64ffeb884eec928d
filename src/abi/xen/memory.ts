/** public/memory.h: what a guest asks about its physical memory. */
import { struct, u16, u32, u64, union } from '../struct.js';
import { domid_t, guest_handle, xen_pfn_t, xen_ulong_t } from './types.js';

export const XENMEM_increase_reservation = 0;
export const XENMEM_decrease_reservation = 1;
export const XENMEM_maximum_ram_page = 2;
export const XENMEM_current_reservation = 3;
export const XENMEM_maximum_reservation = 4;
export const XENMEM_machphys_mfn_list = 5;
export const XENMEM_populate_physmap = 6;
export const XENMEM_add_to_physmap = 7;
export const XENMEM_memory_map = 9;
export const XENMEM_machine_memory_map = 10;
export const XENMEM_exchange = 11;
export const XENMEM_machphys_mapping = 12;
export const XENMEM_set_memory_map = 13;
export const XENMEM_maximum_gpfn = 14;
export const XENMEM_remove_from_physmap = 15;
export const XENMEM_set_pod_target = 16;
export const XENMEM_get_pod_target = 17;
export const XENMEM_get_sharing_freed_pages = 18;
export const XENMEM_get_sharing_shared_pages = 19;
export const XENMEM_paging_op = 20;
export const XENMEM_access_op = 21;
export const XENMEM_sharing_op = 22;
export const XENMEM_add_to_physmap_batch = 23;
export const XENMEM_claim_pages = 24;
export const XENMEM_machphys_compat_mfn_list = 25;
export const XENMEM_get_vnumainfo = 26;
export const XENMEM_reserved_device_memory_map = 27;
export const XENMEM_acquire_resource = 28;

/** Flags of xen_memory_reservation's `mem_flags`, above the address width in bits and the node. */
export const XENMEMF_populate_on_demand = 0x10000;
export const XENMEMF_exact_node_request = 0x20000;
export const XENMEMF_vnode = 0x40000;

/** Extents of 2^extent_order pages; `extent_start` points to their first frame numbers. */
export const xen_memory_reservation = struct('xen_memory_reservation', {
  extent_start: guest_handle,
  nr_extents: xen_ulong_t,
  extent_order: u32,
  mem_flags: u32,
  domid: domid_t,
});

export const xen_memory_exchange = struct('xen_memory_exchange', {
  in: xen_memory_reservation,
  out: xen_memory_reservation,
  nr_exchanged: xen_ulong_t,
});

/** The argument of the operations that ask one number about a domain. */
export const xen_memory_domain = struct('xen_memory_domain', { domid: domid_t });

export const xen_machphys_mfn_list = struct('xen_machphys_mfn_list', {
  max_extents: u32,
  extent_start: guest_handle,
  nr_extents: u32,
});

export const xen_machphys_mapping = struct('xen_machphys_mapping', {
  v_start: xen_ulong_t,
  v_end: xen_ulong_t,
  max_mfn: xen_ulong_t,
});

/** What it is that XENMEM_add_to_physmap puts at `gpfn`. */
export const XENMAPSPACE_shared_info = 0;
export const XENMAPSPACE_grant_table = 1;
export const XENMAPSPACE_gmfn = 2;
export const XENMAPSPACE_gmfn_range = 3;
export const XENMAPSPACE_gmfn_foreign = 4;
export const XENMAPSPACE_dev_mmio = 5;

/** Or-ed into `idx` of XENMAPSPACE_grant_table: the frame of status words, not of entries. */
export const XENMAPIDX_grant_table_status = 0x8000_0000;

/** `size` is in pages, and for XENMAPSPACE_gmfn_range alone. */
export const xen_add_to_physmap = struct('xen_add_to_physmap', {
  domid: domid_t,
  size: u16,
  space: u32,
  idx: xen_ulong_t,
  gpfn: xen_pfn_t,
});

export const xen_add_to_physmap_batch = struct('xen_add_to_physmap_batch', {
  domid: domid_t,
  space: u16,
  size: u16,
  u: union('xen_add_to_physmap_batch_extra', { foreign_domid: domid_t, res0: u16 }),
  idxs: guest_handle,
  gpfns: guest_handle,
  errs: guest_handle,
});

export const xen_remove_from_physmap = struct('xen_remove_from_physmap', { domid: domid_t, gpfn: xen_pfn_t });

/** `buffer` points to entries of the E820 form, 20 bytes each. */
export const xen_memory_map = struct('xen_memory_map', { nr_entries: u32, buffer: guest_handle });

export const xen_foreign_memory_map = struct('xen_foreign_memory_map', {
  domid: domid_t,
  map: xen_memory_map,
});

export const xen_pod_target = struct('xen_pod_target', {
  target_pages: u64,
  tot_pages: u64,
  pod_cache_pages: u64,
  pod_entries: u64,
  domid: domid_t,
});

export const XENMEM_resource_ioreq_server = 0;
export const XENMEM_resource_grant_table = 1;
export const XENMEM_resource_vmtrace_buf = 2;
export const XENMEM_resource_grant_table_id_shared = 0;
export const XENMEM_resource_grant_table_id_status = 1;

export const xen_mem_acquire_resource = struct('xen_mem_acquire_resource', {
  domid: domid_t,
  type: u16,
  id: u32,
  nr_frames: u32,
  pad: u32,
  frame: u64,
  frame_list: guest_handle,
});

export const xen_vmemrange = struct('xen_vmemrange', { start: u64, end: u64, flags: u32, nid: u32 });

/** The three handles point to `nr_vnodes` squared u32, `nr_vcpus` u32 and `nr_vmemranges` ranges. */
export const xen_vnuma_topology_info = struct('xen_vnuma_topology_info', {
  domid: domid_t,
  pad: u16,
  nr_vnodes: u32,
  nr_vcpus: u32,
  nr_vmemranges: u32,
  vdistance: union('vdistance', { h: guest_handle, pad: u64 }),
  vcpu_to_vnode: union('vcpu_to_vnode', { h: guest_handle, pad: u64 }),
  vmemrange: union('vmemrange', { h: guest_handle, pad: u64 }),
});
