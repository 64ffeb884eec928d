/**
 * Reading and writing nodes, within a transaction or without (Xen 4.17 tools/xenstore/xenstored_core.c, read_node and
 * write_node; xenstored_transaction.c, access_node). A transaction copies each node when it first looks at it, works on
 * the copies, and can be committed as long as none of the nodes has changed meanwhile.
 */
import type { XsdError } from '../../abi/index.js';
import { present } from '../../base/index.js';
import { baseName, childPath, parentPath } from './paths.js';
import { guestRights, ownerOf } from './permissions.js';
import type { Rights } from './permissions.js';
import { copyMemory, isOutOfMemory, isTooBig, maxNodes, maxTransactionNodes, nodeMemory } from './quota.js';
import type { StoreNodeCopy, StoreNodeContent, StoreNode, StoreTransaction, XenstoreState } from './state.js';
import { fireWatches } from './watches.js';
import type { Cause } from './watches.js';

/** The accessor of the store: guest or toolstack, and its transaction. */
export interface View extends Cause {
  readonly store: XenstoreState;
  readonly transaction: StoreTransaction | null;
  /** Whether it is the guest; otherwise the toolstack, which has all rights and no quota, and needs no transactions here. */
  readonly guest: boolean;
}

/** The node at `path`. -ENOSPC when the transaction has looked at too many nodes; it fails for good then. */
export function readNode(view: View, path: string): StoreNode | 'ENOENT' | 'ENOSPC' {
  const { store, transaction } = view;
  if (transaction === null) return store.nodes[path] ?? 'ENOENT';
  const accessed = transaction.accessed[path] ?? access(store, transaction, path);
  return accessed === null ? 'ENOSPC' : (accessed.node ?? 'ENOENT');
}

function access(store: XenstoreState, transaction: StoreTransaction, path: string): StoreNodeCopy | null {
  if (transaction.accesses >= maxTransactionNodes) {
    transaction.failed = true;
    return null;
  }
  const node = store.nodes[path] ?? null;
  const accessed: StoreNodeCopy = {
    order: transaction.accesses,
    seen: node === null ? null : node.generation,
    permissionsSeen: node === null ? null : node.permissions,
    node,
    modified: false,
    fire: 'none',
  };
  transaction.accessed[path] = accessed;
  transaction.accesses += 1;
  store.connection.memory += copyMemory(store, transaction, path, node);
  return accessed;
}

/** The viewer's rights to a node. */
export function rightsTo(
  { store, guest }: View,
  { permissions }: Pick<StoreNodeContent, 'permissions'>,
): Rights {
  return guest ? guestRights(store, permissions) : { read: true, write: true, own: true };
}

export type Need = keyof Rights;

/**
 * The node at `path`, to which the viewer must have all the rights. An error does not tell the guest more than it may
 * know: it is -EACCES unless the nearest node above gives it one of those rights (get_node, errno_from_parents).
 */
export function nodeFor(view: View, path: string, needs: readonly Need[]): StoreNode | XsdError {
  const node = readNode(view, path);
  if (node === 'ENOSPC') return node;
  const rights = node === 'ENOENT' ? null : rightsTo(view, node);
  if (node !== 'ENOENT' && rights !== null && needs.every((need) => rights[need])) return node;
  return errorFromAbove(view, path, node === 'ENOENT' ? 'ENOENT' : 'EACCES', needs);
}

function errorFromAbove(view: View, path: string, error: XsdError, needs: readonly Need[]): XsdError {
  let above = parentPath(path);
  let node = readNode(view, above);
  while (node === 'ENOENT' && above !== '/') {
    above = parentPath(above);
    node = readNode(view, above);
  }
  if (node === 'ENOSPC') return node;
  const rights = node === 'ENOENT' ? null : rightsTo(view, node);
  return rights !== null && needs.some((need) => rights[need]) ? error : 'EACCES';
}

/** Puts a node, or its absence, in place of what is there; the viewer has looked there before. */
function put({ store, transaction }: View, path: string, content: StoreNodeContent | null): StoreNode | null {
  store.generation += 1;
  const node = content === null ? null : { ...content, generation: store.generation };
  if (transaction === null) {
    putInStore(store, path, node);
    return node;
  }
  const accessed = present(transaction.accessed[path], `${path} in the transaction`);
  store.connection.memory -= copyMemory(store, transaction, path, accessed.node);
  store.connection.memory += copyMemory(store, transaction, path, node);
  accessed.node = node;
  accessed.modified = true;
  return node;
}

/** As {@link put}, outside of any transaction. The number of nodes that the guest owns is counted elsewhere. */
export function putInStore(store: XenstoreState, path: string, node: StoreNode | null): void {
  const { connection } = store;
  connection.memory += nodeMemory(store, path, node) - nodeMemory(store, path, store.nodes[path]);
  if (node === null) Reflect.deleteProperty(store.nodes, path);
  else store.nodes[path] = node;
}

function countNode({ store, transaction }: View, owner: number, change: number): void {
  if (owner !== store.domid) return;
  if (transaction === null) store.connection.nodes += change;
  else transaction.nodeDelta += change;
}

/** How many more bytes the guest would use with this node than with the present one. */
function growth({ store, transaction }: View, path: string, node: StoreNodeContent): number {
  if (transaction === null) return nodeMemory(store, path, node) - nodeMemory(store, path, store.nodes[path]);
  const old = transaction.accessed[path]?.node ?? null;
  return copyMemory(store, transaction, path, node) - copyMemory(store, transaction, path, old);
}

function sizeError(view: View, path: string, node: StoreNodeContent, before: number): XsdError | null {
  const { store, transaction } = view;
  if (isTooBig(store.release, node)) return 'ENOSPC';
  const isAccounted = transaction !== null || ownerOf(node) === store.domid;
  return isAccounted && isOutOfMemory(store, before + growth(view, path, node)) ? 'EIO' : null;
}

function failTransaction({ transaction }: View): void {
  if (transaction !== null) transaction.failed = true;
}

/** Writes to a node that is there. -ENOSPC when it gets too big, -EIO when the guest uses too much in all. */
export function changeNode(view: View, path: string, content: StoreNodeContent): StoreNode | XsdError {
  const refused = view.guest ? sizeError(view, path, content, 0) : null;
  if (refused === null) return present(put(view, path, content), path);
  failTransaction(view);
  return refused;
}

/** One node to be written: a new one, or the one below which the new ones come. */
interface Writing {
  readonly path: string;
  readonly content: StoreNodeContent;
  readonly isNew: boolean;
}

/**
 * Makes a node and those above it that are missing. They take the permissions of the first above that is there, but
 * belong to the guest if the guest makes them. -ENOSPC, -EIO: as for {@link changeNode}, or too many nodes; nothing is
 * made then, but a transaction can be spoilt (xenstored_core.c, create_node).
 */
export function createNode(view: View, path: string, value: Uint8Array): StoreNode | XsdError {
  const plan = planCreation(view, path, value);
  if (typeof plan === 'string') return plan;
  const { transaction, store } = view;
  if (transaction !== null) transaction.createdNodes = true;
  const refused = view.guest ? firstRefusal(view, plan) : null;
  if (refused !== null) {
    if (refused.at > 0 || refused.writing) failTransaction(view);
    return refused.error;
  }
  for (const writing of plan) {
    put(view, writing.path, writing.content);
    if (writing.isNew) countNode(view, ownerOf(writing.content), 1);
  }
  const made = transaction === null ? store.nodes[path] : transaction.accessed[path]?.node;
  return present(made, path);
}

/** What is to be written, from the bottom up. */
function planCreation(view: View, path: string, value: Uint8Array): Writing[] | XsdError {
  const missing = [path];
  let above = parentPath(path);
  let parent = readNode(view, above);
  while (parent === 'ENOENT' && above !== '/') {
    missing.push(above);
    above = parentPath(above);
    parent = readNode(view, above);
  }
  if (typeof parent === 'string') return parent;
  const [owner, ...others] = parent.permissions;
  const newOwner = view.guest ? view.store.domid : ownerOf(parent);
  const permissions = [{ read: false, write: false, ...owner, domid: newOwner }, ...others];
  const empty = new Uint8Array(0);
  const writings = missing.map((node, i): Writing => {
    const children = i === 0 ? [] : [baseName(present(missing[i - 1], 'the node below'))];
    return { path: node, content: { value: i === 0 ? value : empty, children, permissions }, isNew: true };
  });
  const children = [...parent.children, baseName(present(missing.at(-1), 'the topmost node'))];
  return [...writings, { path: above, content: { ...parent, children }, isNew: false }];
}

interface Refusal {
  readonly error: XsdError;
  /** How many were written before. */
  readonly at: number;
  /** It was the writing that failed, not the count of nodes before it. */
  readonly writing: boolean;
}

function firstRefusal(view: View, plan: readonly Writing[]): Refusal | null {
  let bytes = 0;
  for (const [at, { path, content, isNew }] of plan.entries()) {
    if (isNew && ownedNodes(view, at) >= maxNodes) return { error: 'ENOSPC', at, writing: false };
    const error = sizeError(view, path, content, bytes);
    if (error !== null) return { error, at, writing: true };
    bytes += growth(view, path, content);
  }
  return null;
}

/** How many nodes count as the guest's after so many new ones: 4.17 leaves the transaction's own out until its end. */
function ownedNodes({ store, transaction }: View, made: number): number {
  const { nodes } = store.connection;
  if (transaction === null) return nodes + made;
  return store.release === '4.17' ? nodes : nodes + transaction.nodeDelta + made;
}

/**
 * Removes a node, which is there, and all below it, whoever owns them. -EINVAL when there is nothing above it, -EIO
 * when the transaction has looked at too many nodes (xenstored_core.c, rm_node).
 */
export function removeNode(view: View, path: string): XsdError | null {
  const above = parentPath(path);
  const parent = readNode(view, above);
  if (typeof parent === 'string') return parent === 'ENOSPC' ? parent : 'EINVAL';
  if (!removeTree(view, path, path)) return 'EIO';
  const children = parent.children.filter((name) => name !== baseName(path));
  put(view, above, { ...parent, children });
  return null;
}

/** From the bottom up; those who watch a node below `root` itself are told of that node, all others of `root`. */
function removeTree(view: View, path: string, root: string): boolean {
  const node = readNode(view, path);
  if (typeof node === 'string') return false;
  if (!node.children.every((name) => removeTree(view, childPath(path, name), root))) return false;
  put(view, path, null);
  countNode(view, ownerOf(node), -1);
  fireWatches(view, { path, node, exact: path !== root, permissionsBefore: null });
  return true;
}
