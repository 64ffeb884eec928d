/**
 * The console daemon's end of a PV console (public/io/console.h; Xen 4.17 tools/console/daemon/io.c). Its page is guest
 * memory: where the guest puts nonsense there, nothing is read or written.
 */
import { viewOf, xencons_interface } from '../abi/index.js';
import { present } from '../base/index.js';
import type { Domain, PvConsoleState } from './domain.js';
import { sendFromRemote } from './event_channels/index.js';

const { offsets, fields } = xencons_interface;

type Index = 'in_cons' | 'in_prod' | 'out_cons' | 'out_prod';

function sharedPage({ memory }: Domain, { mfn }: PvConsoleState): Uint8Array {
  return present(memory.writable(mfn), `the console page, frame ${mfn}`);
}

function index(page: Uint8Array, name: Index): number {
  return viewOf(page).getUint32(offsets[name], true);
}

/**
 * Takes the guest's output, at most the 2048 bytes of the ring, and notifies the guest that there is space. Empty
 * if there is no output, no console, or more than the ring can contain (buffer_append). The daemon is as fast as any guest:
 * it discards output that nobody reads.
 */
export function drainConsole(domain: Domain): Uint8Array {
  const console = domain.state.pvConsole;
  if (console === null) return new Uint8Array(0);
  const page = sharedPage(domain, console);
  const from = index(page, 'out_cons');
  const count = (index(page, 'out_prod') - from) >>> 0;
  if (count === 0 || count > fields.out.size) return new Uint8Array(0);
  const ring = page.subarray(offsets.out, offsets.out + fields.out.size);
  const text = Uint8Array.from({ length: count }, (_, i) => ring[(from + i) % ring.length] ?? 0);
  viewOf(page).setUint32(offsets.out_cons, from + count, true);
  sendFromRemote(domain, console.port);
  return text;
}

/**
 * Writes as much input for the guest as fits, and notifies the guest. Returns the number of bytes accepted; the caller must
 * pass the rest again later (ring_free_bytes, handle_tty_read).
 */
export function feedConsole(domain: Domain, text: Uint8Array): number {
  const console = domain.state.pvConsole;
  if (console === null) return 0;
  const page = sharedPage(domain, console);
  const from = index(page, 'in_prod');
  const used = (from - index(page, 'in_cons')) >>> 0;
  const count = Math.min(text.length, Math.max(0, fields.in.size - used));
  if (count === 0) return 0;
  const ring = page.subarray(offsets.in, offsets.in + fields.in.size);
  for (const [i, byte] of text.subarray(0, count).entries()) ring[(from + i) % ring.length] = byte;
  viewOf(page).setUint32(offsets.in_prod, from + count, true);
  sendFromRemote(domain, console.port);
  return count;
}
