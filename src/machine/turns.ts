/**
 * Whose turn it is. vCPUs run one after the other, each for a number of instructions that the seed decides; one that
 * waits, or gives its turn up, is passed over. Nothing but the seed and what the guest does decides the order.
 */
import type { Chance } from './chance.js';
import { chanceOf, drawBetween } from './chance.js';

/** The shortest and the longest turn, in instructions. */
const turn = { shortest: 2_000, longest: 20_000 } as const;

export interface Turns {
  chance: Chance;
  /** The vCPU whose turn was last. */
  last: number;
}

export function newTurns(seed: number, vcpus: number): Turns {
  return { chance: chanceOf(seed), last: vcpus - 1 };
}

/** The next vCPU after the last one that can run, and how long its turn is; null when none can. */
export function nextTurn(
  turns: Turns,
  vcpus: number,
  canRun: (vcpu: number) => boolean,
): { readonly vcpu: number; readonly instructions: number } | null {
  for (let distance = 1; distance <= vcpus; distance += 1) {
    const vcpu = (turns.last + distance) % vcpus;
    if (!canRun(vcpu)) continue;
    turns.last = vcpu;
    return { vcpu, instructions: drawBetween(turns.chance, turn.shortest, turn.longest) };
  }
  return null;
}
