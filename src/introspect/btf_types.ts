/**
 * BTF, the kernel's own description of its types, as it is in its image (Linux Documentation/bpf/btf.rst and
 * include/uapi/linux/btf.h): a header, types of differing length one behind the other, and their names. From 2026 on a BTF
 * may also say how long the types of each kind are, so that kinds that nobody knows yet can be stepped over.
 */
import { wordsOf } from './words.js';

/** Magic 0xeb9f and version 1, little-endian. */
const headerStart = [0x9f, 0xeb, 1] as const;
/** Header size without and with the offset of the kinds' layout. No header is longer than the last. */
const headerBytes = { least: 24, withLayout: 32, most: 1024 } as const;
/** The types of a kernel's own BTF have more bytes than this. */
const leastTypes = 1 << 18;
const typeBytes = 12;
const layoutBytes = 4;
/** Maximum length of a name: no name that is searched is longer, and an image may contain anything. */
const longestName = 128;
/** Maximum number of types: kernels have some 250,000. */
const mostTypes = 1 << 20;

export const kinds = {
  array: 3,
  structure: 4,
  union: 5,
  enumeration: 6,
  typedef: 8,
  volatile: 9,
  const: 10,
  restrict: 11,
  variable: 14,
  section: 15,
  typeTag: 18,
} as const;

/** The size of the data after a type, in bytes: a fixed part, and a part for each of its members. */
interface Tail {
  readonly once: number;
  readonly each: number;
}

/** By kind, from VOID to LOCSEC. */
const tails: readonly Tail[] = [
  { once: 0, each: 0 },
  { once: 4, each: 0 }, // INT
  { once: 0, each: 0 }, // PTR
  { once: 12, each: 0 }, // ARRAY
  { once: 0, each: 12 }, // STRUCT
  { once: 0, each: 12 }, // UNION
  { once: 0, each: 8 }, // ENUM
  { once: 0, each: 0 }, // FWD
  { once: 0, each: 0 }, // TYPEDEF
  { once: 0, each: 0 }, // VOLATILE
  { once: 0, each: 0 }, // CONST
  { once: 0, each: 0 }, // RESTRICT
  { once: 0, each: 0 }, // FUNC
  { once: 0, each: 8 }, // FUNC_PROTO
  { once: 4, each: 0 }, // VAR
  { once: 0, each: 12 }, // DATASEC
  { once: 0, each: 0 }, // FLOAT
  { once: 4, each: 0 }, // DECL_TAG
  { once: 0, each: 0 }, // TYPE_TAG
  { once: 0, each: 12 }, // ENUM64
  { once: 4, each: 4 }, // LOC_PARAM
  { once: 0, each: 4 }, // LOC_PROTO
  { once: 0, each: 12 }, // LOCSEC
];

/** The size of the data after a type; null if neither this program nor the BTF itself knows the kind. */
function tailOf(kind: number, layout: DataView): Tail | null {
  const known = kind === 0 ? undefined : tails[kind];
  if (known !== undefined) return known;
  const at = layoutBytes * kind;
  if (kind === 0 || at + layoutBytes > layout.byteLength) return null;
  return { once: layout.getUint8(at), each: layout.getUint8(at + 1) };
}

/** A type: its kind, and the contents of its first words. */
export interface BtfType {
  /** Its offset in bytes from the first type. */
  readonly at: number;
  readonly kind: number;
  /** Number of members, values or variables that follow. */
  readonly count: number;
  readonly flag: boolean;
  /** Size in bytes, or the id of another type, by kind. */
  readonly sizeOrType: number;
}

interface Sections {
  readonly types: DataView;
  readonly names: Uint8Array;
  /** Four bytes for each kind; empty if the BTF has no such table. */
  readonly layout: DataView;
}

function sectionsAt(image: Uint8Array, at: number): Sections | null {
  if (!headerStart.every((byte, index) => image[at + index] === byte)) return null;
  if (at + headerBytes.least > image.length) return null;
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  const length = view.getUint32(at + 4, true);
  if (length < headerBytes.least || length > headerBytes.most || length % 4 !== 0) return null;
  const part = (field: number): DataView | null => {
    const from = at + length + view.getUint32(at + field, true);
    const bytes = view.getUint32(at + field + 4, true);
    return from + bytes > image.length ? null : new DataView(image.buffer, image.byteOffset + from, bytes);
  };
  const [types, names] = [part(8), part(16)];
  if (types === null || names === null || names.byteLength === 0 || names.getUint8(0) !== 0) return null;
  const layout = length < headerBytes.withLayout ? null : part(24);
  return {
    types,
    names: new Uint8Array(names.buffer, names.byteOffset, names.byteLength),
    layout: layout ?? new DataView(image.buffer, image.byteOffset, 0),
  };
}

/** Offsets in `image` where a header may begin: at multiples of 4, which are read fast. */
function* alignedHeaders(image: Uint8Array): Generator<number> {
  const words = wordsOf(image);
  const [low, high, version] = headerStart;
  // The fourth byte holds flags, of which none are defined.
  const start = low | (high << 8) | (version << 16);
  for (let at = words.indexOf(start); at >= 0; at = words.indexOf(start, at + 1)) yield 4 * at;
}

/** The same at any offset. */
function* anyHeaders(image: Uint8Array): Generator<number> {
  for (let at = image.indexOf(headerStart[0]); at >= 0; at = image.indexOf(headerStart[0], at + 1)) yield at;
}

function largest(image: Uint8Array, offsets: Iterable<number>): Sections | null {
  let best: Sections | null = null;
  for (const at of offsets) {
    const found = sectionsAt(image, at);
    if (found !== null && found.types.byteLength > (best?.types.byteLength ?? 0)) best = found;
  }
  return best;
}

/** The largest BTF in `image`, which is the kernel's own (those of modules are smaller); null if there is none. */
function findSections(image: Uint8Array): Sections | null {
  const aligned = largest(image, alignedHeaders(image));
  const isKernels = aligned !== null && aligned.types.byteLength >= leastTypes;
  return isKernels ? aligned : largest(image, anyHeaders(image));
}

/** The types of an image's BTF. An invalid type is left out, with all types after it. */
export class BtfTypes {
  readonly #types: DataView;
  readonly #names: Uint8Array;
  /** The offsets of the types, in order of their ids, which start with 1. */
  readonly #starts: number[] = [];

  private constructor({ types, names, layout }: Sections) {
    this.#types = types;
    this.#names = names;
    for (let at = 0; at + typeBytes <= types.byteLength && this.#starts.length < mostTypes;) {
      const { kind, count } = this.#typeAt(at);
      const tail = tailOf(kind, layout);
      if (tail === null) break;
      const next = at + typeBytes + tail.once + tail.each * count;
      if (next > types.byteLength) break;
      this.#starts.push(at);
      at = next;
    }
  }

  /** Null if `image` has no BTF. */
  static find(image: Uint8Array): BtfTypes | null {
    const sections = findSections(image);
    return sections === null ? null : new BtfTypes(sections);
  }

  /** The types of one kind, in order. */
  *ofKind(kind: number): Generator<BtfType> {
    for (const at of this.#starts) {
      const found = ((this.#types.getUint32(at + 4, true) >>> 24) & 0x7f) === kind;
      if (found) yield this.#typeAt(at);
    }
  }

  /** The type with that id; null if there is none. */
  byId(id: number): BtfType | null {
    const at = this.#starts[id - 1];
    return at === undefined ? null : this.#typeAt(at);
  }

  /** Bits 0 to 23 of `info` are the count, 24 to 30 the kind: before 2026, 0 to 15 and 24 to 28, those between being 0. */
  #typeAt(at: number): BtfType {
    const info = this.#types.getUint32(at + 4, true);
    return {
      at,
      kind: (info >>> 24) & 0x7f,
      count: info & 0xff_ffff,
      flag: info >>> 31 === 1,
      sizeOrType: this.#types.getUint32(at + 8, true),
    };
  }

  nameOf({ at }: BtfType): string {
    return this.#nameAt(this.#types.getUint32(at, true));
  }

  /** Word `word` of the fixed part after a type, or of its member `index` of `bytes` bytes. */
  word({ at }: BtfType, word: number, index = 0, bytes = 0): number {
    return this.#types.getUint32(at + typeBytes + index * bytes + 4 * word, true);
  }

  /** The name at the offset in such a word. */
  nameIn(type: BtfType, word: number, index: number, bytes: number): string {
    return this.#nameAt(this.word(type, word, index, bytes));
  }

  #nameAt(at: number): string {
    const text = this.#names.subarray(at, at + longestName);
    const end = text.indexOf(0);
    return String.fromCharCode(...text.subarray(0, end < 0 ? text.length : end));
  }
}
