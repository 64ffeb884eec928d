/** Runs without errors, into which errors are put; and the results of a run with an error. */
import { isDeepStrictEqual } from 'node:util';
import { linux61, runScenario } from '../../src/explore/index.js';
import type { ModelRun, PlatformName, Scenario } from '../../src/explore/index.js';
import type { Mutation } from './mutations.js';

function ground(platform: PlatformName, more: Partial<Scenario>): Scenario {
  return {
    name: `sound ${platform}`,
    strategy: platform === 'arm' ? 'mend' : 'as-posted',
    platform,
    vcpus: 4,
    events: 'fifo',
    release: '4.17',
    era: linux61,
    plot: { name: 'boot' },
    idPolicy: 'xen',
    hypotheticalReset: false,
    ...more,
  };
}

export const arm = (more: Partial<Scenario> = {}): Scenario => ground('arm', more);
export const pvhvm = (more: Partial<Scenario> = {}): Scenario => ground('pvhvm', more);
export const pvh = (more: Partial<Scenario> = {}): Scenario => ground('pvh', more);
export const pv = (more: Partial<Scenario> = {}): Scenario => ground('pv', more);

/** A CPU goes offline and comes back. */
export const cycle: Partial<Scenario> = { plot: { name: 'offline-online', linuxCpu: 2 } };
/** Linux 6.1 without its one literal id, which is right on vCPU 0 alone: as on a host whose TSC is not stable. */
export const withoutLiteral = { ...linux61, registersTimeArea: false };

/** A crash on vCPU 2, with the domain reset before the crash kernel is entered. */
export const kdump: Partial<Scenario> = {
  plot: { name: 'kdump', vcpu: 2, resetFirst: true },
  era: withoutLiteral,
};

/** A change to a run. */
export interface Change {
  /** Description of the change. */
  readonly name: string;
  readonly scenario: Scenario;
  /** The change of the run, or another scenario altogether. */
  readonly change: Mutation | Scenario;
}

export interface Changed {
  readonly sound: ModelRun;
  readonly run: ModelRun;
  /** How often the change took effect. */
  readonly hits: number;
  /** Whether the run differs at all. */
  readonly differs: boolean;
}

/** Runs the scenario unchanged, and with the change. */
export function runBoth({ scenario, change }: Change): Changed {
  let hits = 0;
  const sound = runScenario(scenario);
  const run =
    typeof change === 'function'
      ? runScenario(
          scenario,
          change(() => {
            hits += 1;
          }),
        )
      : runScenario(change);
  const isScenario = typeof change !== 'function' && !isDeepStrictEqual(change, scenario);
  return { sound, run, hits: isScenario ? 1 : hits, differs: !isDeepStrictEqual(sound.events, run.events) };
}

/** The names of the rules that a run breaks, without duplicates. */
export function brokenRules({ findings }: ModelRun): string[] {
  return [...new Set(findings.map(({ rule }) => rule))];
}
