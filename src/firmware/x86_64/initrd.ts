/**
 * The initrd as libxl gives it to a PVH guest: one that is packed by gzip is unpacked on the host (Xen 4.17
 * tools/libs/guest/xg_dom_core.c, xc_dom_check_gzip and xc_dom_build_module; tools/libs/guest/xg_private.h). Nothing else is: not xz,
 * and not what follows a first archive that is not packed.
 */
import { Inflate } from 'pako';
import { viewOf } from '../../abi/index.js';
import { InputError } from '../../base/index.js';
import { compressionOf } from '../compression.js';

/** libxl unpacks nothing that is larger. */
const mostUnpacked = 2 ** 30;
/** Fewer bytes are not looked at. */
const fewest = 6;

/** The unpacked size by the last four bytes; 0 for a file that libxl does not unpack. */
function unpackedSize(file: Uint8Array): number {
  if (file.length < fewest || compressionOf(file) !== 'gzip') return 0;
  const size = viewOf(file).getUint32(file.length - 4, true);
  return size > mostUnpacked ? 0 : size;
}

/** What the first member of `file` unpacks to, followed by zeros; null if it is damaged, or larger than `size` bytes. */
function unpack(file: Uint8Array, size: number): Uint8Array | null {
  const unpacked = new Uint8Array(size);
  const state = { end: 0 };
  const inflate = new Inflate({ chunkSize: 1 << 18 });
  inflate.onData = (piece: Uint8Array) => {
    if (state.end + piece.length <= size) unpacked.set(piece, state.end);
    state.end += piece.length;
  };
  for (let at = 0; at < file.length && !inflate.ended && state.end <= size; at += 1 << 16) {
    inflate.push(file.subarray(at, at + (1 << 16)));
    if (inflate.err !== 0) return null;
  }
  return inflate.ended && state.end <= size ? unpacked : null;
}

/**
 * The initrd in a guest whose memory has `ramBytes`. Throws {@link InputError} if it would be unpacked to more than that: libxl makes
 * no guest then.
 */
export function loadedInitrd(file: Uint8Array, ramBytes: number): Uint8Array {
  const size = unpackedSize(file);
  if (size === 0) return file;
  if (size > ramBytes) {
    throw new InputError(
      `${ramBytes >> 20} MiB of memory is too little: the initrd is packed by gzip and unpacks to ${Math.ceil(size / 2 ** 20)} MiB`,
    );
  }
  const unpacked = unpack(file, size);
  // libxl then hands the file over as it is, in as much space as it had made for it.
  if (unpacked !== null && size >= file.length) return unpacked;
  const whole = new Uint8Array(Math.max(size, file.length));
  whole.set(unpacked ?? file);
  return whole;
}
