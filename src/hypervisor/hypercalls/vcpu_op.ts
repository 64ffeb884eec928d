/** vcpu_op(cmd, vcpuid, arg): starting and stopping vCPUs, their timers, and the memory that they share with Xen. */
import {
  __HYPERVISOR_vcpu_op,
  VCPUOP_down,
  VCPUOP_get_physid,
  VCPUOP_initialise,
  VCPUOP_is_up,
  VCPUOP_send_nmi,
  VCPUOP_set_periodic_timer,
  VCPUOP_set_singleshot_timer,
  VCPUOP_stop_periodic_timer,
  VCPUOP_stop_singleshot_timer,
  VCPUOP_up,
  SHUTDOWN_poweroff,
  vcpu_guest_context,
  vcpu_hvm_context,
  vcpu_set_periodic_timer,
  vcpu_set_singleshot_timer,
  VCPU_SSHOTTMR_future,
  VGCF_online,
  VIRQ_TIMER,
  XEN_EEXIST,
  XEN_EFAULT,
  XEN_EINVAL,
  XEN_ENOENT,
  XEN_ENOSYS,
  XEN_ETIME,
} from '../../abi/index.js';
import { s64 } from '../../base/index.js';
import { archOf } from '../arch.js';
import type { HvmContext, VcpuState } from '../domain.js';
import { localApicEnabled, raiseVirq } from '../event_channels/index.js';
import { copyIn, domainVcpu } from '../hypercall.js';
import type { ErrorRow, HypercallFamily } from '../hypercall.js';
import { triggerNmi } from '../init_sipi_nmi.js';
import { domainShutdown } from '../power.js';
import { setPeriodicTimer } from '../time.js';
import { vcpuInfoLocation } from '../vcpu_info.js';
import { hvmEntry, isHvmContextValid, isPvContextValid } from './vcpu_context.js';
import { areaOperations } from './vcpu_areas.js';
import { vcpuIdOf, vcpuOperation } from './vcpu_operation.js';
import type { VcpuCall } from './vcpu_operation.js';

const common = 'Xen 4.17 common/domain.c, common_vcpu_op';
const fault: ErrorRow = { error: 'XEN_EFAULT', when: 'the argument cannot be read' };
const notSelf: ErrorRow = { error: 'XEN_EINVAL', when: 'the vCPU is not the one that makes the call' };

const initialise = vcpuOperation({
  name: 'VCPUOP_initialise',
  command: VCPUOP_initialise,
  source: `${common}; arch/x86/domain.c, arch_initialise_vcpu`,
  argument: null,
  errors: [
    { error: 'XEN_EINVAL', when: 'the vCPU has no vcpu_info: 32 or above, and none registered' },
    fault,
    { error: 'XEN_EEXIST', when: 'the vCPU is initialised already' },
    { error: 'XEN_EINVAL', when: 'the register state is not acceptable' },
  ],
  body: (call) => {
    if (vcpuInfoLocation(call.domain, call.vcpu) === null) return -XEN_EINVAL;
    return call.domain.state.config.kind === 'pv' ? initialisePv(call) : initialiseHvm(call);
  },
});

function initialisePv({ context, domain, vcpu, address }: VcpuCall<object>): number {
  const state = copyIn(context, vcpu_guest_context.x86_64, address);
  if (state === null) return -XEN_EFAULT;
  if (vcpu.initialised) return -XEN_EEXIST;
  if (!isPvContextValid(domain, vcpu, state)) return -XEN_EINVAL;
  start(vcpu, state.user_regs.rip);
  vcpu.up = (state.flags & BigInt(VGCF_online.x86_64)) !== 0n;
  return 0;
}

function initialiseHvm({ context, domain, vcpu, address }: VcpuCall<object>): number {
  const state = copyIn(context, vcpu_hvm_context, address);
  if (state === null) return -XEN_EFAULT;
  if (vcpu.initialised) return -XEN_EEXIST;
  if (!isHvmContextValid(state)) return -XEN_EINVAL;
  start(vcpu, hvmEntry(state), state);
  localApicEnabled(domain, vcpu.id); // by the guest, once it is up
  vcpu.up = false;
  return 0;
}

function start(vcpu: VcpuState, entry: bigint, registers?: HvmContext): void {
  vcpu.initialised = true;
  const context = { how: 'initialise', entry, contextId: 0n } as const;
  vcpu.start = registers === undefined ? context : { ...context, registers };
}

const up = vcpuOperation({
  name: 'VCPUOP_up',
  command: VCPUOP_up,
  source: common,
  argument: null,
  errors: [{ error: 'XEN_EINVAL', when: 'the vCPU is not initialised' }],
  body: ({ vcpu }) => {
    if (!vcpu.initialised) return -XEN_EINVAL;
    vcpu.up = true;
    return 0;
  },
});

/** For the last vCPU that is up, it shuts the domain down instead, and the vCPU stays up. */
const down = vcpuOperation({
  name: 'VCPUOP_down',
  command: VCPUOP_down,
  source: common,
  argument: null,
  errors: [],
  body: ({ domain, vcpu, caller }) => {
    const othersUp = domain.state.vcpus.some((other) => other.id !== vcpu.id && other.up);
    if (othersUp) vcpu.up = false;
    else domainShutdown(domain, SHUTDOWN_poweroff, caller.id);
    return 0;
  },
});

const isUp = vcpuOperation({
  name: 'VCPUOP_is_up',
  command: VCPUOP_is_up,
  source: common,
  argument: null,
  errors: [],
  body: ({ vcpu }) => (vcpu.up ? 1 : 0),
});

const shortestPeriodNs = 1_000_000n;
/** Xen's STIME_DELTA_MAX. */
const longestPeriodNs = (1n << 62n) - 1n;

const setPeriodic = vcpuOperation({
  name: 'VCPUOP_set_periodic_timer',
  command: VCPUOP_set_periodic_timer,
  source: common,
  argument: vcpu_set_periodic_timer,
  errors: [fault, { error: 'XEN_EINVAL', when: 'the period is below 1 ms or above 2^62 - 1 ns' }],
  body: ({ domain, vcpu, argument }) => {
    const set = argument();
    if (set === null) return -XEN_EFAULT;
    if (set.period_ns < shortestPeriodNs || set.period_ns > longestPeriodNs) return -XEN_EINVAL;
    setPeriodicTimer(domain, vcpu, set.period_ns);
    return 0;
  },
});

const stopPeriodic = vcpuOperation({
  name: 'VCPUOP_stop_periodic_timer',
  command: VCPUOP_stop_periodic_timer,
  source: common,
  argument: null,
  errors: [],
  body: ({ vcpu }) => {
    vcpu.periodNs = null;
    return 0;
  },
});

/**
 * A time in the past raises the event immediately. With VCPU_SSHOTTMR_future, 4.17 answers -XEN_ETIME instead, as 4.17.0
 * to 4.17.2 do; 4.18, and 4.17.3 on (Xen commit 7b5155a79ea9), ignore the flag.
 */
const setSingleshot = vcpuOperation({
  name: 'VCPUOP_set_singleshot_timer',
  command: VCPUOP_set_singleshot_timer,
  source: common,
  argument: vcpu_set_singleshot_timer,
  errors: [
    notSelf,
    fault,
    { error: 'XEN_ETIME', when: 'the time is past and VCPU_SSHOTTMR_future is set', releases: ['4.17'] },
  ],
  body: ({ domain, vcpu, caller, argument }) => {
    if (vcpu.id !== caller.id) return -XEN_EINVAL;
    const set = argument();
    if (set === null) return -XEN_EFAULT;
    const { nowNs, config } = domain.state;
    const past = set.timeout_abs_ns < nowNs;
    if (past && config.release === '4.17' && (set.flags & VCPU_SSHOTTMR_future) !== 0) return -XEN_ETIME;
    vcpu.singleshotNs = past ? null : laterThan(nowNs, set.timeout_abs_ns);
    if (past) raiseVirq(domain, vcpu.id, VIRQ_TIMER);
    return 0;
  },
});

/** Xen's times are signed: a time of 2^63 ns or more is in the past, so the timer fires at the next opportunity. */
function laterThan(nowNs: bigint, timeNs: bigint): bigint {
  return s64(timeNs) < nowNs ? nowNs : timeNs;
}

const stopSingleshot = vcpuOperation({
  name: 'VCPUOP_stop_singleshot_timer',
  command: VCPUOP_stop_singleshot_timer,
  source: common,
  argument: null,
  errors: [notSelf],
  body: ({ vcpu, caller }) => {
    if (vcpu.id !== caller.id) return -XEN_EINVAL;
    vcpu.singleshotNs = null;
    return 0;
  },
});

const sendNmi = vcpuOperation({
  name: 'VCPUOP_send_nmi',
  command: VCPUOP_send_nmi,
  source: 'Xen 4.17 arch/x86/domain.c, do_vcpu_op',
  argument: null,
  errors: [{ error: 'XEN_EINVAL', when: 'the third argument is not null' }],
  body: ({ vcpu, address }) => {
    if (address !== 0n) return -XEN_EINVAL;
    triggerNmi(vcpu);
    return 0;
  },
});

const getPhysid = vcpuOperation({
  name: 'VCPUOP_get_physid',
  command: VCPUOP_get_physid,
  source: 'Xen 4.17 arch/x86/domain.c, do_vcpu_op',
  argument: null,
  errors: [{ error: 'XEN_EINVAL', when: 'the domain is not the hardware domain, pinned: always, here' }],
  body: () => -XEN_EINVAL,
});

export const vcpu_op: HypercallFamily = {
  name: 'vcpu_op',
  number: __HYPERVISOR_vcpu_op,
  argumentRegister: 2,
  operations: [
    initialise,
    up,
    down,
    isUp,
    ...areaOperations,
    setPeriodic,
    stopPeriodic,
    setSingleshot,
    stopSingleshot,
    sendNmi,
    getPhysid,
  ],
  unknown: (context) => {
    if (domainVcpu(context.domain, vcpuIdOf(context)) === null) return -XEN_ENOENT;
    return archOf(context.domain) === 'arm64' ? -XEN_EINVAL : -XEN_ENOSYS;
  },
};
