/** Control registers and what they say of translation (Intel SDM, volume 3, 2.5 and 4.1). */
import type { CpuFeature } from '../../isa/x86_64/index.js';
import type { PagingMode, Regime } from './mmu.js';
import { physicalBits } from './mmu.js';

export const cr0 = {
  protected: 1 << 0,
  monitor: 1 << 1,
  emulated: 1 << 2,
  taskSwitched: 1 << 3,
  extension: 1 << 4,
  numericError: 1 << 5,
  writeProtect: 1 << 16,
  alignmentMask: 1 << 18,
  notWriteThrough: 1 << 29,
  cacheDisable: 1 << 30,
  paging: 1 << 31,
  /** Bits that a write changes. */
  writable: 0xe005003f | 0,
} as const;

export const cr4 = {
  timestampDisable: 1 << 2,
  /** DE: DR4 and DR5 are undefined, and breakpoints may be of ports. */
  debuggingExtensions: 1 << 3,
  pageSize: 1 << 4,
  physicalExtension: 1 << 5,
  globalPages: 1 << 7,
  /** OSFXSR: FXSAVE and FXRSTOR know the XMM registers. SSE is undefined without it. */
  vectorState: 1 << 9,
  /** OSXMMEXCPT: an exception of SSE that is not masked is #XM. */
  simdExceptions: 1 << 10,
  /** FSGSBASE: instructions read and write the bases of FS and GS. */
  segmentBases: 1 << 16,
  /** PCIDE: the low bits of CR3 number the address space. */
  contexts: 1 << 17,
  /** OSXSAVE: XSAVE and XCR0. */
  extendedState: 1 << 18,
  /** SMEP: the supervisor does not execute user pages. */
  executionPrevention: 1 << 20,
  /** SMAP: the supervisor does not access user pages, unless RFLAGS.AC is set. */
  accessPrevention: 1 << 21,
  /**
   * Bits that may always be set: those of the first processors with long mode. Linux sets PGE without asking CPUID (head_64.S), and
   * real processors of 64 bits all have it.
   */
  writable: 0x7ff & ~(1 << 11),
} as const;

/** Bits of CR4 that may be set only with a feature. */
const ofFeatures: readonly (readonly [CpuFeature, number])[] = [
  ['fsgsbase', cr4.segmentBases],
  ['pcid', cr4.contexts],
  ['xsave', cr4.extendedState],
  ['smep', cr4.executionPrevention],
  ['smap', cr4.accessPrevention],
];

/** The bits of CR4 that a CPU with some features has; the others are reserved. */
export function writableCr4(features: ReadonlySet<CpuFeature>): number {
  return ofFeatures.reduce((all, [feature, bit]) => (features.has(feature) ? all | bit : all), cr4.writable);
}

export const efer = {
  syscall: 1 << 0,
  longEnable: 1 << 8,
  longActive: 1 << 10,
  noExecute: 1 << 11,
  /** Bits that may be set. LMA is ignored. */
  writable: 0xd01,
} as const;

/** The first bits of CR3 that are reserved. */
export const physicalLimit = 1n << BigInt(physicalBits);

interface Controls {
  readonly cr0: number;
  readonly cr3: bigint;
  readonly cr4: number;
  readonly efer: number;
}

function pagingMode({ cr0: control, cr4: extensions, efer: features }: Controls): PagingMode {
  if ((control & cr0.paging) === 0) return 'off';
  if ((features & efer.longActive) !== 0) return '4-level';
  return (extensions & cr4.physicalExtension) === 0 ? '32-bit' : 'PAE';
}

/** The regime from the current register values. */
export function readRegime(controls: Controls): Regime {
  const mode = pagingMode(controls);
  const root = mode === 'PAE' ? controls.cr3 & 0xffffffe0n : controls.cr3 & (physicalLimit - 4096n);
  return {
    mode,
    root: Number(root),
    writeProtect: (controls.cr0 & cr0.writeProtect) !== 0,
    noExecute: (controls.efer & efer.noExecute) !== 0,
    largePages: (controls.cr4 & cr4.pageSize) !== 0,
    globalPages: (controls.cr4 & cr4.globalPages) !== 0,
    smep: (controls.cr4 & cr4.executionPrevention) !== 0,
    smap: (controls.cr4 & cr4.accessPrevention) !== 0,
  };
}
