/**
 * What CPUID tells an HVM or PVH guest of Xen 4.17 on a host with AMD's CPUs. The features are the smallest set with which Debian's kernels
 * and programs run, PSE and PGE, which Linux without CONFIG_XEN_PV demands of each CPU that it starts (verify_cpu), x2APIC and the
 * hypervisor bit; HTT is what Xen always adds (tools/libs/guest/xg_cpuid_x86.c, xc_cpuid_apply_policy).
 * Identification and topology are those observed on the reference guest.
 */
import type { CpuidAnswer } from '../../engine/x86_64/index.js';
import { cpuidLeaf } from '../../hypervisor/index.js';
import type { Domain } from '../../hypervisor/index.js';
import type { XenVcpuId } from '../../identity/index.js';

const none: CpuidAnswer = { eax: 0, ebx: 0, ecx: 0, edx: 0 };

/** The bits of leaf 1's EDX; those of `extended` are in EDX of leaf 0x80000001 too, as on AMD's CPUs. */
const feature = {
  fpu: 0,
  pse: 3,
  tsc: 4,
  msr: 5,
  pae: 6,
  cx8: 8,
  apic: 9,
  pge: 13,
  cmov: 15,
  mmx: 23,
  fxsr: 24,
  sse: 25,
  sse2: 26,
  htt: 28,
} as const;
const repeated = ['fpu', 'pse', 'tsc', 'msr', 'pae', 'cx8', 'apic', 'pge', 'cmov', 'mmx', 'fxsr'] as const;
/** Bits of leaf 0x80000001's EDX. */
const extended = { syscall: 11, nx: 20, lm: 29 } as const;
/** Bits of leaf 1's ECX. */
const x2apic = 21;
const hypervisor = 31;

const bits = (...numbers: readonly number[]): number =>
  numbers.reduce((word, number) => word | (1 << number), 0) >>> 0;

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

/** Bits of EDX, as {@link feature} and {@link extended} have them, of leaves 1 and 0x80000001. */
const features = {
  basic: bits(...Object.values(feature)),
  extended: bits(...repeated.map((name) => feature[name]), ...Object.values(extended)),
} as const;

/** The leaves that are the same on every vCPU, but for Xen's own. */
const fixedLeaves: ReadonlyMap<number, CpuidAnswer> = new Map<number, CpuidAnswer>([
  [0, { eax: highest.basic, ...vendor }],
  [0x8000_0000, { eax: highest.extended, ...vendor }],
  ...[0, 1, 2].map((part): [number, CpuidAnswer] => [brandLeaf + part, brandPart(part)]),
  [0x8000_0005, caches.first],
  [0x8000_0006, caches.second],
  [0x8000_0008, addressWidths],
]);

/** What vCPU `vcpu` reads. `apicEnabled` is its IA32_APIC_BASE.E: without it, the CPU has no APIC. */
export function cpuid(
  domain: Domain,
  vcpu: XenVcpuId,
  leaf: number,
  subleaf: number,
  apicEnabled: boolean,
): CpuidAnswer {
  const mask = apicEnabled ? 0xffff_ffff : ~bits(feature.apic);
  const xen = cpuidLeaf(domain, vcpu, leaf, subleaf);
  if (leaf === 1) {
    const ebx = (packageOfLeaf1 | (xen?.ebx ?? 0)) >>> 0;
    return { eax: signature, ebx, ecx: bits(x2apic, hypervisor), edx: (features.basic & mask) >>> 0 };
  }
  if (leaf === 0x8000_0001) {
    return { eax: signature, ebx: 0, ecx: 0, edx: (features.extended & mask) >>> 0 };
  }
  return xen ?? fixedLeaves.get(leaf) ?? none;
}
