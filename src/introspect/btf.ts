/**
 * BTF, the kernel's own description of its types, as it lies in its image (Linux Documentation/bpf/btf.rst): a header, a
 * run of types of differing length, and their names. Only structures are read here.
 */
import type { Layouts } from './layouts.js';

/** Magic 0xeb9f, version 1, no flags, a header of 24 bytes; little-endian. */
const headerStart = [0x9f, 0xeb, 1, 0, 24, 0, 0, 0];
const headerBytes = 24;
const typeBytes = 12;
/** More of a name is not read: none that anybody asks for is longer, and an image may hold anything. */
const longestName = 128;

/** What follows a type, in bytes, by its kind: so much, and so much for each of its members. */
const tails: Readonly<Record<number, { readonly once?: number; readonly each?: number }>> = {
  1: { once: 4 }, // INT
  2: {}, // PTR
  3: { once: 12 }, // ARRAY
  4: { each: 12 }, // STRUCT
  5: { each: 12 }, // UNION
  6: { each: 8 }, // ENUM
  7: {}, // FWD
  8: {}, // TYPEDEF
  9: {}, // VOLATILE
  10: {}, // CONST
  11: {}, // RESTRICT
  12: {}, // FUNC
  13: { each: 8 }, // FUNC_PROTO
  14: { once: 4 }, // VAR
  15: { each: 12 }, // DATASEC
  16: {}, // FLOAT
  17: { once: 4 }, // DECL_TAG
  18: {}, // TYPE_TAG
  19: { each: 12 }, // ENUM64
};
const structure = 4;

interface Sections {
  readonly types: DataView;
  readonly names: Uint8Array;
}

/** The sections of the BTF that begins at `at`; null where that is none. */
function sectionsAt(image: Uint8Array, at: number): Sections | null {
  if (!headerStart.every((byte, index) => image[at + index] === byte)) return null;
  if (at + headerBytes > image.length) return null;
  const header = new DataView(image.buffer, image.byteOffset + at, headerBytes);
  const [typesAt, typesLength, namesAt, namesLength] = [8, 12, 16, 20].map((place) =>
    header.getUint32(place, true),
  ) as [number, number, number, number];
  const start = at + headerBytes;
  if (start + Math.max(typesAt + typesLength, namesAt + namesLength) > image.length) return null;
  return {
    types: new DataView(image.buffer, image.byteOffset + start + typesAt, typesLength),
    names: image.subarray(start + namesAt, start + namesAt + namesLength),
  };
}

/** The largest BTF in `image`, the kernel's own (its modules' would be smaller); null where it has none. */
function findSections(image: Uint8Array): Sections | null {
  let best: Sections | null = null;
  for (let at = image.indexOf(0x9f); at >= 0; at = image.indexOf(0x9f, at + 1)) {
    const found = sectionsAt(image, at);
    if (found !== null && found.types.byteLength > (best?.types.byteLength ?? 0)) best = found;
  }
  return best;
}

function nameAt(names: Uint8Array, at: number): string {
  const text = names.subarray(at, at + longestName);
  const end = text.indexOf(0);
  return String.fromCharCode(...text.subarray(0, end < 0 ? text.length : end));
}

/** The members of the structure at `at`, with their offsets in bytes; bit fields are left out. */
function* membersAt(
  { types, names }: Sections,
  at: number,
  count: number,
  hasBits: boolean,
): Generator<[string, number]> {
  for (let member = 0; member < count; member += 1) {
    const place = at + typeBytes + member * 12;
    const word = types.getUint32(place + 8, true);
    const bits = hasBits ? word & 0xff_ffff : word;
    if (bits % 8 === 0) yield [nameAt(names, types.getUint32(place, true)), bits / 8];
  }
}

/** The layouts of the structures `wanted`, from the BTF in `image`; null where it has none. What is broken is passed over. */
export function readBtfLayouts(image: Uint8Array, wanted: readonly string[]): Layouts | null {
  const sections = findSections(image);
  if (sections === null) return null;
  const { types, names } = sections;
  const sizes = new Map<string, number>();
  const offsets = new Map<string, number>();
  for (let at = 0; at + typeBytes <= types.byteLength;) {
    const info = types.getUint32(at + 4, true);
    const count = info & 0xffff;
    const kind = (info >>> 24) & 0x1f;
    const tail = tails[kind];
    if (tail === undefined) break;
    const next = at + typeBytes + (tail.once ?? 0) + (tail.each ?? 0) * count;
    if (next > types.byteLength) break;
    const name = kind === structure ? nameAt(names, types.getUint32(at, true)) : '';
    if (wanted.includes(name) && !sizes.has(name)) {
      sizes.set(name, types.getUint32(at + 8, true));
      for (const [member, offset] of membersAt(sections, at, count, info >>> 31 === 1)) {
        offsets.set(`${name}.${member}`, offset);
      }
    }
    at = next;
  }
  return { size: (name) => sizes.get(name) ?? null, offset: (path) => offsets.get(path) ?? null };
}
