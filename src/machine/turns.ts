/**
 * Whose turn it is. vCPUs run one after the other, each for a number of instructions that the seed decides, to the next
 * taken branch, exception or end of a page of code. One that cannot run is passed over; one that yields gives up the rest of
 * its turn. Nothing but the seed and what the guest does decides the order, and no engine's way of cutting code does.
 */
import type { Chance } from './chance.js';
import { chanceOf, drawBetween } from './chance.js';

/** The shortest and the longest turn, in instructions. */
const turn = { shortest: 2_000, longest: 20_000 } as const;

/**
 * How long the machine idles when every vCPU that could run has yielded, in ns: twice as long each time in a row, so that
 * short waits are exact and long ones cost little.
 */
const idle = { shortestNs: 1_000, longestNs: 32_000 } as const;

export interface Turns {
  chance: Chance;
  /** The vCPU whose turn was last. */
  last: number;
  /** By vCPU: whether its last turn ended with its yielding, and no idling came since. */
  yielded: boolean[];
  /** How long the next idling is, in ns. */
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

/** What comes next: a vCPU's turn, a while in which all that could run wait for something to happen, or nothing. */
export type NextTurn =
  | { readonly kind: 'turn'; readonly vcpu: number; readonly instructions: number }
  | { readonly kind: 'idle'; readonly ns: number }
  | { readonly kind: 'none' };

/** The next turn: that of the next vCPU after the last one that can run, unless all of those have yielded. */
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

/** A turn is over; `yielded` when the vCPU gave it up. */
export function endTurn(turns: Turns, vcpu: number, yielded: boolean): void {
  turns.yielded[vcpu] = yielded;
  if (!yielded) turns.idleNs = idle.shortestNs;
}
