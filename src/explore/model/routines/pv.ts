/** An x86 PV kernel from its entry to user space (Linux 6.1 arch/x86/xen/enlighten_pv.c, smp_pv.c). */
import {
  vcpu_guest_context,
  FLAT_KERNEL_CS,
  FLAT_KERNEL_SS,
  shared_info,
  VCPUOP_initialise,
  VCPUOP_is_up,
  VCPUOP_up,
  VGCF_in_kernel,
} from '../../../abi/index.js';
import { answerText } from '../../answers.js';
import { callingStep, vcpuOp } from '../calls.js';
import type { GuestCall } from '../calls.js';
import { emit, log, numberVar, panic, subject, vcpuNr } from '../context.js';
import type { StepContext } from '../context.js';
import { drain, setUpcallMask } from '../events.js';
import { addressOf } from '../guest_memory.js';
import { configNrCpus, secondaryEntry } from '../kernel.js';
import { become, callStep, done, next, returning, routine, stay, step } from '../program.js';
import type { Flow, Program, Routine, Step } from '../program.js';
import { xenVcpuId } from '../../../identity/index.js';
import {
  announceStart,
  getFeatures,
  giveUpOnError,
  goOnline,
  settle,
  smpInit,
  waitOnline,
} from './common.js';
import { recordsStep } from './records.js';

const forCpu0 = (): { cpu: number } => ({ cpu: 0 });
const same = (context: StepContext): { cpu: number } => ({ cpu: subject(context).linuxCpu });
const self = ({ cpu }: StepContext): { cpu: number } => ({ cpu: cpu.linuxCpu });

/** start_info names shared_info; CPU 0's vcpu_info is in its first slot until it has one of its own. */
const findSharedInfo: Step = step('shared_info', ({ kernel, cpu, world }) => {
  kernel.sharedInfoGfn = world.domain.state.sharedInfoMfn;
  cpu.vcpuInfo = { gfn: kernel.sharedInfoGfn, offset: shared_info.x86_64.offsets.vcpu_info };
  return next;
});

/** xen_fill_possible_map: asks after every number that the kernel has room for. */
const probeCpus: Routine = routine(null, [
  callingStep(
    'VCPUOP_is_up',
    ({ vars }) => vcpuOp(VCPUOP_is_up, Number(vars['cpu'])),
    (context, { returned }) => {
      const { vars } = context;
      vars['found'] = Number(vars['found']) + (returned >= 0 ? 1 : 0);
      vars['cpu'] = numberVar(context, 'cpu') + 1;
      return numberVar(context, 'cpu') < configNrCpus ? stay : next;
    },
  ),
  step('found', (context) => {
    log(context, `smpboot: Allowing ${numberVar(context, 'found')} CPUs, 0 hotplug CPUs`);
    return done;
  }),
]);

/** xen_setup_vcpu_info_placement: a vcpu_info for every possible CPU, long before any but CPU 0 runs. */
const placeVcpuInfo: Routine = routine(null, [
  step('which?', (context) => {
    const cpu = numberVar(context, 'next');
    if (cpu >= context.kernel.cpus.length) return done;
    context.vars['next'] = cpu + 1;
    return { kind: 'call', routine: 'vcpu-info', vars: { cpu } };
  }),
  { label: 'again', run: () => ({ kind: 'goto', label: 'which?' }) },
]);

/** local_irq_enable: in the vcpu_info, not in a register. */
const irqEnable: Step = step('irq enable', (context) => {
  setUpcallMask(context, false);
  return next;
});

const boot: Routine = routine('boot', [
  recordsStep('start'),
  getFeatures,
  findSharedInfo,
  callStep('possible CPUs', 'pv-probe-cpus', () => ({ cpu: 0, found: 0 })),
  recordsStep('init'),
  callStep('vcpu_info', 'pv-place-vcpu-info', () => ({ next: 0 })),
  callStep('xen_init_IRQ', 'event-abi'),
  irqEnable,
  callStep('xen_time_init', 'x86-time-init'),
  callStep('xen_smp_intr_init', 'smp-intr-init', forCpu0),
  callStep('spinlock', 'spinlock', forCpu0),
  callStep('smp_init', 'pv-smp-init'),
  callStep('grant table', 'x86-grant-table'),
  callStep('xenbus', 'xenbus'),
  step('init', () => become('init')),
]);

/** xen_cpu_up_prepare_pv, then xen_evtchn_cpu_prepare. */
const prepare: Routine = routine('prepare', [
  callStep('xen_uninit_lock_cpu', 'free-spinlock', same),
  callStep('xen_setup_timer', 'set-up-timer', same),
  callStep('xen_smp_intr_init', 'smp-intr-init', same),
  callStep('control block', 'control-block', same),
  giveUpOnError,
  step('prepared', () => returning(0)),
]);

/** cpu_initialize_context: the registers with which the CPU starts; its page tables are the kernel's own. */
function initialise(context: StepContext): GuestCall {
  const { kernel } = context;
  const cpu = subject(context);
  const entry = secondaryEntry(kernel);
  const stack = addressOf({ gfn: cpu.scratchGfn, offset: 0 });
  const zero = vcpu_guest_context.x86_64.decode(new Uint8Array(vcpu_guest_context.x86_64.size));
  const user_regs = { ...zero.user_regs, rip: entry, rsp: stack, cs: FLAT_KERNEL_CS, ss: FLAT_KERNEL_SS };
  const ctrlreg = zero.ctrlreg.with(3, entry);
  return vcpuOp(VCPUOP_initialise, vcpuNr(context, cpu.linuxCpu), vcpu_guest_context.x86_64, {
    ...zero,
    flags: BigInt(VGCF_in_kernel),
    user_regs,
    kernel_ss: BigInt(FLAT_KERNEL_SS),
    kernel_sp: stack,
    ctrlreg,
  });
}

function startedUp(context: StepContext, id: number, returned: number): Flow {
  const { kernel, vcpu, cpu, environment } = context;
  const target = id < environment.platform.hardwareIds.length ? xenVcpuId(id) : null;
  const asked = { kernel: kernel.index, by: vcpu, linuxCpu: cpu.linuxCpu, meant: subject(context).linuxCpu };
  emit(context, { kind: 'start', how: 'VCPUOP_up', ...asked, target, returned });
  return returned < 0
    ? panic(context, `BUG in xen_pv_cpu_up: VCPUOP_up answered ${answerText(returned)}`)
    : next;
}

/** xen_pv_cpu_up: runstate, registers the first time, up. */
const cpuUp: Routine = routine('prepare', [
  callStep('prepare', 'pv-prepare', same),
  giveUpOnError,
  callStep('runstate', 'runstate', same),
  callingStep(
    'VCPUOP_initialise',
    (context) => {
      announceStart(context);
      return subject(context).initialised ? null : initialise(context);
    },
    (context, { returned }) => {
      if (returned < 0)
        return panic(context, `BUG in cpu_initialize_context: answered ${answerText(returned)}`);
      subject(context).initialised = true;
      return next;
    },
  ),
  callingStep(
    'VCPUOP_up',
    (context) => {
      const id = vcpuNr(context, subject(context).linuxCpu);
      context.vars['id'] = id;
      return vcpuOp(VCPUOP_up, id);
    },
    (context, { returned }) => startedUp(context, numberVar(context, 'id'), returned),
  ),
  ...waitOnline(10, (cpu) => `CPU${cpu} failed to come online`),
]);

/** cpu_bringup. */
const secondary: Routine = routine('starting', [
  recordsStep('starting', ({ cpu }) => cpu.linuxCpu),
  callStep('clock events', 'clock-events'),
  goOnline,
  irqEnable,
  callStep('online stage', 'pv-online'),
  settle,
]);

/** xen_pv_cpu_die: waits until Xen has the vCPU down, then gives up its interrupts. */
const cpuDead: Routine = routine('offline', [
  callingStep(
    'VCPUOP_is_up',
    (context) => vcpuOp(VCPUOP_is_up, vcpuNr(context, subject(context).linuxCpu)),
    (_context, { returned }) => (returned > 0 ? stay : next),
  ),
  step('drain', (context) => {
    drain(context, subject(context));
    return next;
  }),
  callStep('free interrupts', 'free-interrupts', same),
  step('gone', () => done),
]);

export const pvRoutines: Program = {
  'pv-boot': boot,
  'pv-probe-cpus': probeCpus,
  'pv-place-vcpu-info': placeVcpuInfo,
  'pv-smp-init': smpInit('pv-cpu-up'),
  'pv-cpu-up': cpuUp,
  'pv-prepare': prepare,
  'pv-secondary': secondary,
  'pv-online': routine('online', [callStep('spinlock', 'spinlock', self)]),
  'pv-cpu-dead': cpuDead,
};
