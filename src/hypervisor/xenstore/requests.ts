/**
 * Every request that a guest may make, and what it is answered (docs/misc/xenstore.txt; Xen 4.17
 * tools/xenstore/xenstored_core.c, do_* and wire_funcs; the same in 4.18 tools/xenstored/core.c but where said).
 */
import * as abi from '../../abi/index.js';
import type { XsdError } from '../../abi/index.js';
import { changeNode, createNode, nodeFor, readNode, removeNode } from './nodes.js';
import type { Need, View } from './nodes.js';
import { domainPath, isSpecial, isValidSpecial, nodePath, parentPath } from './paths.js';
import { domainExists, ownerOf, permissionOf, permissionText } from './permissions.js';
import { isOutOfMemory, maxPermissions, maxWatches, watchMemory } from './quota.js';
import { queueEvent } from './queue.js';
import type { StorePermission, StoreNode } from './state.js';
import { atoi, onlyString, payloadOf, stringsOf } from './text.js';
import { commitTransaction, dropAllTransactions, dropTransaction, startTransaction } from './transactions.js';
import { addWatch, fireWatches, removeAllWatches, removeWatch, toldPath } from './watches.js';

/** A request as it is carried out; `payload` is what came with it. */
export interface Request extends View {
  readonly payload: Uint8Array;
}

export interface Answer {
  readonly payload: Uint8Array;
  /** What is to be done once the answer is queued. */
  readonly then?: () => void;
}

export type Outcome = Answer | XsdError;
type Operation = (request: Request) => Outcome;

interface RequestKind {
  readonly type: number;
  /** Only for the toolstack: -EACCES for a guest, whatever comes with it. */
  readonly privileged?: boolean;
  /** The transaction id in the header means nothing. */
  readonly ignoresTransaction?: boolean;
  readonly run: Operation;
}

const done: Answer = { payload: payloadOf('OK') };

/** 4.18 keeps special paths as nodes, which have permissions to be read and set like others. */
function pathIn({ store }: Request, given: string | null, specialToo = false): string | null {
  if (given === null) return null;
  const allowed = specialToo && store.release !== '4.17' && isSpecial(given);
  if (allowed) return isValidSpecial(given, false) ? given : null;
  return nodePath(store.domid, given);
}

/** The node of which the payload is the path. */
function namedNode(request: Request, needs: readonly Need[], specialToo = false): StoreNode | XsdError {
  const path = pathIn(request, onlyString(request.payload), specialToo);
  return path === null ? 'EINVAL' : nodeFor(request, path, needs);
}

function listOf({ children }: StoreNode): Uint8Array {
  return payloadOf(...children);
}

const directory: Operation = (request) => {
  const node = namedNode(request, ['read']);
  return typeof node === 'string' ? node : { payload: listOf(node) };
};

/** A part of a list that is too long for one answer, from a byte on; an empty name tells its end. */
const directoryPart: Operation = (request) => {
  const [given, offset, ...more] = stringsOf(request.payload);
  if (given === undefined || offset === undefined || more.length > 0) return 'EINVAL';
  const path = pathIn(request, given);
  const node = path === null ? 'EINVAL' : nodeFor(request, path, ['read']);
  if (typeof node === 'string') return node;
  return { payload: partOf(listOf(node), atoi(offset), payloadOf(node.generation.toString())) };
};

function partOf(list: Uint8Array, from: number, generation: Uint8Array): Uint8Array {
  const room = abi.XENSTORE_PAYLOAD_MAX - generation.length - 1;
  let end = from;
  while (end < list.length) {
    const nul = list.indexOf(0, end);
    if (nul - from >= room) break;
    end = nul + 1;
  }
  const isLast = from >= list.length || end === list.length;
  return concatenate(generation, list.subarray(from, end), new Uint8Array(isLast ? 1 : 0));
}

function concatenate(...parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

const read: Operation = (request) => {
  const node = namedNode(request, ['read']);
  return typeof node === 'string' ? node : { payload: node.value };
};

/** Bytes behind the path's nul are the value, whatever they are. */
const write: Operation = (request) => {
  const [given] = stringsOf(request.payload);
  if (given === undefined) return 'EINVAL';
  const path = pathIn(request, given);
  if (path === null) return 'EINVAL';
  const value = request.payload.slice(given.length + 1);
  const old = nodeFor(request, path, ['write']);
  if (typeof old === 'string' && old !== 'ENOENT') return old;
  const node =
    old === 'ENOENT' ? createNode(request, path, value) : changeNode(request, path, { ...old, value });
  return tellChange(request, path, node);
};

function tellChange(request: Request, path: string, node: StoreNode | XsdError): Outcome {
  if (typeof node === 'string') return node;
  fireWatches(request, { path, node, exact: false, permissionsBefore: null });
  return done;
}

const mkdir: Operation = (request) => {
  const path = pathIn(request, onlyString(request.payload));
  if (path === null) return 'EINVAL';
  const old = nodeFor(request, path, ['write']);
  if (old !== 'ENOENT') return typeof old === 'string' ? old : done;
  return tellChange(request, path, createNode(request, path, new Uint8Array(0)));
};

/** What is not there need not be removed, as long as there is something above it. */
const rm: Operation = (request) => {
  const path = pathIn(request, onlyString(request.payload));
  if (path === null) return 'EINVAL';
  const node = nodeFor(request, path, ['write']);
  if (typeof node === 'string') return node === 'ENOENT' ? rmMissing(request, path) : node;
  return path === '/' ? 'EINVAL' : (removeNode(request, path) ?? done);
};

function rmMissing(request: Request, path: string): Outcome {
  const above = readNode(request, parentPath(path));
  return typeof above === 'string' ? above : done;
}

const getPerms: Operation = (request) => {
  const node = namedNode(request, ['read'], true);
  if (typeof node === 'string') return node;
  return { payload: payloadOf(...node.permissions.map(permissionText)) };
};

const setPerms: Operation = (request) => {
  const [given = '', ...texts] = stringsOf(request.payload);
  const permissions = permissionsIn(request, texts);
  if (typeof permissions === 'string') return permissions;
  if (isSpecial(given) && request.store.release === '4.17') return setSpecial(request, given, permissions);
  const path = pathIn(request, given, true);
  if (path === null) return 'EINVAL';
  const node = nodeFor(request, path, ['write', 'own']);
  if (typeof node === 'string') return node;
  if (request.guest && ownerOf({ permissions }) !== ownerOf(node)) return 'EPERM';
  const changed = changeNode(request, path, { ...node, permissions });
  if (typeof changed === 'string') return changed;
  fireWatches(request, { path, node: changed, exact: false, permissionsBefore: node.permissions });
  return done;
};

/** The owner must be a domain that there is; other entries may name any number. */
function permissionsIn({ store, guest }: Request, texts: readonly string[]): StorePermission[] | XsdError {
  if (texts.length < 1) return 'EINVAL';
  if (guest && texts.length > maxPermissions) return 'ENOSPC';
  const permissions = texts.map(permissionOf).filter((permission) => permission !== null);
  if (permissions.length < texts.length) return 'EINVAL';
  return domainExists(store, ownerOf({ permissions })) ? permissions : 'ENOENT';
}

/** 4.17 keeps the permissions of special events apart from all nodes (xenstored_domain.c, set_perms_special). */
function setSpecial(request: Request, path: string, permissions: StorePermission[]): Outcome {
  const node = request.store.nodes[path];
  if (node === undefined) return 'EINVAL';
  const outside = { ...request, transaction: null };
  const found = nodeFor(outside, path, ['write', 'own']);
  if (typeof found === 'string') return 'EACCES';
  request.store.nodes[path] = { ...node, permissions };
  return done;
}

/** The two strings of WATCH and UNWATCH; what else there is must not be a third. */
function watchStrings({ payload }: Request): [string, string] | null {
  const [path, token, ...more] = stringsOf(payload);
  return path === undefined || token === undefined || more.length > 0 ? null : [path, token];
}

/** What may be watched: any path, be there a node or not, and special events. */
function watchPath({ store }: Request, given: string): string | null {
  if (!isSpecial(given)) return nodePath(store.domid, given);
  return isValidSpecial(given, store.release === '4.17') ? given : null;
}

/** A watch fires once for its own path when it is set. */
const watch: Operation = (request) => {
  const { store } = request;
  const [given, token] = watchStrings(request) ?? [null, ''];
  const path = given === null ? null : watchPath(request, given);
  if (given === null || path === null) return 'EINVAL';
  const { watches } = store.connection;
  if (watches.some((other) => other.path === path && other.token === token)) return 'EEXIST';
  if (watches.length > maxWatches) return 'E2BIG';
  const made = { path, token, relative: !/^[/@]/.test(given) };
  if (isOutOfMemory(store, watchMemory(made))) return 'ENOMEM';
  addWatch(store, made);
  return { ...done, then: () => queueEvent({ ...request, request: 0 }, toldPath(store, made, path), token) };
};

/** 4.17 compares what it is given, be it valid or not. */
const unwatch: Operation = (request) => {
  const { store } = request;
  const [given, token] = watchStrings(request) ?? [null, ''];
  if (given === null) return 'EINVAL';
  const path = watchPath(request, given);
  if (path === null) return store.release === '4.17' ? 'ENOENT' : 'EINVAL';
  return removeWatch(store, path, token) ? done : 'ENOENT';
};

const transactionStart: Operation = ({ store, transaction }) => {
  if (transaction !== null) return 'EBUSY';
  const started = startTransaction(store);
  return typeof started === 'string' ? started : { payload: payloadOf(started.id.toString()) };
};

const transactionEnd: Operation = (request) => {
  const { store, transaction, payload } = request;
  const how = onlyString(payload);
  if (how !== 'T' && how !== 'F') return 'EINVAL';
  if (transaction === null) return 'ENOENT';
  if (how === 'T') return commitTransaction(request, transaction) ?? done;
  dropTransaction(store, transaction);
  return done;
};

const getDomainPath: Operation = ({ payload }) => {
  const domid = onlyString(payload);
  return domid === null ? 'EINVAL' : { payload: payloadOf(domainPath(atoi(domid))) };
};

const resetWatches: Operation = ({ store }) => {
  removeAllWatches(store);
  dropAllTransactions(store);
  return done;
};

/** What only the toolstack may ask for is not modelled beyond its refusal. */
function forToolstack(type: number): RequestKind {
  return { type, privileged: true, run: () => 'EACCES' };
}

const kinds: readonly RequestKind[] = [
  forToolstack(abi.XS_CONTROL),
  { type: abi.XS_DIRECTORY, run: directory },
  { type: abi.XS_READ, run: read },
  { type: abi.XS_GET_PERMS, run: getPerms },
  { type: abi.XS_WATCH, ignoresTransaction: true, run: watch },
  { type: abi.XS_UNWATCH, ignoresTransaction: true, run: unwatch },
  { type: abi.XS_TRANSACTION_START, run: transactionStart },
  { type: abi.XS_TRANSACTION_END, run: transactionEnd },
  forToolstack(abi.XS_INTRODUCE),
  forToolstack(abi.XS_RELEASE),
  { type: abi.XS_GET_DOMAIN_PATH, run: getDomainPath },
  { type: abi.XS_WRITE, run: write },
  { type: abi.XS_MKDIR, run: mkdir },
  { type: abi.XS_RM, run: rm },
  { type: abi.XS_SET_PERMS, run: setPerms },
  forToolstack(abi.XS_IS_DOMAIN_INTRODUCED),
  forToolstack(abi.XS_RESUME),
  forToolstack(abi.XS_SET_TARGET),
  { type: abi.XS_RESET_WATCHES, run: resetWatches },
  { type: abi.XS_DIRECTORY_PART, run: directoryPart },
];

/** The kind of request of that type; null for none: what xenstored itself sends, and unknown types, among them. */
export function kindOf(type: number): RequestKind | null {
  return kinds.find((kind) => kind.type === type) ?? null;
}
