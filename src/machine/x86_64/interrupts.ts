/**
 * The local APICs with their timers, and Xen's event upcalls. A vector that Xen injects for all vCPUs alike does not go through
 * the local APIC: it is pending as long as the guest's own evtchn_upcall_pending is set, so that it is asked for anew each time
 * (Xen 4.17 arch/x86/hvm/irq.c, hvm_vcpu_has_pending_irq and hvm_vcpu_ack_pending_irq).
 */
import { invariant, present } from '../../base/index.js';
import type { LocalApics, LocalApicsState } from '../../devices/index.js';
import {
  acknowledgeVector,
  isApicEnabled,
  newLocalApics,
  passTimers,
  pendingVector,
  requestVector,
  timersDueNs,
} from '../../devices/index.js';
import { commonUpcallVector } from '../../hypervisor/index.js';
import type { Domain } from '../../hypervisor/index.js';
import type { XenVcpuId } from '../../identity/index.js';

/** What the interrupts act on. */
export interface InterruptParts {
  readonly domain: () => Domain;
  readonly vcpus: readonly XenVcpuId[];
  /** By vCPU. */
  readonly apicIds: readonly number[];
  readonly latchesErrors: boolean;
  readonly port: LocalApics['port'];
  /** Null for a guest without such devices. */
  readonly external: () => ExternalInterrupts | null;
  /** Sets a vCPU's interrupt line. */
  drive(vcpu: XenVcpuId, asserted: boolean): void;
  /** An interrupt that the vCPU's local APIC has ends any wait of the vCPU. */
  interrupted(vcpu: XenVcpuId): void;
}

/** Interrupts of devices: those of the 8259 pair, which do not go through the local APIC, and the timers behind them. */
export interface ExternalInterrupts {
  /** Whether the 8259 pair asks that vCPU for an interrupt that it takes. */
  isPicPending(vcpu: number): boolean;
  /** The vCPU takes it: its vector; null if there is none any more. */
  acknowledgePic(vcpu: number): number | null;
  /** The vCPU took a vector from that controller. */
  taken(vcpu: number, vector: number, source: 'pic' | 'localApic'): void;
}

/** Offset of the task priority register in the xAPIC page. */
export const taskPriority = 0x80;

export class Interrupts {
  readonly apics: LocalApics;
  readonly #parts: InterruptParts;

  constructor(parts: InterruptParts) {
    const { apicIds, latchesErrors, port } = parts;
    this.#parts = parts;
    this.apics = { state: newLocalApics(apicIds), port, apicIds, latchesErrors, stale: new Set() };
  }

  /** System time in ns at which the next timer fires; null if none will. */
  get dueNs(): bigint | null {
    return timersDueNs(this.apics);
  }

  /** Fires the timers that are due. */
  passTo(nowNs: bigint): void {
    passTimers(this.apics, nowNs);
  }

  /**
   * Xen tells a vCPU that events are pending, by the vCPU's own vector or by the common one. A local APIC that is not enabled does
   * not get the former: Xen injects it when the guest enables the APIC, if events are pending then (Xen 4.17.7
   * arch/x86/hvm/irq.c, hvm_assert_evtchn_irq; the reference guest's kernel found no request before it enabled its APICs).
   */
  upcall(vcpu: XenVcpuId): void {
    const { state } = this.#parts.domain();
    const apic = present(this.apics.state.cpus[vcpu], 'a local APIC');
    if (commonUpcallVector(this.#parts.domain(), vcpu) !== null) this.apics.stale.add(vcpu);
    else if (isApicEnabled(apic)) {
      requestVector(this.apics, vcpu, present(state.vcpus[vcpu], 'a vCPU').upcallVector);
    }
  }

  /** Whether a vCPU takes an interrupt if interrupts are enabled. */
  isPending(vcpu: XenVcpuId): boolean {
    return commonUpcallVector(this.#parts.domain(), vcpu) !== null || this.#isRequested(vcpu);
  }

  /** Whether one of the interrupt controllers has an interrupt for the vCPU. */
  #isRequested(vcpu: XenVcpuId): boolean {
    return this.#parts.external()?.isPicPending(vcpu) === true || pendingVector(this.apics, vcpu) !== null;
  }

  /** The vCPU takes an interrupt, whose vector this returns; null if there is none any more. */
  acknowledge(vcpu: XenVcpuId): number | null {
    const vector = commonUpcallVector(this.#parts.domain(), vcpu) ?? this.#acknowledgeRequest(vcpu);
    // The line may have been left asserted for a common vector that is not pending any more.
    this.apics.stale.add(vcpu);
    this.driveLines();
    return vector;
  }

  #acknowledgeRequest(vcpu: XenVcpuId): number | null {
    const external = this.#parts.external();
    const isPic = external?.isPicPending(vcpu) === true;
    const vector = isPic ? external.acknowledgePic(vcpu) : pendingVector(this.apics, vcpu);
    if (vector === null) return null;
    if (!isPic) acknowledgeVector(this.apics, vcpu, vector);
    external?.taken(vcpu, vector, isPic ? 'pic' : 'localApic');
    return vector;
  }

  /** Drives the lines of all vCPUs that may have changed. */
  driveLines(): void {
    const { stale } = this.apics;
    if (stale.size === 0) return;
    const parts = this.#parts;
    for (const index of [...stale]) {
      const vcpu = present(parts.vcpus[index], 'a vCPU');
      parts.drive(vcpu, this.isPending(vcpu));
      if (this.#isRequested(vcpu)) parts.interrupted(vcpu);
    }
    stale.clear();
  }

  /** The state, which the caller copies, while no line is to be driven. */
  save(): LocalApicsState {
    invariant(this.apics.stale.size === 0, 'all lines are driven between turns');
    return this.apics.state;
  }

  /** Takes over a state that nobody else will change. The lines themselves are part of the CPUs' state. */
  load(state: LocalApicsState): void {
    Object.assign(this.apics.state, state);
    this.apics.stale.clear();
  }
}
