/**
 * The frames of the grant table, in which a guest lists its grants. No other domain maps this domain's grants here, and
 * this domain maps no others, so the model of the table consists of its frames, their number and their version.
 */
import {
  grant_entry_v1,
  grant_entry_v2,
  GNTTAB_NR_RESERVED_ENTRIES,
  GTF_permit_access,
  GTF_reading,
  GTF_transitive,
  GTF_type_mask,
  GTF_writing,
  viewOf,
  XEN_EINVAL,
  XEN_ENOMEM,
  XEN_ENOSYS,
  XEN_ERANGE,
  XENMAPIDX_grant_table_status,
} from '../abi/index.js';
import type { ValueOf } from '../abi/index.js';
import { frameBytes, present } from '../base/index.js';
import { archOf, isTranslated } from './arch.js';
import type { Domain } from './domain.js';
import { allocateXenFrame, clearFrame, freeXenFrame, gfnOfMfn, mapGfn } from './physmap.js';

const entriesPerFrame = { 1: frameBytes / grant_entry_v1.size, 2: frameBytes / grant_entry_v2.size } as const;
/** Two bytes of status for each entry of version 2. */
const statusPerFrame = frameBytes / 2;

const framesPerStatusFrame = statusPerFrame / entriesPerFrame[2];

/** The number of frames of status words for a number of frames of version 2 entries. */
function statusFramesFor(frames: number): number {
  return Math.ceil(frames / framesPerStatusFrame);
}

/** How many entries the table has. */
export function grantEntries({ state }: Domain): number {
  return state.grants.frames.length * entriesPerFrame[state.grants.version];
}

/**
 * Extends the table to this number of frames if it is shorter, and under version 2 its status frames too. 0, or
 * -XEN_ENOMEM when Xen has no frames left (Xen 4.17 common/grant_table.c, gnttab_grow_table).
 */
export function growGrantTable(domain: Domain, frames: number): number {
  const { grants } = domain.state;
  const grown = growList(domain, grants.frames, frames);
  const statuses = grants.version === 2 ? statusFramesFor(frames) : 0;
  return grown && growList(domain, grants.statusFrames, statuses) ? 0 : -XEN_ENOMEM;
}

/** A PV guest uses machine frames, so each of them has the same number in the guest. */
function growList(domain: Domain, list: number[], length: number): boolean {
  while (list.length < length) {
    const mfn = allocateXenFrame(domain);
    if (mfn === null) return false;
    list.push(mfn);
    if (!isTranslated(domain)) mapGfn(domain, mfn, mfn);
  }
  return true;
}

/**
 * The machine frame behind XENMAPSPACE_grant_table's `index`. The table grows for it up to its maximum size; beyond that
 * the result is -XEN_EINVAL (Xen 4.17 common/grant_table.c, gnttab_map_frame_begin). The status bit of the index
 * has a meaning only under version 2.
 */
export function grantFrame(domain: Domain, index: bigint): number {
  const { grants } = domain.state;
  const statusBit = BigInt(XENMAPIDX_grant_table_status);
  const isStatus = grants.version === 2 && (index & statusBit) !== 0n;
  const number = Number(BigInt.asUintN(32, isStatus ? index & ~statusBit : index));
  const list = isStatus ? grants.statusFrames : grants.frames;
  const needed = (number + 1) * (isStatus ? framesPerStatusFrame : 1);
  if (number >= list.length && needed <= domain.state.config.maxGrantFrames) growGrantTable(domain, needed);
  return list[number] ?? -XEN_EINVAL;
}

/** The guest frame of that frame of the table; all ones if there is none (Xen's INVALID_GFN). */
export function gfnOfGrantFrame(domain: Domain, mfn: number): bigint {
  const gfn = gfnOfMfn(domain, mfn);
  return gfn === null ? 0xffff_ffff_ffff_ffffn : BigInt(gfn);
}

/** The highest version that Xen offers: 2, and 1 on Arm (GNTTAB_MAX_VERSION). */
function maxVersion(domain: Domain): 1 | 2 {
  return archOf(domain) === 'arm64' ? 1 : 2;
}

/**
 * Changes the format of the entries. All entries are dropped except the reserved ones, which are converted. 0, or
 * in this order: -XEN_EINVAL for an unknown version, -XEN_ENOSYS for one that is not offered, -XEN_ENOMEM,
 * -XEN_ERANGE for a reserved entry that version 1 cannot express (Xen 4.17 common/grant_table.c, gnttab_set_version).
 */
export function setGrantVersion(domain: Domain, version: number): number {
  const { grants } = domain.state;
  if (version !== 1 && version !== 2) return -XEN_EINVAL;
  if (version > maxVersion(domain)) return -XEN_ENOSYS;
  if (version === grants.version) return 0;
  return version === 2 ? toVersion2(domain) : toVersion1(domain);
}

type EntryV1 = ValueOf<typeof grant_entry_v1>;
const reserved = Array.from({ length: GNTTAB_NR_RESERVED_ENTRIES }, (_, i) => i);
const useFlags = GTF_reading | GTF_writing;

function writableView({ memory }: Domain, mfn: number | undefined): DataView {
  return viewOf(present(memory.writable(present(mfn, 'a frame of the grant table')), 'the frame'));
}

function clearTable(domain: Domain): DataView {
  for (const mfn of domain.state.grants.frames) clearFrame(domain, mfn);
  return writableView(domain, domain.state.grants.frames[0]);
}

function toVersion2(domain: Domain): number {
  const { grants } = domain.state;
  if (!growList(domain, grants.statusFrames, statusFramesFor(grants.frames.length))) return -XEN_ENOMEM;
  const old = writableView(domain, grants.frames[0]);
  const entries = reserved.map((i) => grant_entry_v1.read(old, i * grant_entry_v1.size));
  const table = clearTable(domain);
  const status = writableView(domain, grants.statusFrames[0]);
  for (const [i, { flags, domid, frame }] of entries.entries()) {
    status.setUint16(i * 2, flags & useFlags, true);
    const hdr = { flags: flags & ~useFlags, domid };
    grant_entry_v2.write(table, i * grant_entry_v2.size, {
      full_page: { hdr, pad0: 0, frame: BigInt(frame) },
    });
  }
  grants.version = 2;
  return 0;
}

function toVersion1(domain: Domain): number {
  const { grants } = domain.state;
  const entries = reservedAsVersion1(domain);
  if (entries === null) return -XEN_ERANGE;
  dropStatusFrames(domain);
  const table = clearTable(domain);
  for (const [i, entry] of entries.entries()) grant_entry_v1.write(table, i * grant_entry_v1.size, entry);
  grants.version = 1;
  return 0;
}

const noEntry: EntryV1 = { flags: 0, domid: 0, frame: 0 };

/** Null if one of them is transitive, or is for a frame above 2^32. Entries of other types are dropped. */
function reservedAsVersion1(domain: Domain): EntryV1[] | null {
  const { frames, statusFrames } = domain.state.grants;
  const table = writableView(domain, frames[0]);
  const status = writableView(domain, statusFrames[0]);
  const entries: EntryV1[] = [];
  for (const i of reserved) {
    const { full_page } = grant_entry_v2.read(table, i * grant_entry_v2.size);
    const { hdr, frame } = present(full_page, 'the entry');
    const type = hdr.flags & GTF_type_mask;
    if (type === GTF_transitive || (type === GTF_permit_access && frame >> 32n !== 0n)) return null;
    const flags = hdr.flags | status.getUint16(i * 2, true);
    entries.push(type === GTF_permit_access ? { flags, domid: hdr.domid, frame: Number(frame) } : noEntry);
  }
  return entries;
}

function dropStatusFrames(domain: Domain): void {
  const { grants } = domain.state;
  for (const mfn of grants.statusFrames) {
    const gfn = gfnOfMfn(domain, mfn);
    if (gfn !== null) mapGfn(domain, gfn, null);
    freeXenFrame(domain, mfn);
  }
  grants.statusFrames = [];
}
