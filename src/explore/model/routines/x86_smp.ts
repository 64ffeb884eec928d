/** How an x86 PVHVM or PVH kernel brings up its other CPUs (Linux 6.1 arch/x86/xen/enlighten_hvm.c, smp_hvm.c). */
import { sendInit, sendSipi } from '../../../hypervisor/index.js';
import { destinationApicId } from '../../../identity/index.js';
import { act, emit, panic, strategyOf, subject } from '../context.js';
import type { StepContext } from '../context.js';
import { drain } from '../events.js';
import { trampolineVector } from '../kernel.js';
import { callStep, done, goto, next, returning, routine, step } from '../program.js';
import type { Flow, Program, Routine } from '../program.js';
import { announceStart, giveUpOnError, goOnline, settle, waitOnline } from './common.js';
import { recordsStep } from './records.js';

const same = (context: StepContext): { cpu: number } => ({ cpu: subject(context).linuxCpu });
const self = ({ cpu }: StepContext): { cpu: number } => ({ cpu: cpu.linuxCpu });

/**
 * xen_cpu_up_prepare_hvm, then xen_evtchn_cpu_prepare: so a CPU's ports are bound before it has a control block.
 * Returns 0 or the error that fails the CPU.
 */
const prepare: Routine = routine('prepare', [
  callStep('xen_uninit_lock_cpu', 'free-spinlock', same),
  recordsStep('prepare', (context) => subject(context).linuxCpu),
  step('whose calls?', (context) => (strategyOf(context).firstCallsBy === 'starter' ? next : returning(0))),
  callStep('xen_vcpu_setup', 'vcpu-info', same),
  callStep('upcall', 'percpu-upcall', same),
  giveUpOnError,
  callStep('xen_setup_timer', 'set-up-timer', same),
  callStep('xen_smp_intr_init', 'smp-intr-init', same),
  callStep('control block', 'control-block', same),
  { ...giveUpOnError, label: 'no control block?' },
  step('prepared', () => returning(0)),
]);

/** INIT, then SIPI with the page of the kernel's trampoline. */
function sipi(context: StepContext): Flow {
  const { world, vcpu, kernel, cpu } = context;
  const { hardwareId, linuxCpu } = subject(context);
  act(context, 'SIPI');
  const vector = trampolineVector(kernel.index);
  const { target } = sendSipi(world.domain, vcpu, destinationApicId(hardwareId ?? 0), vector);
  const asked = { kernel: kernel.index, by: vcpu, linuxCpu: cpu.linuxCpu, meant: linuxCpu };
  emit(context, { kind: 'start', how: 'sipi', ...asked, target, returned: 0 });
  return next;
}

/** native_cpu_up: prepare, wakeup_secondary_cpu_via_init, and up to ten seconds of patience. */
const cpuUp: Routine = routine('prepare', [
  callStep('prepare', 'x86-prepare', same),
  giveUpOnError,
  step('INIT', (context) => {
    announceStart(context);
    act(context, 'INIT');
    sendInit(context.world.domain, context.vcpu, destinationApicId(subject(context).hardwareId ?? 0));
    return next;
  }),
  step('SIPI', sipi),
  ...waitOnline(10, (cpu) => `smpboot: do_boot_cpu failed(-1) to wakeup CPU#${cpu}`),
]);

function orPanic(context: StepContext): Flow {
  const { vars, cpu } = context;
  const result = Number(vars['result'] ?? 0);
  return result < 0 ? panic(context, `CPU ${cpu.linuxCpu} cannot take events: ${result}`) : next;
}

/** What a CPU that makes its own first calls makes when it starts. */
const ownCalls: Routine = routine('starting', [
  callStep('xen_vcpu_setup', 'vcpu-info', self),
  callStep('control block', 'control-block', self),
  step('no control block?', orPanic),
  callStep('upcall', 'percpu-upcall', self),
  step('no upcall?', orPanic),
  callStep('xen_setup_timer', 'set-up-timer', self),
  callStep('xen_smp_intr_init', 'smp-intr-init', self),
]);

/** start_secondary. */
const secondary: Routine = routine('starting', [
  recordsStep('starting', ({ cpu }) => cpu.linuxCpu),
  step('whose calls?', (context) => (strategyOf(context).firstCallsBy === 'itself' ? next : goto('online'))),
  callStep('own calls', 'x86-own-calls'),
  goOnline,
  callStep('online stage', 'x86-online'),
  settle,
]);

/** xen_hvm_setup_cpu_clockevents, then xen_cpu_up_online. */
const online: Routine = routine('online', [
  callStep('runstate', 'runstate', self),
  callStep('clock events', 'clock-events'),
  callStep('spinlock', 'spinlock', self),
]);

/** xen_evtchn_cpu_dead, then xen_cpu_dead_hvm. */
const cpuDead: Routine = routine('offline', [
  step('drain', (context) => {
    drain(context, subject(context));
    return next;
  }),
  callStep('free interrupts', 'free-interrupts', same),
  step('gone', () => done),
]);

export const x86SmpRoutines: Program = {
  'x86-prepare': prepare,
  'x86-cpu-up': cpuUp,
  'x86-own-calls': ownCalls,
  'x86-secondary': secondary,
  'x86-online': online,
  'x86-cpu-dead': cpuDead,
};
