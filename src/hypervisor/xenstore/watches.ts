/** Who is told of a change (Xen 4.17 tools/xenstore/xenstored_watch.c). */
import type { StoreTransaction, StorePermission, StoreNode, StoreWatch, XenstoreState } from './state.js';
import { domainPath, isAtOrBelow, isSpecial, parentPath } from './paths.js';
import { guestRights } from './permissions.js';
import { watchMemory } from './quota.js';
import { queueEvent } from './queue.js';

/** What a change comes of. */
export interface Cause {
  readonly store: XenstoreState;
  readonly transaction: StoreTransaction | null;
  /** Number of the guest's request; 0 for the toolstack's doing. */
  readonly request: number;
  /** System time in ns. */
  readonly nowNs: bigint;
}

export interface Change {
  readonly path: string;
  /** The node as it is, or as it was before it went; null to look it up. */
  readonly node: StoreNode | null;
  /** Only watches of this very path fire; else those above it too. */
  readonly exact: boolean;
  /** Before a change of permissions: who could read then is told too. */
  readonly permissionsBefore: readonly StorePermission[] | null;
}

/** Tells those who watch, at once, or on commit when a transaction is under way (fire_watches, queue_watches). */
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

/** As the guest named the watched path: relative to its own directory, or whole. */
export function toldPath({ domid }: XenstoreState, { relative }: StoreWatch, path: string): string {
  return relative ? path.slice(domainPath(domid).length + 1) : path;
}

/** A special event happens. Only those hear of it who watch that very path (check_special_event). */
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
