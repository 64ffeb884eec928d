/**
 * The model-specific registers of an HVM or PVH guest that are neither the CPU's own nor the local APIC's: which exist, what they read as
 * at first, and what a write does. Those that exist, and their values, are the ones observed on the reference guest under Xen 4.17
 * on a host with AMD's CPUs; all others raise #GP.
 */

import type { CpuFeature } from '../../isa/x86_64/index.js';

/** What a write does: it is kept, it is ignored, or it raises #GP. */
type Write = 'kept' | 'ignored' | 'refused';

interface ModelSpecific {
  readonly initial: bigint;
  /** What a write of `value` does. */
  write(value: bigint): Write;
}

const allOnes = 0xffff_ffff_ffff_ffffn;
/** Physical addresses have 40 bits (CPUID leaf 0x80000008). */
const aboveAddresses = allOnes ^ 0xff_ffff_ffffn;

const readOnly = (initial: bigint): ModelSpecific => ({ initial, write: () => 'refused' });
const fixed = (initial: bigint): ModelSpecific => ({ initial, write: () => 'ignored' });
const kept = (initial: bigint, isValid: (value: bigint) => boolean): ModelSpecific => ({
  initial,
  write: (value) => (isValid(value) ? 'kept' : 'refused'),
});

const bytesOf = (value: bigint): readonly number[] =>
  [0n, 8n, 16n, 24n, 32n, 40n, 48n, 56n].map((shift) => Number((value >> shift) & 0xffn));
/** Memory types of MTRRs: UC, WC, WT, WP and WB; PAT has UC- (7) too (Intel SDM, volume 3, 12.11). */
const isMemoryType = (type: number): boolean => [0, 1, 4, 5, 6].includes(type);
const isPatType = (type: number): boolean => isMemoryType(type) || type === 7;

/** A bank of machine checks: its control, status, address and miscellaneous registers (Xen 4.17 arch/x86/cpu/mcheck/vmce.c). */
function machineCheckBank(first: number): [number, ModelSpecific][] {
  const cleared: ModelSpecific = { initial: 0n, write: (value) => (value === 0n ? 'ignored' : 'refused') };
  return [
    [first, fixed(allOnes)],
    ...[1, 2, 3].map((index): [number, ModelSpecific] => [first + index, cleared]),
  ];
}

function variableRange(first: number): [number, ModelSpecific][] {
  return [
    [
      first,
      kept(0n, (value) => (value & (aboveAddresses | 0xf00n)) === 0n && isMemoryType(Number(value & 0xffn))),
    ],
    [first + 1, kept(0n, (value) => (value & (aboveAddresses | 0x7ffn)) === 0n)],
  ];
}

const fixedRanges = [0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f] as const;

/** Registers that read as 0, and ignore what is written, as performance counters that are not offered do. */
const zeroes: readonly number[] = [
  0x2c, 0x140, 0x1d9, 0x17b,
  0xc000_0104,
  // Performance counters of the K7, and of family 15h.
  ...Array.from({ length: 8 }, (_, index) => 0xc001_0000 + index),
  0xc001_0200,
  0xc001_0010, 0xc001_0015, 0xc001_001a, 0xc001_001d, 0xc001_001f, 0xc001_0055, 0xc001_0114, 0xc001_0117,
  0xc001_1023, 0xc001_102a, 0xc001_102c,
]; // prettier-ignore

const registers: ReadonlyMap<number, ModelSpecific> = new Map<number, ModelSpecific>([
  ...zeroes.map((number): [number, ModelSpecific] => [number, fixed(0n)]),
  // The microcode's revision.
  [0x8b, fixed(0x0100_0065n)],
  // CPUID faulting, which Xen offers to every guest; see `notModelled`.
  [0xce, readOnly(0x8000_0000n)],
  [0xfe, readOnly(0x508n)],
  [0x179, readOnly(2n)],
  [0x17a, kept(0n, () => true)],
  ...Array.from({ length: 8 }, (_, index) => variableRange(0x200 + 2 * index)).flat(),
  ...fixedRanges.map((number): [number, ModelSpecific] => [
    number,
    kept(0n, (value) => bytesOf(value).every(isMemoryType)),
  ]),
  [0x277, kept(0x0007_0406_0007_0406n, (value) => bytesOf(value).every(isPatType))],
  [0x2ff, kept(0x806n, (value) => (value & ~0xcffn) === 0n && isMemoryType(Number(value & 0xffn)))],
  ...machineCheckBank(0x400),
  ...machineCheckBank(0x404),
  // LFENCE waits for all instructions before it.
  [0xc001_1029, fixed(2n)],
]);

/** Registers that only a CPU with some feature has. */
const ofFeatures: ReadonlyMap<number, { readonly feature: CpuFeature } & ModelSpecific> = new Map([
  // TSC_AUX
  [0xc000_0103, { feature: 'rdtscp', ...kept(0n, (value) => value >> 32n === 0n) }],
]);

/** Registers whose writes ought to do what is not modelled: the time-stamp counter, its adjustment, CPUID faulting, tracing. */
const notModelled: ReadonlyMap<number, string> = new Map([
  [0x140, 'WRMSR of MISC_FEATURES_ENABLES'],
  [0x1d9, 'WRMSR of DEBUGCTL'],
]);

/** What was written, by number. Registers that are missing have their first value. */
export type ModelSpecificState = Readonly<Record<number, bigint>>;

/** The registers of one vCPU. */
export class ModelSpecificRegisters {
  #written: Record<number, bigint> = {};
  readonly #features: ReadonlySet<CpuFeature>;
  readonly #count: (what: string) => void;

  /** `count` is told of each write whose effect is not modelled. */
  constructor(features: ReadonlySet<CpuFeature>, count: (what: string) => void) {
    this.#features = features;
    this.#count = count;
  }

  #register(number: number): ModelSpecific | undefined {
    const other = ofFeatures.get(number);
    return other !== undefined && this.#features.has(other.feature) ? other : registers.get(number);
  }

  /** Null for #GP. */
  read(number: number): bigint | null {
    return this.#written[number] ?? this.#register(number)?.initial ?? null;
  }

  /** False for #GP. */
  write(number: number, value: bigint): boolean {
    const effect = this.#register(number)?.write(value) ?? 'refused';
    if (effect === 'kept') this.#written[number] = value;
    const what = notModelled.get(number);
    if (what !== undefined && value !== 0n) this.#count(what);
    return effect !== 'refused';
  }

  save(): ModelSpecificState {
    return this.#written;
  }

  /** Takes over a state that nobody else will change. */
  load(state: ModelSpecificState): void {
    this.#written = { ...state };
  }
}
