/** The shared libraries that a program of a 64-bit little-endian ELF file needs (System V ABI, gABI 4.1, chapter 5). */
import { viewOf } from '../abi/index.js';

const segmentTypes = { load: 1, dynamic: 2, interpreter: 3 } as const;
const tags = { needed: 1, stringTable: 5, ownName: 14 } as const;
/** Bytes of a program header and of an entry of the dynamic section. */
const sizes = { segment: 56, entry: 16 } as const;
const mostEntries = 4096;
const longestName = 256;

/** What a file says of itself and of others. */
export interface ElfLibraries {
  /** The names of the libraries that it needs (DT_NEEDED), in order. */
  readonly needed: readonly string[];
  /** The name under which others need it (DT_SONAME); null for a program. */
  readonly ownName: string | null;
  /** The path of the loader that starts it (PT_INTERP); null for a library. */
  readonly interpreter: string | null;
}

interface Segment {
  readonly type: number;
  readonly offset: number;
  readonly address: number;
  readonly bytes: number;
}

function segmentsOf(view: DataView): Segment[] {
  const start = Number(view.getBigUint64(32, true));
  const count = view.getUint16(56, true);
  return Array.from({ length: count }, (_, i) => {
    const at = start + i * sizes.segment;
    return {
      type: view.getUint32(at, true),
      offset: Number(view.getBigUint64(at + 8, true)),
      address: Number(view.getBigUint64(at + 16, true)),
      bytes: Number(view.getBigUint64(at + 32, true)),
    };
  });
}

function entriesOf(view: DataView, { offset, bytes }: Segment): [tag: number, value: number][] {
  const count = Math.min(Math.floor(bytes / sizes.entry), mostEntries);
  return Array.from({ length: count }, (_, i) => {
    const at = offset + i * sizes.entry;
    return [Number(view.getBigUint64(at, true)), Number(view.getBigUint64(at + 8, true))];
  });
}

function nameAt(file: Uint8Array, at: number): string {
  const bytes = file.subarray(at, at + longestName);
  const end = bytes.indexOf(0);
  return String.fromCharCode(...bytes.subarray(0, end < 0 ? bytes.length : end));
}

function read(file: Uint8Array): ElfLibraries | null {
  const view = viewOf(file);
  if (view.getUint32(0) !== 0x7f45_4c46 || file[4] !== 2 || file[5] !== 1) return null;
  const segments = segmentsOf(view);
  const dynamic = segments.find(({ type }) => type === segmentTypes.dynamic);
  const loader = segments.find(({ type }) => type === segmentTypes.interpreter);
  const interpreter = loader === undefined ? null : nameAt(file, loader.offset);
  if (dynamic === undefined) return { needed: [], ownName: null, interpreter };
  const entries = entriesOf(view, dynamic);
  const table = entries.find(([tag]) => tag === tags.stringTable)?.[1] ?? 0;
  const around = segments.find(
    ({ type, address, bytes }) => type === segmentTypes.load && table >= address && table < address + bytes,
  );
  if (around === undefined) return { needed: [], ownName: null, interpreter };
  const strings = around.offset + table - around.address;
  const names = (wanted: number): string[] =>
    entries.filter(([tag]) => tag === wanted).map(([, value]) => nameAt(file, strings + value));
  return { needed: names(tags.needed), ownName: names(tags.ownName)[0] ?? null, interpreter };
}

/** The libraries of an ELF file; null for another file, or a damaged one. */
export function elfLibraries(file: Uint8Array): ElfLibraries | null {
  try {
    return read(file);
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}
