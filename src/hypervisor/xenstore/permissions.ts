/** Who may do what to a node, and how it is written. */
import { toolstackDomid } from '../event_channels/index.js';
import { asInt, strtol } from './text.js';
import type { StoreNodeContent, StorePermission, XenstoreState } from './state.js';

export interface Rights {
  readonly read: boolean;
  readonly write: boolean;
  readonly own: boolean;
}

const all: Rights = { read: true, write: true, own: true };

/** Whether there is a domain of that id: this one and the toolstack's are all. */
export function domainExists({ domid: own }: XenstoreState, domid: number): boolean {
  return domid === toolstackDomid || domid === own;
}

/** What the guest may do by these permissions: the first entry's say for those whom no other names. */
export function guestRights({ domid }: XenstoreState, permissions: readonly StorePermission[]): Rights {
  const [owner, ...others] = permissions;
  if (owner?.domid === domid) return all;
  const { read, write } = others.find((entry) => entry.domid === domid) ?? owner ?? all;
  return { read, write, own: false };
}

/** `n0`, `r5`, `w5` or `b5` (tools/xenstore/xs_lib.c, xs_perm_to_string). */
export function permissionText({ domid, read, write }: StorePermission): string {
  const letter = read ? (write ? 'b' : 'r') : write ? 'w' : 'n';
  return `${letter}${asInt(domid)}`;
}

const letters: Readonly<Record<string, Omit<StorePermission, 'domid'>>> = {
  n: { read: false, write: false },
  r: { read: true, write: false },
  w: { read: false, write: true },
  b: { read: true, write: true },
};

/** The permission that a text says; null when it says none (xs_lib.c, xs_strings_to_perms). */
export function permissionOf(text: string): StorePermission | null {
  const rights = /^[nrwb]/.test(text) ? letters[text.charAt(0)] : undefined;
  const domid = strtol(text.slice(1));
  return rights === undefined || domid === null ? null : { domid, ...rights };
}

/** The owner's id. */
export function ownerOf({ permissions }: Pick<StoreNodeContent, 'permissions'>): number {
  return permissions[0]?.domid ?? toolstackDomid;
}
