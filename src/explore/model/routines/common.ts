/** What all platforms' kernels do alike: features, areas of memory, bringing CPUs up one by one, xenstore. */
import {
  __HYPERVISOR_grant_table_op,
  __HYPERVISOR_memory_op,
  __HYPERVISOR_vm_assist,
  __HYPERVISOR_xen_version,
  DOMID_SELF,
  gnttab_query_size,
  gnttab_set_version,
  GNTTABOP_query_size,
  GNTTABOP_set_version,
  HVM_PARAM_CONSOLE_EVTCHN,
  HVM_PARAM_STORE_EVTCHN,
  HVM_PARAM_STORE_PFN,
  HVMOP_get_param,
  VCPUOP_register_runstate_memory_area,
  VCPUOP_register_vcpu_info,
  vcpu_register_runstate_memory_area,
  vcpu_register_vcpu_info,
  VMASST_CMD_enable,
  VMASST_TYPE_runstate_update_flag,
  xen_add_to_physmap,
  xen_feature_info,
  xen_hvm_param,
  XENMAPSPACE_grant_table,
  XENMAPSPACE_shared_info,
  XENMEM_add_to_physmap,
  XENVER_get_features,
} from '../../../abi/index.js';
import { answerText } from '../../answers.js';
import { callingStep, given, hvmOp, plainCall, structCall, vcpuOp } from '../calls.js';
import type { Answer } from '../calls.js';
import { cpuOf, emit, log, nowNs, numberVar, panic, subject, vcpuNr } from '../context.js';
import type { StepContext } from '../context.js';
import { targetCpu } from '../events.js';
import { addressOf, allocateFrames } from '../guest_memory.js';
import { grantFrame } from '../platform.js';
import { become, call, callStep, done, goto, next, returning, routine, stay, step } from '../program.js';
import type { Flow, Program, Routine, Step } from '../program.js';

/** Where a CPU's runstate area lies in the page of its vcpu_info, and its time area. */
const runstateOffset = 0x200;
export const timeAreaOffset = 0x300;

const millisecondNs = 1_000_000;

/** A step that BUGs on any error of the call that it makes. */
export function orBug(where: string): (context: StepContext, answer: Answer) => Flow {
  return (context, { returned }) =>
    returned < 0 ? panic(context, `BUG in ${where}: answered ${answerText(returned)}`) : next;
}

export const getFeatures: Step = callingStep('XENVER_get_features', () =>
  structCall(__HYPERVISOR_xen_version, XENVER_get_features, xen_feature_info, { submap_idx: 0 }),
);

/** The guest's own frame, or a hole, shows shared_info from now on. BUG on error. */
export const mapSharedInfo: Step = callingStep(
  'XENMEM_add_to_physmap shared_info',
  ({ kernel }) => {
    kernel.sharedInfoGfn = allocateFrames(kernel, 1);
    return structCall(__HYPERVISOR_memory_op, XENMEM_add_to_physmap, xen_add_to_physmap, {
      domid: DOMID_SELF,
      space: XENMAPSPACE_shared_info,
      idx: 0n,
      gpfn: BigInt(kernel.sharedInfoGfn),
    });
  },
  orBug('XENMEM_add_to_physmap'),
);

const grantSize: Step = callingStep(
  'GNTTABOP_query_size',
  () => ({
    ...structCall(__HYPERVISOR_grant_table_op, GNTTABOP_query_size, gnttab_query_size, { dom: DOMID_SELF }),
    more: [1n],
  }),
  (context, answer) => {
    context.vars['frames'] = given(answer, 'nr_frames');
    context.vars['frame'] = 0;
    return next;
  },
);

/** PV maps its grant table by its page tables instead. */
const mapGrantFrames: Step = callingStep(
  'XENMEM_add_to_physmap grant table',
  (context) => {
    const { vars, environment } = context;
    const { platform } = environment.scenario;
    const frame = numberVar(context, 'frame');
    if (platform === 'pv' || frame >= Number(vars['frames'])) return null;
    return structCall(__HYPERVISOR_memory_op, XENMEM_add_to_physmap, xen_add_to_physmap, {
      domid: DOMID_SELF,
      space: XENMAPSPACE_grant_table,
      idx: BigInt(frame),
      gpfn: BigInt(grantFrame(platform) + frame),
    });
  },
  (context, { returned }) => {
    if (returned < 0) log(context, `grant table add_to_physmap failed, err=${returned}`);
    context.vars['frame'] = numberVar(context, 'frame') + 1;
    return returned < 0 ? next : stay;
  },
);

const grantVersion: Step = callingStep('GNTTABOP_set_version', () => ({
  ...structCall(__HYPERVISOR_grant_table_op, GNTTABOP_set_version, gnttab_set_version, { version: 1 }),
  more: [1n],
}));

/**
 * xen_vcpu_setup and xen_starting_cpu: Xen is to keep the vcpu_info of `vars.cpu` in the kernel's per-CPU data.
 * That can be asked once for each vCPU, so a CPU that comes back online leaves it at that.
 */
const vcpuInfo: Routine = routine(null, [
  step('registered before?', (context) => {
    const { vcpuInfo: now, ownVcpuInfo } = subject(context);
    const before = now !== null && now.gfn === ownVcpuInfo.gfn && now.offset === ownVcpuInfo.offset;
    return before ? done : next;
  }),
  callingStep(
    'VCPUOP_register_vcpu_info',
    (context) => {
      const { linuxCpu, ownVcpuInfo } = subject(context);
      return vcpuOp(VCPUOP_register_vcpu_info, vcpuNr(context, linuxCpu), vcpu_register_vcpu_info, {
        mfn: BigInt(ownVcpuInfo.gfn),
        offset: ownVcpuInfo.offset,
      });
    },
    (context, { returned }) => {
      const cpu = subject(context);
      if (returned < 0) return panic(context, refusedVcpuInfo(context, cpu.linuxCpu, returned));
      cpu.vcpuInfo = { ...cpu.ownVcpuInfo };
      return done;
    },
  ),
]);

/** What the kernel says before it gives up: x86 panics since 5.16, Arm has a BUG_ON. */
function refusedVcpuInfo({ environment }: StepContext, cpu: number, returned: number): string {
  return environment.scenario.platform === 'arm'
    ? `BUG in xen_starting_cpu: VCPUOP_register_vcpu_info for CPU ${cpu} answered ${answerText(returned)}`
    : `register_vcpu_info failed: cpu=${cpu} err=${returned}`;
}

/** xen_setup_runstate_info: BUG on error. */
const runstate: Routine = routine(null, [
  callingStep(
    'VCPUOP_register_runstate_memory_area',
    (context) => {
      const { linuxCpu, ownVcpuInfo } = subject(context);
      const address = addressOf({ gfn: ownVcpuInfo.gfn, offset: runstateOffset });
      return vcpuOp(
        VCPUOP_register_runstate_memory_area,
        vcpuNr(context, linuxCpu),
        vcpu_register_runstate_memory_area,
        { addr: { v: address } },
      );
    },
    orBug('xen_setup_runstate_info'),
  ),
]);

export const assistRunstate: Step = callingStep('vm_assist', () =>
  plainCall(__HYPERVISOR_vm_assist, VMASST_CMD_enable, BigInt(VMASST_TYPE_runstate_update_flag)),
);

/** The kernel counts the CPU as online. */
export const goOnline: Step = step('online', (context) => {
  const { kernel, cpu, vcpu } = context;
  cpu.online = true;
  emit(context, { kind: 'online', kernel: kernel.index, vcpu, linuxCpu: cpu.linuxCpu });
  return next;
});

/** The CPU has come up whole, and waits for work. */
export const settle: Step = step('settled', ({ cpu }) => {
  cpu.settled = true;
  return become('idle');
});

/** do_idle: wakes for work that another CPU gives it. */
const idle: Routine = routine(null, [
  {
    label: 'idle',
    interruptible: true,
    behind: true,
    ready: ({ cpu }) => cpu.work !== null,
    waitsFor: () => 'work',
    run: ({ cpu }) => call(cpu.work ?? 'idle'),
  },
  step('worked', ({ cpu }) => {
    cpu.work = cpu.nextWork;
    cpu.nextWork = null;
    return goto('idle');
  }),
]);

function plural(count: number): string {
  return `${count} CPU${count === 1 ? '' : 's'}`;
}

/** smp_init: CPUs 1 and up, one after the other. One that fails is left out, and bring-up goes on. */
export function smpInit(cpuUp: string): Routine {
  return routine(null, [
    step('first', ({ vars }) => {
      vars['cpu'] = 1;
      return next;
    }),
    step('up', (context) => {
      const cpu = numberVar(context, 'cpu');
      return cpu < context.kernel.cpus.length ? call(cpuUp, { cpu }) : goto('brought up');
    }),
    step('next', (context) => {
      context.vars['cpu'] = numberVar(context, 'cpu') + 1;
      return goto('up');
    }),
    step('brought up', (context) => {
      const online = context.kernel.cpus.filter((cpu) => cpu.online).length;
      log(context, `smp: Brought up 1 node, ${plural(online)}`);
      return done;
    }),
  ]);
}

/** Waits until `vars.cpu` is up whole; gives up after `seconds`. Returns 0, or -1 with a line in the log. */
export function waitOnline(seconds: number, complaint: (cpu: number) => string): readonly Step[] {
  return [
    step('set deadline', (context) => {
      context.vars['deadline'] = nowNs(context) + seconds * 1000 * millisecondNs;
      return next;
    }),
    {
      label: 'wait for it',
      interruptible: true,
      behind: true,
      ready: (context) => subject(context).settled,
      deadline: (context) => numberVar(context, 'deadline'),
      waitsFor: (context) => `CPU ${numberVar(context, 'cpu')} to come up`,
      run: () => next,
    },
    step('is it up?', (context) => {
      if (subject(context).settled) return returning(0);
      log(context, complaint(numberVar(context, 'cpu')));
      return returning(-1);
    }),
  ];
}

/** Leaves the routine with the value that the one called before gave, when that is an error. */
export const giveUpOnError: Step = step('failed?', ({ vars }) => {
  const { result } = vars;
  return typeof result === 'number' && result < 0 ? returning(result) : next;
});

function getParam(label: string, index: number, keep: (context: StepContext, value: number) => void): Step {
  return callingStep(
    label,
    ({ environment }) =>
      environment.scenario.platform === 'pv'
        ? null
        : hvmOp(HVMOP_get_param, xen_hvm_param, { domid: DOMID_SELF, index }),
    (context, answer) => {
      keep(context, given(answer, 'value'));
      return next;
    },
  );
}

/** xen_hvm_console_init (hvc_xen): a port of 0 means that there is no console, and the models have none. */
const consoleInit: Step = getParam(
  'HVMOP_get_param CONSOLE_EVTCHN',
  HVM_PARAM_CONSOLE_EVTCHN,
  (context, port) => {
    if (port === 0) log(context, 'hvc_xen: no console');
  },
);

/**
 * xenbus_init and xb_init_comms: the toolstack's channel. Xen notifies vCPU 0 of it, as of every new port, and
 * bind_evtchn_to_irq_chip notes CPU 0 for it without a call. Only request_irq, which has it unmasked by then, tells Xen
 * of the CPU that its affinity gives (Linux 6.1 drivers/xen/events/events_base.c).
 */
const xenbus: Routine = routine('late', [
  consoleInit,
  getParam('HVMOP_get_param STORE_EVTCHN', HVM_PARAM_STORE_EVTCHN, ({ kernel }, port) => {
    kernel.xenstore.port = port;
  }),
  getParam('HVMOP_get_param STORE_PFN', HVM_PARAM_STORE_PFN, () => undefined),
  step('start_info', ({ environment, kernel, world }) => {
    if (environment.scenario.platform === 'pv') kernel.xenstore.port = world.guest.startInfo.storeEvtchn;
    return next;
  }),
  callStep('port', 'set-up-port', ({ kernel }) => ({
    cpu: 0,
    purpose: 'xenstore',
    port: kernel.xenstore.port,
    anyCpu: true,
  })),
  callStep('affinity', 'rebind-port', ({ kernel }) => ({
    cpu: targetCpu(kernel),
    port: kernel.xenstore.port,
  })),
]);

/** The CPU that others are to see start: what it finds in memory when it does. */
export function announceStart(context: StepContext): void {
  const cpu = subject(context);
  context.kernel.starting = cpu.linuxCpu;
  cpu.settled = false;
  cpu.dead = false;
}

/** Gives work to a CPU: for now if it is idle, else for when it has done what it was given before. */
export function giveWork(context: StepContext, cpu: number, work: string): void {
  const worker = cpuOf(context.kernel, cpu);
  if (worker.work === null) worker.work = work;
  else worker.nextWork = work;
}

export const commonRoutines: Program = {
  // xen_guest_init finds a place for the frames before gnttab_init asks for a version; x86 does it the other way round.
  'arm-grant-table': routine(null, [grantSize, mapGrantFrames, grantVersion]),
  'x86-grant-table': routine(null, [grantSize, grantVersion, mapGrantFrames]),
  'vcpu-info': vcpuInfo,
  runstate,
  idle,
  xenbus,
};
