/** What the machine around x86-64 vCPUs must provide to the engine. */
import type { CpuFeature } from '../../isa/x86_64/index.js';
import type { PhysicalMemory } from '../ports.js';

/** What CPUID answers, unsigned. */
export interface CpuidAnswer {
  readonly eax: number;
  readonly ebx: number;
  readonly ecx: number;
  readonly edx: number;
}

export type PortBytes = 1 | 2 | 4;

/** After n instructions the time-stamp counter is `ticks + floor((part + n * rate) / 10^6)`; `part` is below 10^6. */
export interface TimestampLine {
  readonly ticks: bigint;
  readonly part: bigint;
  readonly rate: bigint;
}

/**
 * The machine around the vCPUs. The engine calls these functions while a vCPU runs. They may change the interrupt lines of any
 * vCPU, the memory, and (in `hypercall`) the registers of the calling vCPU.
 */
export interface X86Host {
  /** Those that CPUID tells of. What belongs to another is as on a CPU without it. */
  readonly features: ReadonlySet<CpuFeature>;
  /** Memory that does not exist reads as all ones, and ignores writes. */
  readonly memory: PhysicalMemory;
  cpuid(vcpu: number, leaf: number, subleaf: number): CpuidAnswer;
  /**
   * A model-specific register that the engine does not keep itself; null for #GP. The engine keeps EFER, STAR, LSTAR, CSTAR, FMASK,
   * the bases of FS and GS, KERNEL_GS_BASE and the SYSENTER registers.
   */
  readModelSpecific(vcpu: number, register: number): bigint | null;
  /** Returns false for #GP. */
  writeModelSpecific(vcpu: number, register: number, value: bigint): boolean;
  /** CR8: bits 7 to 4 of the local APIC's task priority. */
  readTaskPriority(vcpu: number): number;
  writeTaskPriority(vcpu: number, value: number): void;
  /** The value of a port, unsigned; all ones where nothing answers. */
  readPort(vcpu: number, port: number, bytes: PortBytes): number;
  writePort(vcpu: number, port: number, bytes: PortBytes, value: number): void;
  /** VMCALL or VMMCALL; the instruction pointer is already past it. Returns false to make the instruction undefined. */
  hypercall(vcpu: number, instruction: 'vmcall' | 'vmmcall'): boolean;
  /** The time-stamp counter. */
  timestamp(vcpu: number): bigint;
  /** How the counter goes on from now, while only instructions take time. Null if RDTSC is to ask for `timestamp`. */
  timestampLine(vcpu: number): TimestampLine | null;
  /** The vector of the interrupt to take now; null if there is none any more. */
  acknowledge(vcpu: number): number | null;
  /** A triple fault. The vCPU must not run on. */
  shutdown(vcpu: number): void;
}
