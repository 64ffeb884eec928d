/** Counts of a run. */
import type { ModelRun } from '../scenario.js';

export interface Tally {
  /** Hypercalls that carry a vCPU id. */
  readonly calls: number;
  /** Those that carry the id that was meant. */
  readonly right: number;
  /** Those that carry another id and were refused. */
  readonly refused: number;
  /** Those that carry another id and were accepted. */
  readonly silent: number;
  /** Requests to start a vCPU (PSCI CPU_ON, SIPI, VCPUOP_up). */
  readonly starts: number;
}

export function tallyOf({ calls, events }: Pick<ModelRun, 'calls' | 'events'>): Tally {
  const count = (verdict: string): number => calls.filter((call) => call.verdict === verdict).length;
  return {
    calls: calls.length,
    right: count('right'),
    refused: count('refused'),
    silent: count('silent'),
    starts: events.filter(({ kind }) => kind === 'start').length,
  };
}
