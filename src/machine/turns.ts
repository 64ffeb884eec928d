/**
 * The vCPU scheduler: round-robin with time slices, called turns. Each turn has a length in instructions that is drawn
 * from the seed, and ends at the next scheduling point (docs/decisions/0015-scheduling-points.md). A vCPU that cannot run is skipped;
 * one that yields gives up the rest of its turn. The order depends only on the seed and on what the guest does, not on
 * how an engine divides code.
 */
import type { Chance } from './chance.js';
import { chanceOf, drawBetween } from './chance.js';

/** The shortest and the longest turn, in instructions. */
const turn = { shortest: 2_000, longest: 20_000 } as const;

/**
 * Idle time in ns when every runnable vCPU has yielded. It doubles each time in a row, so that short waits are precise
 * and long waits are cheap.
 */
const idle = { shortestNs: 1_000, longestNs: 32_000 } as const;

export interface Turns {
  chance: Chance;
  /** The vCPU that had the last turn. */
  last: number;
  /** By vCPU: whether its last turn ended with a yield, without idling since. */
  yielded: boolean[];
  /** The next idle time in ns. */
  idleNs: number;
}

export function newTurns(seed: number, vcpus: number): Turns {
  return {
    chance: chanceOf(seed),
    last: vcpus - 1,
    yielded: Array.from({ length: vcpus }, () => false),
    idleNs: idle.shortestNs,
  };
}

/** The next step: a vCPU's turn, an idle time because all runnable vCPUs have yielded, or none. */
export type NextTurn =
  | { readonly kind: 'turn'; readonly vcpu: number; readonly instructions: number }
  | { readonly kind: 'idle'; readonly ns: number }
  | { readonly kind: 'none' };

/**
 * The next step. The turn goes to the next runnable vCPU after the last one, unless all runnable vCPUs have yielded.
 */
export function nextTurn(turns: Turns, canRun: (vcpu: number) => boolean): NextTurn {
  const { yielded } = turns;
  let next: number | null = null;
  for (let distance = 1; distance <= yielded.length; distance += 1) {
    const vcpu = (turns.last + distance) % yielded.length;
    if (!canRun(vcpu)) continue;
    next ??= vcpu;
    if (yielded[vcpu] === true) continue;
    turns.last = next;
    return { kind: 'turn', vcpu: next, instructions: drawBetween(turns.chance, turn.shortest, turn.longest) };
  }
  if (next === null) return { kind: 'none' };
  yielded.fill(false);
  const ns = turns.idleNs;
  turns.idleNs = Math.min(2 * ns, idle.longestNs);
  return { kind: 'idle', ns };
}

/** Ends a turn. `yielded` tells whether the vCPU yielded. */
export function endTurn(turns: Turns, vcpu: number, yielded: boolean): void {
  turns.yielded[vcpu] = yielded;
  if (!yielded) turns.idleNs = idle.shortestNs;
}
