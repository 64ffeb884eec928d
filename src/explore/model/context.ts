/** What a step sees and may do: the world, its own CPU, and the trace that an observer outside would write. */
import type { Platform, TraceEvent } from '../../audit/index.js';
import type { DeviceTree, Madt } from '../../abi/index.js';
import { InvariantError, present } from '../../base/index.js';
import { linuxCpu, recordOf, recordVcpuId, xenVcpuId, xenVcpuNr } from '../../identity/index.js';
import type { LinuxCpu, SourceName, XenVcpuId } from '../../identity/index.js';
import type { Interposers } from './interposers.js';
import { done, routineOf } from './program.js';
import type { Flow, Program } from './program.js';
import type { Scenario, StrategyName } from '../scenario.js';
import type { Strategy } from './strategies.js';
import type { CpuState, Frame, GuestVcpu, KernelState, Vars, World } from './world.js';

/** The firmware tables that list a guest's CPUs. A PV guest has neither. */
export interface Firmware {
  readonly madt: Madt | null;
  readonly deviceTree: DeviceTree | null;
}

/** The inputs of a run, which it never changes. */
export interface Environment {
  readonly scenario: Scenario;
  readonly platform: Platform;
  readonly firmware: Firmware;
  readonly program: Program;
  readonly strategies: Readonly<Record<StrategyName, Strategy>>;
  readonly interposers: Interposers;
}

export interface StepContext {
  readonly world: World;
  readonly environment: Environment;
  /** The vCPU that really executes. */
  readonly vcpu: XenVcpuId;
  readonly kernel: KernelState;
  /** The CPU that the kernel believes it executes on. */
  readonly cpu: CpuState;
  /** The place of this step. */
  readonly frame: Frame;
  readonly vars: Vars;
  /** The events of this step so far. */
  readonly events: TraceEvent[];
  /** Things done in this step that others can see in between; at most one. */
  readonly acts: string[];
}

type WithoutPlace<E> = E extends TraceEvent ? Omit<E, 'step' | 'timeNs'> : never;

/** Adds an event to the trace, at the present time. */
export function emit(
  { world, events }: Pick<StepContext, 'world' | 'events'>,
  event: WithoutPlace<TraceEvent>,
): void {
  events.push({ ...event, step: events.length, timeNs: world.domain.state.nowNs });
}

/** Notes what this step does to the outside. A step may do one such thing; throws InvariantError on a second one. */
export function act({ acts }: StepContext, what: string): void {
  acts.push(what);
  if (acts.length > 1) throw new InvariantError(`a step does two things: ${acts.join(', ')}`);
}

/** The kernel's phase on this vCPU, as the innermost routine that has one says. */
export function phaseOf({ world, environment, vcpu }: StepContext): string | null {
  const { program } = environment;
  const named = guestVcpu(world, vcpu).frames.findLast(
    ({ routine }) => routineOf(program, routine).phase !== null,
  );
  return named === undefined ? null : routineOf(program, named.routine).phase;
}

export function guestVcpu({ guest }: World, vcpu: XenVcpuId): GuestVcpu {
  return present(guest.vcpus[vcpu], `vCPU ${vcpu} of the guest`);
}

/** The kernel's state of its CPU `cpu`. */
export function cpuOf(kernel: KernelState, cpu: number): CpuState {
  return present(kernel.cpus[cpu], `CPU ${cpu} of the ${kernel.name}`);
}

/** A number that an earlier step of the routine put into `vars`. */
export function numberVar({ vars }: StepContext, name: string): number {
  const value = vars[name];
  if (typeof value === 'number') return value;
  throw new InvariantError(`${name} is not a number here`);
}

/** The CPU that `vars.cpu` names. */
export function subject(context: StepContext): CpuState {
  return cpuOf(context.kernel, numberVar(context, 'cpu'));
}

export function strategyOf({ environment, kernel }: StepContext): Strategy {
  return environment.strategies[kernel.strategy];
}

/** The present time, ns. */
export function nowNs({ world }: StepContext): number {
  return Number(world.domain.state.nowNs);
}

/** Writes a line into the kernel's log. */
export function log(context: StepContext, line: string): void {
  const { kernel, cpu } = context;
  kernel.log.push(line);
  emit(context, { kind: 'log', kernel: kernel.index, linuxCpu: cpu.linuxCpu, line });
}

/** Records that CPU `cpu` is vCPU `value`, as `source` says. */
export function record(context: StepContext, cpu: number, value: number, source: SourceName): void {
  act(context, `record CPU ${cpu}`);
  const { kernel } = context;
  const number = linuxCpu(cpu);
  emit(context, { kind: 'record', kernel: kernel.index, linuxCpu: number, value, source });
  kernel.map = recordVcpuId(kernel.map, number, value, source);
}

/** What the kernel takes for the vCPU id of `cpu` (Linux: `xen_vcpu_nr(cpu)`), to put it into a call or an index. */
export function vcpuNr(context: StepContext, cpu: LinuxCpu): number {
  const { kernel } = context;
  const value = xenVcpuNr(kernel.map, cpu);
  const recorded = recordOf(kernel.map, cpu) !== null;
  emit(context, {
    kind: 'use',
    kernel: kernel.index,
    by: context.cpu.linuxCpu,
    linuxCpu: cpu,
    value,
    recorded,
  });
  return value;
}

/** The vCPU that has a hardware id; null when none has. */
export function vcpuOfHardwareId({ environment }: StepContext, hardwareId: number | null): XenVcpuId | null {
  const vcpu = environment.platform.hardwareIds.findIndex((id) => id === hardwareId);
  return vcpu < 0 ? null : xenVcpuId(vcpu);
}

/** The guest is at its end. Nothing runs after this. */
export function end(
  context: StepContext,
  outcome: NonNullable<World['guest']['end']>['outcome'],
  why: string,
): Flow {
  const { kernel, world } = context;
  world.guest.end ??= { outcome, kernel: kernel.index, why };
  return done;
}

/** The kernel cannot go on (Linux: BUG, panic). */
export function panic(context: StepContext, message: string): Flow {
  log(context, `Kernel panic - not syncing: ${message}`);
  return end(context, 'panic', message);
}
