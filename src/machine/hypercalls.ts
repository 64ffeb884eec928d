/** Makes a vCPU's hypercalls: asks the hypervisor, answers the guest, and lets the call's effects act on the machine. */
import { hypercall, wakeVcpu } from '../hypervisor/index.js';
import type { CallerPort, CallRecord, Domain } from '../hypervisor/index.js';
import type { XenVcpuId } from '../identity/index.js';
import { present } from '../base/index.js';
import type { MachineListener } from './board.js';
import type { HypercallAbi } from './hypercall_abi.js';

/** The parts of a machine that its hypercalls act on. */
export interface HypercallParts {
  readonly domain: () => Domain;
  readonly abi: HypercallAbi;
  readonly caller: CallerPort;
  readonly listener: MachineListener;
  /** Whether an interrupt is asserted that ends the vCPU's wait if the CPU takes interrupts. */
  isInterrupted(vcpu: XenVcpuId): boolean;
  /** Drops all translations that depend on the guest's physical memory map. */
  memoryMapChanged(): void;
}

export class Hypercalls {
  readonly #parts: HypercallParts;

  constructor(parts: HypercallParts) {
    this.#parts = parts;
  }

  /** Makes the call of a vCPU whose program counter is behind the instruction. */
  make(vcpu: XenVcpuId): void {
    const { abi, caller, listener, domain } = this.#parts;
    const { number, args } = abi.read(vcpu);
    listener.calling?.(vcpu);
    const record = hypercall(domain(), vcpu, number, args, caller);
    this.#apply(vcpu, record);
    if (record.again !== undefined) {
      abi.rewind(vcpu, record.again);
      return;
    }
    abi.answer(vcpu, record.returned);
    // An interrupt that is there keeps the vCPU from waiting, if it would take it.
    if (abi.takesInterrupts(vcpu)) this.wakeIfInterrupted(vcpu);
    listener.hypercall?.(vcpu, record);
  }

  /** Ends the wait of a vCPU for which an interrupt is asserted. */
  wakeIfInterrupted(vcpu: XenVcpuId): void {
    const domain = this.#parts.domain();
    const { blocked } = present(domain.state.vcpus[vcpu], 'a vCPU');
    if (blocked === null || !this.#parts.isInterrupted(vcpu)) return;
    wakeVcpu(domain, vcpu);
  }

  #apply(vcpu: XenVcpuId, { effects = [] }: CallRecord): void {
    for (const { kind } of effects) {
      if (kind === 'memoryMap') this.#parts.memoryMapChanged();
      else if (kind === 'interruptsEnabled') this.#parts.abi.enableInterrupts(vcpu);
    }
  }
}
