/** A CPU goes offline and comes back. The steps that differ by platform are in the platforms' own routines. */
import { VCPUOP_down } from '../../../abi/index.js';
import { callingStep, vcpuOp } from '../calls.js';
import { emit, log, nowNs, numberVar, subject, vcpuNr } from '../context.js';
import type { StepContext } from '../context.js';
import { targetCpu } from '../events.js';
import { become, call, callStep, done, next, routine, step } from '../program.js';
import type { Flow, Program, Routine } from '../program.js';
import { cpuOffStep, emitStop, gone, haltStep, reportDeath } from './interrupts.js';
import { giveWork } from './common.js';

const secondNs = 1_000_000_000;

/** The routines that finish with a dead CPU, and bring it back, by platform. */
function ofPlatform(context: StepContext, what: 'cpu-up' | 'cpu-dead' | 'play-dead'): string {
  const { platform } = context.environment.scenario;
  const family = platform === 'pvhvm' || platform === 'pvh' ? 'x86' : platform;
  return `${family}-${what}`;
}

/** A channel whose events came to the CPU that goes is given to another (irq_migrate_all_off_this_cpu). */
function migrate({ kernel, cpu }: StepContext): Flow {
  const { port } = kernel.xenstore;
  if (kernel.ports[String(port)]?.cpu !== cpu.linuxCpu) return next;
  return call('rebind-port', { cpu: targetCpu(kernel, cpu), port });
}

/** take_cpu_down, on the CPU that goes. It then runs the platform's way to die. */
const goOffline: Routine = routine('offline', [
  step('migrate interrupts', migrate),
  step('offline', (context) => {
    const { kernel, cpu, vcpu } = context;
    Object.assign(cpu, { online: false, settled: false, work: null, nextWork: null });
    emit(context, { kind: 'offline', kernel: kernel.index, vcpu, linuxCpu: cpu.linuxCpu });
    return next;
  }),
  step('play dead', (context) => become(ofPlatform(context, 'play-dead'))),
]);

/** cpu_down of `vars.cpu`, on another CPU. */
const cpuDown: Routine = routine('offline', [
  step('ask it', (context) => {
    giveWork(context, numberVar(context, 'cpu'), 'go-offline');
    context.vars['deadline'] = nowNs(context) + 5 * secondNs;
    return next;
  }),
  {
    label: 'wait for it',
    interruptible: true,
    behind: true,
    ready: (context) => subject(context).dead,
    deadline: (context) => numberVar(context, 'deadline'),
    waitsFor: (context) => `CPU ${numberVar(context, 'cpu')} to go offline`,
    run: () => next,
  },
  step('is it dead?', (context) => {
    const { dead, linuxCpu } = subject(context);
    if (!dead) log(context, `CPU${linuxCpu} didn't die`);
    return dead ? call(ofPlatform(context, 'cpu-dead'), { cpu: linuxCpu }) : done;
  }),
]);

function plotCpu({ environment }: StepContext): number {
  const { plot } = environment.scenario;
  return plot.name === 'offline-online' ? plot.linuxCpu : 0;
}

/** The plot: one CPU goes and comes back, and all show themselves again. Nothing, where that CPU never came up. */
const offlineOnline: Routine = routine(null, [
  step('is it up?', (context) => {
    const cpu = plotCpu(context);
    if (cpu !== 0 && context.kernel.cpus[cpu]?.settled === true) return next;
    log(context, `CPU${cpu} is not there to go offline`);
    return done;
  }),
  callStep('down', 'cpu-down', (context) => ({ cpu: plotCpu(context) })),
  step('up', (context) => call(ofPlatform(context, 'cpu-up'), { cpu: plotCpu(context) })),
  callStep('prove', 'prove-all'),
]);

export const hotplugRoutines: Program = {
  'go-offline': goOffline,
  'cpu-down': cpuDown,
  'offline-online': offlineOnline,
  'arm-play-dead': routine('offline', [reportDeath, cpuOffStep('CPU_OFF'), gone]),
  'x86-play-dead': routine('offline', [reportDeath, haltStep('HLT'), gone]),
  // xen_pv_play_dead: the call returns when the vCPU is brought up again, and the CPU goes on from there.
  'pv-play-dead': routine('offline', [
    reportDeath,
    callingStep(
      'VCPUOP_down',
      (context) => vcpuOp(VCPUOP_down, vcpuNr(context, context.cpu.linuxCpu)),
      (context) => {
        emitStop(context, 'VCPUOP_down');
        return next;
      },
    ),
    step('again', (context) => {
      const { kernel, cpu, vcpu } = context;
      emit(context, { kind: 'running', kernel: kernel.index, vcpu, linuxCpu: cpu.linuxCpu });
      return become('pv-secondary');
    }),
  ]),
};
