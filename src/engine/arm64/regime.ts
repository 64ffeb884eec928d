/** The EL1&0 translation regime, decoded from SCTLR, TCR, TTBR0, TTBR1 and MAIR of EL1 (DDI 0487, D8.2). */
import type { A64Block } from './block.js';
import { statePlace } from '../../isa/index.js';

/** One of the two address ranges, translated by TTBR0 or by TTBR1. */
export interface Range {
  /** Size in bytes: 2^(64 - TnSZ). */
  readonly size: number;
  /** Binary logarithm of the granule: 12, 14 or 16. */
  readonly granuleLog2: number;
  /** Physical address of the first table. */
  readonly table: number;
  /** Level of the first table, and its number of entries. */
  readonly startLevel: number;
  readonly firstEntries: number;
  /** Whether table walks are disabled (TCR_EL1.EPDn). If so, every address faults. */
  readonly disabled: boolean;
  /** Whether bits 63 to 56 of an address are ignored (TCR_EL1.TBIn). */
  readonly ignoresTag: boolean;
}

export interface Regime {
  /** SCTLR_EL1.M. */
  readonly enabled: boolean;
  /** SCTLR_EL1.WXN: writable pages are never executable. */
  readonly writableIsNotExecutable: boolean;
  readonly ranges: readonly [Range, Range];
  /** Upper bound of output addresses, from TCR_EL1.IPS and the address size of the CPU. */
  readonly outputLimit: number;
  /** The eight attribute fields of MAIR_EL1. */
  readonly attributes: readonly number[];
  readonly asid: number;
}

/** Physical address size of the CPU in bits (ID_AA64MMFR0_EL1.PARange: 16 TiB). */
export const physicalBits = 44;

const slots = {
  sctlr: statePlace('SCTLR_EL1'),
  tcr: statePlace('TCR_EL1'),
  ttbr0: statePlace('TTBR0_EL1'),
  ttbr1: statePlace('TTBR1_EL1'),
  mair: statePlace('MAIR_EL1'),
} as const;

/** Bits of SCTLR_EL1 (DDI 0487, D17.2.118). */
export const sctlr = {
  m: 1 << 0,
  a: 1 << 1,
  sa: 1 << 3,
  sa0: 1 << 4,
  uma: 1 << 9,
  dze: 1 << 14,
  uct: 1 << 15,
  ntwi: 1 << 16,
  ntwe: 1 << 18,
  wxn: 1 << 19,
  uci: 1 << 26,
} as const;

const outputSizes = [32, 36, 40, 42, 44, 48] as const;

/** Address size in bits: at most 48, and at least 25 because of the smallest table. */
function inputBits(size: number): number {
  return 64 - Math.min(Math.max(size, 16), 39);
}

/** The granule size. TCR_EL1.TG0 and TG1 encode it differently; a reserved value counts as 4 KiB. */
function granuleLog2(upper: boolean, field: number): number {
  const sizes = upper ? [12, 14, 12, 16] : [12, 16, 14, 12];
  return sizes[field] ?? 12;
}

function rangeOf(block: A64Block, upper: boolean): Range {
  const control = block.low(slots.tcr) >>> (upper ? 16 : 0);
  const high = block.high(slots.tcr);
  const base = upper ? slots.ttbr1 : slots.ttbr0;
  const bits = inputBits(control & 63);
  const granule = granuleLog2(upper, (control >>> 14) & 3);
  const bitsPerLevel = granule - 3;
  const levels = Math.ceil((bits - granule) / bitsPerLevel);
  // The first table has only as many entries as it needs, and is aligned to its size.
  const firstEntries = 2 ** (bits - granule - bitsPerLevel * (levels - 1));
  const tableBytes = 8 * firstEntries;
  const address = (block.high(base) & 0xffff) * 2 ** 32 + block.low(base);
  return {
    size: 2 ** bits,
    granuleLog2: granule,
    table: Math.floor(address / tableBytes) * tableBytes,
    startLevel: 4 - levels,
    firstEntries,
    disabled: (control & (1 << 7)) !== 0,
    ignoresTag: (high & (upper ? 1 << 6 : 1 << 5)) !== 0,
  };
}

/** The regime from the current register values. */
export function readRegime(block: A64Block): Regime {
  const control = block.low(slots.sctlr);
  const asidBase = (block.low(slots.tcr) & (1 << 22)) === 0 ? slots.ttbr0 : slots.ttbr1;
  const asidBits = (block.high(slots.tcr) & (1 << 4)) === 0 ? 0xff : 0xffff;
  const mair = [block.low(slots.mair), block.high(slots.mair)];
  return {
    enabled: (control & sctlr.m) !== 0,
    writableIsNotExecutable: (control & sctlr.wxn) !== 0,
    ranges: [rangeOf(block, false), rangeOf(block, true)],
    outputLimit: 2 ** Math.min(outputSizes[block.high(slots.tcr) & 7] ?? 48, physicalBits),
    attributes: mair.flatMap((half) => [0, 8, 16, 24].map((shift) => (half >>> shift) & 0xff)),
    asid: (block.high(asidBase) >>> 16) & asidBits,
  };
}

/** The key of an address space for the TLBs: both base registers. */
export function addressSpaceWords(block: A64Block): readonly [number, number, number, number] {
  return [block.low(slots.ttbr0), block.high(slots.ttbr0), block.low(slots.ttbr1), block.high(slots.ttbr1)];
}
