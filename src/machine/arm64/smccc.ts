/**
 * HVC #0 and SMC #0: calls by Arm's SMC Calling Convention, as Xen 4.17 serves them to a guest (arch/arm/vsmc.c,
 * vsmccc_handle_call). Power calls are the hypervisor's PSCI. This module has the rest: the version of the convention,
 * the speculation workarounds, and the UID and revision of both services.
 */
import {
  ARM_SMCCC_ARCH_FEATURES_FID,
  ARM_SMCCC_CONV_SHIFT,
  ARM_SMCCC_NOT_SUPPORTED,
  ARM_SMCCC_OWNER_HYPERVISOR,
  ARM_SMCCC_OWNER_SHIFT,
  ARM_SMCCC_OWNER_STANDARD,
  ARM_SMCCC_SUCCESS,
  ARM_SMCCC_TYPE_SHIFT,
  ARM_SMCCC_VERSION_FID,
} from '../../abi/index.js';

/** The registers that a call changes: x0, x1 and so on, unsigned 64-bit. Empty for a call without results. */
export type SmcccAnswer = readonly bigint[];

const version1_1 = 0x1_0001n;

/** ARM_SMCCC_ARCH_WORKAROUND_1 to 3 (Arm DEN0028, 7.5). */
const workarounds: readonly number[] = [0x8000_8000, 0x8000_7fff, 0x8000_3fff];

/**
 * The answer of ARM_SMCCC_ARCH_FEATURES for each workaround, on a Cortex-A57 whose firmware does not implement SMCCC
 * 1.1, as on the reference host: Xen hardens the branch predictor, leaves SSBD to the guest, and uses a loop instead of
 * the third workaround (arch/arm/cpuerrata.c).
 */
const workaroundAnswers = [ARM_SMCCC_SUCCESS, ARM_SMCCC_SUCCESS, ARM_SMCCC_NOT_SUPPORTED] as const;

/** The self-description of a service (public/arch-arm/smccc.h; Arm DEN0028, 6.2). */
interface Service {
  readonly owner: number;
  readonly functions: bigint;
  /** The bytes of its UID, four per register, lowest byte first. */
  readonly uid: SmcccAnswer;
}

const services: readonly Service[] = [
  {
    owner: ARM_SMCCC_OWNER_HYPERVISOR,
    functions: 3n,
    uid: [0xdc12_18a7n, 0x6943_98c6n, 0xd179_cf9an, 0x67e6_de8dn],
  },
  {
    owner: ARM_SMCCC_OWNER_STANDARD,
    // Twelve functions of PSCI and these three.
    functions: 15n,
    uid: [0x6f38_63f8n, 0xbd4c_394bn, 0x16ce_2092n, 0x6f9f_e541n],
  },
];
const revision = [0n, 1n] as const;

/** The function id of a fast 32-bit call. */
function functionOf(owner: number, number: number): number {
  return (
    ((1 << ARM_SMCCC_TYPE_SHIFT) |
      (0 << ARM_SMCCC_CONV_SHIFT) |
      (owner << ARM_SMCCC_OWNER_SHIFT) |
      number) >>>
    0
  );
}

const serviceAnswers: ReadonlyMap<number, SmcccAnswer> = new Map(
  services.flatMap(({ owner, functions, uid }): [number, SmcccAnswer][] => [
    [functionOf(owner, 0xff00), [functions]],
    [functionOf(owner, 0xff01), uid],
    [functionOf(owner, 0xff03), revision],
  ]),
);

/**
 * The register changes of a call that is not a power call; null when `functionId` is not implemented here. `argument`
 * is w1.
 */
export function smcccCall(functionId: number, argument: number): SmcccAnswer | null {
  if (functionId === ARM_SMCCC_VERSION_FID) return [version1_1];
  if (functionId === ARM_SMCCC_ARCH_FEATURES_FID) {
    const asked = workarounds.findIndex((workaround) => workaround === argument);
    return [BigInt.asUintN(64, BigInt(workaroundAnswers[asked] ?? ARM_SMCCC_NOT_SUPPORTED))];
  }
  if (workarounds.includes(functionId)) return [];
  return serviceAnswers.get(functionId) ?? null;
}
