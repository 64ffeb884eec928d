/**
 * Saves the state of a class that keeps it in one record. Maps and sets in it become lists, so that the saved record is a
 * plain value (value.ts). A new member of the record is saved without further code.
 */
import { InputError } from './assert.js';

/** A member as it is saved. */
export type SavedMember<M> =
  M extends ReadonlyMap<infer K, infer V>
    ? readonly (readonly [K, V])[]
    : M extends ReadonlySet<infer E>
      ? readonly E[]
      : M;

/** A record as it is saved. Its members are shared with the record, and clones of them are plain values. */
export type SavedRecord<T> = { readonly [K in keyof T]: SavedMember<T[K]> };

/** `record` with lists instead of its maps and sets. */
export function savedRecord<T extends object>(record: T): SavedRecord<T> {
  const members = Object.entries(record).map(([name, member]: [string, unknown]) => [
    name,
    member instanceof Map || member instanceof Set ? [...(member as Iterable<unknown>)] : member,
  ]);
  return Object.fromEntries(members) as SavedRecord<T>;
}

/** Sets all members of `record` to what was saved of such a record. Throws {@link InputError} if one is missing. */
export function loadRecord<T extends object>(record: T, saved: SavedRecord<T>): void {
  for (const name of Object.keys(record) as (keyof T & string)[]) {
    const member: unknown = record[name];
    const value: unknown = saved[name];
    if (value === undefined) throw new InputError(`its state lacks '${name}'`);
    if (member instanceof Map) {
      member.clear();
      for (const [key, each] of value as Iterable<readonly [unknown, unknown]>) member.set(key, each);
    } else if (member instanceof Set) {
      member.clear();
      for (const each of value as Iterable<unknown>) member.add(each);
    } else record[name] = value as T[keyof T & string];
  }
}
