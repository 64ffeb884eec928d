/**
 * For tests: a xenstore as simple as can be, to hold the real one against. It keeps a map from paths to nodes and knows
 * neither transactions, nor rings, nor quotas. The entry point does not export it.
 */
import { present } from '../../base/index.js';

export interface ModelPermission {
  readonly domid: number;
  readonly letter: 'n' | 'r' | 'w' | 'b';
}

interface ModelNode {
  readonly value: string;
  readonly permissions: readonly ModelPermission[];
}

export type Tree = Map<string, ModelNode>;

export interface ModelRequest {
  readonly do: 'read' | 'write' | 'mkdir' | 'rm' | 'directory' | 'getPerms' | 'setPerms';
  /** Whole. */
  readonly path: string;
  readonly value: string;
  readonly permissions: readonly ModelPermission[];
}

/** A node that was changed. */
export interface ModelChange {
  readonly path: string;
  /** Watches above hear of it too. */
  readonly above: boolean;
  /** Whether the guest may learn of it. */
  readonly mayLearn: boolean;
}

export interface ModelAnswer {
  readonly answer: string;
  readonly changes: readonly ModelChange[];
}

export const guest = 5;

export function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/')) || '/';
}

/** What the guest may do: some of `r`, `w` and `o`. */
export type Right = 'r' | 'w' | 'o';

export function rights(permissions: readonly ModelPermission[]): readonly Right[] {
  const [owner, ...others] = permissions;
  if (owner?.domid === guest) return ['r', 'w', 'o'];
  const { letter } = others.find(({ domid }) => domid === guest) ?? present(owner, 'the owner');
  return { n: [], r: ['r' as const], w: ['w' as const], b: ['r' as const, 'w' as const] }[letter];
}

function nearestAbove(tree: Tree, path: string): ModelNode {
  const above = parentOf(path);
  return tree.get(above) ?? nearestAbove(tree, above);
}

/** The node, or why the guest does not get it. */
function find(tree: Tree, path: string, needs: readonly Right[]): ModelNode | string {
  const node = tree.get(path);
  const has = (held: readonly Right[]): boolean => needs.every((need) => held.includes(need));
  if (node !== undefined && has(rights(node.permissions))) return node;
  const held = rights(nearestAbove(tree, path).permissions);
  return needs.some((need) => held.includes(need)) && node === undefined ? '!ENOENT' : '!EACCES';
}

/** Paths of the children in the order in which they were made. */
export function childrenOf(tree: Tree, path: string): string[] {
  return [...tree.keys()].filter((child) => child !== '/' && parentOf(child) === path);
}

function isReadable(node: ModelNode | undefined): boolean {
  return node !== undefined && rights(node.permissions).includes('r');
}

function mayLearn(tree: Tree, path: string, before?: ModelNode): boolean {
  if (isReadable(before)) return true;
  return tree.has(path) && (isReadable(tree.get(path)) || isReadable(tree.get(parentOf(path))));
}

/** Makes a node and what is missing above, for the guest or for whoever owns what is above. */
export function create(tree: Tree, path: string, value: string, byGuest: boolean): void {
  const above = parentOf(path);
  if (!tree.has(above)) create(tree, above, '', byGuest);
  const [owner, ...others] = present(tree.get(above), above).permissions;
  const { domid, letter } = present(owner, 'the owner');
  tree.set(path, { value, permissions: [{ domid: byGuest ? guest : domid, letter }, ...others] });
}

/** Removes a node and all below it; what is told of it. */
export function remove(tree: Tree, path: string, root = path): ModelChange[] {
  const below = childrenOf(tree, path).flatMap((child) => remove(tree, child, root));
  const own = { path, above: path === root, mayLearn: mayLearn(tree, path) };
  tree.delete(path);
  return [...below, own];
}

export function texts(permissions: readonly ModelPermission[]): string[] {
  return permissions.map(({ domid, letter }) => `${letter}${domid}\0`);
}

function change(tree: Tree, path: string, node: ModelNode): ModelAnswer {
  const before = tree.get(path);
  tree.set(path, node);
  return { answer: 'OK\0', changes: [{ path, above: true, mayLearn: mayLearn(tree, path, before) }] };
}

function make(tree: Tree, path: string, value: string): ModelAnswer {
  create(tree, path, value, true);
  return { answer: 'OK\0', changes: [{ path, above: true, mayLearn: true }] };
}

const unchanged = (answer: string): ModelAnswer => ({ answer, changes: [] });

function askWrite(tree: Tree, { path, value }: ModelRequest): ModelAnswer {
  const node = find(tree, path, ['w']);
  if (node === '!ENOENT') return make(tree, path, value);
  return typeof node === 'string' ? unchanged(node) : change(tree, path, { ...node, value });
}

function askMkdir(tree: Tree, { path }: ModelRequest): ModelAnswer {
  const node = find(tree, path, ['w']);
  if (node === '!ENOENT') return make(tree, path, '');
  return unchanged(typeof node === 'string' ? node : 'OK\0');
}

function askRm(tree: Tree, { path }: ModelRequest): ModelAnswer {
  const node = find(tree, path, ['w']);
  if (node === '!ENOENT') return unchanged(tree.has(parentOf(path)) ? 'OK\0' : '!ENOENT');
  if (typeof node === 'string') return unchanged(node);
  return path === '/' ? unchanged('!EINVAL') : { answer: 'OK\0', changes: remove(tree, path) };
}

function askSetPerms(tree: Tree, { path, permissions }: ModelRequest): ModelAnswer {
  const owner = permissions[0]?.domid;
  if (owner !== 0 && owner !== guest) return unchanged('!ENOENT');
  const node = find(tree, path, ['w', 'o']);
  if (typeof node === 'string') return unchanged(node);
  if (owner !== node.permissions[0]?.domid) return unchanged('!EPERM');
  return change(tree, path, { ...node, permissions });
}

/** Carries out the guest's request. */
export function ask(tree: Tree, request: ModelRequest): ModelAnswer {
  const { path } = request;
  const read = (tell: (node: ModelNode) => string): ModelAnswer => {
    const node = find(tree, path, ['r']);
    return unchanged(typeof node === 'string' ? node : tell(node));
  };
  switch (request.do) {
    case 'read':
      return read(({ value }) => value);
    case 'directory':
      return read(() =>
        childrenOf(tree, path)
          .map((child) => `${child.slice(child.lastIndexOf('/') + 1)}\0`)
          .join(''),
      );
    case 'getPerms':
      return read(({ permissions }) => texts(permissions).join(''));
    case 'write':
      return askWrite(tree, request);
    case 'mkdir':
      return askMkdir(tree, request);
    case 'rm':
      return askRm(tree, request);
    case 'setPerms':
      return askSetPerms(tree, request);
  }
}
