/**
 * Paging (Intel SDM volume 3, chapter 4; AMD APM volume 2, chapter 5): 32-bit, PAE and 4-level. A walk sets accessed and dirty
 * bits. Intermediate entries become accessed as soon as they are used, also if the walk fails further down; the last one
 * only if the access is permitted.
 */

export type AccessType = 'read' | 'write' | 'fetch';

/** Reads and changes entries of translation tables by physical address. */
export interface TableAccess {
  low: number;
  high: number;
  /** Reads an entry of `bytes` bytes into `low` and `high`; false where there is no memory. */
  readEntry(address: number, bytes: 4 | 8): boolean;
  /** Sets bits in the low half of an entry that was just read. */
  setBits(address: number, bits: number): void;
}

/** Bits of a page fault's error code. */
export const pageFault = { present: 1, write: 2, user: 4, reserved: 8, fetch: 16 } as const;

export type PagingMode = 'off' | '32-bit' | 'PAE' | '4-level';

/** What the control registers say of translation. */
export interface Regime {
  readonly mode: PagingMode;
  /** Physical address of the first table, from CR3. */
  readonly root: number;
  /** CR0.WP: the supervisor does not write to read-only pages. */
  readonly writeProtect: boolean;
  /** EFER.NXE: bit 63 of an entry forbids execution; otherwise it is reserved. */
  readonly noExecute: boolean;
  /** CR4.PSE: pages of 4 MiB in 32-bit paging. */
  readonly largePages: boolean;
  /** CR4.PGE: bit 8 of the last entry makes a translation global. */
  readonly globalPages: boolean;
  /** CR4.SMEP: the supervisor does not execute user pages. */
  readonly smep: boolean;
  /** CR4.SMAP, for an access that RFLAGS.AC does not permit: the supervisor does not read or write user pages. */
  readonly smap: boolean;
}

/** The width of physical addresses in bits: CPUID leaf 0x80000008 of the reference guest. */
export const physicalBits = 40;

export interface Translation {
  /** Null on success, else the error code of the page fault. */
  fault: number | null;
  /** The physical address of the 4 KiB page that contains the address. */
  page: number;
  /** Binary logarithm of the size of the page. */
  log2Size: number;
  global: boolean;
  /** Whether it is a user page. */
  user: boolean;
  /** Whether the dirty bit is set, so that later writes need no walk. */
  dirty: boolean;
}

const entry = {
  present: 1 << 0,
  writable: 1 << 1,
  user: 1 << 2,
  accessed: 1 << 5,
  dirty: 1 << 6,
  large: 1 << 7,
  global: 1 << 8,
} as const;

/** The form of the tables: levels from the root down, each with the position of its index in the address. */
interface Format {
  readonly entryBytes: 4 | 8;
  readonly levels: readonly Level[];
}

interface Level {
  readonly shift: number;
  readonly indexBits: number;
  /** Whether an entry may be a page. */
  readonly mayBePage: boolean;
  /** Bits of the low half that are reserved in an entry that leads to a table, and in one that is a page. */
  readonly reservedInTable: number;
  readonly reservedInPage: number;
  /** Entries of the PAE root have no access rights, and are not marked as accessed. */
  readonly isPaeRoot: boolean;
}

function level(shift: number, indexBits: number, some: Partial<Level> = {}): Level {
  return {
    shift,
    indexBits,
    mayBePage: false,
    reservedInTable: 0,
    reservedInPage: 0,
    isPaeRoot: false,
    ...some,
  };
}

/** Address bits of a large page below its size, but for bit 12, which is its PAT bit. */
const belowLargePage = (log2Size: number): number => (1 << log2Size) - (1 << 13);
const lastLevel = level(12, 9, { mayBePage: true });
const twoMiB = level(21, 9, { mayBePage: true, reservedInPage: belowLargePage(21) });

const formats: Readonly<Record<Exclude<PagingMode, 'off'>, Format>> = {
  '32-bit': {
    entryBytes: 4,
    levels: [level(22, 10, { mayBePage: true }), level(12, 10, { mayBePage: true })],
  },
  PAE: {
    entryBytes: 8,
    levels: [level(30, 2, { reservedInTable: 0x1e6, isPaeRoot: true }), twoMiB, lastLevel],
  },
  '4-level': {
    entryBytes: 8,
    levels: [
      level(39, 9, { reservedInTable: entry.large }),
      level(30, 9, { mayBePage: true, reservedInPage: belowLargePage(30) }),
      twoMiB,
      lastLevel,
    ],
  },
};

/** Physical address bits above the width, in the high half of an entry. Bits 62 to 52 are ignored in long mode only. */
const highReserved = {
  '4-level': 0x000f_ffff & -(1 << (physicalBits - 32)),
  PAE: 0x7fff_ffff & -(1 << (physicalBits - 32)),
};

/** An address shifted right by up to 63 bits. */
function shiftRight(low: number, high: number, by: number): number {
  return by < 32 ? (low >>> by) | ((high << 1) << (31 - by)) : high >>> (by - 32);
}

interface Rights {
  user: boolean;
  writable: boolean;
  neverExecutes: boolean;
}

export class Mmu {
  readonly #tables: TableAccess;
  /** The result object, reused by every translation. */
  readonly #result: Translation = {
    fault: null,
    page: 0,
    log2Size: 12,
    global: false,
    user: false,
    dirty: true,
  };
  readonly #rights: Rights = { user: true, writable: true, neverExecutes: false };

  constructor(tables: TableAccess) {
    this.#tables = tables;
  }

  /**
   * Translates a canonical address, given as two halves, for an access by user or supervisor. The result is valid until the
   * next call.
   */
  translate(regime: Regime, low: number, high: number, access: AccessType, user: boolean): Translation {
    const result = this.#result;
    if (regime.mode !== 'off') return this.#walk(regime, regime.mode, low, high, access, user);
    result.fault = null;
    result.page = (low & ~0xfff) >>> 0;
    result.log2Size = 12;
    result.global = false;
    result.user = false;
    result.dirty = true;
    return result;
  }

  #walk(
    regime: Regime,
    mode: Exclude<PagingMode, 'off'>,
    low: number,
    high: number,
    access: AccessType,
    user: boolean,
  ): Translation {
    const { entryBytes, levels } = formats[mode];
    const rights = this.#rights;
    rights.user = true;
    rights.writable = true;
    rights.neverExecutes = false;
    let table = regime.root;
    for (const level of levels) {
      const index = shiftRight(low, high, level.shift) & ((1 << level.indexBits) - 1);
      const address = table + entryBytes * index;
      const isThere = this.#tables.readEntry(address, entryBytes);
      const value = this.#tables.low;
      // Memory that does not exist reads as all ones on a PC, but no table of a guest lies there.
      if (!isThere || (value & entry.present) === 0) return this.#faulted(regime, 0, access, user);
      const isPage = level.shift === 12 || this.#isLargePage(regime, mode, level, value);
      if (this.#isReserved(regime, mode, level, isPage)) {
        return this.#faulted(regime, pageFault.present | pageFault.reserved, access, user);
      }
      if (!level.isPaeRoot) this.#restrict(value, regime.noExecute && entryBytes === 8);
      if (isPage) return this.#page(regime, mode, { address, level }, low, access, user);
      if (!level.isPaeRoot && (value & entry.accessed) === 0) this.#tables.setBits(address, entry.accessed);
      table = this.#frame(entryBytes, 12);
    }
    return this.#faulted(regime, 0, access, user);
  }

  #isLargePage({ largePages }: Regime, mode: PagingMode, { mayBePage }: Level, value: number): boolean {
    return mayBePage && (value & entry.large) !== 0 && (mode !== '32-bit' || largePages);
  }

  #isReserved({ noExecute }: Regime, mode: PagingMode, level: Level, isPage: boolean): boolean {
    const { low, high } = this.#tables;
    if (mode === '32-bit') return isPage && level.shift === 22 && (low & (1 << 21)) !== 0;
    if (mode === 'off') return false;
    const forbidden =
      isPage && level.shift !== 12 ? level.reservedInPage : isPage ? 0 : level.reservedInTable;
    if ((low & forbidden) !== 0 || (high & highReserved[mode]) !== 0) return true;
    return high >>> 31 !== 0 && (!noExecute || level.isPaeRoot);
  }

  #restrict(value: number, hasNoExecute: boolean): void {
    const rights = this.#rights;
    if ((value & entry.user) === 0) rights.user = false;
    if ((value & entry.writable) === 0) rights.writable = false;
    if (hasNoExecute && this.#tables.high >>> 31 !== 0) rights.neverExecutes = true;
  }

  /** The physical address in the entry that was just read, without its low `log2Size` bits. */
  #frame(entryBytes: 4 | 8, log2Size: number): number {
    const { low, high } = this.#tables;
    const upper = entryBytes === 4 ? 0 : high & ((1 << (physicalBits - 32)) - 1);
    return upper * 2 ** 32 + ((low & -(1 << log2Size)) >>> 0);
  }

  #page(
    regime: Regime,
    mode: PagingMode,
    { address, level }: { address: number; level: Level },
    low: number,
    access: AccessType,
    user: boolean,
  ): Translation {
    const value = this.#tables.low;
    if (!this.#permits(regime, access, user)) return this.#faulted(regime, pageFault.present, access, user);
    const wanted = access === 'write' ? entry.accessed | entry.dirty : entry.accessed;
    const base = this.#frame(mode === '32-bit' ? 4 : 8, level.shift);
    // Bits 20 to 13 of a 4 MiB page hold bits 39 to 32 of its address (PSE-36).
    const above = mode === '32-bit' && level.shift === 22 ? ((value >>> 13) & 0xff) * 2 ** 32 : 0;
    if ((value & wanted) !== wanted) this.#tables.setBits(address, wanted);
    const result = this.#result;
    result.fault = null;
    result.page = base + above + ((low & ((1 << level.shift) - 4096)) >>> 0);
    result.log2Size = level.shift;
    result.global = regime.globalPages && (value & entry.global) !== 0;
    result.user = this.#rights.user;
    result.dirty = (value & entry.dirty) !== 0 || access === 'write';
    return result;
  }

  /** SDM 4.6.1, "Determination of Access Rights". */
  #permits({ writeProtect, smep, smap }: Regime, access: AccessType, byUser: boolean): boolean {
    const { user, writable, neverExecutes } = this.#rights;
    if (byUser && !user) return false;
    if (access === 'fetch') return !neverExecutes && (byUser || !user || !smep);
    if (!byUser && user && smap) return false;
    return access === 'read' || writable || (!byUser && !writeProtect);
  }

  #faulted({ noExecute, smep }: Regime, code: number, access: AccessType, user: boolean): Translation {
    const isFetch = access === 'fetch' && (noExecute || smep);
    this.#result.fault =
      code |
      (access === 'write' ? pageFault.write : 0) |
      (user ? pageFault.user : 0) |
      (isFetch ? pageFault.fetch : 0);
    return this.#result;
  }
}
