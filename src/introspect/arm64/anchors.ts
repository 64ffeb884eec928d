/** The anchors of an arm64 Linux, from the registers of its CPU. */
import { isKernelAddress, textBehind } from '../anchors.js';
import type { KernelAnchors, KernelArchitecture } from '../anchors.js';
import { loadedVariable } from './loaded_variable.js';

/** A CPU as the anchors need it. */
export interface Arm64Cpu {
  readonly pc: bigint;
  readonly stackPointer: bigint;
  /** `EL0t`, `EL1t` or `EL1h`. */
  readonly mode: string;
  /** X0 to X30. */
  register(number: number): bigint;
  systemRegister(name: string): bigint;
  /** The physical address behind a kernel virtual address; null where nothing is mapped. */
  translate(address: bigint): bigint | null;
}

/** Registers that a callee preserves, and the link register (AAPCS64, 6.1.1). */
const preserved = [19, 20, 21, 22, 23, 24, 25, 26, 27, 28];
const linkRegister = 30;

function anchorsOf(cpu: Arm64Cpu): KernelAnchors {
  return {
    // Linux points VBAR_EL1 at its vectors as soon as its own map is in use (arch/arm64/kernel/head.S, __primary_switched).
    get hasKernelMap() {
      return isKernelAddress(cpu.systemRegister('VBAR_EL1'));
    },
    // arch/arm64/include/asm/percpu.h, __my_cpu_offset.
    get perCpuBase() {
      return cpu.systemRegister('TPIDR_EL1');
    },
    // At EL1, SP_EL0 has the address of the current task (arch/arm64/include/asm/current.h).
    get task() {
      const task = cpu.systemRegister('SP_EL0');
      return isKernelAddress(task) && cpu.mode.startsWith('EL1') ? task : null;
    },
    get caller() {
      return cpu.register(linkRegister);
    },
    get stackPointer() {
      return cpu.stackPointer;
    },
    // xen_hypercall_* use no stack (arch/arm64/xen/hypercall.S).
    get callerStack() {
      return cpu.stackPointer;
    },
    get preserved() {
      return preserved.map((number) => cpu.register(number));
    },
    // Exceptions may be taken through a second mapping of their code (arch/arm64/kernel/entry.S, the trampoline of
    // CONFIG_UNMAP_KERNEL_AT_EL0), so VBAR_EL1 alone does not do.
    text: (image) =>
      textBehind(
        [cpu.systemRegister('VBAR_EL1'), cpu.pc, cpu.register(linkRegister)],
        (address) => cpu.translate(address),
        image,
      ),
  };
}

export const arm64: KernelArchitecture<Arm64Cpu> = {
  /** The exception vectors. Debian's kernels from 5.10 to 7.2 have them there; VBAR_EL1 needs the alignment (Arm DDI 0487). */
  knownSymbol: { name: 'vectors', usualOffset: 0x10800, alignment: 0x800 },
  linkedText: () => null,
  anchorsOf,
  loadedVariable,
};
