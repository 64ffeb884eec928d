/** Paths of nodes: which are valid, and what they are parts of (Xen 4.17 tools/xenstore/xenstored_core.c). */
import { XENSTORE_REL_PATH_MAX } from '../../abi/index.js';

const root = '/';

/** The directory of a domain, to which it may give paths relatively. */
export function domainPath(domid: number): string {
  return `/local/domain/${domid}`;
}

/** The path of a node's parent; the root is its own. */
export function parentPath(path: string): string {
  const slash = path.lastIndexOf('/');
  return slash <= 0 ? root : path.slice(0, slash);
}

/** The last part of a path that is not the root's. */
export function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

export function childPath(path: string, name: string): string {
  return path === root ? `/${name}` : `${path}/${name}`;
}

/** Whether a path is one of the special events, which are no nodes but are watched like them. */
export function isSpecial(path: string): boolean {
  return path.startsWith('@');
}

/** Whether `path` is `above` or lies below it. */
export function isAtOrBelow(path: string, above: string): boolean {
  return above === root || path === above || path.startsWith(`${above}/`);
}

/** How much of a path does not count as its length: the directory of a domain, of five digits at most, sign included. */
function uncounted(path: string): number {
  return /^\/local\/domain\/(?:\d{1,5}|-\d{1,4})\//.exec(path)?.[0].length ?? 0;
}

function isWellFormed(path: string): boolean {
  if (!/^[A-Za-z0-9\-/_@]*$/.test(path) || path.includes('//')) return false;
  if (path !== root && path.endsWith('/')) return false;
  return path.length - uncounted(path) <= XENSTORE_REL_PATH_MAX;
}

/** The whole path of a node that a domain names, or null when it cannot be one's. A special path is none. */
export function nodePath(domid: number, given: string): string | null {
  if (isSpecial(given)) return null;
  const path = given.startsWith('/') ? given : `${domainPath(domid)}/${given}`;
  return isWellFormed(path) ? path : null;
}

/** Whether a special path may be named: since 4.18 it must look like any other. */
export function isValidSpecial(path: string, anyCharacters: boolean): boolean {
  return anyCharacters ? path.length <= XENSTORE_REL_PATH_MAX : isWellFormed(path);
}
