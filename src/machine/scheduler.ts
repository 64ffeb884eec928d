/**
 * The vCPU scheduler: round-robin with time slices, called turns. Each turn has a length in instructions that is drawn
 * from the seed, and ends at the next scheduling point (docs/decisions/0015-scheduling-points.md). A vCPU that cannot run is skipped;
 * one that yields gives up the rest of its turn. The order depends only on the seed and on what the guest does, not on
 * how an engine divides code.
 */
import type { XenVcpuId } from '../identity/index.js';
import type { Random } from './random.js';
import { drawBetween, randomOf } from './random.js';

/** The shortest and the longest turn, in instructions. */
const turn = { shortest: 2_000, longest: 20_000 } as const;

/**
 * Idle time in ns when every runnable vCPU has yielded. It doubles each time in a row, so that short waits are precise
 * and long waits are cheap.
 */
const idle = { shortestNs: 1_000, longestNs: 32_000 } as const;

/** The scheduler's whole state, a plain value. */
export interface Schedule {
  random: Random;
  /** The vCPU that had the last turn. */
  last: number;
  /** By vCPU: whether its last turn ended with a yield, without idling since. */
  yielded: boolean[];
  /** The next idle time in ns. */
  idleNs: number;
}

export function newSchedule(seed: number, vcpus: number): Schedule {
  return {
    random: randomOf(seed),
    last: vcpus - 1,
    yielded: Array.from({ length: vcpus }, () => false),
    idleNs: idle.shortestNs,
  };
}

/** The next step: a vCPU's turn, an idle time because all runnable vCPUs have yielded, or none. */
export type NextTurn =
  | { readonly kind: 'turn'; readonly vcpu: XenVcpuId; readonly instructions: number }
  | { readonly kind: 'idle'; readonly ns: number }
  | { readonly kind: 'none' };

/**
 * The next step. The turn goes to the next runnable vCPU after the last one, unless all runnable vCPUs have yielded. `vcpus` are
 * all vCPUs, by index.
 */
export function nextTurn(
  schedule: Schedule,
  vcpus: readonly XenVcpuId[],
  canRun: (vcpu: XenVcpuId) => boolean,
): NextTurn {
  const { yielded } = schedule;
  let next: XenVcpuId | null = null;
  for (let distance = 1; distance <= vcpus.length; distance += 1) {
    const vcpu = vcpus[(schedule.last + distance) % vcpus.length];
    if (vcpu === undefined || !canRun(vcpu)) continue;
    next ??= vcpu;
    if (yielded[vcpu] === true) continue;
    schedule.last = next;
    return {
      kind: 'turn',
      vcpu: next,
      instructions: drawBetween(schedule.random, turn.shortest, turn.longest),
    };
  }
  if (next === null) return { kind: 'none' };
  yielded.fill(false);
  const ns = schedule.idleNs;
  schedule.idleNs = Math.min(2 * ns, idle.longestNs);
  return { kind: 'idle', ns };
}

/** Ends a turn. `yielded` tells whether the vCPU yielded. */
export function endTurn(schedule: Schedule, vcpu: XenVcpuId, yielded: boolean): void {
  schedule.yielded[vcpu] = yielded;
  if (!yielded) schedule.idleNs = idle.shortestNs;
}
