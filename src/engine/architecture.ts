/**
 * The interface between the processor and a kind of CPU. Each architecture implements it in a folder of its own; the
 * rest of the engine names no register, exception or instruction.
 */
import type { FlagSet, Instruction } from '../isa/index.js';
import type { CodeCache } from './code_cache.js';
import type { RegionModel } from './compiler/region_model.js';
import type { CodeLayout } from './code_layout.js';
import type { FlagLocals } from './flags.js';
import type { FloatRegisters } from './float/index.js';
import type { HandlerPlan } from './handlers.js';
import type { EngineMemory } from './memory.js';
import type { UnalignedAccess } from './memory_access.js';
import type { StopReason } from './ports.js';
import type { Tlbs } from './tlb.js';
import type { Code } from './wasm/code.js';

/** The locals that hold the record and the flag sources. */
export interface ConditionLocals {
  readonly record: number;
  readonly flags: FlagLocals;
}

/** The input of the interpreter's builder. */
export interface CodeModel {
  /** Of all models. */
  readonly name: string;
  readonly instructions: readonly Instruction[];
  /** The names of the system calls, in the order of their numbers (isa/system_calls.ts). */
  readonly systemCalls: readonly string[];
  readonly flags: FlagSet;
  readonly layout: CodeLayout;
  readonly floatRegisters: FloatRegisters;
  readonly unaligned: UnalignedAccess;
  /** Index of the stack pointer in the register file. Some handlers are specialised for it. */
  readonly stackPointer: number;
  /** Pushes whether a condition holds, as i32. The number of the condition is in byte `at` of the record. */
  emitCondition(code: Code, locals: ConditionLocals, at: number): void;
}

/** The parts of the engine that the CPUs of a processor use. */
export interface CpuParts<Host> {
  readonly memory: EngineMemory;
  readonly tlbs: Tlbs;
  /** Byte offset of each vCPU's block, by index. */
  readonly blocks: readonly number[];
  readonly plan: HandlerPlan;
  /** Must be called with the number of a handler before the first record that uses it. */
  readonly provide: (handler: number) => void;
  /**
   * Called within a host call when a vCPU that runs enabled interrupts and one is asserted: the run stops at its next taken branch
   * or before, so that `prepareEntry` can take the interrupt.
   */
  readonly interruptsEnabled: () => void;
  /** The room for decoded code: its byte offset, and for how many pages it is (`codeBytes`). */
  readonly code: { readonly start: number; readonly pages: number };
  /** The end of the memory, whose pages may be decoded. */
  readonly memoryEnd: number;
  /** The machine around the vCPUs. */
  readonly host: Host;
}

/**
 * The outcome of an instruction that the host completed. A time slice may end at a scheduling point: where an exception was
 * taken or returned from, or a hypercall was made. The architecture decides which these are, not the way an engine runs it.
 */
export type Completion = StopReason | 'schedulingPoint' | 'goesOn';

/**
 * The CPUs of one processor. Addresses are two unsigned halves of 32 bits. `View` is the machine's view of a vCPU,
 * `Line` the name of an interrupt line.
 */
export interface CpuSet<View, Line> {
  /** The views of the vCPUs, by index. */
  readonly views: readonly View[];
  /** The decoded code. */
  readonly code: CodeCache;
  /**
   * Called before a vCPU runs, with the number of instructions that it has executed in the time slice. If that is 0, other vCPUs may
   * have run since its last run.
   */
  begin(vcpu: number, executed: number): void;
  /** Called when a run ends. */
  end(vcpu: number): void;
  /**
   * Called before the interpreter is entered: takes an unmasked interrupt, or selects the TLB sets of the current
   * privilege level. Returns false if the vCPU took an exception, which is a scheduling point.
   */
  prepareEntry(vcpu: number): boolean;
  /** Called after a host call made the interpreter return: completes the instruction. */
  finish(vcpu: number): Completion;
  /** Whether the vCPU is to be told of each instruction that it completes: the interpreter then returns behind each. */
  isStepping(vcpu: number): boolean;
  /** Called where `isStepping` was true, and the interpreter returned behind an instruction without a host call. */
  stepped(vcpu: number): void;
  setLine(vcpu: number, line: Line, asserted: boolean): void;
  /** Whether an interrupt is asserted and not masked. */
  hasOpenInterrupt(vcpu: number): boolean;
  /** Drops all cached results of `PhysicalMemory.frame`. */
  flushFrames(): void;
  /**
   * Finds the records for an instruction and puts its page into the code TLB. Returns what the code layout needs; -1 if the
   * fetch faults.
   */
  fetch(vcpu: number, low: number, high: number): number;
  /** Decodes the instruction that belongs to a record, if the code layout asks for that. */
  decode(record: number): void;
  /** The byte offset of the value to load, or one of `accessResults`. `flags` is as in `accessFlags`. */
  load(vcpu: number, low: number, high: number, flags: number): number;
  /** The byte offset to store to, or one of `accessResults`. The value is in the block's scratch area. */
  store(vcpu: number, low: number, high: number, flags: number): number;
  /** Handles a system call of isa by number. Returns true if the instruction must be left. */
  system(vcpu: number, call: number, a: bigint, b: bigint): boolean;
  /** The vCPUs and the decoded code as a plain value, while none runs. The records themselves are decoded again. */
  saveState(): object;
  /** Restores what `saveState` of the same architecture returned. Memory must have been restored before; TLBs come after. */
  loadState(state: object): void;
}

export interface CpuArchitecture<View, Host, Line> {
  readonly model: CodeModel;
  /** What the compiler needs beyond that; absent where it does not know the architecture yet. */
  readonly regions?: RegionModel;
  /** The bits of an address's high half by which pages are told apart when translations are invalidated (tlb.ts). */
  readonly highMask: number;
  /** Number of registers and of state slots per vCPU. */
  readonly sizes: { readonly registers: number; readonly state: number };
  /** Writes the tables that handlers read, below the first vCPU's block. Called once per memory. */
  prepare(memory: EngineMemory): void;
  /** How many bytes `pages` decoded pages take. */
  codeBytes(pages: number): number;
  connect(parts: CpuParts<Host>): CpuSet<View, Line>;
}
