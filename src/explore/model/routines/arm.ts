/** An arm64 kernel from its entry to user space (Linux 6.1 arch/arm/xen/enlighten.c, arch/arm64/kernel/smp.c). */
import {
  DOMID_SELF,
  HVM_PARAM_CALLBACK_IRQ,
  HVMOP_get_param,
  xen_hvm_param,
  PSCI_0_2_FN64_AFFINITY_INFO,
  PSCI_0_2_FN64_CPU_ON,
  PSCI_0_2_FN_PSCI_VERSION,
} from '../../../abi/index.js';
import { psciCall } from '../../../hypervisor/index.js';
import { callingStep, hvmOp } from '../calls.js';
import { act, cpuOf, emit, log, panic, strategyOf, subject } from '../context.js';
import type { StepContext } from '../context.js';
import { drain } from '../events.js';
import { secondaryEntry } from '../kernel.js';
import { become, behind, callStep, done, next, returning, routine, step, wait } from '../program.js';
import type { Flow, Program, Routine, Step } from '../program.js';
import {
  announceStart,
  assistRunstate,
  getFeatures,
  giveUpOnError,
  giveWork,
  goOnline,
  mapSharedInfo,
  settle,
  smpInit,
  waitOnline,
} from './common.js';
import { recordsStep } from './records.js';

function psciStep(
  label: string,
  functionId: number,
  args: (context: StepContext) => bigint[] = () => [],
): Step {
  return step(label, (context) => {
    act(context, label);
    psciCall(context.world.domain, context.vcpu, functionId, args(context));
    return next;
  });
}

const self = ({ cpu }: StepContext): { cpu: number } => ({ cpu: cpu.linuxCpu });

/** __cpu_up: CPU_ON with the MPIDR that the device tree gave. */
function cpuOn(context: StepContext): Flow {
  const { world, vcpu, kernel, cpu } = context;
  const { hardwareId, linuxCpu } = subject(context);
  announceStart(context);
  act(context, 'CPU_ON');
  const args = [BigInt(hardwareId ?? 0), secondaryEntry(kernel), 0n];
  const { returned, target } = psciCall(world.domain, vcpu, PSCI_0_2_FN64_CPU_ON, args);
  const asked = { kernel: kernel.index, by: vcpu, linuxCpu: cpu.linuxCpu, meant: linuxCpu };
  emit(context, { kind: 'start', how: 'psci', ...asked, target, returned });
  if (returned === 0) return next;
  log(context, `psci: failed to boot CPU${linuxCpu} (${returned})`);
  return returning(returned);
}

/** What must have been done for a CPU before it is started: its control block (CPUHP_XEN_EVTCHN_PREPARE). */
const prepare: Routine = routine('prepare', [
  recordsStep('prepare', (context) => subject(context).linuxCpu),
  step('whose calls?', (context) => (strategyOf(context).firstCallsBy === 'starter' ? next : returning(0))),
  callStep('control block', 'control-block', (context) => ({ cpu: subject(context).linuxCpu })),
  giveUpOnError,
]);

/** A CPU whose prepare stage fails is not started, and nothing is said of it. */
const cpuUp: Routine = routine('prepare', [
  callStep('prepare', 'arm-prepare', (context) => ({ cpu: subject(context).linuxCpu })),
  giveUpOnError,
  step('CPU_ON', cpuOn),
  ...waitOnline(5, (cpu) => `CPU${cpu}: failed to come online`),
]);

/** xen_starting_cpu, on the CPU itself. */
const startingCpu: Routine = routine('starting', [
  step('first time?', (context) => {
    const { cpu } = context;
    if (cpu.vcpuInfo === null) log(context, `Xen: initializing cpu${cpu.linuxCpu}`);
    return next;
  }),
  callStep('vcpu_info', 'vcpu-info', self),
]);

/** secondary_start_kernel. */
const secondary: Routine = routine('starting', [
  recordsStep('starting', ({ cpu }) => cpu.linuxCpu),
  step('whose calls?', (context) => {
    context.vars['own'] = strategyOf(context).firstCallsBy === 'itself';
    return next;
  }),
  {
    label: 'control block',
    run: ({ vars, cpu }) =>
      vars['own'] === true ? { kind: 'call', routine: 'control-block', vars: { cpu: cpu.linuxCpu } } : next,
  },
  step('refused?', (context) => {
    const { result } = context.vars;
    return typeof result === 'number' && result < 0
      ? panic(context, `CPU${context.cpu.linuxCpu} cannot take events: ${result}`)
      : next;
  }),
  callStep('xen_starting_cpu', 'arm-starting-cpu'),
  {
    label: 'runstate',
    run: ({ kernel, cpu }) =>
      kernel.timeReady ? { kind: 'call', routine: 'runstate', vars: { cpu: cpu.linuxCpu } } : next,
  },
  goOnline,
  settle,
]);

/** xen_late_init: each CPU registers its runstate area. */
const lateInit: Routine = routine('late', [
  assistRunstate,
  step('all CPUs', (context) => {
    const { kernel, cpu } = context;
    kernel.timeReady = true;
    for (const other of kernel.cpus) {
      if (other.settled && other !== cpu) giveWork(context, other.linuxCpu, 'arm-own-runstate');
    }
    return next;
  }),
  callStep('own', 'runstate', self),
  behind(
    wait(
      'others',
      () => 'the other CPUs to register their runstate',
      ({ kernel }) => kernel.cpus.every(({ work }) => work === null),
    ),
  ),
]);

/** Which interrupt upcalls come by: a device tree says so, with ACPI a parameter does. */
const callbackPpi: Step = callingStep('HVMOP_get_param CALLBACK_IRQ', ({ environment }) =>
  environment.firmware.madt === null
    ? null
    : hvmOp(HVMOP_get_param, xen_hvm_param, { domid: DOMID_SELF, index: HVM_PARAM_CALLBACK_IRQ }),
);

/** Everything before user space, on CPU 0. */
const boot: Routine = routine('boot', [
  recordsStep('start'),
  getFeatures,
  psciStep('PSCI_VERSION', PSCI_0_2_FN_PSCI_VERSION),
  callbackPpi,
  mapSharedInfo,
  callStep('grant table', 'arm-grant-table'),
  recordsStep('init'),
  callStep('xen_init_IRQ', 'event-abi'),
  callStep('xen_starting_cpu', 'arm-starting-cpu'),
  callStep('smp_init', 'arm-smp-init'),
  callStep('xen_late_init', 'arm-late-init'),
  callStep('xenbus', 'xenbus'),
  step('init', () => become('init')),
]);

/** What is left to do for a CPU that has gone offline (op_cpu_kill, evtchn_fifo_percpu_deinit). */
const cpuDead: Routine = routine('offline', [
  psciStep('AFFINITY_INFO', PSCI_0_2_FN64_AFFINITY_INFO, (context) => [
    BigInt(subject(context).hardwareId ?? 0),
    0n,
  ]),
  step('drain', (context) => {
    drain(context, cpuOf(context.kernel, subject(context).linuxCpu));
    return done;
  }),
]);

export const armRoutines: Program = {
  'arm-boot': boot,
  'arm-smp-init': smpInit('arm-cpu-up'),
  'arm-cpu-up': cpuUp,
  'arm-prepare': prepare,
  'arm-secondary': secondary,
  'arm-starting-cpu': startingCpu,
  'arm-late-init': lateInit,
  'arm-own-runstate': routine('late', [callStep('own', 'runstate', self)]),
  'arm-cpu-dead': cpuDead,
};
