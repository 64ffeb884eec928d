/**
 * One step of one vCPU. Which vCPUs can take one is a question to the world alone; who goes first is not decided
 * here, so that one canonical schedule and a search through all of them stand on the same two functions.
 */
import type { TraceEvent } from '../../audit/index.js';
import { present } from '../../base/index.js';
import {
  acknowledgeUpcall,
  isRunnable,
  localApicEnabled,
  lostUpcall,
  pendingUpcall,
  takeNmi,
  takeStart,
} from '../../hypervisor/index.js';
import type { VcpuState } from '../../hypervisor/index.js';
import type { XenVcpuId } from '../../identity/index.js';
import { cpuOf, emit, guestVcpu, nowNs, phaseOf } from './context.js';
import type { Environment, StepContext } from './context.js';
import { entryRoutines, kernelAt, startKernel } from './kernel.js';
import { enter, follow, stepOf } from './program.js';
import type { Step } from './program.js';
import { vcpuIds } from './world.js';
import type { GuestVcpu, World } from './world.js';

/** What a vCPU would do next. */
type Move =
  /** It enters the guest for the first time since it was started. */
  | { readonly kind: 'start' }
  | { readonly kind: 'nmi' }
  /** An interrupt that another CPU sent by hardware; the routine that handles it. */
  | { readonly kind: 'interrupt'; readonly routine: string }
  | { readonly kind: 'upcall' }
  | { readonly kind: 'step' };

function vcpuState({ domain }: World, vcpu: XenVcpuId): VcpuState {
  return present(domain.state.vcpus[vcpu], `vCPU ${vcpu}`);
}

/** The context in which the vCPU's innermost step runs; null where it runs nothing. */
export function contextOf(
  world: World,
  environment: Environment,
  vcpu: XenVcpuId,
  events: TraceEvent[] = [],
): StepContext | null {
  const { frames, kernel: number, linuxCpu } = guestVcpu(world, vcpu);
  const frame = frames.at(-1);
  if (frame === undefined || number === null || linuxCpu === null) return null;
  const kernel = present(world.guest.kernels[number], `kernel ${number}`);
  const cpu = cpuOf(kernel, linuxCpu);
  return { world, environment, vcpu, kernel, cpu, frame, vars: frame.vars, events, acts: [] };
}

export function isReady(step: Step, context: StepContext): boolean {
  if (step.ready === undefined || step.ready(context)) return true;
  const deadline = step.deadline?.(context) ?? null;
  return deadline !== null && nowNs(context) >= deadline;
}

/** What it takes while it waits with interrupts on. */
function interruptOf(world: World, vcpu: XenVcpuId, guest: GuestVcpu): Move | null {
  const [routine] = guest.interrupts;
  if (routine !== undefined) return { kind: 'interrupt', routine };
  return pendingUpcall(world.domain, vcpu) === null ? null : { kind: 'upcall' };
}

/** What the vCPU does when it goes on; null when it cannot. */
function moveOf(world: World, environment: Environment, vcpu: XenVcpuId): Move | null {
  if (world.guest.end !== null || !isRunnable(world.domain, vcpu)) return null;
  const state = vcpuState(world, vcpu);
  const guest = guestVcpu(world, vcpu);
  if (state.start !== null) return { kind: 'start' };
  const context = contextOf(world, environment, vcpu);
  if (context === null) return null;
  if (state.nmiPending) return { kind: 'nmi' };
  if (isStorming(world, vcpu)) {
    const [routine] = guest.interrupts;
    return routine === undefined ? null : { kind: 'interrupt', routine };
  }
  const step = stepOf(environment.program, context.frame);
  if (isReady(step, context)) return { kind: 'step' };
  return step.interruptible === true ? interruptOf(world, vcpu, guest) : null;
}

/** Whether it does nothing but take the same upcall again and again. */
export function isStorming(world: World, vcpu: XenVcpuId): boolean {
  return guestVcpu(world, vcpu).storm && pendingUpcall(world.domain, vcpu) !== null;
}

/** The vCPUs that can take a step now, by id. None once the guest is at its end. */
export function enabled(world: World, environment: Environment): XenVcpuId[] {
  return vcpuIds(world).filter((vcpu) => canStep(world, environment, vcpu));
}

export function canStep(world: World, environment: Environment, vcpu: XenVcpuId): boolean {
  return moveOf(world, environment, vcpu) !== null;
}

/** The vCPU enters the guest where it was told to: the first kernel, or a kernel that started it as a further CPU. */
function enterGuest(world: World, environment: Environment, vcpu: XenVcpuId, events: TraceEvent[]): void {
  const { how, entry } = present(takeStart(world.domain, vcpu), `the start of vCPU ${vcpu}`);
  if (how === 'built') {
    startKernel(world, environment, vcpu, 'first kernel', events);
    return;
  }
  const guest = guestVcpu(world, vcpu);
  const kernel = kernelAt(world, entry);
  Object.assign(guest, {
    kernel: kernel?.index ?? null,
    linuxCpu: kernel?.starting ?? null,
    interrupts: [],
    storm: false,
  });
  guest.frames = [];
  // Nobody told it which CPU it is, or there is no code: it runs into the weeds.
  if (kernel?.starting == null) return;
  const { platform } = environment.scenario;
  guest.frames = [enter(environment.program, entryRoutines[platform].secondary, {})];
  cpuOf(kernel, kernel.starting).dead = false;
  if (how === 'sipi') localApicEnabled(world.domain, vcpu);
  emit({ world, events }, { kind: 'running', kernel: kernel.index, vcpu, linuxCpu: kernel.starting });
}

function interrupt(environment: Environment, guest: GuestVcpu, routine: string): void {
  guest.frames.push(enter(environment.program, routine, {}, true));
}

/** Takes what interrupts it, so that the innermost routine is the one that handles it. */
function deliver(world: World, environment: Environment, vcpu: XenVcpuId, move: Move): void {
  const guest = guestVcpu(world, vcpu);
  if (move.kind === 'nmi') {
    takeNmi(world.domain, vcpu);
    interrupt(environment, guest, 'nmi');
  } else if (move.kind === 'upcall') {
    acknowledgeUpcall(world.domain, vcpu);
    interrupt(environment, guest, 'upcall');
  } else if (move.kind === 'interrupt') {
    guest.interrupts.shift();
    guest.storm = false;
    interrupt(environment, guest, move.routine);
  }
}

function runStep(world: World, environment: Environment, vcpu: XenVcpuId, events: TraceEvent[]): void {
  const context = present(contextOf(world, environment, vcpu, events), `what vCPU ${vcpu} runs`);
  const { kernel, cpu, frame } = context;
  const { routine, step: label } = frame;
  const phase = phaseOf(context);
  const flow = stepOf(environment.program, frame).run(context);
  const guest = guestVcpu(world, vcpu);
  guest.frames = follow(environment.program, guest.frames, flow);
  const place = { world, vcpu, kernel: kernel.index, linuxCpu: cpu.linuxCpu, phase };
  environment.interposers.afterStep?.({ ...place, routine, step: label });
}

/** Writes down which vCPUs have lost an upcall since, or are told of events again. `before`: the ports by vCPU. */
function noteLost(world: World, before: readonly (number | null)[], events: TraceEvent[]): void {
  for (const vcpu of vcpuIds(world)) {
    const [was, is] = [before[vcpu] ?? null, lostUpcall(world.domain, vcpu)];
    if (was === is) continue;
    if (is === null) emit({ world, events }, { kind: 'upcall-heard', vcpu, port: was ?? 0 });
    else emit({ world, events }, { kind: 'lost-upcall', vcpu, port: is });
  }
}

/**
 * Takes one step of `vcpu`, which must be one of {@link enabled}, and gives its events, numbered from 0. Changes
 * the world; clone it first to keep the old one.
 */
export function stepVcpu(world: World, vcpu: XenVcpuId, environment: Environment): TraceEvent[] {
  const move = present(moveOf(world, environment, vcpu), `a step of vCPU ${vcpu}`);
  const events: TraceEvent[] = [];
  if (move.kind === 'start') {
    enterGuest(world, environment, vcpu, events);
    return events;
  }
  const lost = vcpuIds(world).map((id) => lostUpcall(world.domain, id));
  deliver(world, environment, vcpu, move);
  runStep(world, environment, vcpu, events);
  noteLost(world, lost, events);
  return events;
}
