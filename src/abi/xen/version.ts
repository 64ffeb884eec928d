/** public/version.h: which Xen this is and what it offers. */
import { bytes, struct, u32 } from '../struct.js';
import { xen_ulong_t } from './types.js';

/** Answer: major << 16 | minor. No argument. */
export const XENVER_version = 0;
export const XENVER_extraversion = 1;
export const XENVER_compile_info = 2;
export const XENVER_capabilities = 3;
export const XENVER_changeset = 4;
export const XENVER_platform_parameters = 5;
export const XENVER_get_features = 6;
/** Answer: 4096. No argument. */
export const XENVER_pagesize = 7;
export const XENVER_guest_handle = 8;
export const XENVER_commandline = 9;
export const XENVER_build_id = 10;

export const xen_extraversion_t = bytes(16);
export const XEN_EXTRAVERSION_LEN = 16;

export const xen_compile_info = struct('xen_compile_info', {
  compiler: bytes(64),
  compile_by: bytes(16),
  compile_domain: bytes(32),
  compile_date: bytes(32),
});

export const xen_capabilities_info_t = bytes(1024);
export const XEN_CAPABILITIES_INFO_LEN = 1024;

export const xen_changeset_info_t = bytes(64);
export const XEN_CHANGESET_INFO_LEN = 64;

export const xen_platform_parameters = struct('xen_platform_parameters', { virt_start: xen_ulong_t });

/** In: which submap; out: its 32 feature bits. */
export const xen_feature_info = struct('xen_feature_info', { submap_idx: u32, submap: u32 });

export const xen_commandline_t = bytes(1024);

/** The head of the answer; `len` bytes of build id follow. With a null pointer Xen answers the length alone. */
export const xen_build_id = struct('xen_build_id', { len: u32, buf: bytes(0) });
