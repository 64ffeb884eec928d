/**
 * HVC #0: calls by Arm's SMC Calling Convention. Power calls go to the hypervisor's PSCI; what else Xen 4.17 serves a guest
 * (arch/arm/vsmc.c) is the convention's version and the workarounds of speculation that the CPU needs.
 */
import { ARM_SMCCC_ARCH_FEATURES_FID, ARM_SMCCC_NOT_SUPPORTED, ARM_SMCCC_VERSION_FID } from '../abi/index.js';

/** ARM_SMCCC_ARCH_WORKAROUND_1 to 3 (Arm DEN0028, 7.5). */
const workarounds = [0x8000_8000, 0x8000_7fff, 0x8000_3fff];
const version1_1 = 0x1_0001;

/** The answer, signed 32-bit, to a call of the Arm architecture's own service; null when `functionId` is none. */
export function architectureCall(functionId: number, argument: number): number | null {
  if (functionId === ARM_SMCCC_VERSION_FID) return version1_1;
  if (functionId === ARM_SMCCC_ARCH_FEATURES_FID) {
    const served = [ARM_SMCCC_VERSION_FID, ARM_SMCCC_ARCH_FEATURES_FID, ...workarounds];
    return served.includes(argument) ? 0 : ARM_SMCCC_NOT_SUPPORTED;
  }
  return workarounds.includes(functionId) ? 0 : null;
}
