/** What a vCPU asks of Xen by HVC or SMC: hypercalls, power calls and the rest of Arm's calling convention. */
import { __HYPERVISOR_grant_table_op, __HYPERVISOR_memory_op, PSCI_RET_SUCCESS } from '../../abi/index.js';
import { present } from '../../base/index.js';
import type { Gic } from '../../devices/index.js';
import { irqAsserted, setCpuPower } from '../../devices/index.js';
import type { Arm64Processor, VcpuView } from '../../engine/index.js';
import { hypercall, psciCall, servesPsci, wakeVcpu } from '../../hypervisor/index.js';
import type { CallerPort, Domain, VcpuState } from '../../hypervisor/index.js';
import type { XenVcpuId } from '../../identity/index.js';
import type { MachineListener } from '../board.js';
import { smcccCall } from './smccc.js';
import type { UnknownCall } from './diagnosis.js';

/** HVC's immediate by which a guest calls Xen (public/arch-arm.h, XEN_HYPERCALL_TAG). */
const hypercallTag = 0xea1;
/** DAIF.I */
const irqMask = 0x80n;
const instructionBytes = 4n;

/** The parts of the machine that calls act on. */
export interface CallParts {
  readonly domain: () => Domain;
  readonly processor: Arm64Processor;
  readonly gic: Gic;
  readonly caller: CallerPort;
  readonly listener: MachineListener;
}

export class GuestCalls {
  readonly #parts: CallParts;
  /** By vCPU: its last call, where Xen does not serve that. */
  readonly #unknown = new Map<number, UnknownCall>();

  constructor(parts: CallParts) {
    this.#parts = parts;
  }

  /**
   * Makes the call of a vCPU whose pc is behind the instruction; false where that is Undefined. SMC #0 is what HVC #0 is, a
   * call by convention (Xen 4.17 arch/arm/vsmc.c, do_trap_smc).
   */
  make(vcpu: number, kind: 'hvc' | 'smc', immediate: number): boolean {
    this.#unknown.delete(vcpu);
    if (kind === 'hvc' && immediate === hypercallTag) this.#hypercall(vcpu);
    else if (immediate === 0) this.#smccc(vcpu, kind);
    else return false;
    return true;
  }

  /** What the last call of a vCPU asked for by Arm's convention, where Xen does not serve that; null otherwise. */
  unknownCallOf(vcpu: number): UnknownCall | null {
    return this.#unknown.get(vcpu) ?? null;
  }

  #view(vcpu: number): VcpuView {
    return present(this.#parts.processor.vcpus[vcpu], 'a vCPU');
  }

  #vcpuState(vcpu: number): VcpuState {
    return present(this.#parts.domain().state.vcpus[vcpu], 'a vCPU');
  }

  #hypercall(vcpu: number): void {
    const { processor, caller, listener } = this.#parts;
    const domain = this.#parts.domain();
    const view = this.#view(vcpu);
    // All 64 bits count (Xen 4.17 arch/arm/traps.c, do_trap_hypercall).
    const number = Number(view.register(16));
    const args = [view.register(0), view.register(1), view.register(2), view.register(3), view.register(4)];
    listener.calling?.(vcpu);
    const record = hypercall(domain, vcpu as XenVcpuId, number, args, caller);
    if (record.again !== undefined) {
      this.#callAgain(view, record.again);
      return;
    }
    view.setRegisterNumber(0, record.returned);
    if (number === __HYPERVISOR_memory_op || number === __HYPERVISOR_grant_table_op) {
      processor.forgetTranslations();
    }
    if (record.op === 'SCHEDOP_block') this.#openInterrupts(view);
    // An interrupt that is there keeps the vCPU from waiting, if it would take it.
    if (caller.interruptsOn?.(vcpu as XenVcpuId) === true) this.#wakeIfInterrupted(vcpu);
    listener.hypercall?.(vcpu, record);
  }

  /** Xen was interrupted: the vCPU makes the call once more, with what is left of it (hypercall_create_continuation). */
  #callAgain(view: VcpuView, args: readonly bigint[]): void {
    for (const [register, value] of args.entries()) view.setRegister(register, value);
    view.pc = BigInt.asUintN(64, view.pc - instructionBytes);
  }

  /** SCHEDOP_block waits with interrupts on (Xen 4.17 asm/event.h, local_event_delivery_enable). */
  #openInterrupts(view: VcpuView): void {
    view.setSystemRegister('DAIF', view.systemRegister('DAIF') & ~irqMask);
  }

  #wakeIfInterrupted(vcpu: number): void {
    const { gic } = this.#parts;
    const domain = this.#parts.domain();
    if (this.#vcpuState(vcpu).blocked === null || !irqAsserted(gic, vcpu)) return;
    wakeVcpu(domain, vcpu as XenVcpuId);
  }

  #smccc(vcpu: number, instruction: 'hvc' | 'smc'): void {
    const view = this.#view(vcpu);
    const functionId = view.registerLow(0);
    const known = smcccCall(functionId, view.registerLow(1));
    if (known === null && !servesPsci(functionId)) this.#unknown.set(vcpu, { instruction, functionId });
    if (known === null) view.setRegisterNumber(0, this.#power(vcpu, functionId));
    else for (const [register, value] of known.entries()) view.setRegister(register, value);
  }

  #power(vcpu: number, functionId: number): number {
    const { gic, listener } = this.#parts;
    const domain = this.#parts.domain();
    const view = this.#view(vcpu);
    const args = [view.register(1), view.register(2), view.register(3)];
    const record = psciCall(domain, vcpu as XenVcpuId, functionId, args);
    if (!this.#vcpuState(vcpu).up) setCpuPower(gic, vcpu, false);
    // From now on interrupts wait for it, though its first turn is still to come (Xen 4.17 arch/arm/vpsci.c, do_common_cpu_on).
    if (record.target !== null && record.returned === PSCI_RET_SUCCESS) setCpuPower(gic, record.target, true);
    this.#wakeIfInterrupted(vcpu);
    listener.power?.(vcpu, record, args[0] ?? 0n);
    return record.returned;
  }
}
