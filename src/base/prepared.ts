/**
 * Results of long computations that depend on this software alone. They are computed when the command is bundled: then
 * `scripts/bundle.js` puts a module that reads them from a file in the place of this one, which has none.
 */

/** A range of bytes in what was prepared. */
export type PreparedBytes = readonly [offset: number, length: number];

export interface Prepared {
  /** What JSON can hold, with a {@link PreparedBytes} for each array of bytes. */
  readonly value: unknown;
  /** A view of these bytes, which its caller must not change. */
  bytes(range: PreparedBytes): Uint8Array<ArrayBuffer>;
}

/** What was prepared under a name; null if nothing was, and its caller must compute it. */
export function prepared(name: string): Prepared | null {
  return none.get(name) ?? null;
}

const none: ReadonlyMap<string, Prepared> = new Map();
