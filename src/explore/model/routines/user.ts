/**
 * User space: every CPU shows that its events reach it. On x86 it sends each other CPU an interrupt by event
 * channel, and waits for its own timer; on all platforms it has xenstore's answers come to itself.
 */
import {
  evtchn_send,
  EVTCHNOP_send,
  VCPUOP_set_singleshot_timer,
  vcpu_set_singleshot_timer,
} from '../../../abi/index.js';
import { rangesText } from '../../../base/index.js';
import { answerText } from '../../answers.js';
import { callingStep, eventChannelOp, vcpuOp } from '../calls.js';
import { end, log, nowNs, numberVar, panic, vcpuNr } from '../context.js';
import type { StepContext } from '../context.js';
import { behind, call, callStep, done, goto, next, routine, step, wait } from '../program.js';
import type { Flow, Program, Routine } from '../program.js';
import type { CpuState } from '../world.js';
import { giveWork } from './common.js';

/** How far ahead a CPU sets its timer to see whether it fires. */
const tickNs = 1_000_000;

/** The other CPUs that are up, and the port by which they are called: a kind of its own for one alone. */
function others({ kernel, cpu }: StepContext): { readonly cpus: CpuState[]; readonly purpose: string } {
  const cpus = kernel.cpus.filter((other) => other.settled && other !== cpu);
  return { cpus, purpose: cpus.length === 1 ? 'callfuncsingle' : 'callfunc' };
}

/** Each target finds the call in its own queue, whoever's interrupt makes it look. */
function queueCall(context: StepContext): Flow {
  const { cpus, purpose } = others(context);
  const target = cpus.find(({ linuxCpu }) => linuxCpu >= numberVar(context, 'target'));
  if (target === undefined) return goto('until they ran');
  target.callQueue.push(context.cpu.linuxCpu);
  const port = target.ports[purpose];
  if (port === undefined) {
    return panic(context, `BUG in xen_send_IPI_one: CPU ${target.linuxCpu} has no port for ${purpose}`);
  }
  Object.assign(context.vars, { target: target.linuxCpu, port });
  return next;
}

/** smp_call_function_many: every other CPU that is up is to run a function, and this one waits for all of them. */
const callOthers: Routine = routine(null, [
  step('first', ({ vars, environment }) => {
    vars['target'] = 0;
    return environment.scenario.platform === 'arm' ? done : next;
  }),
  step('queue', queueCall),
  callingStep(
    'EVTCHNOP_send',
    (context) => eventChannelOp(EVTCHNOP_send, evtchn_send, { port: numberVar(context, 'port') }),
    (context) => {
      context.vars['target'] = numberVar(context, 'target') + 1;
      return goto('queue');
    },
  ),
  wait(
    'until they ran',
    (context) => {
      const late = others(context).cpus.filter(({ callQueue }) => callQueue.includes(context.cpu.linuxCpu));
      return `the function call interrupt to reach CPU ${rangesText(late.map(({ linuxCpu }) => linuxCpu))}`;
    },
    ({ kernel, cpu }) => kernel.cpus.every(({ callQueue }) => !callQueue.includes(cpu.linuxCpu)),
  ),
]);

/** A timer of this CPU's own, which it waits for. Arm's generic timer is none of Xen's. */
const ownTimer: Routine = routine(null, [
  step('before', ({ vars, cpu, environment }) => {
    vars['ticks'] = cpu.ticks;
    return environment.scenario.platform === 'arm' ? done : next;
  }),
  callingStep(
    'VCPUOP_set_singleshot_timer',
    (context) =>
      vcpuOp(VCPUOP_set_singleshot_timer, vcpuNr(context, context.cpu.linuxCpu), vcpu_set_singleshot_timer, {
        timeout_abs_ns: BigInt(nowNs(context) + tickNs),
        flags: 0,
      }),
    (context, { returned }) =>
      returned < 0
        ? panic(context, `BUG in xen_vcpuop_set_next_event: answered ${answerText(returned)}`)
        : next,
  ),
  wait(
    'tick',
    () => 'its timer',
    (context) => context.cpu.ticks > numberVar(context, 'ticks'),
  ),
]);

/** A request to xenstore whose answer is to come to this CPU. One CPU asks at a time. */
const askXenstore: Routine = routine(null, [
  {
    label: 'lock',
    interruptible: true,
    behind: true,
    ready: ({ kernel }) => kernel.xenstore.owner === null,
    waitsFor: ({ kernel }) => `CPU ${kernel.xenstore.owner ?? '-'} to be done with xenstore`,
    run: ({ kernel, cpu }) => {
      kernel.xenstore.owner = cpu.linuxCpu;
      return next;
    },
  },
  callStep('affinity', 'rebind-port', ({ kernel, cpu }) => ({
    cpu: cpu.linuxCpu,
    port: kernel.xenstore.port,
  })),
  callingStep('EVTCHNOP_send', ({ kernel, vars }) => {
    vars['answers'] = kernel.xenstore.answers;
    return eventChannelOp(EVTCHNOP_send, evtchn_send, { port: kernel.xenstore.port });
  }),
  wait(
    'answer',
    () => "xenstore's answer",
    (context) => context.kernel.xenstore.answers > numberVar(context, 'answers'),
  ),
  step('unlock', ({ kernel }) => {
    kernel.xenstore.owner = null;
    return done;
  }),
]);

const prove: Routine = routine('user', [
  callStep('call others', 'call-others'),
  callStep('timer', 'own-timer'),
  callStep('xenstore', 'ask-xenstore'),
]);

/** All CPUs at once, and this one waits for them. */
const proveAll: Routine = routine('user', [
  step('all CPUs', (context) => {
    const { kernel, cpu } = context;
    for (const other of kernel.cpus) {
      if (other.settled && other !== cpu) giveWork(context, other.linuxCpu, 'prove');
    }
    return next;
  }),
  callStep('own', 'prove'),
  behind(
    wait(
      'others',
      ({ kernel }) => {
        const busy = kernel.cpus.filter(({ work }) => work !== null).map(({ linuxCpu }) => linuxCpu);
        return `CPU${busy.length > 1 ? 's' : ''} ${rangesText(busy)} in user space`;
      },
      ({ kernel }) => kernel.cpus.every(({ work }) => work === null),
    ),
  ),
]);

function inUserSpace(context: StepContext): Flow {
  const online = context.kernel.cpus.filter((cpu) => cpu.online).map(({ linuxCpu }) => linuxCpu);
  const which = online.length === 1 ? 'CPU 0 alone' : `CPUs ${rangesText(online)}`;
  return end(context, 'userspace', `user space runs on ${which}`);
}

/** What is to happen to the first kernel; a later one has reached its goal. */
function followPlot(context: StepContext): Flow {
  const { kernel, environment } = context;
  kernel.userspace = true;
  const { plot } = environment.scenario;
  if (kernel.index > 0 || plot.name === 'boot') return inUserSpace(context);
  return call(plot.name);
}

/** kernel_init: user space, and then the plot, which CPU 0 sets off. */
const init: Routine = routine('user', [
  step('run /init', (context) => {
    log(context, 'Run /init as init process');
    return next;
  }),
  callStep('prove', 'prove-all'),
  step('plot', followPlot),
  step('end', inUserSpace),
]);

export const userRoutines: Program = {
  init,
  'prove-all': proveAll,
  prove,
  'call-others': callOthers,
  'own-timer': ownTimer,
  'ask-xenstore': askXenstore,
};
