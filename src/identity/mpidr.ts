/**
 * How Xen on Arm computes a vCPU's MPIDR from its id, and a vCPU id from an affinity that a guest names. Xen has two
 * functions, which are inverse to each other only on the values that Xen assigns
 * (Xen 4.17 arch/arm/include/asm/domain.h: vcpuid_to_vaffinity, vaffinity_to_vcpuid; the same in 4.18).
 *
 * Xen promises none of this: no public header or document of Xen mentions MPIDR.
 */
import { GUEST_MAX_VCPUS } from '../abi/index.js';
import { InputError } from '../base/index.js';
import { affinityOf, mpidr, mpidrOf, xenVcpuId } from './ids.js';
import type { Mpidr, XenVcpuId } from './ids.js';

/** The number of ids that the encoding can represent: four bits in AFF0, eight in AFF1. Xen's own limit is lower. */
export const encodableVcpus = 4096;

/** The vCPUs of an arm64 guest with a GICv3 (public/arch-arm.h, GUEST_MAX_VCPUS; arch/arm/include/asm/config.h, MAX_VIRT_CPUS). With a GICv2 it is 8. */
export const armMaxVcpus = GUEST_MAX_VCPUS;

/** MPIDR_EL1 bit 31, RES1, which Xen sets for each vCPU (arch/arm/domain.c, arch_vcpu_create). */
const res1 = 1n << 31n;

/**
 * The affinity that Xen gives vCPU `id`: AFF0 is its low four bits, AFF1 the next eight, AFF2 and AFF3 are 0.
 * Four bits, because a GICv3 guest addresses at most 16 CPUs of one AFF1 by ICC_SGI1R_EL1's target list.
 * Throws {@link InputError} for 4096 and above, which have no encoding.
 */
export function mpidrOfVcpu(id: XenVcpuId): Mpidr {
  if (id >= encodableVcpus)
    throw new InputError(`vCPU ${id} has no MPIDR: the last vCPU with an MPIDR is 4095`);
  return mpidrOf({ aff1: id >>> 4, aff0: id & 0xf });
}

/** The value of MPIDR_EL1 on vCPU `id`: the affinity, and RES1. */
export function mpidrRegisterOfVcpu(id: XenVcpuId): bigint {
  return BigInt(mpidrOfVcpu(id)) | res1;
}

/**
 * The vCPU id that Xen derives from `affinity`, whether or not the domain has such a vCPU: AFF0 OR (AFF1 times
 * 16), with all eight bits of AFF0; Xen ignores AFF2 and AFF3. 0 to 4095.
 *
 * So several affinities name the same vCPU; {@link namesOfVcpu} lists them.
 */
export function vcpuOfMpidr(affinity: Mpidr): XenVcpuId {
  const { aff1, aff0 } = affinityOf(affinity);
  return xenVcpuId(aff0 | (aff1 << 4));
}

/**
 * The vCPU id that Xen derives from a 64-bit register value, as in PSCI CPU_ON's target (vpsci.c) and in
 * GICD_IROUTER with bit 31 clear (vgic-v3.c). Bits that are not affinity are ignored.
 */
export function vcpuOfTarget(value: bigint): XenVcpuId {
  return vcpuOfMpidr(mpidr(value & 0xff_00ff_ffffn));
}

/** Whether Xen assigns this affinity to a vCPU, so that the vCPU that it names also has it in MPIDR_EL1. */
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
 * Throws {@link InputError} for 4096 and above.
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
 * number of each bit set in the target list (15:0). Xen ignores AFF2, AFF3 and the range selector
 * (vgic-v3.c, vgic_v3_to_sgi; vgic.c, vgic_to_sgi). This function does not handle bit 40 (all CPUs but the sender).
 */
export function vcpusOfSgi(sgi1r: bigint): XenVcpuId[] {
  const base = Number((sgi1r >> 16n) & 0xffn) << 4;
  const list = Number(sgi1r & 0xffffn);
  return Array.from({ length: 16 }, (_, bit) => bit)
    .filter((bit) => ((list >>> bit) & 1) === 1)
    .map((bit) => xenVcpuId(base + bit));
}
