/** The choice of the event ABI, control blocks, and the ports that a kernel binds (drivers/xen/events). */
import {
  DOMID_SELF,
  evtchn_bind_ipi,
  evtchn_bind_vcpu,
  evtchn_bind_virq,
  evtchn_close,
  evtchn_expand_array,
  evtchn_init_control,
  evtchn_set_priority,
  evtchn_status,
  evtchn_unmask,
  EVTCHNOP_bind_ipi,
  EVTCHNOP_bind_vcpu,
  EVTCHNOP_bind_virq,
  EVTCHNOP_close,
  EVTCHNOP_expand_array,
  EVTCHNOP_init_control,
  EVTCHNOP_set_priority,
  EVTCHNOP_status,
  EVTCHNOP_unmask,
  EVTCHNSTAT_virq,
  XEN_EEXIST,
  XEN_ENOENT,
} from '../../../abi/index.js';
import type { Struct } from '../../../abi/index.js';
import { answerText } from '../../answers.js';
import { callingStep, eventChannelOp, given } from '../calls.js';
import type { Answer, GuestCall } from '../calls.js';
import { log, numberVar, panic, subject, vcpuNr } from '../context.js';
import type { StepContext } from '../context.js';
import { forgetPort, mask, maskAllPorts, maskArrayPage, notePort, unmask, wordsPerPage } from '../events.js';
import { allocateFrames } from '../guest_memory.js';
import { call, callStep, done, goto, next, returning, routine, stay, step } from '../program.js';
import type { Flow, Program, Routine, Step } from '../program.js';
import type { Vars } from '../world.js';

/** Linux's XEN_IRQ_PRIORITY_MAX, which its timer gets. */
const highestPriority = 0;

/** Ports that find_virq looks through before it gives up; Linux goes on to the ABI's last. */
const lastPort = 1024;

function chooseAbi(context: StepContext): Flow {
  const { kernel, vars } = context;
  if (Number(vars['result']) < 0) {
    kernel.events = '2l';
    maskAllPorts(context);
    log(context, 'xen:events: Using 2-level ABI');
  } else log(context, 'xen:events: Using FIFO-based ABI');
  return next;
}

/** xen_init_IRQ: FIFO events if Xen grants the boot CPU a control block, else the two-level ABI. */
const eventAbi: Routine = routine(null, [
  step('try FIFO', ({ kernel }) => {
    kernel.events = 'fifo';
    return next;
  }),
  callStep('control block', 'control-block', () => ({ cpu: 0 })),
  step('choose', chooseAbi),
]);

/** evtchn_fifo_percpu_init: a control block for `vars.cpu`, unless it has one. Returns 0 or Xen's error. */
const controlBlock: Routine = routine(null, [
  step('allocate', (context) => {
    const { kernel, vars } = context;
    if (kernel.events !== 'fifo' || subject(context).controlGfn !== null) return returning(0);
    vars['gfn'] = allocateFrames(kernel, 1);
    return next;
  }),
  callingStep(
    'EVTCHNOP_init_control',
    (context) =>
      eventChannelOp(EVTCHNOP_init_control, evtchn_init_control, {
        control_gfn: BigInt(numberVar(context, 'gfn')),
        offset: 0,
        vcpu: vcpuNr(context, subject(context).linuxCpu),
      }),
    (context, { returned }) => {
      if (returned < 0) return returning(returned);
      const cpu = subject(context);
      cpu.controlGfn = numberVar(context, 'gfn');
      cpu.heads.fill(0);
      return returning(0);
    },
  ),
]);

/** Whether the event array has no word for `vars.port` yet. */
function lacksWord(context: StepContext): boolean {
  const { kernel } = context;
  return kernel.events === 'fifo' && numberVar(context, 'port') >= kernel.arrayGfns.length * wordsPerPage;
}

/** evtchn_fifo_setup: pages of event words until `vars.port` has one. Returns 0 or Xen's error. */
const expandArray: Routine = routine(null, [
  callingStep(
    'EVTCHNOP_expand_array',
    (context) => {
      if (!lacksWord(context)) return null;
      const gfn = allocateFrames(context.kernel, 1);
      maskArrayPage(context, gfn);
      context.vars['gfn'] = gfn;
      return eventChannelOp(EVTCHNOP_expand_array, evtchn_expand_array, { array_gfn: BigInt(gfn) });
    },
    (context, { returned }) => {
      const { kernel } = context;
      if (returned < 0 && kernel.arrayGfns.length === 0) {
        return panic(context, `unable to expand event array with initial page (${returned})`);
      }
      if (returned < 0) return returning(returned);
      kernel.arrayGfns.push(numberVar(context, 'gfn'));
      return lacksWord(context) ? stay : next;
    },
  ),
  step('enough', () => returning(0)),
]);

function unmaskStep(label: string): Step {
  return callingStep(label, (context) => {
    const port = numberVar(context, 'port');
    if (context.vars['masked'] === true || !unmask(context, port)) return null;
    return eventChannelOp(EVTCHNOP_unmask, evtchn_unmask, { port });
  });
}

/**
 * A port that Xen has bound is made known to the kernel and let through, unless `vars.masked`. `vars.cpu` is the
 * CPU that it is for, and handles it.
 */
const setUpPort: Routine = routine(null, [
  callStep('event word', 'expand-array', (context) => ({ port: numberVar(context, 'port') })),
  step('note', (context) => {
    const { kernel, vars } = context;
    const port = numberVar(context, 'port');
    const purpose = String(vars['purpose']);
    const cpu = subject(context);
    const boundFor = vars['anyCpu'] === true ? null : cpu.linuxCpu;
    notePort(kernel, port, { purpose, boundFor, cpu: cpu.linuxCpu });
    if (boundFor !== null) cpu.ports[purpose] = port;
    return next;
  }),
  unmaskStep('unmask'),
  callingStep('EVTCHNOP_set_priority', (context) => {
    const { kernel, vars } = context;
    const port = numberVar(context, 'port');
    if (kernel.events !== 'fifo' || vars['priority'] === undefined) return null;
    const priority = numberVar(context, 'priority');
    return eventChannelOp(EVTCHNOP_set_priority, evtchn_set_priority, { port, priority });
  }),
]);

function thenSetUp(context: StepContext, port: number, more: Vars = {}): Flow {
  const { cpu = 0, purpose = '' } = context.vars;
  return call('set-up-port', { cpu, purpose, port, ...more });
}

/** A call that binds a port to the vCPU of `vars.cpu`. */
function binding<F, A>(
  context: StepContext,
  command: number,
  type: Struct<F, A>,
  value: Partial<A>,
): GuestCall {
  return { ...eventChannelOp(command, type, value), boundFor: subject(context).linuxCpu };
}

/** bind_ipi_to_irq: BUG on any error. */
const bindIpi: Routine = routine(null, [
  callingStep(
    'EVTCHNOP_bind_ipi',
    (context) =>
      binding(context, EVTCHNOP_bind_ipi, evtchn_bind_ipi, {
        vcpu: vcpuNr(context, subject(context).linuxCpu),
      }),
    (context, answer) => {
      const { returned } = answer;
      if (returned < 0)
        return panic(context, `BUG in bind_ipi_to_irq: EVTCHNOP_bind_ipi answered ${answerText(returned)}`);
      return thenSetUp(context, given(answer, 'port'), { masked: context.vars['masked'] === true });
    },
  ),
]);

function virqBound(context: StepContext, answer: Answer): Flow {
  const { returned } = answer;
  if (returned === -XEN_EEXIST) return next;
  if (returned < 0)
    return panic(context, `BUG in bind_virq_to_irq: EVTCHNOP_bind_virq answered ${answerText(returned)}`);
  context.vars['result'] = given(answer, 'port');
  return goto('bound');
}

/** bind_virq_to_irq: if the vCPU has the VIRQ bound already, Linux looks for that port; BUG on any other error. */
const bindVirq: Routine = routine(null, [
  callingStep(
    'EVTCHNOP_bind_virq',
    (context) =>
      binding(context, EVTCHNOP_bind_virq, evtchn_bind_virq, {
        virq: numberVar(context, 'virq'),
        vcpu: vcpuNr(context, subject(context).linuxCpu),
      }),
    virqBound,
  ),
  callStep('find', 'find-virq', ({ vars }) => ({ cpu: vars['cpu'] ?? 0, virq: vars['virq'] ?? 0, port: 1 })),
  step('bound', (context) => {
    const port = numberVar(context, 'result');
    if (port < 0) return panic(context, `BUG in bind_virq_to_irq: no port has the VIRQ (${port})`);
    const priority = context.vars['purpose'] === 'timer' ? { priority: highestPriority } : {};
    return thenSetUp(context, port, priority);
  }),
]);

/** find_virq: asks after one port after another. Returns the port, or -XEN_ENOENT. */
const findVirq: Routine = routine(null, [
  callingStep(
    'EVTCHNOP_status',
    (context) =>
      eventChannelOp(EVTCHNOP_status, evtchn_status, { dom: DOMID_SELF, port: numberVar(context, 'port') }),
    (context, answer) => {
      const { vars } = context;
      const { returned } = answer;
      const argument = answer.argument();
      const found = argument['u'] as { virq?: number };
      const isVirq = returned === 0 && argument['status'] === EVTCHNSTAT_virq && found.virq === vars['virq'];
      if (isVirq && argument['vcpu'] === vcpuNr(context, subject(context).linuxCpu)) {
        return returning(vars['port'] ?? 0);
      }
      vars['port'] = numberVar(context, 'port') + 1;
      return numberVar(context, 'port') > lastPort ? returning(-XEN_ENOENT) : stay;
    },
  ),
]);

/** unbind_from_irq: `vars.cpu` gives up its port for `vars.purpose`, if it has one. */
const closePort: Routine = routine(null, [
  callingStep(
    'EVTCHNOP_close',
    (context) => {
      const port = subject(context).ports[String(context.vars['purpose'])];
      if (port === undefined) return null;
      mask(context, port);
      return eventChannelOp(EVTCHNOP_close, evtchn_close, { port });
    },
    (context) => {
      forgetPort(context.kernel, subject(context), String(context.vars['purpose']));
      return done;
    },
  ),
]);

/** xen_rebind_evtchn_to_cpu: events of `vars.port` are to come to `vars.cpu` from now on. An error changes nothing. */
const rebindPort: Routine = routine(null, [
  callingStep(
    'EVTCHNOP_bind_vcpu',
    (context) => {
      const port = numberVar(context, 'port');
      mask(context, port);
      return binding(context, EVTCHNOP_bind_vcpu, evtchn_bind_vcpu, {
        port,
        vcpu: vcpuNr(context, subject(context).linuxCpu),
      });
    },
    (context, { returned }) => {
      const use = context.kernel.ports[String(numberVar(context, 'port'))];
      if (returned >= 0 && use !== undefined) use.cpu = subject(context).linuxCpu;
      return next;
    },
  ),
  unmaskStep('unmask'),
]);

export const eventAbiRoutines: Program = {
  'event-abi': eventAbi,
  'control-block': controlBlock,
  'expand-array': expandArray,
  'set-up-port': setUpPort,
  'bind-ipi': bindIpi,
  'bind-virq': bindVirq,
  'find-virq': findVirq,
  'close-port': closePort,
  'rebind-port': rebindPort,
};
