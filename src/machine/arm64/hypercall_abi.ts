/** How an arm64 guest calls Xen: HVC with a tag, the number in x16, arguments in x0 to x4, the answer in x0 (public/arch-arm.h). */
import { present } from '../../base/index.js';
import type { Arm64Processor, VcpuView } from '../../engine/index.js';
import type { XenVcpuId } from '../../identity/index.js';
import type { AskedCall, HypercallAbi } from '../hypercall_abi.js';

/** HVC's immediate by which a guest calls Xen (public/arch-arm.h, XEN_HYPERCALL_TAG). */
export const hypercallTag = 0xea1;
/** DAIF.I */
const irqMask = 0x80n;
const instructionBytes = 4n;
const numberRegister = 16;
const argumentRegisters = [0, 1, 2, 3, 4] as const;

export class Arm64HypercallAbi implements HypercallAbi {
  readonly #processor: Arm64Processor;

  constructor(processor: Arm64Processor) {
    this.#processor = processor;
  }

  #view(vcpu: XenVcpuId): VcpuView {
    return present(this.#processor.vcpus[vcpu], 'a vCPU');
  }

  read(vcpu: XenVcpuId): AskedCall {
    const view = this.#view(vcpu);
    // All 64 bits count (Xen 4.17 arch/arm/traps.c, do_trap_hypercall).
    const number = Number(view.register(numberRegister));
    return { number, args: argumentRegisters.map((register) => view.register(register)) };
  }

  answer(vcpu: XenVcpuId, returned: number): void {
    this.#view(vcpu).setRegisterNumber(0, returned);
  }

  rewind(vcpu: XenVcpuId, args: readonly bigint[]): void {
    const view = this.#view(vcpu);
    for (const [register, value] of args.entries()) view.setRegister(register, value);
    view.pc = BigInt.asUintN(64, view.pc - instructionBytes);
  }

  takesInterrupts(vcpu: XenVcpuId): boolean {
    return (this.#view(vcpu).systemRegister('DAIF') & irqMask) === 0n;
  }

  /** As SCHEDOP_block does (Xen 4.17 asm/event.h, local_event_delivery_enable). */
  enableInterrupts(vcpu: XenVcpuId): void {
    const view = this.#view(vcpu);
    view.setSystemRegister('DAIF', view.systemRegister('DAIF') & ~irqMask);
  }
}
