/**
 * PSCI, the Arm Power State Coordination Interface (Arm DEN0022), as a guest calls it by HVC: the function
 * number in w0 (x0), arguments in x1 to x3, the answer in x0. The identifiers are those of the public header
 * linux/psci.h, which guests use. Where a function has a 64-bit form, the FN64 number is the one with bit 30.
 */

/** Function numbers of PSCI 0.1, which no standard fixes: those that Xen's device trees hand out (arch-arm.h). */
export const PSCI_cpu_suspend = 0;
export const PSCI_cpu_off = 1;
export const PSCI_cpu_on = 2;
export const PSCI_migrate = 3;

export const PSCI_0_2_FN_PSCI_VERSION = 0x8400_0000;
export const PSCI_0_2_FN_CPU_SUSPEND = 0x8400_0001;
export const PSCI_0_2_FN_CPU_OFF = 0x8400_0002;
export const PSCI_0_2_FN_CPU_ON = 0x8400_0003;
export const PSCI_0_2_FN_AFFINITY_INFO = 0x8400_0004;
export const PSCI_0_2_FN_MIGRATE = 0x8400_0005;
export const PSCI_0_2_FN_MIGRATE_INFO_TYPE = 0x8400_0006;
export const PSCI_0_2_FN_MIGRATE_INFO_UP_CPU = 0x8400_0007;
export const PSCI_0_2_FN_SYSTEM_OFF = 0x8400_0008;
export const PSCI_0_2_FN_SYSTEM_RESET = 0x8400_0009;

export const PSCI_0_2_FN64_CPU_SUSPEND = 0xc400_0001;
export const PSCI_0_2_FN64_CPU_ON = 0xc400_0003;
export const PSCI_0_2_FN64_AFFINITY_INFO = 0xc400_0004;
export const PSCI_0_2_FN64_MIGRATE = 0xc400_0005;
export const PSCI_0_2_FN64_MIGRATE_INFO_UP_CPU = 0xc400_0007;

export const PSCI_1_0_FN_PSCI_FEATURES = 0x8400_000a;
export const PSCI_1_0_FN_CPU_FREEZE = 0x8400_000b;
export const PSCI_1_0_FN_CPU_DEFAULT_SUSPEND = 0x8400_000c;
export const PSCI_1_0_FN_NODE_HW_STATE = 0x8400_000d;
export const PSCI_1_0_FN_SYSTEM_SUSPEND = 0x8400_000e;
export const PSCI_1_0_FN_SET_SUSPEND_MODE = 0x8400_000f;
export const PSCI_1_0_FN_STAT_RESIDENCY = 0x8400_0010;
export const PSCI_1_0_FN_STAT_COUNT = 0x8400_0011;
export const PSCI_1_1_FN_SYSTEM_RESET2 = 0x8400_0012;
export const PSCI_1_1_FN_MEM_PROTECT = 0x8400_0013;
export const PSCI_1_1_FN_MEM_PROTECT_CHECK_RANGE = 0x8400_0014;

export const PSCI_1_0_FN64_CPU_DEFAULT_SUSPEND = 0xc400_000c;
export const PSCI_1_0_FN64_NODE_HW_STATE = 0xc400_000d;
export const PSCI_1_0_FN64_SYSTEM_SUSPEND = 0xc400_000e;
export const PSCI_1_0_FN64_STAT_RESIDENCY = 0xc400_0010;
export const PSCI_1_0_FN64_STAT_COUNT = 0xc400_0011;
export const PSCI_1_1_FN64_SYSTEM_RESET2 = 0xc400_0012;
export const PSCI_1_1_FN64_MEM_PROTECT_CHECK_RANGE = 0xc400_0014;

/** Return values, signed. DEN0022, "Return error codes". */
export const PSCI_RET_SUCCESS = 0;
export const PSCI_RET_NOT_SUPPORTED = -1;
export const PSCI_RET_INVALID_PARAMS = -2;
export const PSCI_RET_DENIED = -3;
export const PSCI_RET_ALREADY_ON = -4;
export const PSCI_RET_ON_PENDING = -5;
export const PSCI_RET_INTERNAL_FAILURE = -6;
export const PSCI_RET_NOT_PRESENT = -7;
export const PSCI_RET_DISABLED = -8;
export const PSCI_RET_INVALID_ADDRESS = -9;

/** What AFFINITY_INFO answers. */
export const PSCI_0_2_AFFINITY_LEVEL_ON = 0;
export const PSCI_0_2_AFFINITY_LEVEL_OFF = 1;
export const PSCI_0_2_AFFINITY_LEVEL_ON_PENDING = 2;

/** What MIGRATE_INFO_TYPE answers; the last also stands for "there is no Trusted OS". */
export const PSCI_0_2_TOS_UP_MIGRATE = 0;
export const PSCI_0_2_TOS_UP_NO_MIGRATE = 1;
export const PSCI_0_2_TOS_MP = 2;

/** CPU_SUSPEND's power_state, in the original format: state id, and whether the state powers down. */
export const PSCI_0_2_POWER_STATE_ID_MASK = 0xffff;
export const PSCI_0_2_POWER_STATE_TYPE_SHIFT = 16;
export const PSCI_0_2_POWER_STATE_AFFL_SHIFT = 24;

export const PSCI_VERSION_MAJOR_SHIFT = 16;

/** PSCI_VERSION's answer: the major version above bit 16, the minor below. */
export function psciVersion(major: number, minor: number): number {
  return major * 2 ** PSCI_VERSION_MAJOR_SHIFT + minor;
}
