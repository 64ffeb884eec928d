/** What a CPU does when it is interrupted: by an event upcall, by another CPU's NMI, or by its stop interrupts. */
import { PSCI_0_2_FN_CPU_OFF } from '../../../abi/index.js';
import type { StopEvent } from '../../../audit/index.js';
import { haltVcpu, pendingUpcall, psciCall } from '../../../hypervisor/index.js';
import { act, emit, guestVcpu } from '../context.js';
import type { StepContext } from '../context.js';
import { setUpcallMask, takeEvents, usesOf } from '../events.js';
import { done, next, routine, stay, step } from '../program.js';
import type { Flow, Program, Step } from '../program.js';
import { settleShutdown } from '../toolstack.js';

/** What the kernel does on an event, by what the port is for. Others do nothing that a model can see. */
const handlers: Readonly<Record<string, (context: StepContext) => void>> = {
  // Each CPU runs what is in its own queue, whoever's interrupt it was.
  callfunc: ({ cpu }) => {
    cpu.callQueue = [];
  },
  callfuncsingle: ({ cpu }) => {
    cpu.callQueue = [];
  },
  timer: ({ cpu }) => {
    cpu.ticks += 1;
  },
  xenstore: ({ kernel }) => {
    kernel.xenstore.answers += 1;
  },
};

function handleUpcall(context: StepContext): Flow {
  const { world, vcpu, kernel, cpu, environment } = context;
  const ports = takeEvents(context);
  for (const port of ports) {
    const { purpose, boundFor } = usesOf(kernel, port);
    const place = { kernel: kernel.index, vcpu, linuxCpu: cpu.linuxCpu };
    emit(context, { kind: 'event', ...place, port, boundFor, purpose });
    handlers[purpose]?.(context);
  }
  if (environment.scenario.platform === 'pv') setUpcallMask(context, false);
  guestVcpu(world, vcpu).storm = ports.length === 0 && pendingUpcall(world.domain, vcpu) !== null;
  return done;
}

/** The CPU has gone for good: only a start brings its vCPU back, elsewhere. */
export const gone: Step = { label: 'gone', ready: () => false, waitsFor: () => 'a start', run: () => stay };

/** Tells that the vCPU turned itself off, unless Xen has left it up. */
export function emitStop(context: StepContext, how: StopEvent['how']): void {
  const { world, vcpu, kernel, cpu } = context;
  if (world.domain.state.vcpus[vcpu]?.up !== false) return;
  emit(context, { kind: 'stop', kernel: kernel.index, vcpu, linuxCpu: cpu.linuxCpu, how });
}

/** HLT with interrupts off, which Xen takes as the vCPU going down. */
export function haltStep(label: string): Step {
  return step(label, (context) => {
    act(context, 'HLT');
    haltVcpu(context.world.domain, context.vcpu, false);
    emitStop(context, 'hlt');
    settleShutdown(context);
    return next;
  });
}

/** PSCI CPU_OFF. */
export function cpuOffStep(label: string): Step {
  return step(label, (context) => {
    act(context, 'CPU_OFF');
    psciCall(context.world.domain, context.vcpu, PSCI_0_2_FN_CPU_OFF, []);
    emitStop(context, 'psci');
    return next;
  });
}

/** Others see that this CPU does nothing more. It halts only after that. */
export const reportDeath: Step = step('report', ({ cpu }) => {
  cpu.dead = true;
  return next;
});

export const interruptRoutines: Program = {
  // __xen_evtchn_do_upcall
  upcall: routine(null, [step('handle', handleUpcall)]),
  // crash_nmi_callback
  nmi: routine('crash', [reportDeath, haltStep('HLT'), gone]),
  // REBOOT_VECTOR: stop_this_cpu
  'reboot-stop': routine('kexec', [reportDeath, haltStep('HLT'), gone]),
  // IPI_CPU_CRASH_STOP: ipi_cpu_crash_stop
  'crash-stop': routine('crash', [reportDeath, cpuOffStep('CPU_OFF'), gone]),
};
