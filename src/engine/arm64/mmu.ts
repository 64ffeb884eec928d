/** Stage 1 address translation (DDI 0487, D8.2 and D8.3; AArch64.S1Translate in the pseudocode). */
import { physicalBits } from './regime.js';
import type { Range, Regime } from './regime.js';

export type AccessType = 'read' | 'write' | 'fetch';

/** Reads the two halves of a descriptor at a physical address; false where there is no memory. */
export interface TableReader {
  low: number;
  high: number;
  readEntry(address: number, bytes: 8): boolean;
}

/** Fault status codes (DDI 0487, ISS for a Data Abort, DFSC). The level is added to all but the last two. */
export const faultStatus = {
  addressSize: 0b000000,
  translation: 0b000100,
  accessFlag: 0b001000,
  permission: 0b001100,
  externalOnWalk: 0b010100,
  external: 0b010000,
  alignment: 0b100001,
} as const;

/** The result of a translation. */
export interface Translation {
  /** Null on success, else the fault status code including its level. */
  fault: number | null;
  /** The physical address of the 4 KiB page that contains the address. */
  page: number;
  /** The memory attributes from MAIR_EL1; 0 where translation is off. */
  attributes: number;
  /** The shareability field of the descriptor. */
  shareability: number;
  /** Binary logarithm of the size of the page or block. */
  log2Size: number;
  /** Whether the translation is not global: nG is set, or TTBR0 translated the address. */
  nonGlobal: boolean;
}

/** Whether the attributes mean Device memory, where unaligned accesses fault. */
export function isDevice(attributes: number): boolean {
  return (attributes & 0xf0) === 0;
}

function newTranslation(): Translation {
  return { fault: null, page: 0, attributes: 0, shareability: 2, log2Size: 12, nonGlobal: false };
}

/** Access restrictions: those of the tables above, combined with those of the leaf. */
interface Limits {
  userAccess: boolean;
  readOnly: boolean;
  userNeverExecutes: boolean;
  privilegedNeverExecutes: boolean;
}

export class Mmu {
  readonly #tables: TableReader;
  /** The result object, reused by every translation. */
  readonly #result = newTranslation();
  readonly #limits: Limits = {
    userAccess: true,
    readOnly: false,
    userNeverExecutes: false,
    privilegedNeverExecutes: false,
  };

  constructor(tables: TableReader) {
    this.#tables = tables;
  }

  /**
   * Translates an address, given as two halves, for an access at EL0 or EL1. The result is valid until the next call.
   */
  translate(regime: Regime, low: number, high: number, access: AccessType, el0: boolean): Translation {
    const upper = (high >>> 23) & 1;
    const range = regime.ranges[upper === 1 ? 1 : 0];
    const address = (high & 0xffff) * 2 ** 32 + low;
    if (!regime.enabled) return this.#flat(range, low, high);
    if (range.disabled || !isWithin(range, address, high)) return this.#faulted(faultStatus.translation, 0);
    this.#result.nonGlobal = upper === 0;
    return this.#walk(regime, range, low, high, access, el0);
  }

  /** Translation is off: the address is the physical address, if it is in range. */
  #flat(range: Range, low: number, high: number): Translation {
    const above = range.ignoresTag ? high & 0xff_ffff : high;
    if (above >>> (physicalBits - 32) !== 0) return this.#faulted(faultStatus.addressSize, 0);
    const result = this.#result;
    result.fault = null;
    result.page = above * 2 ** 32 + ((low & ~0xfff) >>> 0);
    result.attributes = 0;
    result.shareability = 2;
    result.log2Size = 12;
    result.nonGlobal = false;
    return result;
  }

  #faulted(status: number, level: number): Translation {
    this.#result.fault = status + level;
    return this.#result;
  }

  #walk(
    regime: Regime,
    range: Range,
    low: number,
    high: number,
    access: AccessType,
    el0: boolean,
  ): Translation {
    const { granuleLog2, startLevel } = range;
    const limit = regime.outputLimit;
    this.#liftLimits();
    let { table, firstEntries: entries } = range;
    if (table >= limit) return this.#faulted(faultStatus.addressSize, 0);
    for (let level = startLevel; ; level += 1) {
      const log2Size = granuleLog2 + (granuleLog2 - 3) * (3 - level);
      const index = shiftRight(low, high, log2Size) & (entries - 1);
      if (!this.#tables.readEntry(table + 8 * index, 8)) {
        return this.#faulted(faultStatus.externalOnWalk, level);
      }
      const kind = descriptorKind(this.#tables.low, level, granuleLog2);
      if (kind === 'invalid') return this.#faulted(faultStatus.translation, level);
      const output = outputAddress(this.#tables, kind === 'table' ? granuleLog2 : log2Size);
      if (output >= limit) return this.#faulted(faultStatus.addressSize, level);
      if (kind === 'leaf') {
        // The address bits between the 4 KiB page offset and the size of this page or block.
        const within = low & ((1 << log2Size) - 4096);
        return this.#leaf(regime, { level, log2Size, page: output + within }, access, el0);
      }
      this.#addTableLimits(this.#tables.high);
      table = output;
      entries = 1 << (granuleLog2 - 3);
    }
  }

  #leaf(
    regime: Regime,
    { level, log2Size, page }: { level: number; log2Size: number; page: number },
    access: AccessType,
    el0: boolean,
  ): Translation {
    const { low, high } = this.#tables;
    if ((low & (1 << 10)) === 0) return this.#faulted(faultStatus.accessFlag, level);
    this.#addLeafLimits(low, high);
    if (!this.#permits(regime, access, el0)) return this.#faulted(faultStatus.permission, level);
    const result = this.#result;
    result.fault = null;
    result.page = page;
    result.attributes = regime.attributes[(low >>> 2) & 7] ?? 0;
    result.shareability = (low >>> 8) & 3;
    result.log2Size = log2Size;
    if ((low & (1 << 11)) !== 0) result.nonGlobal = true;
    return result;
  }

  #liftLimits(): void {
    const limits = this.#limits;
    limits.userAccess = true;
    limits.readOnly = false;
    limits.userNeverExecutes = false;
    limits.privilegedNeverExecutes = false;
  }

  /** APTable, UXNTable and PXNTable (DDI 0487, D8.3.1). */
  #addTableLimits(high: number): void {
    const limits = this.#limits;
    if ((high & (1 << 29)) !== 0) limits.userAccess = false;
    if ((high & (1 << 30)) !== 0) limits.readOnly = true;
    if ((high & (1 << 28)) !== 0) limits.userNeverExecutes = true;
    if ((high & (1 << 27)) !== 0) limits.privilegedNeverExecutes = true;
  }

  /** AP[2:1], UXN and PXN. */
  #addLeafLimits(low: number, high: number): void {
    const limits = this.#limits;
    if ((low & (1 << 6)) === 0) limits.userAccess = false;
    if ((low & (1 << 7)) !== 0) limits.readOnly = true;
    if ((high & (1 << 22)) !== 0) limits.userNeverExecutes = true;
    if ((high & (1 << 21)) !== 0) limits.privilegedNeverExecutes = true;
  }

  /** DDI 0487, D8.4: AArch64.S1DirectBasePermissions. */
  #permits({ writableIsNotExecutable }: Regime, access: AccessType, el0: boolean): boolean {
    const { userAccess, readOnly, userNeverExecutes, privilegedNeverExecutes } = this.#limits;
    const writable = !readOnly && (userAccess || !el0);
    if (access === 'read') return userAccess || !el0;
    if (access === 'write') return writable;
    if (writableIsNotExecutable && writable) return false;
    // EL1 never executes a page that EL0 can write.
    return el0 ? !userNeverExecutes : !(privilegedNeverExecutes || (userAccess && !readOnly));
  }
}

/**
 * The kind of a descriptor. Blocks are at levels 1 and 2 for a 4 KiB granule, else at level 2 only (DDI 0487, D8.3.1).
 */
function descriptorKind(low: number, level: number, granuleLog2: number): 'invalid' | 'table' | 'leaf' {
  if ((low & 1) === 0) return 'invalid';
  if (level === 3) return (low & 2) !== 0 ? 'leaf' : 'invalid';
  if ((low & 2) !== 0) return 'table';
  return level === 2 || (level === 1 && granuleLog2 === 12) ? 'leaf' : 'invalid';
}

/** Bits 47 to `log2Size` of a descriptor. Every page and block is smaller than 4 GiB. */
function outputAddress({ low, high }: TableReader, log2Size: number): number {
  return (high & 0xffff) * 2 ** 32 + ((low & -(1 << log2Size)) >>> 0);
}

/** An address shifted right by up to 63 bits. */
function shiftRight(low: number, high: number, by: number): number {
  return by < 32 ? (low >>> by) | ((high << 1) << (31 - by)) : high >>> (by - 32);
}

/**
 * Whether an address lies in its range: all bits above the range are equal. Takes the low 48 bits and the high half.
 */
function isWithin({ ignoresTag, size }: Range, address: number, high: number): boolean {
  const upper = (high >>> 23) & 1;
  const top = ignoresTag ? (high >>> 16) & 0xff : high >>> 16;
  if (top !== (upper === 0 ? 0 : ignoresTag ? 0xff : 0xffff)) return false;
  return upper === 0 ? address < size : address >= 2 ** 48 - size;
}
