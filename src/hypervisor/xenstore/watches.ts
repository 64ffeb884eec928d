/** Which watches a change fires (Xen 4.17 tools/xenstore/xenstored_watch.c). */
import type { StoreTransaction, StorePermission, StoreNode, StoreWatch, XenstoreState } from './state.js';
import { domainPath, isAtOrBelow, isSpecial, parentPath } from './paths.js';
import { guestRights } from './permissions.js';
import { watchMemory } from './quota.js';
import { queueEvent } from './queue.js';

/** The cause of a change. */
export interface Cause {
  readonly store: XenstoreState;
  readonly transaction: StoreTransaction | null;
  /** Number of the guest's request; 0 for a change by the toolstack. */
  readonly request: number;
  /** System time in ns. */
  readonly nowNs: bigint;
}

export interface Change {
  readonly path: string;
  /** The node now, or before it was removed; null to look it up. */
  readonly node: StoreNode | null;
  /** Whether only watches of exactly this path fire; otherwise those of parent paths fire too. */
  readonly exact: boolean;
  /** The permissions before a change: domains that could read the node then are told too. */
  readonly permissionsBefore: readonly StorePermission[] | null;
}

/** Fires watches: immediately, or on commit within a transaction (fire_watches, queue_watches). */
export function fireWatches(cause: Cause, change: Change): void {
  if (cause.transaction === null) fireNow(cause, change);
  else fireLater(cause.transaction, change);
}

/** What is to fire for all above is not narrowed again. */
function fireLater({ accessed }: StoreTransaction, { path, exact }: Change): void {
  const node = accessed[path];
  if (node !== undefined && node.fire !== 'above') node.fire = exact ? 'exact' : 'above';
}

function fireNow(cause: Cause, change: Change): void {
  const { store } = cause;
  if (!mayLearn(store, change)) return;
  for (const watch of store.connection.watches) {
    const matches = change.exact ? watch.path === change.path : isAtOrBelow(change.path, watch.path);
    if (matches) queueEvent(cause, toldPath(store, watch, change.path), watch.token);
  }
}

/** The guest must be able to read the node, or the one above it (watch_permitted). */
function mayLearn(store: XenstoreState, { path, node, permissionsBefore }: Change): boolean {
  const isReadable = (permissions: readonly StorePermission[] | undefined): boolean =>
    permissions !== undefined && guestRights(store, permissions).read;
  if (permissionsBefore !== null && isReadable(permissionsBefore)) return true;
  const present = node ?? store.nodes[path];
  if (present === undefined) return false;
  return isReadable(present.permissions) || isReadable(store.nodes[parentPath(path)]?.permissions);
}

/** The path in the form in which the guest set the watch: relative to its own directory, or absolute. */
export function toldPath({ domid }: XenstoreState, { relative }: StoreWatch, path: string): string {
  return relative ? path.slice(domainPath(domid).length + 1) : path;
}

/** A special event happens. It fires only watches of exactly that path (check_special_event). */
export function fireSpecial(cause: Cause, path: string): void {
  if (isSpecial(path)) fireNow(cause, { path, node: null, exact: true, permissionsBefore: null });
}

export function addWatch({ connection }: XenstoreState, watch: StoreWatch): void {
  connection.watches.push(watch);
  connection.memory += watchMemory(watch);
}

/** Whether there was such a watch. */
export function removeWatch({ connection }: XenstoreState, path: string, token: string): boolean {
  const at = connection.watches.findIndex((watch) => watch.path === path && watch.token === token);
  const [watch] = at < 0 ? [] : connection.watches.splice(at, 1);
  if (watch !== undefined) connection.memory -= watchMemory(watch);
  return watch !== undefined;
}

export function removeAllWatches({ connection }: XenstoreState): void {
  for (const watch of connection.watches) connection.memory -= watchMemory(watch);
  connection.watches = [];
}
