/** public/grant_table.h: grant entries, and the operations on grant tables. */
import { array, s16, struct, u16, u32, u64, union } from '../struct.js';
import { domid_t, grant_handle_t, grant_ref_t, guest_handle, xen_pfn_t } from './types.js';

export const GNTTABOP_map_grant_ref = 0;
export const GNTTABOP_unmap_grant_ref = 1;
export const GNTTABOP_setup_table = 2;
export const GNTTABOP_dump_table = 3;
export const GNTTABOP_transfer = 4;
export const GNTTABOP_copy = 5;
export const GNTTABOP_query_size = 6;
export const GNTTABOP_unmap_and_replace = 7;
export const GNTTABOP_set_version = 8;
export const GNTTABOP_get_status_frames = 9;
export const GNTTABOP_get_version = 10;
export const GNTTABOP_swap_grant_ref = 11;
export const GNTTABOP_cache_flush = 12;

/** A version 1 entry: 512 to a frame. */
export const grant_entry_v1 = struct('grant_entry_v1', { flags: u16, domid: domid_t, frame: u32 });

/** The first entries outlive a change of version; the toolstack fills in the two that have a name. */
export const GNTTAB_NR_RESERVED_ENTRIES = 8;
export const GNTTAB_RESERVED_CONSOLE = 0;
export const GNTTAB_RESERVED_XENSTORE = 1;

/** An entry's `flags`: its type in the low two bits, then how it may be used and is in use. */
export const GTF_invalid = 0;
export const GTF_permit_access = 1;
export const GTF_accept_transfer = 2;
export const GTF_transitive = 3;
export const GTF_type_mask = 3;
export const GTF_readonly = 0x4;
export const GTF_reading = 0x8;
export const GTF_writing = 0x10;
export const GTF_PWT = 0x20;
export const GTF_PCD = 0x40;
export const GTF_PAT = 0x80;
export const GTF_sub_page = 0x100;
/** Of GTF_accept_transfer alone. */
export const GTF_transfer_committed = 0x4;
export const GTF_transfer_completed = 0x8;

export const grant_entry_header = struct('grant_entry_header', { flags: u16, domid: domid_t });

/** A version 2 entry: 256 to a frame; which member holds depends on the type and GTF_sub_page. */
export const grant_entry_v2 = union('grant_entry_v2', {
  hdr: grant_entry_header,
  full_page: struct('full_page', { hdr: grant_entry_header, pad0: u32, frame: u64 }),
  sub_page: struct('sub_page', { hdr: grant_entry_header, page_off: u16, length: u16, frame: u64 }),
  transitive: struct('transitive', {
    hdr: grant_entry_header,
    trans_domid: domid_t,
    pad0: u16,
    gref: grant_ref_t,
  }),
  __spacer: array(u32, 4),
});

/** In version 2 GTF_reading and GTF_writing stand in an array of these, apart from the entries. */
export const grant_status_t = u16;

/** `status` in these is one of GNTST_*: zero or negative. */
export const gnttab_map_grant_ref = struct('gnttab_map_grant_ref', {
  host_addr: u64,
  flags: u32,
  ref: grant_ref_t,
  dom: domid_t,
  status: s16,
  handle: grant_handle_t,
  dev_bus_addr: u64,
});

export const gnttab_unmap_grant_ref = struct('gnttab_unmap_grant_ref', {
  host_addr: u64,
  dev_bus_addr: u64,
  handle: grant_handle_t,
  status: s16,
});

export const gnttab_setup_table = struct('gnttab_setup_table', {
  dom: domid_t,
  nr_frames: u32,
  status: s16,
  frame_list: guest_handle,
});

export const gnttab_dump_table = struct('gnttab_dump_table', { dom: domid_t, status: s16 });

export const gnttab_transfer = struct('gnttab_transfer', {
  mfn: xen_pfn_t,
  domid: domid_t,
  ref: grant_ref_t,
  status: s16,
});

/** Flags of gnttab_copy: that end is a grant reference, not a frame number. */
export const GNTCOPY_source_gref = 1;
export const GNTCOPY_dest_gref = 2;

export const gnttab_copy_ptr = struct('gnttab_copy_ptr', {
  u: union('u', { ref: grant_ref_t, gmfn: xen_pfn_t }),
  domid: domid_t,
  offset: u16,
});

export const gnttab_copy = struct('gnttab_copy', {
  source: gnttab_copy_ptr,
  dest: gnttab_copy_ptr,
  len: u16,
  flags: u16,
  status: s16,
});

export const gnttab_query_size = struct('gnttab_query_size', {
  dom: domid_t,
  nr_frames: u32,
  max_nr_frames: u32,
  status: s16,
});

export const gnttab_unmap_and_replace = struct('gnttab_unmap_and_replace', {
  host_addr: u64,
  new_addr: u64,
  handle: grant_handle_t,
  status: s16,
});

/** In: the version asked for; out: the version in force. */
export const gnttab_set_version = struct('gnttab_set_version', { version: u32 });

export const gnttab_get_status_frames = struct('gnttab_get_status_frames', {
  nr_frames: u32,
  dom: domid_t,
  status: s16,
  frame_list: guest_handle,
});

export const gnttab_get_version = struct('gnttab_get_version', { dom: domid_t, pad: u16, version: u32 });

export const gnttab_swap_grant_ref = struct('gnttab_swap_grant_ref', {
  ref_a: grant_ref_t,
  ref_b: grant_ref_t,
  status: s16,
});

export const GNTTAB_CACHE_CLEAN = 1;
export const GNTTAB_CACHE_INVAL = 2;
export const GNTTAB_CACHE_SOURCE_GREF = 0x8000_0000;

export const gnttab_cache_flush = struct('gnttab_cache_flush', {
  a: union('a', { dev_bus_addr: u64, ref: grant_ref_t }),
  offset: u16,
  length: u16,
  op: u32,
});

/** Flags of gnttab_map_grant_ref. */
export const GNTMAP_device_map = 1;
export const GNTMAP_host_map = 2;
export const GNTMAP_readonly = 4;
export const GNTMAP_application_map = 8;
export const GNTMAP_contains_pte = 16;
export const GNTMAP_guest_avail_mask = 0xffff_0000;

export const GNTST_okay = 0;
export const GNTST_general_error = -1;
export const GNTST_bad_domain = -2;
export const GNTST_bad_gntref = -3;
export const GNTST_bad_handle = -4;
export const GNTST_bad_virt_addr = -5;
export const GNTST_bad_dev_addr = -6;
export const GNTST_no_device_space = -7;
export const GNTST_permission_denied = -8;
export const GNTST_bad_page = -9;
export const GNTST_bad_copy_arg = -10;
export const GNTST_address_too_big = -11;
export const GNTST_eagain = -12;
export const GNTST_no_space = -13;
