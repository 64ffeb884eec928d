/**
 * The features that a CPU may have, where CPUID tells of each (Intel SDM, volume 2, CPUID; AMD APM, volume 3, appendix E), and the CPU
 * models: sets of features. A CPU advertises exactly what it implements (decision 10); without a feature it refuses what belongs to it.
 */

/** A bit of a register that CPUID fills. */
export interface CpuidBit {
  readonly leaf: number;
  readonly subleaf: number;
  readonly register: 'eax' | 'ebx' | 'ecx' | 'edx';
  readonly bit: number;
}

const extendedLeaf = 0x8000_0001;

const at =
  (leaf: number, register: CpuidBit['register'], subleaf = 0) =>
  (bit: number): readonly CpuidBit[] => [{ leaf, subleaf, register, bit }];

const [basic, newer, structured] = [at(1, 'edx'), at(1, 'ecx'), at(7, 'ebx')];
const [extended, extendedNewer] = [at(extendedLeaf, 'edx'), at(extendedLeaf, 'ecx')];
/** Features that AMD's CPUs repeat in the extended leaf. */
const repeated = (bit: number): readonly CpuidBit[] => [...basic(bit), ...extended(bit)];

/** Each feature by a short name, with the bits that tell of it. */
export const cpuFeatures = {
  fpu: repeated(0),
  pse: repeated(3),
  tsc: repeated(4),
  msr: repeated(5),
  pae: repeated(6),
  cx8: repeated(8),
  apic: repeated(9),
  pge: repeated(13),
  cmov: repeated(15),
  mmx: repeated(23),
  fxsr: repeated(24),
  sse: basic(25),
  sse2: basic(26),
  ht: basic(28),
  sse3: newer(0),
  ssse3: newer(9),
  cx16: newer(13),
  pcid: newer(17),
  sse4_1: newer(19),
  sse4_2: newer(20),
  x2apic: newer(21),
  popcnt: newer(23),
  xsave: newer(26),
  hypervisor: newer(31),
  syscall: extended(11),
  nx: extended(20),
  rdtscp: extended(27),
  lm: extended(29),
  fsgsbase: structured(0),
  smep: structured(7),
  erms: structured(9),
  invpcid: structured(10),
  smap: structured(20),
  xsaveopt: at(0xd, 'eax', 1)(0),
  lahf_lm: extendedNewer(0),
} as const satisfies Readonly<Record<string, readonly CpuidBit[]>>;

export type CpuFeature = keyof typeof cpuFeatures;

/**
 * The smallest set with which Debian's kernels and programs run, PSE and PGE, which Linux without CONFIG_XEN_PV demands of each CPU that
 * it starts (verify_cpu), x2APIC and the hypervisor bit; HTT is what Xen always adds (tools/libs/guest/xg_cpuid_x86.c,
 * xc_cpuid_apply_policy).
 */
const minimal = [
  'fpu', 'pse', 'tsc', 'msr', 'pae', 'cx8', 'apic', 'pge', 'cmov', 'mmx', 'fxsr', 'sse', 'sse2', 'ht', 'x2apic', 'hypervisor',
  'syscall', 'nx', 'lm',
] as const satisfies readonly CpuFeature[]; // prettier-ignore

const v2 = [
  ...minimal, 'sse3', 'ssse3', 'cx16', 'sse4_1', 'sse4_2', 'popcnt', 'lahf_lm', 'rdtscp', 'fsgsbase', 'smep', 'erms',
  'smap', 'pcid', 'invpcid', 'xsave', 'xsaveopt',
] as const satisfies readonly CpuFeature[]; // prettier-ignore

/** The model of an amd64 guest's CPUs: the least that Debian's kernels need, or the level x86-64-v2 and more. */
export type CpuModel = 'minimal' | 'v2';

/** The features of each model. */
export const cpuModels: Readonly<Record<CpuModel, ReadonlySet<CpuFeature>>> = {
  minimal: new Set(minimal),
  v2: new Set(v2),
};

export const cpuModelNames = Object.keys(cpuModels) as readonly CpuModel[];

/** A register of CPUID as some features make it, unsigned. */
export function featureBits(
  features: ReadonlySet<CpuFeature>,
  { leaf, subleaf, register }: Omit<CpuidBit, 'bit'>,
): number {
  let word = 0;
  for (const feature of features) {
    for (const place of cpuFeatures[feature]) {
      const isHere = place.leaf === leaf && place.subleaf === subleaf && place.register === register;
      if (isHere) word |= 1 << place.bit;
    }
  }
  return word >>> 0;
}

/**
 * Whether a CPU with some features has an instruction: definitions name the features that it needs, joined by `+` (`mmx+sse`), or
 * null.
 */
export function hasFeatures(features: ReadonlySet<string>, needed: string | null): boolean {
  return needed === null || needed.split('+').every((each) => features.has(each));
}
