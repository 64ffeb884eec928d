/** public/io/console.h: the page by which a guest and its console daemon exchange text. */
import { bytes, struct, u32 } from '../struct.js';

/** A free-running index; its place in a ring is the index modulo the ring's length. */
export const XENCONS_RING_IDX = u32;

/** `in` goes to the guest, `out` comes from it; `cons` is read up to, `prod` written up to. */
export const xencons_interface = struct('xencons_interface', {
  in: bytes(1024),
  out: bytes(2048),
  in_cons: XENCONS_RING_IDX,
  in_prod: XENCONS_RING_IDX,
  out_cons: XENCONS_RING_IDX,
  out_prod: XENCONS_RING_IDX,
});
