/**
 * TLB sets: what the interpreter remembers of translations. Each vCPU has one for EL1 and a few for EL0, one for each
 * address space that it met lately, so that a change of address space forgets nothing. Addresses are two halves of 32 bits.
 */
import { codeTlbEntries, dataTlbEntries, tlbEntry, tlbOffsets } from './layout.js';
import type { EngineMemory } from './memory.js';

/** Of what an EL0 set is a memory: the translation base registers as they were, halves of 32 bits, and the ASID. */
export interface AddressSpaceKey {
  readonly words: readonly [number, number, number, number];
  readonly asid: number;
}

/** What is known of a set beside its entries. */
interface TlbSet {
  readonly place: number;
  /** Null for EL1's set, and for one that holds nothing. */
  key: AddressSpaceKey | null;
  lastUse: number;
  /** Whether anything was put in since it was cleared. */
  used: boolean;
  /**
   * Pages above 64 KiB of which a part is remembered, by the binary logarithm of their size, as multiples of that: what is
   * forgotten of one is forgotten of all of it.
   */
  readonly large: Map<number, Set<number>>;
  /** Addresses of pages whose translation belongs to an address space; null when there were too many to list. */
  bound: number[] | null;
}

const unprivilegedSets = 4;
const mostBoundPages = 64;
/** Pages up to this size are forgotten entry by entry. */
const smallPageLog2 = 16;

/** Sets that each vCPU has. */
export const setsPerVcpu = 1 + unprivilegedSets;

export class Tlbs {
  readonly #memory: EngineMemory;
  /** By vCPU; EL1's first. */
  readonly #sets: readonly (readonly TlbSet[])[];
  /** A set that never holds anything. */
  readonly #empty: TlbSet;
  #clock = 0;

  /** The sets of `vcpus` vCPUs from `start` on; they take `tlbBytes(vcpus)`. */
  constructor(memory: EngineMemory, start: number, vcpus: number) {
    this.#memory = memory;
    const set = (index: number): TlbSet => ({
      place: start + index * tlbOffsets.size,
      key: null,
      lastUse: 0,
      used: true,
      large: new Map(),
      bound: [],
    });
    this.#empty = set(0);
    this.#sets = Array.from({ length: vcpus }, (_, vcpu) =>
      Array.from({ length: setsPerVcpu }, (_unused, index) => set(1 + vcpu * setsPerVcpu + index)),
    );
    this.#clear(this.#empty);
    for (const sets of this.#sets) for (const each of sets) this.#clear(each);
  }

  /** The place of EL1's set. */
  privileged(vcpu: number): number {
    return this.#of(vcpu)[0]?.place ?? 0;
  }

  /** The place of the EL0 set for an address space; of a set without entries where there is none yet. */
  find(vcpu: number, key: AddressSpaceKey): number {
    const found = this.#of(vcpu).find((set) => set.key !== null && sameKey(set.key, key));
    if (found === undefined) return this.#empty.place;
    found.lastUse = this.#tick();
    return found.place;
  }

  /** The same, but makes one where there is none, of that which was not used for longest. */
  provide(vcpu: number, key: AddressSpaceKey): number {
    const known = this.find(vcpu, key);
    if (known !== this.#empty.place) return known;
    const oldest = this.#of(vcpu)
      .slice(1)
      .reduce((a, b) => (b.lastUse < a.lastUse ? b : a));
    this.#clear(oldest);
    oldest.key = key;
    oldest.lastUse = this.#tick();
    return oldest.place;
  }

  /** Remembers where the records of a code page are. */
  putCode(place: number, low: number, high: number, records: number): void {
    const entry = place + tlbOffsets.code + codeIndex(low) * tlbEntry.bytes;
    this.#put(entry, low, high, records, 0);
  }

  /** Remembers that the page of an address is at `page` in memory. */
  putData(
    place: number,
    table: 'read' | 'write',
    { low, high }: { readonly low: number; readonly high: number },
    page: number,
    alignedOnly: boolean,
  ): void {
    const entry = place + tlbOffsets[table] + dataIndex(low) * tlbEntry.bytes;
    this.#put(entry, low, high, (page - (low & ~0xfff)) >>> 0, alignedOnly ? 1 : 0);
  }

  #put(entry: number, low: number, high: number, value: number, alignedOnly: number): void {
    const { words } = this.#memory;
    const at = entry >>> 2;
    words[at] = low & ~0xfff;
    words[at + 1] = high;
    words[at + 2] = value;
    words[at + 3] = alignedOnly;
  }

  /** Whether a set remembers that the page of an address may be read. */
  canRead(place: number, low: number, high: number): boolean {
    const { words } = this.#memory;
    const at = (place + tlbOffsets.read + dataIndex(low) * tlbEntry.bytes) >>> 2;
    return words[at] === (low & ~0xfff) >>> 0 && words[at + 1] === high;
  }

  /**
   * Says what the last entry came of: a page of 2^log2Size bytes, and whether its translation is one address space's. The
   * set is given by its place.
   */
  note(vcpu: number, place: number, low: number, high: number, log2Size: number, bound: boolean): void {
    const set = this.#of(vcpu).find((each) => each.place === place);
    if (set === undefined) return;
    set.used = true;
    if (log2Size > smallPageLog2) noteLarge(set, low, high, log2Size);
    if (!bound || set.bound === null) return;
    set.bound.push(low);
    if (set.bound.length > mostBoundPages) set.bound = null;
  }

  /** Forgets everything that a vCPU remembers. */
  forgetAll(vcpu: number): void {
    for (const set of this.#of(vcpu)) this.#clear(set);
  }

  /** Forgets EL1's set. */
  forgetPrivileged(vcpu: number): void {
    const [set] = this.#of(vcpu);
    if (set !== undefined) this.#clear(set);
  }

  /** Forgets what EL1's set has of one address space: the translation base has changed. */
  forgetBound(vcpu: number): void {
    const [set] = this.#of(vcpu);
    if (set === undefined) return;
    if (set.bound === null) {
      this.#clear(set);
      return;
    }
    for (const low of set.bound) this.#forgetEntries(set, low, null);
    set.bound = [];
  }

  /** Forgets all of one ASID. */
  forgetAsid(vcpu: number, asid: number): void {
    this.forgetBound(vcpu);
    for (const set of this.#of(vcpu)) if (set.key?.asid === asid) this.#clear(set);
  }

  /** Forgets `pages` pages of 4 KiB from an address on, in all address spaces; of a large page, all of it. */
  forgetPages(vcpu: number, low: number, high: number, pages: number): void {
    for (const set of this.#of(vcpu)) {
      if (!set.used) continue;
      if (isWithinLarge(set, low, high)) this.#clear(set);
      else for (let page = 0; page < pages; page += 1) this.#forgetEntries(set, low + page * 4096, high);
    }
  }

  /** Forgets the code pages of a vCPU: how they are to be decoded has changed. */
  forgetCode(vcpu: number): void {
    for (const { place } of this.#of(vcpu)) {
      this.#memory.bytes.fill(0xff, place, place + codeTlbEntries * tlbEntry.bytes);
    }
  }

  /** Forgets, on all vCPUs, the code pages whose records are from `start` on and before `end`. */
  forgetRecords(start: number, end: number): void {
    this.#everyEntry(tlbOffsets.code, codeTlbEntries, (at) => {
      const records = this.#memory.words[at + 2] ?? 0;
      return records >= start && records < end;
    });
  }

  /** Forgets, on all vCPUs, that the page of memory at `page` may be written. */
  forgetWrites(page: number): void {
    const { words } = this.#memory;
    this.#everyEntry(tlbOffsets.write, dataTlbEntries, (at) => {
      const low = words[at] ?? 0;
      return (low + (words[at + 2] ?? 0)) >>> 0 === page && (low & 0xfff) === 0;
    });
  }

  #everyEntry(table: number, entries: number, matches: (at: number) => boolean): void {
    for (const sets of this.#sets) {
      for (const set of sets) {
        if (!set.used) continue;
        const start = (set.place + table) >>> 2;
        for (let at = start; at < start + entries * 4; at += 4) {
          if (matches(at)) this.#memory.words.fill(0xffffffff, at, at + 4);
        }
      }
    }
  }

  /** Forgets the entries of one page in one set; whatever their high half where `high` is null. */
  #forgetEntries({ place }: TlbSet, low: number, high: number | null): void {
    const data = dataIndex(low) * tlbEntry.bytes;
    this.#forgetEntry(place + tlbOffsets.code + codeIndex(low) * tlbEntry.bytes, low, high);
    this.#forgetEntry(place + tlbOffsets.read + data, low, high);
    this.#forgetEntry(place + tlbOffsets.write + data, low, high);
  }

  #forgetEntry(entry: number, low: number, high: number | null): void {
    const { words } = this.#memory;
    const at = entry >>> 2;
    if (words[at] !== (low & ~0xfff) >>> 0) return;
    // Bits 63 to 56 may be a tag, and a translation is invalidated by bits 55 down (DDI 0487, TLBI VAE1).
    if (high !== null && (((words[at + 1] ?? 0) ^ high) & 0xffffff) !== 0) return;
    words.fill(0xffffffff, at, at + 4);
  }

  #clear(set: TlbSet): void {
    set.large.clear();
    set.bound = [];
    set.key = null;
    if (!set.used) return;
    set.used = false;
    this.#memory.bytes.fill(0xff, set.place, set.place + tlbOffsets.size);
  }

  #of(vcpu: number): readonly TlbSet[] {
    return this.#sets[vcpu] ?? [];
  }

  #tick(): number {
    this.#clock += 1;
    return this.#clock;
  }
}

/** The bytes that the sets of so many vCPUs take. */
export function tlbBytes(vcpus: number): number {
  return (1 + vcpus * setsPerVcpu) * tlbOffsets.size;
}

function codeIndex(low: number): number {
  return (low >>> 12) & (codeTlbEntries - 1);
}

function dataIndex(low: number): number {
  return (low >>> 12) & (dataTlbEntries - 1);
}

function sameKey(a: AddressSpaceKey, b: AddressSpaceKey): boolean {
  return a.words.every((word, index) => word === b.words[index]);
}

/** The number of the page of 2^log2Size bytes that an address is in; tags (bits 63 to 56) count for nothing. */
function pageNumber(low: number, high: number, log2Size: number): number {
  const address = (high & 0xffffff) * 2 ** 32 + (low >>> 0);
  return Math.floor(address / 2 ** log2Size);
}

function noteLarge({ large }: TlbSet, low: number, high: number, log2Size: number): void {
  const numbers = large.get(log2Size) ?? new Set();
  large.set(log2Size, numbers);
  numbers.add(pageNumber(low, high, log2Size));
}

function isWithinLarge({ large }: TlbSet, low: number, high: number): boolean {
  for (const [log2Size, numbers] of large) {
    if (numbers.has(pageNumber(low, high, log2Size))) return true;
  }
  return false;
}
