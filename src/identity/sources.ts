/**
 * Where a guest can learn which vCPU a CPU is. Each source says what it knows, about which CPUs, from which moment on,
 * and whether Xen promises that it is right.
 */
import { XEN_HVM_CPUID_VCPU_ID_PRESENT } from '../abi/index.js';
import type { DeviceTree, Madt } from '../abi/index.js';
import { u32 } from '../base/index.js';
import { vcpuOfAcpiUid } from './apic.js';
import { armCpusOfMadt, x86CpusOfMadt } from './firmware.js';
import { armCpusOfDeviceTree } from './firmware_tree.js';
import { invalidVcpuNr, xenVcpuId } from './ids.js';
import type { AcpiUid, ApicId, LinuxCpu, Mpidr, XenVcpuId } from './ids.js';
import { isXenMpidr, vcpuOfMpidr } from './mpidr.js';

export type SourceName = 'direct' | 'cpuid' | 'madt' | 'devicetree' | 'mpidr';

/** The moment from which a source can be used. */
export type KnownFrom =
  /** From the kernel's first instruction. */
  | 'set-up'
  /** Once the kernel has parsed the firmware's tables, before it starts any other CPU. */
  | 'firmware tables parsed'
  /** As soon as the CPU in question executes the kernel: the boot CPU at init, another when it has started. */
  | 'on the CPU itself';

/** A source. `Asked` is its input; it reads nothing else. */
export interface IdentitySource<Asked extends unknown[]> {
  readonly name: SourceName;
  readonly from: KnownFrom;
  /** Where Xen promises that the answer is right; null where there is no promise. */
  readonly promisedBy: string | null;
  /** The vCPU id; null when the source does not know. */
  knows(...asked: Asked): XenVcpuId | null;
}

/** Uses the Linux CPU number as the vCPU id: right if Linux was entered on vCPU 0 and numbers CPUs as Xen does. */
export const directSource: IdentitySource<[cpu: LinuxCpu]> = {
  name: 'direct',
  from: 'set-up',
  promisedBy: null,
  knows: (cpu) => xenVcpuId(cpu),
};

/** EAX and EBX of Xen's CPUID leaf base + 4, unsigned. */
export interface XenCpuidLeaf4 {
  readonly eax: number;
  readonly ebx: number;
}

/** x86 HVM and PVH: Xen's CPUID leaf base + 4, which answers each vCPU with its own id. Since Xen commit dd9b092266 (2015). */
export const cpuidSource: IdentitySource<[leaf: XenCpuidLeaf4]> = {
  name: 'cpuid',
  from: 'on the CPU itself',
  promisedBy: 'public/arch-x86/cpuid.h, leaf 5: EBX, if EAX has XEN_HVM_CPUID_VCPU_ID_PRESENT',
  knows: ({ eax, ebx }) =>
    (eax & XEN_HVM_CPUID_VCPU_ID_PRESENT) === 0 || u32(ebx) === invalidVcpuNr ? null : xenVcpuId(u32(ebx)),
};

/** The id by which to search the MADT. */
export type HardwareKey = { readonly apicId: ApicId } | { readonly mpidr: Mpidr };

/** The common value of `uids`; null when there is none, or when they differ. */
function agreed(uids: (AcpiUid | null)[]): XenVcpuId | null {
  const [first = null, ...others] = uids;
  return first !== null && others.every((uid) => uid === first) ? vcpuOfAcpiUid(first) : null;
}

/**
 * The UID of the MADT entry (type 0, 9 or 11) that has the CPU's APIC id or affinity. Entries of CPUs that are not
 * enabled count too. Null when no entry has the id, or entries that have it disagree.
 */
export const madtSource: IdentitySource<[madt: Madt, hardware: HardwareKey]> = {
  name: 'madt',
  from: 'firmware tables parsed',
  promisedBy: 'public/hvm/hvm_info_table.h, to x86 HVM guests (not to Arm ones)',
  knows: (madt, hardware) =>
    agreed(
      'apicId' in hardware
        ? x86CpusOfMadt(madt).flatMap((cpu) => (cpu.apicId === hardware.apicId ? [cpu.acpiUid] : []))
        : armCpusOfMadt(madt).flatMap((cpu) => (cpu.mpidr === hardware.mpidr ? [cpu.acpiUid] : [])),
    ),
};

/** Arm: the MPIDR of the CPU itself, decoded as Xen does. Null for an affinity that Xen assigns to no vCPU. */
export const mpidrSource: IdentitySource<[mpidr: Mpidr]> = {
  name: 'mpidr',
  from: 'on the CPU itself',
  promisedBy: null,
  knows: (mpidr) => (isXenMpidr(mpidr) ? vcpuOfMpidr(mpidr) : null),
};

/** Arm: the `reg` of a node of the device tree's /cpus, decoded as Xen does. Null when no node has it. */
export const deviceTreeSource: IdentitySource<[tree: DeviceTree, mpidr: Mpidr]> = {
  name: 'devicetree',
  from: 'firmware tables parsed',
  promisedBy: null,
  knows: (tree, mpidr) =>
    armCpusOfDeviceTree(tree).some((cpu) => cpu.mpidr === mpidr) ? mpidrSource.knows(mpidr) : null,
};

/** Every source, by name. */
export const sources = {
  direct: directSource,
  cpuid: cpuidSource,
  madt: madtSource,
  devicetree: deviceTreeSource,
  mpidr: mpidrSource,
} as const;

/**
 * Whether a source can be used for a CPU at a given point of the boot: `executing` if the CPU in question is the
 * one that asks, `tablesParsed` if the firmware's tables have been read. The source may still not know the answer.
 */
export function canBeAsked(name: SourceName, executing: boolean, tablesParsed: boolean): boolean {
  const { from } = sources[name];
  if (from === 'set-up') return true;
  return from === 'on the CPU itself' ? executing : tablesParsed;
}
