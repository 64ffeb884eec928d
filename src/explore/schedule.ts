/**
 * The one canonical schedule: a vCPU runs until it waits, then the next one that can go on, in cyclic order of
 * their ids. When none can, time jumps to the next deadline; when there is none either, the guest hangs.
 */
import type { TraceEvent } from '../audit/index.js';
import { advanceTo, isRunnable, nextDeadline, unheardEvents } from '../hypervisor/index.js';
import { firstXenVcpu, xenVcpuId } from '../identity/index.js';
import type { XenVcpuId } from '../identity/index.js';
import { emit, guestVcpu, nowNs } from './model/context.js';
import type { Environment } from './model/context.js';
import { stepOf } from './model/program.js';
import { canStep, contextOf, isStorming, stepVcpu } from './model/step.js';
import { vcpuIds } from './model/world.js';
import type { World } from './model/world.js';

/** More steps than any model takes that does not go round in circles. */
const enoughSteps = 200_000;

/** More deadlines in a row than pass before something that a vCPU waits for, if ever. */
const enoughDeadlines = 1_000;

/** Who goes next after `last` went; null when nobody can. */
function nextVcpu(world: World, environment: Environment, last: XenVcpuId): XenVcpuId | null {
  const count = world.guest.vcpus.length;
  for (let i = 0; i < count; i += 1) {
    const vcpu = xenVcpuId((last + i) % count);
    if (canStep(world, environment, vcpu)) return vcpu;
  }
  return null;
}

/** When the step at which the vCPU waits gives up waiting, ns; null when it never does. */
function waitDeadline(world: World, environment: Environment, vcpu: XenVcpuId): number | null {
  const context = contextOf(world, environment, vcpu);
  if (context === null || !isRunnable(world.domain, vcpu) || isStorming(world, vcpu)) return null;
  const deadline = stepOf(environment.program, context.frame).deadline?.(context) ?? null;
  return deadline === null || deadline <= nowNs(context) ? null : deadline;
}

/** Lets time pass until something is due. False, with nothing changed, when nothing ever is. */
export function passTime(world: World, environment: Environment): boolean {
  if (world.guest.end !== null) return false;
  const waits = vcpuIds(world).map((vcpu) => waitDeadline(world, environment, vcpu));
  const timer = nextDeadline(world.domain);
  const due = [...waits, timer === null ? null : Number(timer)].filter((at) => at !== null);
  if (due.length === 0) return false;
  advanceTo(world.domain, BigInt(Math.min(...due)));
  return true;
}

/** What keeps a vCPU from going on, and whether that is another CPU of the guest. */
interface Hold {
  readonly line: string;
  readonly behind: boolean;
}

function holdOf(world: World, environment: Environment, vcpu: XenVcpuId): Hold | null {
  const { linuxCpu } = guestVcpu(world, vcpu);
  const name = linuxCpu === null ? `vCPU ${vcpu}` : `CPU ${linuxCpu} (vCPU ${vcpu})`;
  if (world.domain.state.vcpus[vcpu]?.up !== true) return null;
  if (isStorming(world, vcpu)) {
    return {
      line: `${name} takes one upcall over and over and finds no event in its vcpu_info`,
      behind: false,
    };
  }
  const context = contextOf(world, environment, vcpu);
  if (context === null) return { line: `${name} has no code to run`, behind: false };
  const step = stepOf(environment.program, context.frame);
  const what = step.waitsFor?.(context);
  const line =
    what === undefined ? `${name} stands in ${context.frame.routine}` : `${name} waits for ${what}`;
  return { line, behind: step.behind === true };
}

/** One line: what each vCPU that is up waits for. Those that wait for other CPUs are left out while any does not. */
export function whyHung(world: World, environment: Environment): string {
  const holds = vcpuIds(world)
    .map((vcpu) => holdOf(world, environment, vcpu))
    .filter((hold) => hold !== null);
  const first = holds.filter((hold) => !hold.behind);
  const lines = (first.length > 0 ? first : holds).map(({ line }) => line);
  return lines.length > 0 ? lines.join('; ') : 'no vCPU is up';
}

/** Called after every step, with its events as numbered within the run. */
export type Observer = (world: World, events: readonly TraceEvent[]) => void;

function endEvent(world: World, events: TraceEvent[]): void {
  const { guest } = world;
  const { outcome, kernel, why } = guest.end ?? {
    outcome: 'hang',
    kernel: guest.kernels.length - 1,
    why: '',
  };
  const cpus = guest.kernels[kernel]?.cpus ?? [];
  const online = cpus.filter((cpu) => cpu.online).map(({ linuxCpu }) => linuxCpu);
  const unheard = unheardEvents(world.domain);
  const end = { kind: 'end', kernel, outcome, online, why } as const;
  emit({ world, events }, unheard.length === 0 ? end : { ...end, unheard });
}

function hang(world: World, why: string): void {
  world.guest.end = { outcome: 'hang', kernel: Math.max(0, world.guest.kernels.length - 1), why };
}

/** How far a run has come. */
interface Progress {
  readonly trace: TraceEvent[];
  last: XenVcpuId;
  steps: number;
  /** Deadlines that passed since the last step. */
  deadlines: number;
}

/** Numbers the events of a step within the run. */
function append({ trace }: Progress, events: readonly TraceEvent[]): readonly TraceEvent[] {
  for (const event of events) trace.push(Object.assign(event, { step: trace.length }));
  return events;
}

function goOn(world: World, environment: Environment, progress: Progress, observe: Observer): void {
  const vcpu = nextVcpu(world, environment, progress.last);
  if (vcpu === null) {
    progress.deadlines += 1;
    const late = progress.deadlines > enoughDeadlines;
    if (late || !passTime(world, environment)) hang(world, whyHung(world, environment));
    return;
  }
  const events = append(progress, stepVcpu(world, vcpu, environment));
  observe(world, events);
  Object.assign(progress, { last: vcpu, deadlines: 0, steps: progress.steps + 1 });
  if (progress.steps <= enoughSteps || world.guest.end !== null) return;
  hang(world, `no end after ${enoughSteps} steps: ${whyHung(world, environment)}`);
}

/** Runs the guest to its end by the canonical schedule, and gives the whole trace. Changes the world. */
export function runToEnd(
  world: World,
  environment: Environment,
  observe: Observer = () => undefined,
): TraceEvent[] {
  const progress: Progress = { trace: [], last: firstXenVcpu, steps: 0, deadlines: 0 };
  while (world.guest.end === null) goOn(world, environment, progress, observe);
  const rest: TraceEvent[] = [];
  endEvent(world, rest);
  append(progress, rest);
  return progress.trace;
}
