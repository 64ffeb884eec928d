/**
 * vCPUs that fault for ever. Some hundred thousand exceptions a second are all that an engine can take, so a kernel that jumped
 * into nowhere would keep its host busy for an hour; what changes nothing need not be done again.
 *
 * A vCPU is passed over where it is proved to go on as it does: it executed some instructions that leave all of its state as it
 * was, and that read and write nothing but that state. Nobody else runs meanwhile, and interrupt lines change between slices
 * only, so that it would do the same until the slice ends. Each slice is proved anew.
 */
import { equalValues, present } from '../../base/index.js';
import type { Arm64Processor, RunResult, VcpuView } from '../../engine/index.js';
import { alwaysLeaves, reachOf } from '../../isa/index.js';
import { FaultSuspects, mostAhead, mostParts } from '../fault_suspects.js';
import type { FaultSuspectsState, LoopPart } from '../fault_suspects.js';
import { instructionOf } from './code.js';
import type { ReadCode } from './code.js';

/** Offsets from VBAR_EL1 of a synchronous exception taken at EL1 (Arm DDI 0487, D1.3.1.4). */
const vectors = [0x0n, 0x200n];

/** Whether the last thing that happened may have been a fault at the very vector that it leads to. */
function isAtOwnVector(view: VcpuView): boolean {
  const { pc } = view;
  if (pc !== view.systemRegister('ELR_EL1')) return false;
  const base = view.systemRegister('VBAR_EL1');
  return vectors.some((offset) => pc === BigInt.asUintN(64, base + offset));
}

/**
 * What one instruction that leaves the program counter where it is can change: a fault's registers, and the link register
 * of a branch.
 */
function traceOf(view: VcpuView): readonly bigint[] {
  const faults = ['ELR_EL1', 'ESR_EL1', 'FAR_EL1', 'SPSR_EL1'].map((name) => view.systemRegister(name));
  return [view.pc, view.register(30), ...faults];
}

const instructionBytes = 4;
const pageBytes = 4096n;
/** ESR_EL1.EC of a data abort from EL0 and from EL1. */
const dataAborts: readonly bigint[] = [0x24n, 0x25n];
/** The longest access that is one. */
const accessBytes = 8n;

/** What runs the vCPUs. */
export type Runner = Pick<Arm64Processor, 'run' | 'vcpus'>;

/** What is known of vCPUs that fault, as a plain value; each list in the order of vCPUs. */
export interface FaultLoopsState extends FaultSuspectsState {
  readonly still: readonly number[];
}

export class FaultLoops {
  readonly #processor: Runner;
  readonly #readCode: ReadCode;
  /** The vCPUs of which one instruction was once seen to change nothing at all, and that have not moved since. */
  readonly #still = new Set<number>();
  readonly #suspects = new FaultSuspects();

  constructor(processor: Runner, readCode: ReadCode) {
    this.#processor = processor;
    this.#readCode = readCode;
  }

  /** Where a vCPU faults for ever, each address once, in the order in which it comes by; null where that is not proved. */
  loopOf(vcpu: number): readonly bigint[] | null {
    return this.#suspects.loopOf(vcpu);
  }

  save(): FaultLoopsState {
    return { still: [...this.#still].sort((a, b) => a - b), ...this.#suspects.save() };
  }

  load({ still, ...suspects }: FaultLoopsState): void {
    this.#still.clear();
    for (const vcpu of still) this.#still.add(vcpu);
    this.#suspects.load(suspects);
  }

  /** As the processor's `run`: the same result, whether or not the vCPU is passed over. Nothing else may run meanwhile. */
  run(vcpu: number, budget: number): RunResult {
    const view = present(this.#processor.vcpus[vcpu], 'a vCPU');
    if (isAtOwnVector(view)) return this.#stand(view, vcpu, budget);
    this.#still.delete(vcpu);
    if (this.#suspects.isToFollow(vcpu)) return this.#follow(view, vcpu, budget);
    return this.#suspects.watch(vcpu, view, () => this.#processor.run(vcpu, budget));
  }

  /** A vCPU at its own vector: each instruction takes the same exception, and interrupts are masked there. */
  #stand(view: VcpuView, vcpu: number, budget: number): RunResult {
    const look = (): unknown => (this.#still.has(vcpu) ? traceOf(view) : view.save());
    const before = look();
    const first = this.#processor.run(vcpu, 1);
    // Others may have written what is executed there since.
    if (first.executed !== 1 || first.reason !== 'budget' || !equalValues(before, look())) {
      this.#still.delete(vcpu);
      this.#suspects.moves(vcpu);
      return first;
    }
    this.#still.add(vcpu);
    this.#suspects.stands(vcpu, view.pc);
    return { reason: 'budget', executed: budget };
  }

  /** Runs part by part until the vCPU's state comes again, and then passes over as many rounds as fit into the budget. */
  #follow(view: VcpuView, vcpu: number, budget: number): RunResult {
    const before = view.save();
    const faults = new Set<bigint>();
    let executed = 0;
    for (let parts = 0; parts < mostParts; parts += 1) {
      const { result, isProved, faultAt } = this.#part(view, vcpu, executed);
      executed += result.executed;
      if (faultAt !== null) faults.add(faultAt);
      if (result.reason !== 'budget') {
        this.#suspects.clear(vcpu);
        return { reason: result.reason, executed };
      }
      // A slice that is shorter than a loop says nothing of it.
      if (executed >= budget) return { reason: 'budget', executed };
      if (!isProved) break;
      if (faults.size === 0 || view.pc !== before.pc || !equalValues(before, view.save())) continue;
      this.#suspects.found(vcpu, faults);
      // The last round is run, so that the slice ends where it would have.
      return this.#goOn(vcpu, budget, executed * Math.floor((budget - 1) / executed));
    }
    this.#suspects.foundNone(vcpu);
    return this.#goOn(vcpu, budget, executed);
  }

  #goOn(vcpu: number, budget: number, executed: number): RunResult {
    const { reason, executed: more } = this.#processor.run(vcpu, budget - executed, executed);
    return { reason, executed: executed + more };
  }

  /** Runs to the next taken branch, exception or end of a page. */
  #part(view: VcpuView, vcpu: number, executed: number): LoopPart {
    const { pc, exceptionsTaken } = view;
    // An interrupt is taken before anything that was looked at.
    const isInterrupted = (view.systemRegister('ISR_EL1') & ~view.systemRegister('DAIF')) !== 0n;
    const { within, access } = this.#lookAhead(view);
    const result = this.#processor.run(vcpu, 1, executed);
    if (view.exceptionsTaken === exceptionsTaken) {
      return { result, isProved: !isInterrupted && result.executed <= within, faultAt: null };
    }
    const before = result.executed - 1;
    const isProved = before < within || (before === within && changesNothing(view, access));
    return { result, isProved: isProved && !isInterrupted, faultAt: pc + BigInt(before * instructionBytes) };
  }

  /**
   * How many instructions from pc on reach no further than the registers; and what comes behind them: one access to memory, or
   * something else (`beyond`), which is no instruction at all where it is `undefined`.
   */
  #lookAhead(view: VcpuView): {
    readonly within: number;
    readonly access: 'memory' | 'beyond' | 'undefined';
  } {
    const { pc } = view;
    for (let within = 0; within < mostAhead; within += 1) {
      const address = pc + BigInt(within * instructionBytes);
      const word = this.#readCode(view, address);
      const found = word === null ? null : instructionOf(view, word);
      if (found === null) return { within, access: 'undefined' };
      const reach = reachOf(found);
      if (reach !== 'registers') return { within, access: reach };
      if (alwaysLeaves(found)) return { within: within + 1, access: 'beyond' };
    }
    return { within: mostAhead, access: 'beyond' };
  }
}

/**
 * Whether an instruction behind those that reach no further than the registers changed nothing by taking the exception that the
 * vCPU has just taken. An access that faults has done nothing, unless it is two: a pair's, or one across a page's end.
 */
function changesNothing(view: VcpuView, access: 'memory' | 'beyond' | 'undefined'): boolean {
  const isDataAbort = dataAborts.includes(view.systemRegister('ESR_EL1') >> 26n);
  if (!isDataAbort) return true;
  if (access !== 'memory') return false;
  return view.systemRegister('FAR_EL1') % pageBytes <= pageBytes - accessBytes;
}
