/**
 * A vCPU that faults at its own exception vector: each instruction takes the same exception and changes nothing any more,
 * since interrupts are masked there. Some millions of exceptions a second are all that an engine can take, so a kernel that
 * jumped into nowhere would keep its host busy for an hour; what does not change need not be done again.
 */
import { equalValues, present } from '../base/index.js';
import type { Arm64Processor, RunResult, VcpuView } from '../engine/index.js';

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

export class Standstill {
  readonly #processor: Arm64Processor;
  /** The vCPUs of which one instruction was once seen to change nothing at all, and that have not moved since. */
  readonly #still = new Set<number>();

  constructor(processor: Arm64Processor) {
    this.#processor = processor;
  }

  /** As the processor's `run`: the same result, whether or not the vCPU stands still. Nothing else may run meanwhile. */
  run(vcpu: number, budget: number): RunResult {
    const view = present(this.#processor.vcpus[vcpu], 'a vCPU');
    if (!isAtOwnVector(view)) {
      this.#still.delete(vcpu);
      return this.#processor.run(vcpu, budget);
    }
    const look = (): unknown => (this.#still.has(vcpu) ? traceOf(view) : view.save());
    const before = look();
    const first = this.#processor.run(vcpu, 1);
    // Others may have written what is executed there since.
    if (first.executed !== 1 || first.reason !== 'budget' || !equalValues(before, look())) {
      this.#still.delete(vcpu);
      return first;
    }
    this.#still.add(vcpu);
    return { reason: 'budget', executed: budget };
  }
}
