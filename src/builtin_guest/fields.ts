/** Offsets of fields in memory that a kernel keeps for each CPU. */
import { alignUp } from '../base/index.js';

export interface Field {
  readonly bytes: number;
  /** For fields that must be aligned to more than their size, in bytes. */
  readonly align?: number;
}

/** The offset of each field, in the order given. */
export function layOut<Name extends string>(fields: Readonly<Record<Name, Field>>): Record<Name, number> {
  let end = 0;
  const entries = Object.entries<Field>(fields).map(([name, { bytes, align = Math.min(bytes, 8) }]) => {
    const at = alignUp(end, align);
    end = at + bytes;
    return [name, at];
  });
  return Object.fromEntries(entries) as Record<Name, number>;
}
