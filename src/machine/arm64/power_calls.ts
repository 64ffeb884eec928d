/** What a vCPU asks of Xen by Arm's SMC Calling Convention: power calls, and the calls that only answer (smccc.ts). */
import { GUEST_EVTCHN_PPI, PSCI_RET_SUCCESS } from '../../abi/index.js';
import { present } from '../../base/index.js';
import type { Gic } from '../../devices/index.js';
import { isPrivateLatched, setCpuPower } from '../../devices/index.js';
import type { Arm64Processor } from '../../engine/index.js';
import { psciCall, servesPsci, upcallDropped } from '../../hypervisor/index.js';
import type { Domain } from '../../hypervisor/index.js';
import type { XenVcpuId } from '../../identity/index.js';
import type { MachineListener } from '../board.js';
import type { UnknownCall } from './diagnosis.js';
import { smcccCall } from './smccc.js';

/** The parts of the machine that power calls act on. */
export interface PowerParts {
  readonly domain: () => Domain;
  readonly processor: Arm64Processor;
  readonly gic: Gic;
  readonly listener: MachineListener;
  /** Ends the wait of a vCPU for which an interrupt is asserted. */
  wakeIfInterrupted(vcpu: XenVcpuId): void;
}

export class PowerCalls {
  readonly #parts: PowerParts;
  /** By vCPU: its last call, where Xen does not serve that. */
  readonly #unknown = new Map<XenVcpuId, UnknownCall>();

  constructor(parts: PowerParts) {
    this.#parts = parts;
  }

  /** What the last call of a vCPU asked for by Arm's convention, where Xen does not serve that; null otherwise. */
  unknownCallOf(vcpu: XenVcpuId): UnknownCall | null {
    return this.#unknown.get(vcpu) ?? null;
  }

  /** The last calls that Xen does not serve, as a plain value. */
  save(): readonly (readonly [XenVcpuId, UnknownCall])[] {
    return [...this.#unknown].sort(([a], [b]) => a - b);
  }

  load(unknown: readonly (readonly [XenVcpuId, UnknownCall])[]): void {
    this.#unknown.clear();
    for (const [vcpu, call] of unknown) this.#unknown.set(vcpu, call);
  }

  /** The vCPU makes a call of another kind. */
  forgetUnknown(vcpu: XenVcpuId): void {
    this.#unknown.delete(vcpu);
  }

  /**
   * Makes the call of a vCPU whose pc is behind the instruction. SMC #0 is what HVC #0 is, a call by convention
   * (Xen 4.17 arch/arm/vsmc.c, do_trap_smc).
   */
  make(vcpu: XenVcpuId, instruction: 'hvc' | 'smc'): void {
    const view = present(this.#parts.processor.vcpus[vcpu], 'a vCPU');
    const functionId = view.registerLow(0);
    const known = smcccCall(functionId, view.registerLow(1));
    if (known === null && !servesPsci(functionId)) this.#unknown.set(vcpu, { instruction, functionId });
    if (known === null) {
      const args = [view.register(1), view.register(2), view.register(3)];
      view.setRegisterNumber(0, this.#power(vcpu, functionId, args));
    } else for (const [register, value] of known.entries()) view.setRegister(register, value);
  }

  #power(vcpu: XenVcpuId, functionId: number, args: readonly bigint[]): number {
    const { gic, listener, domain } = this.#parts;
    const { returned, target, power } = psciCall(domain(), vcpu, functionId, args);
    if (!present(domain().state.vcpus[vcpu], 'a vCPU').up) setCpuPower(gic, vcpu, false);
    // From now on interrupts wait for it, though its first turn is still to come (Xen 4.17 arch/arm/vpsci.c, do_common_cpu_on).
    if (target !== null && returned === PSCI_RET_SUCCESS) {
      if (isPrivateLatched(gic, target, GUEST_EVTCHN_PPI)) upcallDropped(domain(), target);
      setCpuPower(gic, target, true);
    }
    this.#parts.wakeIfInterrupted(vcpu);
    listener.power?.(vcpu, power);
    return returned;
  }
}
