/**
 * vCPUs that fault for ever: some hundred thousand exceptions a second are all that an engine can take, so a kernel whose handler
 * returns to what faulted would keep its host busy for hours. What changes nothing need not be done again.
 *
 * A vCPU is passed over where it is proved to go on as it does. It went twice through the same states, from one taken branch or
 * exception to the next, and executed only instructions that read and write nothing but registers, or fault, and the returns from
 * these faults. So each round writes to memory what exceptions push, which is the same each time: after the second round, memory
 * and registers are as after the first. Nobody else runs meanwhile, and interrupt lines change between slices only.
 */
import { equalValues, present } from '../../base/index.js';
import type { RunResult } from '../../engine/index.js';
import type { X86Processor, X86VcpuValue, X86VcpuView } from '../../engine/x86_64/index.js';
import { reachOf } from '../../isa/x86_64/index.js';
import { decodedAt } from './code.js';
import type { ReadCode } from './code.js';

/** A slice in which there is less than one exception in so many instructions is no loop of faults. */
const instructionsPerFault = 64;
/** A loop's parts between taken branches and exceptions are fewer than this. */
const mostParts = 64;
/** How many instructions ahead are looked at. */
const mostAhead = 64;
/** The most slices that pass between two looks, as a power of two. */
const longestWait = 6;

/** A vCPU that takes many exceptions: how many slices pass before it is looked at again, and how often that found no loop. */
interface Suspect {
  readonly wait: number;
  readonly failed: number;
}

/** What runs the vCPUs. */
export type Runner = Pick<X86Processor, 'run' | 'vcpus'>;

/** What is known of vCPUs that fault, as a plain value; each list in the order of vCPUs. */
export interface X86FaultLoopsState {
  readonly suspects: readonly (readonly [number, Suspect])[];
  readonly loops: readonly (readonly [number, readonly bigint[]])[];
}

/** The state of a vCPU but for the counts of what is not implemented, which an instruction that is undefined increases. */
function snapshotOf(view: X86VcpuView): X86VcpuValue {
  return { ...view.save(), unimplemented: [] };
}

/** A part of a round: how many instructions it had, and the state behind it. */
interface Step {
  readonly executed: number;
  readonly state: X86VcpuValue;
}

/** A part that was run: its result, whether it is proved to change nothing but registers, and where its exception was, if any. */
interface Part {
  readonly result: RunResult;
  readonly isProved: boolean;
  readonly faultAt: bigint | null;
}

export class FaultLoops {
  readonly #processor: Runner;
  readonly #readCode: ReadCode;
  /** The vCPUs that took many exceptions in their last slice. */
  readonly #suspects = new Map<number, Suspect>();
  /** By vCPU that was passed over: where its exceptions are, in their order. */
  readonly #loops = new Map<number, readonly bigint[]>();

  constructor(processor: Runner, readCode: ReadCode) {
    this.#processor = processor;
    this.#readCode = readCode;
  }

  /** Where a vCPU faults for ever, each address once, in the order in which it comes by; null where that is not proved. */
  loopOf(vcpu: number): readonly bigint[] | null {
    return this.#loops.get(vcpu) ?? null;
  }

  save(): X86FaultLoopsState {
    return {
      suspects: [...this.#suspects].sort(([a], [b]) => a - b),
      loops: [...this.#loops].sort(([a], [b]) => a - b),
    };
  }

  load({ suspects, loops }: X86FaultLoopsState): void {
    this.#suspects.clear();
    this.#loops.clear();
    for (const [vcpu, suspect] of suspects) this.#suspects.set(vcpu, suspect);
    for (const [vcpu, loop] of loops) this.#loops.set(vcpu, loop);
  }

  /** As the processor's `run`: the same result, whether or not the vCPU is passed over. Nothing else may run meanwhile. */
  run(vcpu: number, budget: number): RunResult {
    const view = present(this.#processor.vcpus[vcpu], 'a vCPU');
    const suspect = this.#suspects.get(vcpu) ?? null;
    if (suspect?.wait === 0) return this.#follow(view, vcpu, budget, suspect);
    this.#loops.delete(vcpu);
    const before = view.exceptionsTaken;
    const result = this.#processor.run(vcpu, budget);
    const isFaulting = (view.exceptionsTaken - before) * instructionsPerFault > result.executed;
    if (!isFaulting) this.#suspects.delete(vcpu);
    else if (suspect === null) this.#suspects.set(vcpu, { wait: 0, failed: 0 });
    else this.#suspects.set(vcpu, { ...suspect, wait: suspect.wait - 1 });
    return result;
  }

  /** Runs part by part through two equal rounds, and then passes over as many as fit into the budget. */
  #follow(view: X86VcpuView, vcpu: number, budget: number, { failed }: Suspect): RunResult {
    const start = snapshotOf(view);
    const round: Step[] = [];
    const faults = new Set<bigint>();
    const counts: ReadonlyMap<string, number>[] = [new Map(view.unimplemented)];
    let [executed, again] = [0, -1];
    for (let parts = 0; parts < 2 * mostParts; parts += 1) {
      const { result, isProved, faultAt } = this.#part(view, vcpu, executed);
      executed += result.executed;
      if (faultAt !== null) faults.add(faultAt);
      if (result.reason !== 'budget') return this.#clear(vcpu, { reason: result.reason, executed });
      // A slice that is shorter than two rounds says nothing.
      if (executed >= budget) return { reason: 'budget', executed };
      if (!isProved) break;
      const step = { executed: result.executed, state: snapshotOf(view) };
      if (again < 0) {
        round.push(step);
        if (!equalValues(step.state, start)) continue;
        if (faults.size === 0) break;
        counts.push(new Map(view.unimplemented));
        again = 0;
        continue;
      }
      if (!equalValues(step, round[again])) break;
      again += 1;
      if (again === round.length) return this.#passOver(view, vcpu, budget, { executed, faults, counts });
    }
    this.#loops.delete(vcpu);
    this.#suspects.set(vcpu, { wait: 2 ** failed, failed: Math.min(failed + 1, longestWait) });
    return this.#goOn(vcpu, budget, executed);
  }

  /** Passes over rounds of a loop of which two were executed. The last one is run, so that the slice ends where it would have. */
  #passOver(
    view: X86VcpuView,
    vcpu: number,
    budget: number,
    loop: {
      readonly executed: number;
      readonly faults: ReadonlySet<bigint>;
      readonly counts: readonly ReadonlyMap<string, number>[];
    },
  ): RunResult {
    this.#loops.set(vcpu, [...loop.faults]);
    this.#suspects.set(vcpu, { wait: 0, failed: 0 });
    const one = loop.executed / 2;
    const rounds = Math.max(Math.floor((budget - 1 - loop.executed) / one), 0);
    const [before, after] = loop.counts;
    for (const [what, count] of after ?? []) {
      view.countUnimplemented(what, rounds * (count - (before?.get(what) ?? 0)));
    }
    return this.#goOn(vcpu, budget, loop.executed + rounds * one);
  }

  /** The vCPU waits: it does not fault for ever. */
  #clear(vcpu: number, result: RunResult): RunResult {
    this.#loops.delete(vcpu);
    this.#suspects.delete(vcpu);
    return result;
  }

  #goOn(vcpu: number, budget: number, executed: number): RunResult {
    const { reason, executed: more } = this.#processor.run(vcpu, budget - executed, executed);
    return { reason, executed: executed + more };
  }

  /** Runs to the next taken branch, exception or end of a page. */
  #part(view: X86VcpuView, vcpu: number, executed: number): Part {
    const { exceptionsTaken } = view;
    // An interrupt is taken before anything that was looked at.
    const isInterrupted = view.isInterrupted;
    const { ahead, mayFault } = this.#lookAhead(view);
    const within = ahead.length - 1;
    const result = this.#processor.run(vcpu, 1, executed);
    if (view.exceptionsTaken === exceptionsTaken) {
      return { result, isProved: !isInterrupted && result.executed <= within, faultAt: null };
    }
    const at = result.executed - 1;
    const isProved = !isInterrupted && (at < within || (at === within && mayFault));
    return { result, isProved, faultAt: ahead[at] ?? null };
  }

  /**
   * The places of the instructions from pc on that reach no further than the registers, and of the one behind them; and whether
   * that one changes nothing if it faults.
   */
  #lookAhead(view: X86VcpuView): { readonly ahead: readonly bigint[]; readonly mayFault: boolean } {
    const ahead = [view.pc];
    let pc = view.pc;
    while (ahead.length <= mostAhead) {
      const found = decodedAt(view, this.#readCode, pc);
      const reach = found === null ? 'memory' : reachOf(found.instruction);
      if (found === null || reach !== 'registers') return { ahead, mayFault: reach === 'memory' };
      pc = BigInt.asUintN(64, pc + BigInt(found.fields.length));
      ahead.push(pc);
    }
    return { ahead, mayFault: false };
  }
}
