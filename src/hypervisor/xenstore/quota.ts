/**
 * How much of the store a guest may use (Xen 4.17 tools/xenstore/xenstored_core.c, the quota_ variables; 4.18
 * tools/xenstored/domain.c, hard_quotas). Memory is counted as Xen's C xenstored counts it, whatever it takes here.
 */
import type { XenRelease } from '../release.js';
import { ownerOf } from './permissions.js';
import type { StoreNodeContent, StoreTransaction, StoreWatch, XenstoreState } from './state.js';

/** Nodes that a guest may own. */
export const maxNodes = 1000;
/** Limit of watches. The check comes before the count, so one more is accepted. */
export const maxWatches = 128;
/** Limit of concurrent transactions, in the same way. */
export const maxTransactions = 10;
/** Nodes that a transaction may read or change. */
export const maxTransactionNodes = 1024;
export const maxPermissions = 5;
/** Requests whose answers and events have not been written. */
export const maxOutstanding = 20;
/** In bytes. At it, nothing more is read from the guest. */
export const maxMemory = 2 * 1024 * 1024 + 512 * 1024;
/** How long an event waits for the guest to make room, in ns. */
export const eventTimeoutNs = 20_000_000_000n;

/** A node's header in xenstored's database, in bytes (4.17 struct xs_tdb_record_hdr, 4.18 struct node_hdr). */
const headerBytes: Readonly<Record<XenRelease, number>> = { '4.17': 24, '4.18': 16 };
const permissionBytes = 8;
/** 4.17 refuses this size, 4.18 only larger ones. */
const maxNodeBytes = 2048;

/** The size of a node without its path. */
export function nodeBytes(release: XenRelease, { value, children, permissions }: StoreNodeContent): number {
  const names = children.reduce((sum, name) => sum + name.length + 1, 0);
  return headerBytes[release] + permissionBytes * permissions.length + value.length + names;
}

/** Whether a guest may not make a node that big. */
export function isTooBig(release: XenRelease, node: StoreNodeContent): boolean {
  return nodeBytes(release, node) >= maxNodeBytes + (release === '4.17' ? 0 : 1);
}

/** The memory of a node that counts for the guest: nothing unless it owns the node. */
export function nodeMemory(
  store: XenstoreState,
  path: string,
  node: StoreNodeContent | null | undefined,
): number {
  if (node === null || node === undefined || ownerOf(node) !== store.domid) return 0;
  return nodeBytes(store.release, node) + path.length;
}

/** What the copy of a node in a transaction costs: it is known by the transaction's generation, `7//path`. */
export function copyMemory(
  { release }: XenstoreState,
  { generation }: StoreTransaction,
  path: string,
  node: StoreNodeContent | null,
): number {
  return node === null ? 0 : nodeBytes(release, node) + `${generation}/${path}`.length;
}

/** The memory of a watch, with its absolute path. */
export function watchMemory({ path, token }: StoreWatch): number {
  return path.length + token.length;
}

/** Whether this number of additional bytes would exceed the quota. */
export function isOutOfMemory({ connection }: XenstoreState, more: number): boolean {
  return !connection.ignored && connection.memory + more >= maxMemory;
}
