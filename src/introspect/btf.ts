/** Structures, per-CPU variables and enumeration values from a kernel's BTF. */
import { BtfTypes, kinds } from './btf_types.js';
import type { BtfType } from './btf_types.js';
import type { Layouts } from './layouts.js';

/** A structure by its name; of several with this name, the one that has that member. */
export type WantedStructure = string | { readonly name: string; readonly having: string };

/** Layouts by BTF. Members of unnamed nested structures and unions are included: `irq_info.u.virq`, and `page.flags`. */
export interface BtfLayouts extends Layouts {
  /** The number of elements of the array `structure.member`; null if it is not an array, or not known. */
  elements(path: string): number | null;
}

const memberBytes = 12;
const enumeratorBytes = 8;
const variableBytes = 12;
/** Limits: kernels nest unnamed structures four or five levels deep, and no structure has more members than this. */
const deepest = 8;
const mostMembers = 1 << 13;
/** Limits: kernels have some thousand per-CPU variables, and some ten thousand enumerators. */
const mostVariables = 1 << 16;
const mostEnumerators = 1 << 20;
/** Maximum number of aliases of a type; more would be a cycle. */
const mostAliases = 16;
const aliases: readonly number[] = [
  kinds.typedef,
  kinds.volatile,
  kinds.const,
  kinds.restrict,
  kinds.typeTag,
];

/** The type without aliases and qualifiers. */
function resolve(types: BtfTypes, id: number): BtfType | null {
  let type = types.byId(id);
  for (let left = mostAliases; left > 0 && type !== null; left -= 1) {
    if (!aliases.includes(type.kind)) return type;
    type = types.byId(type.sizeOrType);
  }
  return null;
}

function isCompound(type: BtfType | null): type is BtfType {
  return type !== null && (type.kind === kinds.structure || type.kind === kinds.union);
}

/** A member: its offset in its structure in bytes, and its type. Bit fields are left out. */
interface Member {
  readonly name: string;
  readonly offset: number;
  readonly type: BtfType | null;
}

function* membersOf(types: BtfTypes, structure: BtfType): Generator<Member> {
  for (let index = 0; index < structure.count; index += 1) {
    const bitsWord = types.word(structure, 2, index, memberBytes);
    const bits = structure.flag ? bitsWord & 0xff_ffff : bitsWord;
    const isField = structure.flag && bitsWord >>> 24 !== 0;
    if (isField || bits % 8 !== 0) continue;
    yield {
      name: types.nameIn(structure, 0, index, memberBytes),
      offset: bits / 8,
      type: resolve(types, types.word(structure, 1, index, memberBytes)),
    };
  }
}

/** One structure; its members by path. */
class LayoutReader {
  readonly size: number;
  readonly offsets = new Map<string, number>();
  readonly elements = new Map<string, number>();
  readonly #types: BtfTypes;
  #left = mostMembers;

  constructor(types: BtfTypes, name: string, structure: BtfType) {
    this.#types = types;
    this.size = structure.sizeOrType;
    this.#readMembers(name, structure, 0, deepest);
  }

  #readMembers(path: string, structure: BtfType, base: number, depth: number): void {
    for (const { name, offset, type } of membersOf(this.#types, structure)) {
      this.#left -= 1;
      if (this.#left < 0) return;
      const at = name === '' ? path : `${path}.${name}`;
      if (name !== '') this.#note(at, base + offset, type);
      const isUnnamed = isCompound(type) && this.#types.nameOf(type) === '';
      if (isUnnamed && depth > 0) this.#readMembers(at, type, base + offset, depth - 1);
    }
  }

  #note(path: string, offset: number, type: BtfType | null): void {
    this.offsets.set(path, offset);
    if (type?.kind === kinds.array) this.elements.set(path, this.#types.word(type, 2));
  }
}

function readLayouts(types: BtfTypes, wanted: readonly WantedStructure[]): BtfLayouts {
  const members = new Map(
    wanted.map((each): [string, string | null] =>
      typeof each === 'string' ? [each, null] : [each.name, each.having],
    ),
  );
  const found = new Map<string, LayoutReader>();
  for (const structure of types.ofKind(kinds.structure)) {
    const name = types.nameOf(structure);
    const having = members.get(name);
    if (having === undefined || found.has(name)) continue;
    const read = new LayoutReader(types, name, structure);
    if (having === null || read.offsets.has(`${name}.${having}`)) found.set(name, read);
  }
  const ofPath = (path: string): LayoutReader | undefined => found.get(path.split('.', 1)[0] ?? '');
  return {
    size: (name) => found.get(name)?.size ?? null,
    offset: (path) => ofPath(path)?.offsets.get(path) ?? null,
    elements: (path) => ofPath(path)?.elements.get(path) ?? null,
  };
}

/** Offsets of the variables within section `name`. */
function readSection(types: BtfTypes, name: string): ReadonlyMap<string, number> {
  const offsets = new Map<string, number>();
  for (const section of types.ofKind(kinds.section)) {
    if (types.nameOf(section) !== name) continue;
    for (let index = 0; index < Math.min(section.count, mostVariables); index += 1) {
      const variable = types.byId(types.word(section, 0, index, variableBytes));
      if (variable?.kind !== kinds.variable) continue;
      offsets.set(types.nameOf(variable), types.word(section, 1, index, variableBytes));
    }
  }
  return offsets;
}

/** The value of an enumerator of 32 bits, signed; null if there is none of that name. */
function readEnumerator(types: BtfTypes, name: string): number | null {
  let left = mostEnumerators;
  for (const type of types.ofKind(kinds.enumeration)) {
    for (let index = 0; index < type.count && left > 0; index += 1, left -= 1) {
      if (types.nameIn(type, 0, index, enumeratorBytes) === name)
        return types.word(type, 1, index, enumeratorBytes) | 0;
    }
  }
  return null;
}

export class Btf {
  readonly #types: BtfTypes;

  private constructor(types: BtfTypes) {
    this.#types = types;
  }

  /** The kernel's own BTF in `image`; null if it has none. */
  static find(image: Uint8Array): Btf | null {
    const types = BtfTypes.find(image);
    return types === null ? null : new Btf(types);
  }

  /** The layouts of the structures `wanted`. Invalid parts are ignored. */
  layouts(wanted: readonly WantedStructure[]): BtfLayouts {
    return readLayouts(this.#types, wanted);
  }

  /**
   * Per-CPU variables by name: their offsets from `__per_cpu_start`. Empty where the BTF has none, as those made by pahole
   * before 1.22 or so (Debian's 5.10).
   */
  perCpuOffsets(): ReadonlyMap<string, number> {
    return readSection(this.#types, '.data..percpu');
  }

  /** The value of an enumerator; null if there is none of that name. */
  enumerator(name: string): number | null {
    return readEnumerator(this.#types, name);
  }
}

/** The layouts of the structures `wanted`, from the BTF in `image`; null if it has none. */
export function readBtfLayouts(image: Uint8Array, wanted: readonly WantedStructure[]): BtfLayouts | null {
  return Btf.find(image)?.layouts(wanted) ?? null;
}
