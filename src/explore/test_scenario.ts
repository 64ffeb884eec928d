/** For this module's tests: a scenario to vary, and questions to a run. The entry point does not export it. */
import type { HypercallEvent, StartEvent } from '../audit/index.js';
import { linux61 } from './eras.js';
import { runScenario } from './run.js';
import type { RunOptions } from './run.js';
import type { ModelRun, PlatformName, Plot, Scenario, StrategyName } from './scenario.js';

/** 4 vCPUs, FIFO events, Xen 4.17 and its own ids, Linux 6.1, a plain boot. */
export function aScenario(
  platform: PlatformName,
  strategy: StrategyName,
  rest: Partial<Scenario> = {},
): Scenario {
  return {
    name: `${platform}-${strategy}`,
    strategy,
    platform,
    vcpus: 4,
    events: 'fifo',
    release: '4.17',
    era: linux61,
    plot: { name: 'boot' },
    idPolicy: 'xen',
    hypotheticalReset: false,
    ...rest,
  };
}

export function run(
  platform: PlatformName,
  strategy: StrategyName,
  rest: Partial<Scenario> = {},
  options: RunOptions = {},
): ModelRun {
  return runScenario(aScenario(platform, strategy, rest), options);
}

/** A crash on that vCPU, with the domain reset before the crash kernel starts. */
export function crashOn(vcpu: number, resetFirst = true): { plot: Plot } {
  return { plot: { name: 'kdump', vcpu, resetFirst } };
}

/** The calls of one operation, in order; of one kernel if that is given. */
export function callsOf({ events }: ModelRun, op: string, kernel?: number): HypercallEvent[] {
  return events
    .filter((event): event is HypercallEvent => event.kind === 'hypercall')
    .filter((event) => event.call.op === op && (kernel === undefined || event.kernel === kernel));
}

/** The calls of one kernel that carry an id which was not meant: operation, caller, id, vCPU meant, verdict. */
export function wrongCallsOf({ calls }: ModelRun, kernel: number): unknown[] {
  return calls
    .filter(({ event, verdict }) => event.kernel === kernel && verdict !== 'right')
    .map(({ event, passed, meant, verdict }) => [event.call.op, event.vcpu, passed, meant, verdict]);
}

/**
 * Whether the second kernel, entered on vCPU `entry`, got to user space with nothing wrong but what is wrong in Linux
 * 6.1 itself: the time area, registered for vCPU 0 by a literal.
 */
export function passesButForLiteral(told: ModelRun, entry: number): boolean {
  const { outcome, findings } = told;
  const literal = ['VCPUOP_register_vcpu_time_memory_area', entry, 0, entry, 'silent'];
  const expected = entry === 0 ? [] : [literal];
  const wrong = [...wrongCallsOf(told, 0), ...wrongCallsOf(told, 1)];
  const rules = findings.map(({ rule }) => rule);
  return (
    outcome === 'userspace' &&
    JSON.stringify(wrong) === JSON.stringify(expected) &&
    JSON.stringify(rules) === JSON.stringify(expected.map(() => 'id-is-meant'))
  );
}

export function startsOf({ events }: ModelRun): StartEvent[] {
  return events.filter((event): event is StartEvent => event.kind === 'start');
}

export function logOf({ events }: ModelRun): string[] {
  return events.flatMap((event) => (event.kind === 'log' ? [event.line] : []));
}

/** The rules that the run breaks, each once, in order. */
export function brokenRules({ findings }: ModelRun): string[] {
  return [...new Set(findings.map(({ rule }) => rule))];
}

/** Whether the guest got to user space in its last kernel and no rule was broken. */
export function passes({ outcome, findings }: ModelRun): boolean {
  return outcome === 'userspace' && findings.length === 0;
}

/** How many CPUs the last kernel had online at its end. */
export function onlineAtEnd({ events }: ModelRun): number {
  const end = events.at(-1);
  return end?.kind === 'end' ? end.online.length : -1;
}

/** The vCPUs that turned themselves off, as `how vCPU as CPU`. */
export function stopsOf({ events }: ModelRun): string[] {
  return events.flatMap((event) =>
    event.kind === 'stop' ? [`${event.how} ${event.vcpu} as ${event.linuxCpu ?? '?'}`] : [],
  );
}
