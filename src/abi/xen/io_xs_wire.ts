/** public/io/xs_wire.h: the page by which a guest and xenstore exchange messages, and their head. */
import { bytes, struct, u32 } from '../struct.js';

export const XS_CONTROL = 0;
export const XS_DIRECTORY = 1;
export const XS_READ = 2;
export const XS_GET_PERMS = 3;
export const XS_WATCH = 4;
export const XS_UNWATCH = 5;
export const XS_TRANSACTION_START = 6;
export const XS_TRANSACTION_END = 7;
export const XS_INTRODUCE = 8;
export const XS_RELEASE = 9;
export const XS_GET_DOMAIN_PATH = 10;
export const XS_WRITE = 11;
export const XS_MKDIR = 12;
export const XS_RM = 13;
export const XS_SET_PERMS = 14;
export const XS_WATCH_EVENT = 15;
export const XS_ERROR = 16;
export const XS_IS_DOMAIN_INTRODUCED = 17;
export const XS_RESUME = 18;
export const XS_SET_TARGET = 19;
/** 20 was XS_RESTRICT, which is gone. */
export const XS_RESET_WATCHES = 21;
export const XS_DIRECTORY_PART = 22;

/** `len` bytes follow, at most XENSTORE_PAYLOAD_MAX. */
export const xsd_sockmsg = struct('xsd_sockmsg', { type: u32, req_id: u32, tx_id: u32, len: u32 });

export const XENSTORE_RING_SIZE = 1024;

/** A free-running index; its place in a ring is the index modulo XENSTORE_RING_SIZE. */
export const XENSTORE_RING_IDX = u32;

/** `req` comes from the guest, `rsp` goes to it; `cons` is read up to, `prod` written up to. */
export const xenstore_domain_interface = struct('xenstore_domain_interface', {
  req: bytes(XENSTORE_RING_SIZE),
  rsp: bytes(XENSTORE_RING_SIZE),
  req_cons: XENSTORE_RING_IDX,
  req_prod: XENSTORE_RING_IDX,
  rsp_cons: XENSTORE_RING_IDX,
  rsp_prod: XENSTORE_RING_IDX,
  server_features: u32,
  connection: u32,
  error: u32,
});

/** What an XS_ERROR's payload says, a nul behind it: the names of errors, by which they cross architectures. */
export const xsd_errors = [
  'EINVAL',
  'EACCES',
  'EEXIST',
  'EISDIR',
  'ENOENT',
  'ENOMEM',
  'ENOSPC',
  'EIO',
  'ENOTEMPTY',
  'ENOSYS',
  'EROFS',
  'EBUSY',
  'EAGAIN',
  'EISCONN',
  'E2BIG',
  'EPERM',
] as const;
export type XsdError = (typeof xsd_errors)[number];

export const XENSTORE_PAYLOAD_MAX = 4096;
export const XENSTORE_ABS_PATH_MAX = 3072;
export const XENSTORE_REL_PATH_MAX = 2048;

/** Bits of `server_features`. */
export const XENSTORE_SERVER_FEATURE_RECONNECTION = 1;
export const XENSTORE_SERVER_FEATURE_ERROR = 2;

/** Values of `connection`: a guest waits for the first. */
export const XENSTORE_CONNECTED = 0;
export const XENSTORE_RECONNECT = 1;

/** Values of `error`. */
export const XENSTORE_ERROR_NONE = 0;
export const XENSTORE_ERROR_COMM = 1;
export const XENSTORE_ERROR_RINGIDX = 2;
export const XENSTORE_ERROR_PROTO = 3;
