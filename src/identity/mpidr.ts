/**
 * How Xen on Arm makes a vCPU's MPIDR of its id, and a vCPU id of an affinity that a guest names. Two functions
 * of Xen's, one the inverse of the other on the values that Xen hands out, and on those alone
 * (Xen 4.17 arch/arm/include/asm/domain.h: vcpuid_to_vaffinity, vaffinity_to_vcpuid; the same in 4.18).
 *
 * None of it is promised: no public header and no document of Xen speaks of MPIDR.
 */
import { InputError } from '../base/index.js';
import { affinityOf, mpidr, mpidrOf, xenVcpuId } from './ids.js';
import type { Mpidr, XenVcpuId } from './ids.js';

/** The ids that the encoding has room for: four bits in AFF0, eight in AFF1. Xen's own limit is lower. */
export const encodableVcpus = 4096;

/** The vCPUs of an arm64 guest with a GICv3 (arch/arm/include/asm/config.h, MAX_VIRT_CPUS). With a GICv2 it is 8. */
export const armMaxVcpus = 128;

/** MPIDR_EL1 bit 31, RES1, which Xen sets in each vCPU's (arch/arm/domain.c, arch_vcpu_create). */
const res1 = 1n << 31n;

/**
 * The affinity that Xen gives vCPU `id`: AFF0 is its low four bits, AFF1 the next eight, AFF2 and AFF3 are 0.
 * Four bits, because a GICv3 guest addresses at most 16 CPUs of one AFF1 by ICC_SGI1R_EL1's target list.
 * Throws {@link InputError} from 4096 on, for which there is no encoding.
 */
export function mpidrOfVcpu(id: XenVcpuId): Mpidr {
  if (id >= encodableVcpus)
    throw new InputError(`vCPU ${id} has no MPIDR: the last vCPU with an MPIDR is 4095`);
  return mpidrOf({ aff1: id >>> 4, aff0: id & 0xf });
}

/** What vCPU `id` reads in its MPIDR_EL1: the affinity, and RES1. */
export function mpidrRegisterOfVcpu(id: XenVcpuId): bigint {
  return BigInt(mpidrOfVcpu(id)) | res1;
}

/**
 * The vCPU id that Xen takes `affinity` to name, whether or not the domain has such a vCPU: AFF0 OR AFF1 times
 * 16, all eight bits of AFF0 taken; AFF2 and AFF3 are not looked at. 0 to 4095.
 *
 * So distinct affinities name one vCPU; {@link namesOfVcpu} says which.
 */
export function vcpuOfMpidr(affinity: Mpidr): XenVcpuId {
  const { aff1, aff0 } = affinityOf(affinity);
  return xenVcpuId(aff0 | (aff1 << 4));
}

/**
 * The vCPU id that Xen takes a 64-bit register value to name, as in PSCI CPU_ON's target (vpsci.c) and in
 * GICD_IROUTER with bit 31 clear (vgic-v3.c). Bits that are not affinity are dropped first, whatever they are.
 */
export function vcpuOfTarget(value: bigint): XenVcpuId {
  return vcpuOfMpidr(mpidr(value & 0xff_00ff_ffffn));
}

/** Whether Xen hands this affinity out to a vCPU, so that what it names is also what reads it in MPIDR_EL1. */
export function isXenMpidr(affinity: Mpidr): boolean {
  return mpidrOfVcpu(vcpuOfMpidr(affinity)) === affinity;
}

/** AFF1 and AFF0 of an affinity whose AFF2 and AFF3 may be anything. */
export interface LowAffinity {
  readonly aff1: number;
  readonly aff0: number;
}

/**
 * Every pair of AFF1 and AFF0 that names vCPU `id` (each with any AFF2 and AFF3). The high half of AFF0 and the
 * low half of AFF1 are ORed into bits 7:4 of the id, so each of these bits that is 1 may come from AFF0, from
 * AFF1 or from both: 3^n pairs for n such bits, and a single pair for vCPUs 0 to 15. Sorted by AFF1, then AFF0.
 * Throws {@link InputError} from 4096 on.
 */
export function namesOfVcpu(id: XenVcpuId): LowAffinity[] {
  const { aff1, aff0 } = affinityOf(mpidrOfVcpu(id));
  const shared = aff1 & 0xf;
  const parts = Array.from({ length: 16 }, (_, bits) => bits).filter((bits) => (bits | shared) === shared);
  return parts.flatMap((fromAff1) =>
    parts
      .filter((fromAff0) => (fromAff1 | fromAff0) === shared)
      .map((fromAff0) => ({ aff1: (aff1 & 0xf0) | fromAff1, aff0: aff0 | (fromAff0 << 4) })),
  );
}

/**
 * The vCPU ids that a write to ICC_SGI1R_EL1 names in target-list mode: AFF1 (bits 23:16) times 16, plus the
 * number of each bit set in the target list (15:0). AFF2, AFF3 and the range selector are not looked at
 * (vgic-v3.c, vgic_v3_to_sgi; vgic.c, vgic_to_sgi). Bit 40 set (all but oneself) is not for this function.
 */
export function vcpusOfSgi(sgi1r: bigint): XenVcpuId[] {
  const base = Number((sgi1r >> 16n) & 0xffn) << 4;
  const list = Number(sgi1r & 0xffffn);
  return Array.from({ length: 16 }, (_, bit) => bit)
    .filter((bit) => ((list >>> bit) & 1) === 1)
    .map((bit) => xenVcpuId(base + bit));
}
