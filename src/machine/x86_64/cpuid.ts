/**
 * What CPUID tells an HVM or PVH guest of Xen 4.17 on a host with AMD's CPUs. The features are those of the CPU's model
 * (isa/x86_64/cpu_models.ts). Identification and topology are those observed on the reference guest.
 */
import type { CpuidAnswer } from '../../engine/x86_64/index.js';
import { cpuidLeaf } from '../../hypervisor/index.js';
import type { Domain } from '../../hypervisor/index.js';
import type { XenVcpuId } from '../../identity/index.js';
import { cpuModels, featureBits } from '../../isa/x86_64/index.js';
import type { CpuFeature } from '../../isa/x86_64/index.js';
import type { MachineOptions } from '../board.js';

const none: CpuidAnswer = { eax: 0, ebx: 0, ecx: 0, edx: 0 };

const vendor = { ebx: 0x6874_7541, ecx: 0x444d_4163, edx: 0x6974_6e65 } as const;
/** Family 15, model 107, stepping 1. */
const signature = 0x0006_0fb1;
/** CLFLUSH's line in units of 8 bytes (bits 15:8), and the APIC ids of a package (bits 23:16), which Xen doubles to 2. */
const packageOfLeaf1 = 0x0002_0800;
/** The highest leaves. */
const highest = { basic: 0xd, extended: 0x8000_0008 } as const;
/** The widths of physical and linear addresses: 40 and 48 bits. Bits 7:0 of ECX: the last thread of a package, which Xen sets to 1. */
const addressWidths = { eax: 0x3028, ebx: 0, ecx: 1, edx: 0 } as const;
/** L1 caches and TLBs, and L2 cache, as observed. */
const caches = {
  first: { eax: 0x01ff_01ff, ebx: 0x01ff_01ff, ecx: 0x4002_0140, edx: 0x4002_0140 },
  second: { eax: 0, ebx: 0x4200_4200, ecx: 0x0200_8140, edx: 0x0080_8140 },
} as const;
const brand = 'Domulator x86-64 CPU';
const brandLeaf = 0x8000_0002;

function brandPart(index: number): CpuidAnswer {
  const bytes = new Uint8Array(48);
  bytes.set(Array.from(brand, (character) => character.charCodeAt(0)));
  const view = new DataView(bytes.buffer, 16 * index, 16);
  const word = (at: number): number => view.getUint32(4 * at, true);
  return { eax: word(0), ebx: word(1), ecx: word(2), edx: word(3) };
}

/** The leaves that are the same on every vCPU, but for Xen's own. */
const fixedLeaves: ReadonlyMap<number, CpuidAnswer> = new Map<number, CpuidAnswer>([
  [0, { eax: highest.basic, ...vendor }],
  [0x8000_0000, { eax: highest.extended, ...vendor }],
  ...[0, 1, 2].map((part): [number, CpuidAnswer] => [brandLeaf + part, brandPart(part)]),
  [0x8000_0005, caches.first],
  [0x8000_0006, caches.second],
  [0x8000_0008, addressWidths],
]);

/** The features that CPUID tells of in a leaf. */
function featuresIn(features: ReadonlySet<CpuFeature>, leaf: number, subleaf: number): CpuidAnswer {
  const word = (register: keyof CpuidAnswer): number => featureBits(features, { leaf, subleaf, register });
  return { eax: word('eax'), ebx: word('ebx'), ecx: word('ecx'), edx: word('edx') };
}

const apicBit = featuresIn(new Set(['apic']), 1, 0).edx;

/** The features of a machine's CPUs. */
export function featuresOf({ cpu = 'minimal' }: Pick<MachineOptions, 'cpu'>): ReadonlySet<CpuFeature> {
  return cpuModels[cpu];
}

/** IA32_APIC_BASE.E: without it, the CPU has no APIC. */
const apicEnabled = 0x800n;

/** The components of XCR0, x87 and SSE, and the bytes of the area that XSAVE writes: 512 and a header. */
const extended = { components: 3, bytes: 0x240 } as const;

/** Leaf 0xd, whose EBX is the size for the components in XCR0, which is the same for one and for both. */
function extendedState(features: ReadonlySet<CpuFeature>, subleaf: number): CpuidAnswer {
  if (subleaf === 0) return { eax: extended.components, ebx: extended.bytes, ecx: extended.bytes, edx: 0 };
  return featuresIn(features, 0xd, subleaf);
}

/** A vCPU, as far as CPUID tells of it. */
export interface CpuidVcpu {
  readonly id: XenVcpuId;
  readonly features: ReadonlySet<CpuFeature>;
  /** Its IA32_APIC_BASE. */
  readonly apicBase: bigint;
}

/** What a vCPU reads. */
export function cpuid(domain: Domain, vcpu: CpuidVcpu, leaf: number, subleaf: number): CpuidAnswer {
  const { id, features, apicBase } = vcpu;
  const xen = cpuidLeaf(domain, id, leaf, subleaf);
  if (leaf === 7 && subleaf === 0) return featuresIn(features, leaf, subleaf);
  if (leaf === 0xd && features.has('xsave')) return extendedState(features, subleaf);
  if (leaf !== 1 && leaf !== 0x8000_0001) return xen ?? fixedLeaves.get(leaf) ?? none;
  const { ecx, edx } = featuresIn(features, leaf, 0);
  const ebx = leaf === 1 ? (packageOfLeaf1 | (xen?.ebx ?? 0)) >>> 0 : 0;
  return { eax: signature, ebx, ecx, edx: ((apicBase & apicEnabled) === 0n ? edx & ~apicBit : edx) >>> 0 };
}
