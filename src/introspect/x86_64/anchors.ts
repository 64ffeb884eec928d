/** The anchors of an x86-64 Linux, from the registers of its CPU. */
import { isKernelAddress, textBehind } from '../anchors.js';
import type { KernelAnchors, KernelArchitecture } from '../anchors.js';

/** A CPU as the anchors need it. */
export interface X86Cpu {
  readonly pc: bigint;
  readonly stackPointer: bigint;
  /** CPL. */
  readonly privilege: number;
  /** The size of code in bits: 16, 32 or 64. */
  readonly codeBits: number;
  readonly gsBase: bigint;
  readonly system: { readonly kernelGsBase: bigint; readonly lstar: bigint };
  /** RAX to R15, by number. */
  register(number: number): bigint;
  /** The physical address behind a kernel virtual address; null where nothing is mapped. */
  translate(address: bigint): bigint | null;
  /** Eight bytes at a kernel virtual address as a number; null where nothing is mapped. */
  word(address: bigint): bigint | null;
}

/** __START_KERNEL_map (arch/x86/include/asm/page_64_types.h): where address 0 of the kernel's image is mapped. */
const startKernelMap = 0xffff_ffff_8000_0000n;

/** Registers that a callee preserves, without RSP: RBX, RBP, R12 to R15 (System V ABI for x86-64, 3.2.1). */
const preserved = [3, 5, 12, 13, 14, 15];

/** The last bytes of VMCALL (0f 01 c1) and VMMCALL (0f 01 d9) as the upper half of a little-endian word. */
const hypercallInstructions = [0xc1_010fn, 0xd9_010fn];

/** Whether the instruction before the next one is a hypercall. */
function isBehindHypercall(cpu: X86Cpu): boolean {
  const before = cpu.word(cpu.pc - 8n);
  return before !== null && hypercallInstructions.includes(before >> 40n);
}

/**
 * In Linux, VMCALL and VMMCALL are in functions of their own that have no frame (arch/x86/xen/xen-head.S: xen_hypercall_amd and
 * xen_hypercall_intel, and the hypercall page before them), so the return address is on top of the stack. Everything else that
 * asks Xen for something is a part of the code that asks.
 */
function callerOf(cpu: X86Cpu): bigint {
  return isBehindHypercall(cpu) ? (cpu.word(cpu.stackPointer) ?? cpu.pc) : cpu.pc;
}

function anchorsOf(cpu: X86Cpu): KernelAnchors {
  const isUser = (): boolean => cpu.privilege === 3;
  return {
    // The kernel's own map is in use where its code runs at its own addresses, and in user space.
    get hasKernelMap() {
      return isUser() || (cpu.codeBits === 64 && isKernelAddress(cpu.pc));
    },
    // The base of GS (arch/x86/include/asm/percpu.h). SWAPGS exchanges it where the kernel is entered from user space and left,
    // so for some instructions of the kernel the other register still has it.
    get perCpuBase() {
      const { gsBase, system } = cpu;
      return isUser() || (!isKernelAddress(gsBase) && isKernelAddress(system.kernelGsBase))
        ? system.kernelGsBase
        : gsBase;
    },
    // No register has the current task; it is a per-CPU variable.
    task: null,
    get caller() {
      return callerOf(cpu);
    },
    get stackPointer() {
      return cpu.stackPointer;
    },
    get callerStack() {
      return cpu.stackPointer + (isBehindHypercall(cpu) ? 8n : 0n);
    },
    get preserved() {
      return preserved.map((number) => cpu.register(number));
    },
    text: (image) =>
      textBehind([cpu.pc, callerOf(cpu), cpu.system.lstar], (address) => cpu.translate(address), image),
  };
}

export const x86_64: KernelArchitecture<X86Cpu> = {
  /** The entry of system calls, which every x86-64 kernel has. `_text` is always listed, so no usual place is needed. */
  knownSymbol: { name: 'entry_SYSCALL_64', usualOffset: null, alignment: 16 },
  // _text is linked at __START_KERNEL_map plus its load address. Up to 6.14 the per-CPU section is linked at 0
  // (arch/x86/kernel/vmlinux.lds.S).
  linkedText: (at) => startKernelMap + at,
  anchorsOf,
  // Code of x86-64 is not decoded here; its symbol tables may list variables (CONFIG_KALLSYMS_ALL).
  loadedVariable: () => null,
};
