/** The CPUID leaves that describe Xen and the current vCPU to an x86 guest. */
import {
  XEN_CPUID_FEAT1_MMU_PT_UPDATE_PRESERVE_AD,
  XEN_CPUID_FIRST_LEAF,
  XEN_CPUID_HOST_TSC_RELIABLE,
  XEN_CPUID_MAX_NUM_LEAVES,
  XEN_CPUID_RDTSCP_INSTR_AVAIL,
  XEN_CPUID_SIGNATURE_EBX,
  XEN_CPUID_SIGNATURE_ECX,
  XEN_CPUID_SIGNATURE_EDX,
  XEN_HVM_CPUID_DOMID_PRESENT,
  XEN_HVM_CPUID_IOMMU_MAPPINGS,
  XEN_HVM_CPUID_UPCALL_VECTOR,
  XEN_HVM_CPUID_VCPU_ID_PRESENT,
} from '../abi/index.js';
import { present, u32 } from '../base/index.js';
import type { XenVcpuId } from '../identity/index.js';
import { archOf, isX86Hvm } from './arch.js';
import { clockOf, tscScale } from './clock.js';
import type { Domain } from './domain.js';
import { releaseNumber } from './release.js';

/** The four registers that CPUID fills, unsigned. */
export interface CpuidLeaf {
  readonly eax: number;
  readonly ebx: number;
  readonly ecx: number;
  readonly edx: number;
}

function registers(some: Partial<CpuidLeaf>): CpuidLeaf {
  return { eax: 0, ebx: 0, ecx: 0, edx: 0, ...some };
}

/**
 * The leaf as vCPU `id` reads it, or null for a leaf to which the hypervisor adds nothing. Xen's own leaves
 * (from 0x40000000 on) are complete. Of leaf 1 only EBX[31:24], and of leaf 0xb only ECX[7:0] and EDX are filled in:
 * the vCPU's APIC id; the rest describes the CPU and is for the machine to add. A PV guest finds no APIC id there.
 * (Xen 4.17 arch/x86/cpuid.c, guest_cpuid; arch/x86/traps.c, cpuid_hypervisor_leaves.) Null on Arm.
 */
export function cpuidLeaf(domain: Domain, id: XenVcpuId, leaf: number, subleaf: number): CpuidLeaf | null {
  if (archOf(domain) === 'arm64') return null;
  const apicId = isX86Hvm(domain) ? present(domain.state.config.hardwareIds[id], `vCPU ${id}`) : 0;
  if (leaf === 1) return registers({ ebx: u32(apicId << 24) });
  if (leaf === 0xb) return isX86Hvm(domain) ? topologyLeaf(subleaf, apicId) : null;
  return xenLeaf(domain, id, leaf - XEN_CPUID_FIRST_LEAF, subleaf);
}

/** Xen keeps two levels of leaf 0xb. Those behind them are all zero, also their x2APIC id, as observed on 4.17. */
const topologyLevels = 2;

function topologyLeaf(subleaf: number, apicId: number): CpuidLeaf {
  return registers(subleaf < topologyLevels ? { ecx: subleaf, edx: apicId } : {});
}

function xenLeaf(domain: Domain, id: XenVcpuId, index: number, subleaf: number): CpuidLeaf | null {
  switch (index) {
    case 0:
      return {
        eax: XEN_CPUID_FIRST_LEAF + XEN_CPUID_MAX_NUM_LEAVES,
        ebx: XEN_CPUID_SIGNATURE_EBX,
        ecx: XEN_CPUID_SIGNATURE_ECX,
        edx: XEN_CPUID_SIGNATURE_EDX,
      };
    case 1:
      return registers({ eax: releaseNumber(domain.state.config.release) });
    case 2:
      return hypercallLeaf(domain);
    case 3:
      return timeLeaf(domain, subleaf);
    case 4:
      return isX86Hvm(domain) && subleaf === 0 ? hvmLeaf(domain, id) : registers({});
    case 5:
      return isX86Hvm(domain) || subleaf !== 0 ? registers({}) : pvLeaf(domain);
    default:
      return null;
  }
}

/** The number of hypercall pages, and the MSR with which the guest makes Xen write them. */
function hypercallLeaf({ state }: Domain): CpuidLeaf {
  const ecx = state.config.kind === 'pv' ? XEN_CPUID_FEAT1_MMU_PT_UPDATE_PRESERVE_AD : 0;
  return registers({ eax: 1, ebx: XEN_CPUID_FIRST_LEAF, ecx });
}

/** The TSC is the host's own, reliable, and never emulated nor migrated. */
function timeLeaf(domain: Domain, subleaf: number): CpuidLeaf {
  const { tscKHz } = clockOf(domain);
  const { mul, shift } = tscScale(tscKHz);
  switch (subleaf) {
    case 0:
      return registers({
        eax: XEN_CPUID_HOST_TSC_RELIABLE | XEN_CPUID_RDTSCP_INSTR_AVAIL,
        ecx: tscKHz,
        edx: 1,
      });
    case 1:
      return registers({ ecx: mul, edx: u32(shift) });
    case 2:
      return registers({ eax: tscKHz });
    default:
      return registers({});
  }
}

/** No hardware support for the APIC is advertised, so its bits are clear. */
function hvmLeaf({ state }: Domain, id: XenVcpuId): CpuidLeaf {
  const eax =
    XEN_HVM_CPUID_IOMMU_MAPPINGS |
    XEN_HVM_CPUID_VCPU_ID_PRESENT |
    XEN_HVM_CPUID_DOMID_PRESENT |
    XEN_HVM_CPUID_UPCALL_VECTOR;
  return registers({ eax, ebx: id, ecx: state.config.domid });
}

/** The number of bits in a machine address on this host. */
function pvLeaf({ state }: Domain): CpuidLeaf {
  const { ram, xenFrames } = state.config;
  const end = Math.max(...[...ram, xenFrames].map(({ start, count }) => start + count));
  return registers({ ebx: Math.ceil(Math.log2(end)) + 12 });
}
