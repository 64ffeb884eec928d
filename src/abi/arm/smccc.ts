/**
 * SMCCC, the Arm SMC Calling Convention (Arm DEN0028): how a function identifier in w0 is made up, and the few
 * services that a guest asks Xen for beside PSCI and hypercalls.
 */

/** Bit 31: a fast call (atomic). */
export const ARM_SMCCC_TYPE_SHIFT = 31;
/** Bit 30: 64-bit arguments. */
export const ARM_SMCCC_CONV_SHIFT = 30;
/** Bits 29 to 24: who owns the service. */
export const ARM_SMCCC_OWNER_SHIFT = 24;
export const ARM_SMCCC_OWNER_MASK = 0x3f;

export const ARM_SMCCC_OWNER_ARCH = 0;
export const ARM_SMCCC_OWNER_CPU = 1;
export const ARM_SMCCC_OWNER_SIP = 2;
export const ARM_SMCCC_OWNER_OEM = 3;
/** PSCI is one of the standard services. */
export const ARM_SMCCC_OWNER_STANDARD = 4;
export const ARM_SMCCC_OWNER_HYPERVISOR = 5;

export const ARM_SMCCC_VERSION_FID = 0x8000_0000;
export const ARM_SMCCC_ARCH_FEATURES_FID = 0x8000_0001;

export const ARM_SMCCC_SUCCESS = 0;
export const ARM_SMCCC_NOT_SUPPORTED = -1;
export const ARM_SMCCC_NOT_REQUIRED = -2;
/** What x0 holds, in 32 bits, after a call that nobody serves. */
export const ARM_SMCCC_ERR_UNKNOWN_FUNCTION = -1;

/** Function identifiers of this range (both ends included) belong to interfaces older than the convention. */
export const ARM_SMCCC_RESERVED_RANGE_START = 0x0;
export const ARM_SMCCC_RESERVED_RANGE_END = 0x0100_ffff;
