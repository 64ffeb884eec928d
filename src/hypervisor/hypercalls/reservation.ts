/**
 * XENMEM_increase_reservation, decrease_reservation and populate_physmap, which a guest uses for ballooning. None of them
 * returns an error: the answer is the number of extents that were processed, whatever stopped the call.
 */
import {
  u64 as xen_pfn_t,
  viewOf,
  xen_memory_reservation,
  XENMEM_decrease_reservation,
  XENMEM_increase_reservation,
  XENMEM_populate_physmap,
  XENMEMF_exact_node_request,
  XENMEMF_populate_on_demand,
  XENMEMF_vnode,
} from '../../abi/index.js';
import type { ValueOf } from '../../abi/index.js';
import { isTranslated } from '../arch.js';
import { copyIn, plainOperation } from '../hypercall.js';
import type { HypercallContext, Detail, SubOperation } from '../hypercall.js';
import { copyFromGuest, copyToGuest, isAddressableGfn, mapGfn, mfnOfGfn } from '../physmap.js';
import { freeRam, takeContiguousRam, takeRam } from '../ram.js';
import { targetError } from './domid.js';
import { startExtent } from './memory_operation.js';

type Reservation = ValueOf<typeof xen_memory_reservation>;

/** The maximum extent for a domU: 2^9 pages (CONFIG_DOMU_MAX_ORDER). */
const maxOrder = 9;
/** Maximum number of extents in one call, so that a start extent fits into the command. */
const maxExtents = 0xffff_ffffn >> 6n;
const allNodes = 0xff;

/** Address width in bits 7:0, 0 for any; a NUMA node plus 1 in bits 15:8, which only some domains may require. */
function areFlagsRefused(flags: number): boolean {
  const addressBits = flags & 0xff;
  if (addressBits !== 0 && addressBits <= 12) return true;
  const node = (((flags >>> 8) & 0xff) - 1) & 0xff;
  return (flags & XENMEMF_vnode) === 0 && node !== allNodes && (flags & XENMEMF_exact_node_request) !== 0;
}

/** The state of one call while it processes its extents. */
interface Run {
  readonly context: HypercallContext;
  readonly reservation: Reservation;
  /** RAM frames that are still free. */
  readonly free: Set<number>;
}

/** Processes one extent; false if the call must stop. */
type Extent = (run: Run, index: number) => boolean;

function runExtents(
  context: HypercallContext,
  address: bigint,
  extent: Extent,
): { returned: number; detail: Detail } {
  const start = startExtent(context);
  const reservation = copyIn(context, xen_memory_reservation, address);
  const returned = reservation === null ? start : doExtents(context, reservation, start, extent);
  return { returned: Number(BigInt.asIntN(64, returned)), detail: { ...reservation } };
}

function doExtents(
  context: HypercallContext,
  reservation: Reservation,
  start: bigint,
  extent: Extent,
): bigint {
  const { nr_extents, domid, mem_flags, extent_order } = reservation;
  if (nr_extents > maxExtents || start >= nr_extents) return start;
  if (targetError(context.domain, domid) !== 0 || areFlagsRefused(mem_flags)) return start;
  if (extent_order > maxOrder) return start;
  const run = { context, reservation, free: freeRam(context.domain) };
  let done = start;
  while (done < nr_extents && extent(run, Number(done))) done += 1n;
  return done;
}

function frameAddress({ extent_start }: Reservation, index: number): bigint {
  return BigInt.asUintN(64, extent_start + BigInt(index) * 8n);
}

function readFrame(
  { domain, cpu, caller }: HypercallContext,
  reservation: Reservation,
  index: number,
): bigint | null {
  const bytes = copyFromGuest(domain, cpu, caller.id, frameAddress(reservation, index), 8);
  return bytes === null ? null : xen_pfn_t.read(viewOf(bytes), 0);
}

function writeFrame(
  context: HypercallContext,
  reservation: Reservation,
  index: number,
  frame: number,
): boolean {
  const { domain, cpu, caller } = context;
  const bytes = new Uint8Array(8);
  xen_pfn_t.write(viewOf(bytes), 0, BigInt(frame));
  return copyToGuest(domain, cpu, caller.id, frameAddress(reservation, index), bytes);
}

/** Pages that were removed before the first missing one stay removed. */
const giveBack: Extent = ({ context, reservation }, index) => {
  const { domain } = context;
  const first = readFrame(context, reservation, index);
  if (first === null || !isAddressableGfn(domain, first)) return false;
  for (let page = 0; page < 2 ** reservation.extent_order; page += 1) {
    const gfn = Number(first) + page;
    if (mfnOfGfn(domain, gfn) === null) return false;
    mapGfn(domain, gfn, null);
  }
  return true;
};

/**
 * With translation, at the guest frames that are named; for PV, at any free frames, whose numbers are returned.
 * No domain may request populate-on-demand for itself.
 */
const populate: Extent = (run, index) => {
  const { context, reservation, free } = run;
  const { domain } = context;
  const size = 2 ** reservation.extent_order;
  const first = readFrame(context, reservation, index);
  if (first === null || (reservation.mem_flags & XENMEMF_populate_on_demand) !== 0) return false;
  if (!isTranslated(domain)) return takeForPv(run, index);
  if (!isAddressableGfn(domain, first + BigInt(size - 1))) return false;
  const frames = takeRam(domain, free, size, Number(first));
  for (const [page, mfn] of (frames ?? []).entries()) mapGfn(domain, Number(first) + page, mfn);
  return frames !== null;
};

function takeForPv({ context, reservation, free }: Run, index: number): boolean {
  const { domain } = context;
  const frames = takeContiguousRam(domain, free, 2 ** reservation.extent_order);
  if (frames?.[0] === undefined) return false;
  for (const mfn of frames) mapGfn(domain, mfn, mfn);
  const unasked = reservation.extent_start === 0n;
  return unasked || writeFrame(context, reservation, index, frames[0]);
}

/** With translation, the pages would belong to the domain without being mapped; here they stay free. */
const increase: Extent = (run, index) => {
  const { context, reservation, free } = run;
  if (!isTranslated(context.domain)) return takeForPv(run, index);
  return takeRam(context.domain, free, 2 ** reservation.extent_order, 0) !== null;
};

const source = 'Xen 4.17 common/memory.c';

export const reservationOperations: readonly SubOperation[] = [
  plainOperation({
    name: 'XENMEM_increase_reservation',
    command: XENMEM_increase_reservation,
    source: `${source}, increase_reservation`,
    errors: [],
    body: (context, address) => runExtents(context, address, increase),
  }),
  plainOperation({
    name: 'XENMEM_decrease_reservation',
    command: XENMEM_decrease_reservation,
    source: `${source}, decrease_reservation`,
    errors: [],
    body: (context, address) => runExtents(context, address, giveBack),
  }),
  plainOperation({
    name: 'XENMEM_populate_physmap',
    command: XENMEM_populate_physmap,
    source: `${source}, populate_physmap`,
    errors: [],
    body: (context, address) => runExtents(context, address, populate),
  }),
];
