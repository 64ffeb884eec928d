/**
 * TLB sets: the interpreter's cache of translations. Each vCPU has one set for privileged code and several for user code, one for
 * each recent address space, so that a context switch invalidates nothing. Addresses are two halves of 32 bits.
 */
import { InputError } from '../base/index.js';
import { codeTlbEntries, dataTlbEntries, tlbEntry, tlbOffsets } from './layout.js';
import type { EngineMemory } from './memory.js';
import { packWords, unpackWords } from './packed_words.js';

/** The address space of a user set. The architecture says what distinguishes two address spaces. */
export interface AddressSpaceKey {
  /** Two keys are the same if their words are. */
  readonly words: readonly number[];
  /** By this number, the architecture invalidates sets of several keys at once (`flushGroup`). */
  readonly group: number;
}

/** What is known of a set besides its entries. */
interface TlbSet {
  readonly offset: number;
  /** Null for the privileged set, and for an unused set. */
  key: AddressSpaceKey | null;
  lastUse: number;
  /** Whether anything was inserted since the set was cleared. */
  used: boolean;
  /**
   * Pages above 64 KiB with at least one entry in the set: for each size (its binary logarithm), the page numbers.
   * Invalidating a part of such a page must drop all of it.
   */
  readonly large: Map<number, Set<number>>;
  /** Addresses of pages whose translation is not global; null when there are too many to list. */
  nonGlobal: number[] | null;
}

/** A set as a plain value. */
export interface TlbSetValue {
  readonly key: AddressSpaceKey | null;
  readonly lastUse: number;
  readonly used: boolean;
  /** By the binary logarithm of the page size. */
  readonly large: readonly { readonly log2Size: number; readonly pages: readonly number[] }[];
  readonly nonGlobal: readonly number[] | null;
  /** Five words for each entry that is not empty: its index, counted over all tables of the set, and its contents. */
  readonly entries: Uint8Array;
}

/**
 * All sets as a plain value. Entries hold byte offsets in the engine's memory, so the value is for processors of the same sizes.
 */
export interface TlbsValue {
  readonly clock: number;
  /** By vCPU. */
  readonly sets: readonly (readonly TlbSetValue[])[];
}

/** Where entries may lead. The interpreter follows them, and asks nobody. */
export interface TlbTargets {
  /** Whether a code entry may have a value (`putCode`). */
  isCode(records: number): boolean;
  /** Whether the page of a data entry may be at a byte offset. */
  isData(page: number): boolean;
}

const unprivilegedSets = 4;
const mostNonGlobalPages = 64;
/** Pages up to this size are invalidated entry by entry. */
const smallPageLog2 = 16;

/** Number of sets per vCPU. */
const setsPerVcpu = 1 + unprivilegedSets;

export class Tlbs {
  readonly #memory: EngineMemory;
  /** By vCPU. The privileged set comes first. */
  readonly #sets: readonly (readonly TlbSet[])[];
  /** A set that is always empty. */
  readonly #empty: TlbSet;
  readonly #highMask: number;
  #clock = 0;

  /**
   * Creates the sets of `vcpus` vCPUs at `start`. They take `tlbBytes(vcpus)`. `highMask` has the bits of an address's high half by
   * which pages are invalidated; the others may be a tag that translation ignores.
   */
  constructor(memory: EngineMemory, start: number, vcpus: number, highMask: number) {
    this.#memory = memory;
    this.#highMask = highMask;
    const set = (index: number): TlbSet => ({
      offset: start + index * tlbOffsets.size,
      key: null,
      lastUse: 0,
      used: true,
      large: new Map(),
      nonGlobal: [],
    });
    this.#empty = set(0);
    this.#sets = Array.from({ length: vcpus }, (_, vcpu) =>
      Array.from({ length: setsPerVcpu }, (_unused, index) => set(1 + vcpu * setsPerVcpu + index)),
    );
    this.#clear(this.#empty);
    for (const sets of this.#sets) for (const each of sets) this.#clear(each);
  }

  /** The byte offset of the privileged set. */
  privileged(vcpu: number): number {
    return this.#of(vcpu)[0]?.offset ?? 0;
  }

  /** The byte offset of the user set for an address space, or of the empty set if it has none. */
  find(vcpu: number, key: AddressSpaceKey): number {
    const found = this.#of(vcpu).find((set) => set.key !== null && sameKey(set.key, key));
    if (found === undefined) return this.#empty.offset;
    found.lastUse = this.#tick();
    return found.offset;
  }

  /** As `find`, but creates a set where there is none. It replaces the least recently used one. */
  provide(vcpu: number, key: AddressSpaceKey): number {
    const known = this.find(vcpu, key);
    if (known !== this.#empty.offset) return known;
    const oldest = this.#of(vcpu)
      .slice(1)
      .reduce((a, b) => (b.lastUse < a.lastUse ? b : a));
    this.#clear(oldest);
    oldest.key = key;
    oldest.lastUse = this.#tick();
    return oldest.offset;
  }

  /** Inserts a code page with the value that the code layout needs. */
  putCode(offset: number, low: number, high: number, records: number): void {
    const entry = offset + tlbOffsets.code + codeIndex(low) * tlbEntry.bytes;
    this.#put(entry, low, high, records, 0);
  }

  /** Inserts a data page. `page` is its byte offset in memory. */
  putData(
    offset: number,
    table: 'read' | 'write',
    { low, high }: { readonly low: number; readonly high: number },
    page: number,
    alignedOnly: boolean,
  ): void {
    const entry = offset + tlbOffsets[table] + dataIndex(low) * tlbEntry.bytes;
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

  /** The value of a set's entry for the code page of an address; -1 if it has none. */
  codeAt(offset: number, low: number, high: number): number {
    const { words } = this.#memory;
    const at = (offset + tlbOffsets.code + codeIndex(low) * tlbEntry.bytes) >>> 2;
    const isThere = words[at] === (low & ~0xfff) >>> 0 && words[at + 1] === high;
    return isThere ? (words[at + 2] ?? 0) : -1;
  }

  /** The byte offset in memory of an address whose page has an entry in one of the tables of a set; -1 if it has none. */
  dataAt(offset: number, table: 'read' | 'write', low: number, high: number): number {
    const { words } = this.#memory;
    const at = (offset + tlbOffsets[table] + dataIndex(low) * tlbEntry.bytes) >>> 2;
    const isThere = words[at] === (low & ~0xfff) >>> 0 && words[at + 1] === high;
    return isThere ? (low + (words[at + 2] ?? 0)) >>> 0 : -1;
  }

  /**
   * Records the origin of the last entry: a page of 2^log2Size bytes, and whether its translation is not global.
   * `offset` is the byte offset of the set.
   */
  note(vcpu: number, offset: number, low: number, high: number, log2Size: number, nonGlobal: boolean): void {
    const set = this.#of(vcpu).find((each) => each.offset === offset);
    if (set === undefined) return;
    set.used = true;
    if (log2Size > smallPageLog2) this.#noteLarge(set, low, high, log2Size);
    if (!nonGlobal || set.nonGlobal === null) return;
    set.nonGlobal.push(low);
    if (set.nonGlobal.length > mostNonGlobalPages) set.nonGlobal = null;
  }

  /** Invalidates all entries of a vCPU. */
  flushAll(vcpu: number): void {
    for (const set of this.#of(vcpu)) this.#clear(set);
  }

  /** Invalidates the privileged set. */
  flushPrivileged(vcpu: number): void {
    const [set] = this.#of(vcpu);
    if (set !== undefined) this.#clear(set);
  }

  /** Invalidates the entries of one page of 4 KiB in the privileged set alone. */
  flushPrivilegedPage(vcpu: number, low: number, high: number): void {
    const [set] = this.#of(vcpu);
    if (set !== undefined) this.#flushEntries(set, low, high);
  }

  /** Invalidates the entries of the privileged set that are not global. Used when the address space changes. */
  flushNonGlobal(vcpu: number): void {
    const [set] = this.#of(vcpu);
    if (set === undefined) return;
    if (set.nonGlobal === null) {
      this.#clear(set);
      return;
    }
    for (const low of set.nonGlobal) this.#flushEntries(set, low, null);
    set.nonGlobal = [];
  }

  /** Invalidates the user sets whose keys have that group. */
  flushGroup(vcpu: number, group: number): void {
    for (const set of this.#of(vcpu)) if (set.key?.group === group) this.#clear(set);
  }

  /**
   * Invalidates `pages` pages of 4 KiB from an address on, in all address spaces. A large page is invalidated as a
   * whole.
   */
  flushPages(vcpu: number, low: number, high: number, pages: number): void {
    for (const set of this.#of(vcpu)) {
      if (!set.used) continue;
      if (this.#isWithinLarge(set, low, high)) this.#clear(set);
      else for (let page = 0; page < pages; page += 1) this.#flushEntries(set, low + page * 4096, high);
    }
  }

  /** Invalidates the code pages of a vCPU. Used when its decode variant changes. */
  flushCode(vcpu: number): void {
    for (const { offset } of this.#of(vcpu)) {
      this.#memory.bytes.fill(0xff, offset, offset + codeTlbEntries * tlbEntry.bytes);
    }
  }

  /** Invalidates, on all vCPUs, the code pages for whose entries' value (`putCode`) `matches` is true. */
  flushRecords(matches: (records: number) => boolean): void {
    this.#everyEntry(tlbOffsets.code, codeTlbEntries, (at) => matches(this.#memory.words[at + 2] ?? 0));
  }

  /** Invalidates, on all vCPUs, the entries for writing to the memory page at `page`. */
  flushWrites(page: number): void {
    const { words } = this.#memory;
    this.#everyEntry(tlbOffsets.write, dataTlbEntries, (at) => {
      const low = words[at] ?? 0;
      return pageOf(low, words[at + 2] ?? 0) === page && (low & 0xfff) === 0;
    });
  }

  #everyEntry(table: number, entries: number, matches: (at: number) => boolean): void {
    for (const sets of this.#sets) {
      for (const set of sets) {
        if (!set.used) continue;
        const start = (set.offset + table) >>> 2;
        for (let at = start; at < start + entries * 4; at += 4) {
          if (matches(at)) this.#memory.words.fill(0xffffffff, at, at + 4);
        }
      }
    }
  }

  /** Invalidates the entries of one page in one set. If `high` is null, the high half is not compared. */
  #flushEntries({ offset }: TlbSet, low: number, high: number | null): void {
    const data = dataIndex(low) * tlbEntry.bytes;
    this.#flushEntry(offset + tlbOffsets.code + codeIndex(low) * tlbEntry.bytes, low, high);
    this.#flushEntry(offset + tlbOffsets.read + data, low, high);
    this.#flushEntry(offset + tlbOffsets.write + data, low, high);
  }

  #flushEntry(entry: number, low: number, high: number | null): void {
    const { words } = this.#memory;
    const at = entry >>> 2;
    if (words[at] !== (low & ~0xfff) >>> 0) return;
    if (high !== null && (((words[at + 1] ?? 0) ^ high) & this.#highMask) !== 0) return;
    words.fill(0xffffffff, at, at + 4);
  }

  /** The number of the page of 2^log2Size bytes that contains an address, without a tag. */
  #pageNumber(low: number, high: number, log2Size: number): number {
    const upper = (high & this.#highMask) >>> 0;
    if (log2Size >= 32) return Math.floor(upper / 2 ** (log2Size - 32));
    return upper * 2 ** (32 - log2Size) + Math.floor((low >>> 0) / 2 ** log2Size);
  }

  #noteLarge({ large }: TlbSet, low: number, high: number, log2Size: number): void {
    const numbers = large.get(log2Size) ?? new Set();
    large.set(log2Size, numbers);
    numbers.add(this.#pageNumber(low, high, log2Size));
  }

  #isWithinLarge({ large }: TlbSet, low: number, high: number): boolean {
    for (const [log2Size, numbers] of large) {
      if (numbers.has(this.#pageNumber(low, high, log2Size))) return true;
    }
    return false;
  }

  #clear(set: TlbSet): void {
    set.large.clear();
    set.nonGlobal = [];
    set.key = null;
    if (!set.used) return;
    set.used = false;
    this.#memory.bytes.fill(0xff, set.offset, set.offset + tlbOffsets.size);
  }

  save(): TlbsValue {
    return {
      clock: this.#clock,
      sets: this.#sets.map((sets) =>
        sets.map((set) => ({
          key: set.key,
          lastUse: set.lastUse,
          used: set.used,
          large: [...set.large]
            .map(([log2Size, pages]) => ({ log2Size, pages: [...pages].sort((a, b) => a - b) }))
            .sort((a, b) => a.log2Size - b.log2Size),
          nonGlobal: set.nonGlobal === null ? null : [...set.nonGlobal],
          entries: packWords(set.used ? this.#entriesOf(set) : []),
        })),
      ),
    };
  }

  /** Throws {@link InputError} on entries that lead elsewhere than to the guests' memory and decoded code. */
  load({ clock, sets }: TlbsValue, targets: TlbTargets): void {
    this.#clock = clock;
    for (const [vcpu, ofVcpu] of this.#sets.entries()) {
      for (const [index, set] of ofVcpu.entries()) {
        const value = sets[vcpu]?.[index];
        this.#clear(set);
        if (value !== undefined) this.#loadSet(set, value, targets);
      }
    }
  }

  #entriesOf({ offset }: TlbSet): number[] {
    const { words } = this.#memory;
    const found: number[] = [];
    for (let index = 0; index < tlbOffsets.size / tlbEntry.bytes; index += 1) {
      const entry = words.subarray((offset + index * tlbEntry.bytes) >>> 2).subarray(0, 4);
      if (!entry.some((word) => word !== 0xffffffff)) continue;
      found.push(index, ...entry);
      // Uses of the page by the interpreter are not seen.
      if (index >= codeTlbEntries) this.#memory.use(pageOf(entry[0] ?? 0, entry[2] ?? 0));
    }
    return found;
  }

  #loadSet(set: TlbSet, value: TlbSetValue, targets: TlbTargets): void {
    set.key = value.key;
    set.lastUse = value.lastUse;
    set.used = value.used;
    for (const { log2Size, pages } of value.large) set.large.set(log2Size, new Set(pages));
    set.nonGlobal = value.nonGlobal === null ? null : [...value.nonGlobal];
    const words = unpackWords(value.entries);
    // An unused set is never cleared.
    check(words.length === 0 || value.used);
    for (let at = 0; at < words.length; at += 5) {
      const [index = 0, low = 0, , target = 0, alignedOnly] = words.slice(at, at + 5);
      check(index < tlbOffsets.size / tlbEntry.bytes && (low & 0xfff) === 0 && alignedOnly !== undefined);
      check(index < codeTlbEntries ? targets.isCode(target) : targets.isData(pageOf(low, target)));
      const offset = set.offset + index * tlbEntry.bytes;
      this.#memory.words.set(words.slice(at + 1, at + 5), offset >>> 2);
      // The interpreter follows an entry for data to its page, and asks nobody.
      if (index >= codeTlbEntries) this.#memory.bringIn(pageOf(low, target));
    }
  }

  #of(vcpu: number): readonly TlbSet[] {
    return this.#sets[vcpu] ?? [];
  }

  #tick(): number {
    this.#clock += 1;
    return this.#clock;
  }
}

function check(isPossible: boolean): void {
  if (!isPossible) throw new InputError('its translations are not possible');
}

/** Size in bytes of the sets of `vcpus` vCPUs. */
export function tlbBytes(vcpus: number): number {
  return (1 + vcpus * setsPerVcpu) * tlbOffsets.size;
}

/** The byte offset of the page of a data entry. */
function pageOf(low: number, value: number): number {
  return (low + value) >>> 0;
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
