/** Hand-made runs, for testing the code that draws and summarises runs with any events. */
import type { HypercallEvent, JudgedCall, Outcome, Platform, TraceEvent } from '../src/audit/index.js';
import { linux48 } from '../src/explore/index.js';
import type { CpuRow, ModelRun, Scenario } from '../src/explore/index.js';
import { invalidVcpuNr, linuxCpu, mpidr, xenVcpuId } from '../src/identity/index.js';

export const handMadeScenario: Scenario = {
  name: 'hand-made',
  strategy: 'as-posted',
  platform: 'arm',
  vcpus: 4,
  events: 'fifo',
  release: '4.17',
  era: linux48,
  plot: { name: 'boot' },
  idPolicy: 'xen',
  hypotheticalReset: false,
};

type Loose<E> = E extends TraceEvent ? Omit<E, 'step' | 'timeNs'> : never;
export type LooseEvent = Loose<TraceEvent>;

/** An event in which a kernel takes over on a vCPU. */
export function kernelEvent(entry: number, name = 'first kernel', kernel = 0): LooseEvent {
  const possible = [0, 1, 2, 3].map((cpu) => ({ linuxCpu: linuxCpu(cpu), hardwareId: mpidr(cpu) }));
  return {
    kind: 'kernel',
    kernel,
    name,
    entryVcpu: xenVcpuId(entry),
    possible,
    leftOut: [],
    records: 'readable',
  };
}

export function callEvent(vcpu: number, op: string, vcpuId: number | null, returned = 0): LooseEvent {
  const call = { hypercall: 'any', op, vcpuId, detail: {}, returned };
  return { kind: 'hypercall', kernel: 0, vcpu: xenVcpuId(vcpu), linuxCpu: null, call, phase: null };
}

export function startEvent(by: number, target: number | null, returned = 0): LooseEvent {
  const to = target === null ? null : xenVcpuId(target);
  const meant = linuxCpu(target ?? 0);
  return {
    kind: 'start',
    kernel: 0,
    by: xenVcpuId(by),
    linuxCpu: null,
    how: 'psci',
    meant,
    target: to,
    returned,
  };
}

export function cpuEvent(kind: 'running' | 'online' | 'offline', vcpu: number, cpu = vcpu): LooseEvent {
  return { kind, kernel: 0, vcpu: xenVcpuId(vcpu), linuxCpu: linuxCpu(cpu) };
}

export function strayEvent(vcpu: number, cpu: number, boundFor: number, purpose = 'timer'): LooseEvent {
  const place = { vcpu: xenVcpuId(vcpu), linuxCpu: linuxCpu(cpu), boundFor: linuxCpu(boundFor) };
  return { kind: 'event', kernel: 0, port: 5, purpose, ...place };
}

export function endEvent(outcome: Outcome, why: string, online: readonly number[] = [0]): LooseEvent {
  return { kind: 'end', kernel: 0, outcome, online: online.map(linuxCpu), why };
}

/** The intended vCPU of a call, by the position of the call. */
export type Meant = Readonly<Record<number, number | null>>;

function judged(event: HypercallEvent, meant: number | null): JudgedCall {
  const passed = event.call.vcpuId ?? 0;
  const wrong = event.call.returned < 0 ? 'refused' : 'silent';
  const verdict = passed === meant ? 'right' : wrong;
  return { event, passed, meant: meant === null ? null : xenVcpuId(meant), verdict, reason: null };
}

export function cpuRow(cpu: number, vcpu: number | null, recorded: number | null, online = true): CpuRow {
  const of = vcpu === null ? null : xenVcpuId(vcpu);
  const hardwareId = vcpu === null ? null : mpidr(vcpu);
  return { kernel: 0, linuxCpu: linuxCpu(cpu), hardwareId, vcpu: of, recorded, online };
}

export const handMadePlatform: Platform = {
  kind: 'arm',
  release: '4.17',
  hardwareIds: [0, 1, 2, 3].map((id) => mpidr(id)),
  fifo: true,
  softReset: false,
};

/**
 * A run with the given events. A call is right if any vCPU has its id, unless `meant` gives the intended id by
 * position.
 */
export function handMadeRun(
  loose: readonly LooseEvent[],
  meant: Meant = {},
  rest: Partial<ModelRun> = {},
): ModelRun {
  const events = loose.map((event, step): TraceEvent => ({ ...event, step, timeNs: BigInt(step) }));
  const calls = events
    .filter((event): event is HypercallEvent => event.kind === 'hypercall' && event.call.vcpuId !== null)
    .map((event) => {
      const said = meant[event.step];
      const own = event.call.vcpuId === invalidVcpuNr ? null : event.call.vcpuId;
      return judged(event, said === undefined ? own : said);
    });
  const end = events.findLast((event) => event.kind === 'end');
  return {
    scenario: handMadeScenario,
    platform: handMadePlatform,
    events,
    calls,
    findings: [],
    cpus: [cpuRow(0, 0, 0)],
    outcome: end?.kind === 'end' ? end.outcome : 'hang',
    ending: end?.kind === 'end' ? end.why : '',
    ...rest,
  };
}
