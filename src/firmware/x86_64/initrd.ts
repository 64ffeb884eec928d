/**
 * The initrd as libxl gives it to a PVH guest: one that is packed by gzip is unpacked on the host (Xen 4.17
 * tools/libs/guest/xg_dom_core.c, xc_dom_check_gzip, xc_dom_do_gunzip and xc_dom_build_module; tools/libs/guest/xg_private.h). Nothing
 * else is: not xz, and not what follows a first archive that is not packed, or a first member of gzip.
 */
import { Z_FINISH, Z_OK, Z_STREAM_END, zlibInflate, zlibInflateInit2, ZStream } from 'pako';
import { viewOf } from '../../abi/index.js';
import { InputError } from '../../base/index.js';
import { compressionOf } from '../compression.js';

/** The most space that libxl makes for an unpacked module, bytes; also the largest size that it believes. */
const mostUnpacked = 2 ** 30;
/** Fewer bytes are not looked at. */
const fewest = 6;
/** What libxl adds to the size that a file has when it is unpacked. The guest is told of a module as much larger. */
const addedBytes = 16;
/** zlib's largest window, for data with a header of zlib or gzip (zlib.h, inflateInit2). */
const anyHeader = 15 + 32;

/** The space that libxl makes for the unpacked file, by its last four bytes; 0 for a file that it does not unpack. */
function spaceFor(file: Uint8Array): number {
  if (file.length < fewest || compressionOf(file) !== 'gzip') return 0;
  const space = viewOf(file).getUint32(file.length - 4, true) + addedBytes;
  return space > mostUnpacked ? 0 : space;
}

/**
 * What the first member of `file` unpacks to, followed by zeros; null if it is damaged, or larger than `space` bytes. What follows
 * that member is not looked at.
 */
function unpack(file: Uint8Array, space: number): Uint8Array | null {
  const unpacked = new Uint8Array(space);
  const stream = Object.assign(new ZStream(), {
    input: file,
    avail_in: file.length,
    output: unpacked,
    avail_out: space,
  });
  if (zlibInflateInit2(stream, anyHeader) !== Z_OK) return null;
  return zlibInflate(stream, Z_FINISH) === Z_STREAM_END ? unpacked : null;
}

/**
 * The initrd in a guest whose memory has `ramBytes`. Throws {@link InputError} if it would be unpacked to more than that: libxl makes
 * no guest then.
 */
export function loadedInitrd(file: Uint8Array, ramBytes: number): Uint8Array {
  const space = spaceFor(file);
  if (space === 0) return file;
  if (space > ramBytes) {
    throw new InputError(
      `${ramBytes >> 20} MiB of memory is too little: the initrd is packed by gzip and unpacks to ${Math.ceil((space - addedBytes) / 2 ** 20)} MiB`,
    );
  }
  // Where it cannot be unpacked, libxl hands the file over as it is. In both cases in the larger space of the two.
  const contents = unpack(file, space) ?? file;
  if (contents.length >= Math.max(space, file.length)) return contents;
  const whole = new Uint8Array(Math.max(space, file.length));
  whole.set(contents);
  return whole;
}
