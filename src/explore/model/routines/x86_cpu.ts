/** What x86 kernels do for one CPU: interrupts by event channel, its timer, its clock events (arch/x86/xen). */
import {
  HVMOP_set_evtchn_upcall_vector,
  VCPUOP_set_singleshot_timer,
  VCPUOP_stop_periodic_timer,
  VCPUOP_stop_singleshot_timer,
  vcpu_set_singleshot_timer,
  VIRQ_DEBUG,
  VIRQ_TIMER,
  xen_hvm_evtchn_upcall_vector,
} from '../../../abi/index.js';
import { callingStep, hvmOp, vcpuOp } from '../calls.js';
import { log, nowNs, subject, vcpuNr } from '../context.js';
import type { StepContext } from '../context.js';
import { call, callStep, done, next, returning, routine, step } from '../program.js';
import type { Program, Routine, Step } from '../program.js';
import { orBug } from './common.js';

/** HYPERVISOR_CALLBACK_VECTOR. */
export const callbackVector = 0xf3;

/** CONFIG_HZ=250. */
const jiffyNs = 4_000_000;

const same = (context: StepContext): { cpu: number } => ({ cpu: subject(context).linuxCpu });

function bindIpi(purpose: string, masked = false): Step {
  return callStep(`bind ${purpose}`, 'bind-ipi', (context) => ({ ...same(context), purpose, masked }));
}

/** xen_smp_intr_init: the interrupts by which other CPUs reach `vars.cpu`. */
const smpIntrInit: Routine = routine(null, [
  bindIpi('resched'),
  bindIpi('callfunc'),
  {
    label: 'bind debug',
    // The FIFO ABI has no bitmap for the debug interrupt to print.
    run: (context) =>
      context.kernel.events === '2l'
        ? call('bind-virq', { ...same(context), virq: VIRQ_DEBUG, purpose: 'debug' })
        : next,
  },
  bindIpi('callfuncsingle'),
]);

/** xen_init_lock_cpu: an interrupt that is never delivered, only polled for. */
const spinlock: Routine = routine(null, [bindIpi('spinlock', true)]);

/** xen_setup_timer. */
const setUpTimer: Routine = routine(null, [
  step('say so', (context) => {
    log(context, `installing Xen timer for CPU ${subject(context).linuxCpu}`);
    return next;
  }),
  callStep('bind', 'bind-virq', (context) => ({ ...same(context), virq: VIRQ_TIMER, purpose: 'timer' })),
]);

function ownTimerStep(label: string, command: number, where: string): Step {
  return callingStep(
    label,
    (context) => vcpuOp(command, vcpuNr(context, context.cpu.linuxCpu)),
    orBug(`${where}: ${label}`),
  );
}

/**
 * xen_setup_cpu_clockevents, always for the CPU itself: the timer is shut down, then made one-shot, then armed. Any
 * error is a BUG.
 */
const clockEvents: Routine = routine(null, [
  ownTimerStep('VCPUOP_stop_singleshot_timer', VCPUOP_stop_singleshot_timer, 'xen_vcpuop_shutdown'),
  ownTimerStep('VCPUOP_stop_periodic_timer', VCPUOP_stop_periodic_timer, 'xen_vcpuop_shutdown'),
  ownTimerStep('VCPUOP_stop_periodic_timer again', VCPUOP_stop_periodic_timer, 'xen_vcpuop_set_oneshot'),
  callingStep(
    'VCPUOP_set_singleshot_timer',
    (context) =>
      vcpuOp(VCPUOP_set_singleshot_timer, vcpuNr(context, context.cpu.linuxCpu), vcpu_set_singleshot_timer, {
        timeout_abs_ns: BigInt(nowNs(context) + jiffyNs),
        flags: 0,
      }),
    orBug('xen_vcpuop_set_next_event: VCPUOP_set_singleshot_timer'),
  ),
]);

/** xen_set_upcall_vector for `vars.cpu`. Returns 0 or Xen's error. */
const upcallVector: Routine = routine(null, [
  callingStep(
    'HVMOP_set_evtchn_upcall_vector',
    (context) =>
      hvmOp(HVMOP_set_evtchn_upcall_vector, xen_hvm_evtchn_upcall_vector, {
        vcpu: vcpuNr(context, subject(context).linuxCpu),
        vector: callbackVector,
      }),
    (_context, { returned }) => returning(returned),
  ),
]);

/** The upcall vector of a CPU other than the first, if the first has one. A refusal fails the CPU. */
const percpuUpcall: Routine = routine(null, [
  {
    label: 'by vector?',
    run: (context) => (context.kernel.percpuUpcall ? call('upcall-vector', same(context)) : returning(0)),
  },
  {
    label: 'refused?',
    run: (context) => {
      const result = Number(context.vars['result']);
      if (result >= 0) return returning(0);
      const { linuxCpu } = subject(context);
      log(context, `HVMOP_set_evtchn_upcall_vector for CPU ${linuxCpu} failed: ${result}`);
      return returning(result);
    },
  },
]);

/** xen_smp_intr_free and xen_teardown_timer, for a CPU that is gone. */
const freeInterrupts: Routine = routine(null, [
  ...['resched', 'callfunc', 'debug', 'callfuncsingle', 'timer'].map((purpose) =>
    callStep(`close ${purpose}`, 'close-port', (context) => ({ ...same(context), purpose })),
  ),
]);

/** xen_uninit_lock_cpu, when the CPU is about to come back. */
const freeSpinlock: Routine = routine(null, [
  callStep('close spinlock', 'close-port', (context) => ({ ...same(context), purpose: 'spinlock' })),
  { label: 'closed', run: () => done },
]);

export const x86CpuRoutines: Program = {
  'smp-intr-init': smpIntrInit,
  spinlock,
  'set-up-timer': setUpTimer,
  'clock-events': clockEvents,
  'upcall-vector': upcallVector,
  'percpu-upcall': percpuUpcall,
  'free-interrupts': freeInterrupts,
  'free-spinlock': freeSpinlock,
};
