/**
 * PSCI 1.1 as Xen serves it to an Arm guest by HVC (Xen 4.17 arch/arm/vpsci.c; the same in 4.18). PSCI 0.1, whose
 * function numbers come from the device tree, is not served here.
 */
import {
  ARM_SMCCC_ERR_UNKNOWN_FUNCTION,
  ARM_SMCCC_VERSION_FID,
  PSCI_0_2_AFFINITY_LEVEL_OFF,
  PSCI_0_2_AFFINITY_LEVEL_ON,
  PSCI_0_2_FN64_AFFINITY_INFO,
  PSCI_0_2_FN64_CPU_ON,
  PSCI_0_2_FN64_CPU_SUSPEND,
  PSCI_0_2_FN_AFFINITY_INFO,
  PSCI_0_2_FN_CPU_OFF,
  PSCI_0_2_FN_CPU_ON,
  PSCI_0_2_FN_CPU_SUSPEND,
  PSCI_0_2_FN_MIGRATE_INFO_TYPE,
  PSCI_0_2_FN_PSCI_VERSION,
  PSCI_0_2_FN_SYSTEM_OFF,
  PSCI_0_2_FN_SYSTEM_RESET,
  PSCI_0_2_TOS_MP,
  PSCI_1_0_FN_PSCI_FEATURES,
  PSCI_FN_names,
  PSCI_RET_ALREADY_ON,
  PSCI_RET_INTERNAL_FAILURE,
  PSCI_RET_INVALID_ADDRESS,
  PSCI_RET_INVALID_PARAMS,
  PSCI_RET_NOT_SUPPORTED,
  PSCI_RET_SUCCESS,
  psciVersion,
  SHUTDOWN_poweroff,
  SHUTDOWN_reboot,
} from '../abi/index.js';
import { u32 } from '../base/index.js';
import { mpidrOfVcpu, vcpuOfTarget, xenVcpuId } from '../identity/index.js';
import type { XenVcpuId } from '../identity/index.js';
import { archOf } from './arch.js';
import type { Domain, VcpuState } from './domain.js';
import { upcallDropped } from './event_channels/index.js';
import { blockUnlessPending } from './halt.js';
import { domainShutdown, vcpuOf } from './power.js';
import type { PowerRecord } from './power_record.js';

/** What a PSCI call did. */
export interface PsciRecord {
  /** `PSCI_0_2_FN64_CPU_ON` and the like; `psci_0x84000099` for a number that has no name. */
  readonly name: string;
  /** x0 after the call, signed 32-bit: a PSCI_RET_* number, or the function's answer. */
  readonly returned: number;
  /** CPU_ON: the vCPU that the target names; null when it names none, and for every other function. */
  readonly target: XenVcpuId | null;
  /** The same in terms that every architecture has. */
  readonly power: PowerRecord;
}

interface PsciCall {
  readonly domain: Domain;
  readonly caller: VcpuState;
  /** x1, x2 and x3, if they were passed. */
  readonly args: readonly bigint[];
}

/** x1 + `index`, unsigned 64-bit. */
function argument({ args }: PsciCall, index: number): bigint {
  return BigInt.asUintN(64, args[index] ?? 0n);
}

type Answer = Omit<PsciRecord, 'name'>;

function answer(returned: number): Answer {
  return { returned, target: null, power: { kind: 'other' } };
}

function startAnswer(hardwareId: bigint, target: XenVcpuId | null, returned: number): Answer {
  return { returned, target, power: { kind: 'start', how: 'psci', hardwareId, target, returned } };
}

const affinityMask = 0xff_00ff_ffffn;

/** Whether the domain's affinities are those that Xen assigns; only then is Xen's own decoding right. */
function hasXenAffinities({ state }: Domain): boolean {
  return state.config.hardwareIds.every((id, vcpu) => id === mpidrOfVcpu(xenVcpuId(vcpu)));
}

/**
 * The vCPU that a target affinity names. With Xen's own affinities Xen's rule applies, by which several affinities
 * name the same vCPU (identity, vcpuOfMpidr). With other affinities, which no real Xen assigns (config.hardwareIds is the
 * policy, Xen's by default), it is the vCPU that has exactly this affinity.
 */
function vcpuOfAffinity(domain: Domain, target: bigint): VcpuState | null {
  const { config, vcpus } = domain.state;
  if (hasXenAffinities(domain)) return vcpus[vcpuOfTarget(target)] ?? null;
  const affinity = Number(target & affinityMask);
  return vcpus[config.hardwareIds.findIndex((id) => id === affinity)] ?? null;
}

/** Checks in this order: the target exists, the entry address is not Thumb (bit 0), the target is down. */
function cpuOn(call: PsciCall): Answer {
  const [target, entry, contextId] = [argument(call, 0), argument(call, 1), argument(call, 2)];
  const vcpu = vcpuOfAffinity(call.domain, target);
  if (vcpu === null) return startAnswer(target, null, PSCI_RET_INVALID_PARAMS);
  return startAnswer(target, vcpu.id, startVcpu(call.domain, vcpu, entry, contextId));
}

function startVcpu(domain: Domain, vcpu: VcpuState, entry: bigint, contextId: bigint): number {
  if ((entry & 1n) !== 0n) return PSCI_RET_INVALID_ADDRESS;
  if (vcpu.up) return PSCI_RET_ALREADY_ON;
  vcpu.initialised = true;
  vcpu.up = true;
  vcpu.start = { how: 'psci', entry, contextId };
  if (vcpu.upcallInjected) upcallDropped(domain, vcpu.id);
  return PSCI_RET_SUCCESS;
}

/** Xen does not check whether it is the last vCPU: a domain may end with all vCPUs down. */
function cpuOff({ caller }: PsciCall): Answer {
  caller.up = false;
  return { returned: PSCI_RET_SUCCESS, target: null, power: { kind: 'stop', how: 'psci' } };
}

/** Whatever state is requested, Xen uses standby: the vCPU waits for an event and continues after the call. */
function cpuSuspend({ domain, caller }: PsciCall): Answer {
  blockUnlessPending(domain, caller);
  return answer(PSCI_RET_SUCCESS);
}

const highestAffinityLevel = 3;

/** Whether any vCPU is up whose affinity equals the target at that level and above. */
function affinityInfo(call: PsciCall): Answer {
  const [target, lowest] = [argument(call, 0), argument(call, 1)];
  const level = Number(BigInt.asUintN(32, lowest));
  if (level > highestAffinityLevel) return answer(PSCI_RET_INVALID_PARAMS);
  const ignored = [0n, 0xffn, 0xffffn, 0xffff_ffffn][level] ?? 0n;
  const mask = affinityMask & ~ignored;
  const { config, vcpus } = call.domain.state;
  const isOn = vcpus.some(
    ({ up, id }) => up && (BigInt(config.hardwareIds[id] ?? 0) & mask) === (target & mask),
  );
  return answer(isOn ? PSCI_0_2_AFFINITY_LEVEL_ON : PSCI_0_2_AFFINITY_LEVEL_OFF);
}

/** The domain shuts down; if the caller ever continues, it reads a failure. */
function systemShutdown(reason: number): (call: PsciCall) => Answer {
  return ({ domain, caller }) => {
    domainShutdown(domain, reason, caller.id);
    return answer(PSCI_RET_INTERNAL_FAILURE);
  };
}

const smcccVersion = 0x1_0001;

const functions = new Map<number, (call: PsciCall) => Answer>([
  [PSCI_0_2_FN_PSCI_VERSION, () => answer(psciVersion(1, 1))],
  [PSCI_0_2_FN_CPU_SUSPEND, cpuSuspend],
  [PSCI_0_2_FN64_CPU_SUSPEND, cpuSuspend],
  [PSCI_0_2_FN_CPU_OFF, cpuOff],
  [PSCI_0_2_FN_CPU_ON, cpuOn],
  [PSCI_0_2_FN64_CPU_ON, cpuOn],
  [PSCI_0_2_FN_AFFINITY_INFO, affinityInfo],
  [PSCI_0_2_FN64_AFFINITY_INFO, affinityInfo],
  [PSCI_0_2_FN_MIGRATE_INFO_TYPE, () => answer(PSCI_0_2_TOS_MP)],
  [PSCI_0_2_FN_SYSTEM_OFF, systemShutdown(SHUTDOWN_poweroff)],
  [PSCI_0_2_FN_SYSTEM_RESET, systemShutdown(SHUTDOWN_reboot)],
  [PSCI_1_0_FN_PSCI_FEATURES, features],
  // Not PSCI, but a guest may call it if PSCI_FEATURES says so (arch/arm/vsmc.c, handle_arch).
  [ARM_SMCCC_VERSION_FID, () => answer(smcccVersion)],
]);

function features(call: PsciCall): Answer {
  const wanted = u32(Number(BigInt.asUintN(32, argument(call, 0))));
  return answer(functions.has(wanted) ? PSCI_RET_SUCCESS : PSCI_RET_NOT_SUPPORTED);
}

/** Whether Xen serves the function to an Arm guest. */
export function servesPsci(functionId: number): boolean {
  return functions.has(u32(functionId));
}

/**
 * vCPU `id` makes the call that `functionId` (the low 32 bits of x0) names, with x1 to x3 in `args`. A function that
 * Xen does not have, and on x86 any, is answered as SMCCC says: -1.
 */
export function psciCall(
  domain: Domain,
  id: XenVcpuId,
  functionId: number,
  args: readonly bigint[],
): PsciRecord {
  const number = u32(functionId);
  const name = nameOf(number);
  const run = archOf(domain) === 'arm64' ? functions.get(number) : undefined;
  if (run === undefined) return { name, ...answer(ARM_SMCCC_ERR_UNKNOWN_FUNCTION) };
  return { name, ...run({ domain, caller: vcpuOf(domain, id), args }) };
}

/** By function number. A Map, because lookups of such large numbers in an object are slow. */
const names: ReadonlyMap<number, string> = new Map(
  Object.entries(PSCI_FN_names).map(([number, name]) => [Number(number), name]),
);

function nameOf(number: number): string {
  if (number === ARM_SMCCC_VERSION_FID) return 'ARM_SMCCC_VERSION_FID';
  return names.get(number) ?? `psci_0x${number.toString(16)}`;
}
