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
import { FaultSuspects, mostAhead, mostParts } from '../fault_suspects.js';
import type { FaultSuspectsState, LoopPart } from '../fault_suspects.js';
import { decodedAt } from './code.js';
import type { ReadCode } from './code.js';

/** What runs the vCPUs. */
export type Runner = Pick<X86Processor, 'run' | 'vcpus'>;

/** The state of a vCPU but for the counts of what is not implemented, which an instruction that is undefined increases. */
function snapshotOf(view: X86VcpuView): X86VcpuValue {
  return { ...view.save(), unimplemented: [] };
}

/** A part of a round: how many instructions it had, and the state behind it. */
interface Step {
  readonly executed: number;
  readonly state: X86VcpuValue;
}

export class FaultLoops {
  readonly #processor: Runner;
  readonly #readCode: ReadCode;
  readonly #suspects = new FaultSuspects();

  constructor(processor: Runner, readCode: ReadCode) {
    this.#processor = processor;
    this.#readCode = readCode;
  }

  /** Where a vCPU faults for ever, each address once, in the order in which it comes by; null where that is not proved. */
  loopOf(vcpu: number): readonly bigint[] | null {
    return this.#suspects.loopOf(vcpu);
  }

  save(): FaultSuspectsState {
    return this.#suspects.save();
  }

  load(state: FaultSuspectsState): void {
    this.#suspects.load(state);
  }

  /** As the processor's `run`: the same result, whether or not the vCPU is passed over. Nothing else may run meanwhile. */
  run(vcpu: number, budget: number): RunResult {
    const view = present(this.#processor.vcpus[vcpu], 'a vCPU');
    if (this.#suspects.isToFollow(vcpu)) return this.#follow(view, vcpu, budget);
    return this.#suspects.watch(vcpu, view, () => this.#processor.run(vcpu, budget));
  }

  /** Runs part by part through two equal rounds, and then passes over as many as fit into the budget. */
  #follow(view: X86VcpuView, vcpu: number, budget: number): RunResult {
    const start = snapshotOf(view);
    const round: Step[] = [];
    const faults = new Set<bigint>();
    const counts: ReadonlyMap<string, number>[] = [new Map(view.unimplemented)];
    let [executed, again] = [0, -1];
    for (let parts = 0; parts < 2 * mostParts; parts += 1) {
      const { result, isProved, faultAt } = this.#part(view, vcpu, executed);
      executed += result.executed;
      if (faultAt !== null) faults.add(faultAt);
      if (result.reason !== 'budget') {
        this.#suspects.clear(vcpu);
        return { reason: result.reason, executed };
      }
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
    this.#suspects.foundNone(vcpu);
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
    this.#suspects.found(vcpu, loop.faults);
    const one = loop.executed / 2;
    const rounds = Math.max(Math.floor((budget - 1 - loop.executed) / one), 0);
    const [before, after] = loop.counts;
    for (const [what, count] of after ?? []) {
      view.countUnimplemented(what, rounds * (count - (before?.get(what) ?? 0)));
    }
    return this.#goOn(vcpu, budget, loop.executed + rounds * one);
  }

  #goOn(vcpu: number, budget: number, executed: number): RunResult {
    const { reason, executed: more } = this.#processor.run(vcpu, budget - executed, executed);
    return { reason, executed: executed + more };
  }

  /** Runs to the next taken branch, exception or end of a page. */
  #part(view: X86VcpuView, vcpu: number, executed: number): LoopPart {
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
