/** xenstored as the domain and the toolstack meet it. */
import { InputError, invariant, present } from '../../base/index.js';
import type { Domain } from '../domain.js';
import { sendFromRemote, toolstackDomid } from '../event_channels/index.js';
import { newConnection, resetConnection, serveConnection } from './connection.js';
import { changeNode, createNode, readNode, removeNode } from './nodes.js';
import type { View } from './nodes.js';
import { isSpecial, nodePath } from './paths.js';
import { ownerOf } from './permissions.js';
import type { StorePermission, StoreNode, XenstoreState } from './state.js';
import { bytesOf } from './text.js';
import { fireSpecial, fireWatches } from './watches.js';

export interface Introduction {
  /** Machine frame of the shared page. */
  readonly mfn: number;
  /** The guest's end of the event channel. */
  readonly port: number;
  /** XENSTORE_SERVER_FEATURE_* bits to be offered; Xen's C xenstored of 4.17 and 4.18 offers none. */
  readonly features: number;
}

const onlyOwner: readonly StorePermission[] = [{ domid: toolstackDomid, read: false, write: false }];
const specialPaths = ['@introduceDomain', '@releaseDomain'] as const;

/** A store with its root, and no domain connected: {@link introduce} must follow. */
export function newStore({ state }: Domain, { mfn, port, features }: Introduction): XenstoreState {
  const { domid, release } = state.config;
  const node = (children: string[]): StoreNode => {
    return { value: new Uint8Array(0), children, permissions: onlyOwner, generation: 0 };
  };
  const special = specialPaths.map((path) => [path, node([])] as const);
  const nodes = { '/': node([]), ...Object.fromEntries(special) };
  return { domid, release, features, mfn, port, nodes, generation: 0, connection: newConnection() };
}

/** The store begins to serve the domain, or anew; the rings are emptied (xenstored_domain.c, do_introduce). */
export function introduce(domain: Domain): void {
  const store = storeOf(domain);
  resetConnection(store, sharedPage(domain, store));
  fireSpecial(toolstackView(domain), '@introduceDomain');
}

export function storeOf({ state }: Domain): XenstoreState {
  return present(state.xenstore, 'the xenstore');
}

function sharedPage({ memory }: Domain, { mfn }: XenstoreState): Uint8Array {
  return present(memory.writable(mfn), `the xenstore page, frame ${mfn}`);
}

/** Carries out what the guest has asked for, and tells it so; whether there was anything to do. */
export function serveStore(domain: Domain): boolean {
  const store = domain.state.xenstore;
  if (store === null) return false;
  const progress = serveConnection(store, sharedPage(domain, store), domain.state.nowNs);
  if (progress) sendFromRemote(domain, store.port);
  return progress;
}

/** How the toolstack sees the store. */
export function toolstackView(domain: Domain): View {
  const { nowNs } = domain.state;
  return { store: storeOf(domain), transaction: null, guest: false, request: 0, nowNs };
}

function pathFor({ domid }: XenstoreState, given: string): string {
  const path = nodePath(domid, given);
  if (path === null) throw new InputError(`${JSON.stringify(given)} is no path of a xenstore node`);
  return path;
}

/**
 * The value of a node, as the toolstack reads it; null when there is none. Paths may be relative to the domain's
 * directory. Throws InputError when `path` is none.
 */
export function storeRead(domain: Domain, path: string): Uint8Array | null {
  const view = toolstackView(domain);
  const node = readNode(view, pathFor(view.store, path));
  return typeof node === 'string' ? null : node.value;
}

/** The names of a node's children in the order in which they were made; null when there is no such node. As {@link storeRead}. */
export function storeList(domain: Domain, path: string): readonly string[] | null {
  const view = toolstackView(domain);
  const node = readNode(view, pathFor(view.store, path));
  return typeof node === 'string' ? null : node.children;
}

/** The toolstack writes a node, which is made when it is missing; whoever watches is told. As {@link storeRead}. */
export function storeWrite(domain: Domain, path: string, value: string | Uint8Array): void {
  const view = toolstackView(domain);
  setNode(view, pathFor(view.store, path), typeof value === 'string' ? bytesOf(value) : value);
  serveStore(domain);
}

/** As {@link storeWrite}, but nobody is served yet: for a tree in the making. */
export function setNode(view: View, path: string, value: Uint8Array): void {
  const old = readNode(view, path);
  const node =
    typeof old === 'string' ? createNode(view, path, value) : changeNode(view, path, { ...old, value });
  invariant(typeof node !== 'string', `the toolstack may not write ${path}`);
  fireWatches(view, { path, node, exact: false, permissionsBefore: null });
}

/** Gives a node, or a special event, other permissions, the owner's first. Throws InputError when there is no such node. */
export function storeSetPermissions(
  domain: Domain,
  path: string,
  permissions: readonly StorePermission[],
): void {
  const view = toolstackView(domain);
  setPermissions(view, path.startsWith('@') ? path : pathFor(view.store, path), permissions);
  serveStore(domain);
}

export function setPermissions(view: View, path: string, permissions: readonly StorePermission[]): void {
  const old = readNode(view, path);
  if (typeof old === 'string') throw new InputError(`there is no xenstore node ${path}`);
  const { store } = view;
  store.connection.nodes -= ownerOf(old) === store.domid ? 1 : 0;
  store.connection.nodes += ownerOf({ permissions }) === store.domid ? 1 : 0;
  const node = changeNode(view, path, { ...old, permissions });
  invariant(typeof node !== 'string', `the toolstack may not change ${path}`);
  if (isSpecial(path) && store.release === '4.17') return;
  fireWatches(view, { path, node, exact: false, permissionsBefore: old.permissions });
}

/** The toolstack removes a node and all below it, if there is such a node. As {@link storeRead}. */
export function storeRemove(domain: Domain, path: string): void {
  const view = toolstackView(domain);
  const whole = pathFor(view.store, path);
  if (whole === '/') throw new InputError('the root of the xenstore cannot be removed');
  if (typeof readNode(view, whole) !== 'string') {
    const error = removeNode(view, whole);
    invariant(error === null, `the toolstack may not remove ${whole}`);
  }
  serveStore(domain);
}

/** A special event happens, as when another domain goes: `@releaseDomain`, `@introduceDomain`. */
export function fireStoreEvent(domain: Domain, path: (typeof specialPaths)[number]): void {
  fireSpecial(toolstackView(domain), path);
  serveStore(domain);
}
