/** The end of a kernel: a panic with a crash kernel loaded, or kexec; and the entry of the kernel that follows. */
import {
  __HYPERVISOR_sched_op,
  SCHEDOP_shutdown,
  sched_shutdown,
  SHUTDOWN_soft_reset,
} from '../../../abi/index.js';
import { sendNmi } from '../../../hypervisor/index.js';
import { destinationApicId } from '../../../identity/index.js';
import { callingStep, structCall } from '../calls.js';
import { act, cpuOf, guestVcpu, log, nowNs, numberVar, vcpuOfHardwareId } from '../context.js';
import type { StepContext } from '../context.js';
import { startKernel } from '../kernel.js';
import { become, call, callStep, done, goto, next, routine, stay, step } from '../program.js';
import type { Flow, Program, Routine, Step } from '../program.js';
import { giveWork } from './common.js';

const secondNs = 1_000_000_000;

function isArm({ environment }: StepContext): boolean {
  return environment.scenario.platform === 'arm';
}

/** SHUTDOWN_soft_reset: the call returns on this vCPU when the toolstack has reset the domain. */
function softReset(wanted: (context: StepContext) => boolean): Step {
  return callingStep('SCHEDOP_shutdown', (context) =>
    wanted(context)
      ? structCall(__HYPERVISOR_sched_op, SCHEDOP_shutdown, sched_shutdown, { reason: SHUTDOWN_soft_reset })
      : null,
  );
}

/** The old kernel jumps; from its next step on this vCPU is CPU 0 of the new one. */
function enterKernel(name: string): Step {
  return step(`enter the ${name}`, ({ world, environment, vcpu, events }) => {
    startKernel(world, environment, vcpu, name, events);
    return stay;
  });
}

/** Interrupts one other CPU by hardware: by NMI, or by what the vCPU is to run. */
function strike(context: StepContext, target: number, how: string): void {
  const { hardwareId } = cpuOf(context.kernel, target);
  act(context, how);
  if (how === 'nmi') {
    sendNmi(context.world.domain, destinationApicId(hardwareId ?? 0));
    return;
  }
  const vcpu = vcpuOfHardwareId(context, hardwareId);
  if (vcpu !== null) guestVcpu(context.world, vcpu).interrupts.push(how);
}

/** Stops all other CPUs, one after the other, by `how`, and gives up on those that do not stop within a second. */
function stopOthers(how: (context: StepContext) => string): Routine {
  return routine(null, [
    step('first', (context) => {
      context.vars['target'] = 0;
      context.vars['deadline'] = nowNs(context) + secondNs;
      return next;
    }),
    step('strike', (context) => {
      const target = numberVar(context, 'target');
      if (target >= context.kernel.cpus.length) return goto('wait');
      const { online, linuxCpu } = cpuOf(context.kernel, target);
      if (online && linuxCpu !== context.cpu.linuxCpu) strike(context, target, how(context));
      context.vars['target'] = target + 1;
      return stay;
    }),
    {
      label: 'wait',
      behind: true,
      ready: ({ kernel, cpu }) => kernel.cpus.every((other) => other === cpu || !other.online || other.dead),
      deadline: (context) => numberVar(context, 'deadline'),
      waitsFor: () => 'the other CPUs to stop',
      run: () => next,
    },
  ]);
}

/** panic() on this CPU, with a crash kernel loaded: crash_kexec, machine_crash_shutdown, machine_kexec. */
const crash: Routine = routine('crash', [
  step('panic', (context) => {
    log(context, 'sysrq: Trigger a crash');
    log(context, 'Kernel panic - not syncing: sysrq triggered crash');
    return next;
  }),
  callStep('stop others', 'crash-stop-others'),
  softReset(({ environment }) => {
    const { plot } = environment.scenario;
    return plot.name === 'kdump' && plot.resetFirst;
  }),
  enterKernel('crash kernel'),
]);

/** The plot: the CPU on the vCPU that the scenario names crashes. Nothing, where that vCPU never came up. */
const kdump: Routine = routine('crash', [
  step('who crashes?', (context) => {
    const { kernel, cpu, environment, world } = context;
    const { plot } = environment.scenario;
    const vcpu = plot.name === 'kdump' ? plot.vcpu : 0;
    const { linuxCpu, kernel: runs } = world.guest.vcpus[vcpu] ?? { linuxCpu: null, kernel: null };
    if (linuxCpu === null || runs !== kernel.index || !cpuOf(kernel, linuxCpu).settled) {
      log(context, `vCPU ${vcpu} never came up, so nothing crashes there`);
      return done;
    }
    if (linuxCpu === cpu.linuxCpu) return become('crash');
    giveWork(context, linuxCpu, 'crash-here');
    return next;
  }),
  {
    label: 'run on',
    interruptible: true,
    behind: true,
    ready: () => false,
    waitsFor: () => 'the crash',
    run: () => stay,
  },
]);

/** kernel_kexec on CPU 0: the others stop, the domain is reset where it can be, and the new kernel is entered. */
const kexecOnFirst: Routine = routine('kexec', [
  step('say so', (context) => {
    log(context, 'kexec_core: Starting new kernel');
    return next;
  }),
  step('stop others', (context) => call(isArm(context) ? 'kexec-offline-others' : 'kexec-stop-others')),
  softReset(({ environment }) => environment.platform.softReset),
  enterKernel('second kernel'),
]);

/** arm64 machine_shutdown: every other CPU goes offline as by hotplug (smp_shutdown_nonboot_cpus). */
const offlineOthers: Routine = routine('kexec', [
  step('first', ({ vars }) => {
    vars['cpu'] = 1;
    return next;
  }),
  step('down', (context) => {
    const cpu = numberVar(context, 'cpu');
    if (cpu >= context.kernel.cpus.length) return done;
    return cpuOf(context.kernel, cpu).settled ? call('cpu-down', { cpu }) : next;
  }),
  step('next', (context) => {
    context.vars['cpu'] = numberVar(context, 'cpu') + 1;
    return goto('down');
  }),
]);

/** The system call came on the last CPU; migrate_to_reboot_cpu has CPU 0 go on with it. */
const migrateToFirst: Routine = routine('kexec', [
  step('migrate', (context) => {
    giveWork(context, 0, 'kexec-on-first');
    return done;
  }),
]);

function lastSettled({ kernel }: StepContext): number {
  return kernel.cpus.findLast(({ settled }) => settled)?.linuxCpu ?? 0;
}

/** The plot: somebody on the last CPU asks for kexec. CPU 0, where init runs, waits like any other. */
const kexec: Routine = routine('kexec', [
  step('who asks?', (context): Flow => {
    const last = lastSettled(context);
    if (last === context.cpu.linuxCpu) return become('kexec-on-first');
    giveWork(context, last, 'kexec-migrate');
    return become('idle');
  }),
]);

export const crashRoutines: Program = {
  crash,
  'crash-here': routine('crash', [step('crash', () => become('crash'))]),
  'crash-stop-others': stopOthers((context) => (isArm(context) ? 'crash-stop' : 'nmi')),
  kdump,
  kexec,
  'kexec-migrate': migrateToFirst,
  'kexec-on-first': kexecOnFirst,
  'kexec-stop-others': stopOthers(() => 'reboot-stop'),
  'kexec-offline-others': offlineOthers,
};
