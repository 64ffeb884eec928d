/**
 * How an x86 guest calls Xen: by VMMCALL or VMCALL, directly or in the hypercall page (Xen 4.17 arch/x86/hvm/hypercall.c,
 * hvm_hypercall). 64-bit code passes the number in RAX and the arguments in RDI, RSI, RDX, R10 and R8; other code in EAX, and
 * in EBX, ECX, EDX, ESI and EDI. The answer is in RAX or EAX.
 */
import {
  __HYPERVISOR_console_io,
  __HYPERVISOR_event_channel_op,
  __HYPERVISOR_hvm_op,
  __HYPERVISOR_sched_op,
  __HYPERVISOR_vcpu_op,
  __HYPERVISOR_vm_assist,
  __HYPERVISOR_xen_version,
  HVMOP_get_param,
  HVMOP_set_evtchn_upcall_vector,
  HVMOP_set_param,
  SCHEDOP_poll,
  VCPUOP_register_runstate_memory_area,
  VCPUOP_register_vcpu_time_memory_area,
  XENVER_platform_parameters,
} from '../../abi/index.js';
import { present } from '../../base/index.js';
import type { X86Processor, X86VcpuView } from '../../engine/x86_64/index.js';
import type { XenVcpuId } from '../../identity/index.js';
import { registerNumber } from '../../isa/x86_64/index.js';
import type { AskedCall, HypercallAbi } from '../hypercall_abi.js';

const rax = registerNumber('rax');
/** The argument registers of 64-bit code, and of 32-bit and 16-bit code. */
const wide = (['rdi', 'rsi', 'rdx', 'r10', 'r8'] as const).map(registerNumber);
const narrow = (['rbx', 'rcx', 'rdx', 'rsi', 'rdi'] as const).map(registerNumber);
/** The opcode of VMCALL and VMMCALL. Prefixes that they may have do nothing and need not be repeated. */
const instructionBytes = 3n;
/** RFLAGS.IF */
const interruptFlag = 0x200;

/**
 * The calls whose structures have the same layout for 32-bit code: all sub-operations, or some, or all but some. Those of other
 * calls differ, since they contain pointers or because of how 64-bit fields are aligned (public/arch-x86/xen-x86_32.h).
 */
const sameLayout: ReadonlyMap<number, (command: number) => boolean> = new Map([
  [__HYPERVISOR_xen_version, (command: number) => command !== XENVER_platform_parameters],
  [__HYPERVISOR_sched_op, (command: number) => command !== SCHEDOP_poll],
  [__HYPERVISOR_event_channel_op, () => true],
  [
    __HYPERVISOR_vcpu_op,
    (command: number) =>
      command !== VCPUOP_register_runstate_memory_area && command !== VCPUOP_register_vcpu_time_memory_area,
  ],
  [
    __HYPERVISOR_hvm_op,
    (command: number) =>
      command === HVMOP_set_param ||
      command === HVMOP_get_param ||
      command === HVMOP_set_evtchn_upcall_vector,
  ],
  [__HYPERVISOR_console_io, () => true],
  [__HYPERVISOR_vm_assist, () => true],
]);

export class X86HypercallAbi implements HypercallAbi {
  readonly #processor: X86Processor;

  constructor(processor: X86Processor) {
    this.#processor = processor;
  }

  #view(vcpu: XenVcpuId): X86VcpuView {
    return present(this.#processor.vcpus[vcpu], 'a vCPU');
  }

  /** Whether the vCPU may call Xen at its privilege level: user code is refused. */
  mayCall(vcpu: XenVcpuId): boolean {
    return this.#view(vcpu).privilege === 0;
  }

  /** Whether the hypervisor knows the layout of what the vCPU's call points to. It knows that of 64-bit code. */
  hasKnownLayout(vcpu: XenVcpuId): boolean {
    if (this.#view(vcpu).codeBits === 64) return true;
    const { number, args } = this.read(vcpu);
    const [command = 0n] = args;
    return sameLayout.get(number)?.(Number(command)) ?? false;
  }

  read(vcpu: XenVcpuId): AskedCall {
    const view = this.#view(vcpu);
    const isWide = view.codeBits === 64;
    const value = (register: number): bigint => {
      const whole = view.register(register);
      return isWide ? whole : BigInt.asUintN(32, whole);
    };
    return { number: Number(value(rax)), args: (isWide ? wide : narrow).map(value) };
  }

  answer(vcpu: XenVcpuId, returned: number): void {
    const view = this.#view(vcpu);
    view.setRegister(rax, BigInt.asUintN(view.codeBits === 64 ? 64 : 32, BigInt(returned)));
  }

  rewind(vcpu: XenVcpuId, args: readonly bigint[]): void {
    const view = this.#view(vcpu);
    const isWide = view.codeBits === 64;
    const registers = isWide ? wide : narrow;
    for (const [index, value] of args.entries()) {
      const register = registers[index];
      if (register !== undefined) view.setRegister(register, BigInt.asUintN(isWide ? 64 : 32, value));
    }
    view.pc = BigInt.asUintN(isWide ? 64 : 32, view.pc - instructionBytes);
  }

  takesInterrupts(vcpu: XenVcpuId): boolean {
    return this.#view(vcpu).interruptsEnabled;
  }

  /** No call of an x86 guest asks for it: SCHEDOP_block clears evtchn_upcall_mask alone. */
  enableInterrupts(vcpu: XenVcpuId): void {
    const view = this.#view(vcpu);
    view.rflags |= interruptFlag;
  }
}
