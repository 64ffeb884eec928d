/** Which vCPUs may fault for ever, and which were found to: what the architectures' `FaultLoops` know of them between slices. */
import type { RunResult } from '../engine/index.js';

/** A slice in which there is less than one exception in so many instructions is no loop of faults. */
const instructionsPerFault = 64;
/** The most slices that pass between two looks, as a power of two. */
const longestWait = 6;

/** A loop's parts between taken branches and exceptions are fewer than this. */
export const mostParts = 64;
/** How many instructions ahead are looked at. */
export const mostAhead = 64;

/** A part of a loop, up to the next taken branch, exception or end of a page. */
export interface LoopPart {
  readonly result: RunResult;
  /** Whether it is proved to change nothing but registers, and what an exception changes. */
  readonly isProved: boolean;
  /** Where the exception was taken that ended it; null if none did. */
  readonly faultAt: bigint | null;
}

/** A vCPU that takes many exceptions: how many slices pass before it is looked at again, and how often that found no loop. */
interface Suspect {
  readonly wait: number;
  readonly failed: number;
}

/** A plain value; each list in the order of vCPUs. */
export interface FaultSuspectsState {
  readonly suspects: readonly (readonly [number, Suspect])[];
  readonly loops: readonly (readonly [number, readonly bigint[]])[];
}

export class FaultSuspects {
  /** The vCPUs that took many exceptions in their last slice. */
  readonly #suspects = new Map<number, Suspect>();
  /** By vCPU that was passed over: where its exceptions are, in their order. */
  readonly #loops = new Map<number, readonly bigint[]>();

  /** Where a vCPU faults for ever, each address once, in the order in which it comes by; null where that is not proved. */
  loopOf(vcpu: number): readonly bigint[] | null {
    return this.#loops.get(vcpu) ?? null;
  }

  save(): FaultSuspectsState {
    return {
      suspects: [...this.#suspects].sort(([a], [b]) => a - b),
      loops: [...this.#loops].sort(([a], [b]) => a - b),
    };
  }

  load({ suspects, loops }: FaultSuspectsState): void {
    this.#suspects.clear();
    this.#loops.clear();
    for (const [vcpu, suspect] of suspects) this.#suspects.set(vcpu, suspect);
    for (const [vcpu, loop] of loops) this.#loops.set(vcpu, loop);
  }

  /** Whether to look for a loop in the vCPU's next slice, instead of {@link watch}. */
  isToFollow(vcpu: number): boolean {
    return this.#suspects.get(vcpu)?.wait === 0;
  }

  /** Runs a slice as it is, and counts the exceptions that the vCPU takes. */
  watch(vcpu: number, view: { readonly exceptionsTaken: number }, run: () => RunResult): RunResult {
    this.#loops.delete(vcpu);
    const before = view.exceptionsTaken;
    const result = run();
    const suspect = this.#suspects.get(vcpu) ?? null;
    const isFaulting = (view.exceptionsTaken - before) * instructionsPerFault > result.executed;
    if (!isFaulting) this.#suspects.delete(vcpu);
    else if (suspect === null) this.#suspects.set(vcpu, { wait: 0, failed: 0 });
    else this.#suspects.set(vcpu, { ...suspect, wait: suspect.wait - 1 });
    return result;
  }

  /** A loop was found by following the vCPU, with exceptions at these addresses. */
  found(vcpu: number, faults: Iterable<bigint>): void {
    this.#loops.set(vcpu, [...faults]);
    this.#suspects.set(vcpu, { wait: 0, failed: 0 });
  }

  /** The vCPU stands at one instruction that faults for ever. It need not be a suspect. */
  stands(vcpu: number, at: bigint): void {
    this.#loops.set(vcpu, [at]);
  }

  /** The vCPU stands no more. */
  moves(vcpu: number): void {
    this.#loops.delete(vcpu);
  }

  /** No loop was found by following the vCPU: it is looked at again after twice as many slices as the last time. */
  foundNone(vcpu: number): void {
    const failed = this.#suspects.get(vcpu)?.failed ?? 0;
    this.#loops.delete(vcpu);
    this.#suspects.set(vcpu, { wait: 2 ** failed, failed: Math.min(failed + 1, longestWait) });
  }

  /** The vCPU waits: it does not fault for ever. */
  clear(vcpu: number): void {
    this.#loops.delete(vcpu);
    this.#suspects.delete(vcpu);
  }
}
