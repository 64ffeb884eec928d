/** An x86 PVHVM or PVH kernel from its entry to user space, on CPU 0 (Linux 6.1 arch/x86/xen/enlighten_hvm.c, time.c, smp_hvm.c). */
import {
  DOMID_SELF,
  HVM_PARAM_CALLBACK_IRQ,
  HVM_PARAM_CALLBACK_TYPE_VECTOR,
  HVMOP_pagetable_dying,
  HVMOP_set_param,
  shared_info,
  VCPUOP_register_vcpu_time_memory_area,
  VCPUOP_stop_periodic_timer,
  vcpu_info,
  vcpu_register_time_memory_area,
  vcpu_time_info,
  XEN_CPUID_FIRST_LEAF,
  XEN_HVM_CPUID_UPCALL_VECTOR,
  XEN_LEGACY_MAX_VCPUS,
  XEN_PVCLOCK_TSC_STABLE_BIT,
  xen_hvm_pagetable_dying,
  xen_hvm_param,
} from '../../../abi/index.js';
import { callingStep, hvmOp, vcpuOp } from '../calls.js';
import type { GuestCall } from '../calls.js';
import { cpuidLeaf } from '../../../hypervisor/index.js';
import { linuxCpu } from '../../../identity/index.js';
import { log, panic, vcpuNr } from '../context.js';
import type { StepContext } from '../context.js';
import { addressOf, readPlace } from '../guest_memory.js';
import { become, call, callStep, done, goto, next, routine, step } from '../program.js';
import type { Flow, Program, Routine, Step } from '../program.js';
import { assistRunstate, getFeatures, mapSharedInfo, smpInit, timeAreaOffset } from './common.js';
import { recordsStep } from './records.js';
import { callbackVector } from './x86_cpu.js';

const cpu0 = linuxCpu(0);
const forCpu0 = (): { cpu: number } => ({ cpu: 0 });

/** xen_vcpu_info_reset(0): the slot that shared_info has for the vCPU, or the null pointer when it has none. */
const resetVcpuInfo: Step = step('vcpu_info slot', (context) => {
  const { kernel, cpu } = context;
  const vcpu = vcpuNr(context, cpu0);
  const layout = shared_info.x86_64.offsets.vcpu_info;
  cpu.vcpuInfo =
    vcpu < XEN_LEGACY_MAX_VCPUS.x86_64 && kernel.sharedInfoGfn !== null
      ? { gfn: kernel.sharedInfoGfn, offset: layout + vcpu * vcpu_info.x86_64.size }
      : null;
  return next;
});

/**
 * xen_hvm_init_time_ops reads the clock in its own vcpu_info. From 5.18 on (eed05744322d) it waits until there is
 * one; before, it follows the null pointer of a boot vCPU beyond shared_info's slots.
 */
function initTime(context: StepContext): Flow {
  const { kernel, cpu } = context;
  if (kernel.timeReady) return next;
  if (cpu.vcpuInfo === null) {
    if (!kernel.era.delaysTimeInit) {
      return panic(context, 'BUG: kernel NULL pointer dereference in xen_clocksource_read: no vcpu_info');
    }
    log(context, `Delay xen_init_time_common() as kernel is running on vcpu=${vcpuNr(context, cpu0)}`);
    return next;
  }
  kernel.timeReady = true;
  return next;
}

/** Whether Xen offers each vCPU a vector of its own (CPUID leaf base + 4, EAX bit 6). */
function offersUpcallVector({ world, vcpu }: StepContext): boolean {
  const leaf = cpuidLeaf(world.domain, vcpu, XEN_CPUID_FIRST_LEAF + 4, 0);
  return leaf !== null && (leaf.eax & XEN_HVM_CPUID_UPCALL_VECTOR) !== 0;
}

function setCallback(value: bigint): GuestCall {
  return hvmOp(HVMOP_set_param, xen_hvm_param, { domid: DOMID_SELF, index: HVM_PARAM_CALLBACK_IRQ, value });
}

/** xen_init_setup_upcall_vector: a vector of each vCPU's own, else one vector for all. */
const setUpUpcall: Routine = routine(null, [
  step('offered?', (context) =>
    offersUpcallVector(context) ? call('upcall-vector', forCpu0()) : goto('one for all'),
  ),
  step('granted?', ({ kernel, vars }) => {
    kernel.percpuUpcall = Number(vars['result']) >= 0;
    return kernel.percpuUpcall ? next : goto('one for all');
  }),
  // The toolstack takes a guest without a callback for one that knows nothing of Xen.
  callingStep(
    'HVMOP_set_param CALLBACK_IRQ 1',
    () => setCallback(1n),
    () => done,
  ),
  callingStep('one for all', () =>
    setCallback((BigInt(HVM_PARAM_CALLBACK_TYPE_VECTOR) << 56n) | BigInt(callbackVector)),
  ),
]);

/** Whether Xen vouches, in the vcpu_info of the CPU that asks, that all TSCs agree. */
function isTscStable({ world, cpu: { vcpuInfo } }: StepContext): boolean {
  if (vcpuInfo === null) return false;
  const clock = { gfn: vcpuInfo.gfn, offset: vcpuInfo.offset + vcpu_info.x86_64.offsets.time };
  const flags = readPlace(world.domain, clock).getUint8(vcpu_time_info.offsets.flags);
  return (flags & XEN_PVCLOCK_TSC_STABLE_BIT) !== 0;
}

/**
 * The vCPU whose clock Linux takes for that of CPU 0 in the vDSO: a literal, not a record, whichever vCPU the kernel was
 * entered on (Linux 6.1 arch/x86/xen/time.c, xen_setup_vsyscall_time_info; xen_save_time_memory_area and
 * xen_restore_time_memory_area pass it too, around a suspension). It is the only literal vCPU id of Linux 6.1 on x86.
 */
const vdsoVcpu = 0;

/** xen_setup_vsyscall_time_info: an error only costs user space its fast clock. */
const timeArea: Step = callingStep('VCPUOP_register_vcpu_time_memory_area', (context) => {
  const { kernel, cpu } = context;
  if (!kernel.era.registersTimeArea || !isTscStable(context)) return null;
  const { gfn } = cpu.ownVcpuInfo;
  return vcpuOp(VCPUOP_register_vcpu_time_memory_area, vdsoVcpu, vcpu_register_time_memory_area, {
    addr: { v: addressOf({ gfn, offset: timeAreaOffset }) },
  });
});

/** xen_time_init, and the clock events of the boot CPU. */
const timeInit: Routine = routine(null, [
  callingStep('VCPUOP_stop_periodic_timer', (context) =>
    vcpuOp(VCPUOP_stop_periodic_timer, vcpuNr(context, cpu0)),
  ),
  timeArea,
  callStep('runstate', 'runstate', forCpu0),
  callStep('timer', 'set-up-timer', forCpu0),
  assistRunstate,
  callStep('clock events', 'clock-events'),
]);

/** Everything before user space, on CPU 0. */
const boot: Routine = routine('boot', [
  recordsStep('start'),
  getFeatures,
  recordsStep('init'),
  mapSharedInfo,
  resetVcpuInfo,
  step('xen_hvm_init_time_ops', initTime),
  callingStep('HVMOP_pagetable_dying', () =>
    hvmOp(HVMOP_pagetable_dying, xen_hvm_pagetable_dying, { domid: DOMID_SELF, gpa: 0n }),
  ),
  recordsStep('tables'),
  callStep('xen_vcpu_setup', 'vcpu-info', forCpu0),
  step('xen_hvm_init_time_ops again', initTime),
  callStep('xen_init_IRQ', 'event-abi'),
  callStep('upcalls', 'set-up-upcall'),
  callStep('xen_time_init', 'x86-time-init'),
  callStep('xen_smp_intr_init', 'smp-intr-init', forCpu0),
  callStep('spinlock', 'spinlock', forCpu0),
  callStep('smp_init', 'x86-smp-init'),
  callStep('grant table', 'x86-grant-table'),
  callStep('xenbus', 'xenbus'),
  step('init', () => become('init')),
]);

export const x86BootRoutines: Program = {
  'x86-boot': boot,
  'set-up-upcall': setUpUpcall,
  'x86-time-init': timeInit,
  'x86-smp-init': smpInit('x86-cpu-up'),
};
