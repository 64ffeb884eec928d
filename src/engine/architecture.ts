/**
 * A kind of CPU as the processor takes it. Each architecture has a folder of its own that implements these; the rest of the
 * engine names no register, exception or instruction.
 */
import type { Instruction } from '../isa/index.js';
import type { CodePages } from './code_pages.js';
import type { HandlerPlan } from './handlers.js';
import type { EngineMemory } from './memory.js';
import type { StopReason } from './ports.js';
import type { Tlbs } from './tlb.js';
import type { Code } from './wasm/code.js';

/** The locals that hold the record and the flag sources (see FlagSources in isa/micro_ops.ts). */
export interface ConditionLocals {
  readonly record: number;
  readonly n: number;
  readonly z: number;
  readonly c: number;
  readonly v: number;
}

/** What the interpreter is built from. */
export interface CodeModel {
  readonly instructions: readonly Instruction[];
  /** The index in the register file of the stack pointer, for which some handlers are specialised. */
  readonly stackPointer: number;
  /** Pushes, as i32, whether the condition holds whose number is in byte `at` of the record. */
  emitCondition(code: Code, locals: ConditionLocals, at: number): void;
}

/** What the CPUs of one processor work with. */
export interface CpuParts<Host> {
  readonly memory: EngineMemory;
  readonly tlbs: Tlbs;
  readonly pages: CodePages;
  /** Where the block of each vCPU is, by index. */
  readonly blocks: readonly number[];
  /** The machine around the vCPUs. */
  readonly host: Host;
}

/**
 * The CPUs of one processor. Addresses are two halves of 32 bits, unsigned. `View` is a vCPU as the machine sees it, `Line` the
 * name of an interrupt line.
 */
export interface CpuSet<View, Line> {
  /** By index. */
  readonly views: readonly View[];
  /** A vCPU is about to run; others may have run since it last did. */
  begin(vcpu: number): void;
  /**
   * Before the interpreter is entered: takes an interrupt that is open, and selects the TLB sets of the present privilege level.
   * False where the next instruction faults, and that was done.
   */
  settle(vcpu: number): boolean;
  /** After the host made the interpreter come back: completes the instruction. A reason, where that ends the run. */
  finish(vcpu: number): StopReason | null;
  setLine(vcpu: number, line: Line, asserted: boolean): void;
  /** Whether an interrupt is asserted and not masked. */
  hasOpenInterrupt(vcpu: number): boolean;
  /** `PhysicalMemory.frame` is to be asked anew. */
  flushFrames(): void;
  /** The place of the records of the page of an instruction; -1 where the fetch faults. */
  fetch(vcpu: number, low: number, high: number): number;
  /** Where a value to be loaded is, or one of `accessResults`; `flags` as in `accessFlags`. */
  load(vcpu: number, low: number, high: number, flags: number): number;
  /** Where a value is to be stored, or one of `accessResults`. The value is in the block's scratch place. */
  store(vcpu: number, low: number, high: number, flags: number): number;
  /** Answers a system call of isa by number; true where the instruction is left. */
  system(vcpu: number, call: number, a: bigint, b: bigint): boolean;
}

/** What a decoder works with. */
export interface DecoderParts {
  readonly memory: EngineMemory;
  readonly pages: CodePages;
  readonly plan: HandlerPlan;
  /** Must be called with the number of a handler before the first record that uses it. */
  readonly provide: (handler: number) => void;
}

/** Decodes instructions into records (layout.ts). */
export interface RecordDecoder {
  /** Decodes the instruction that belongs to a record, and fills the record. */
  decode(record: number): void;
}

export interface CpuArchitecture<View, Host, Line> {
  readonly model: CodeModel;
  /** How many registers and state slots a vCPU has. */
  readonly sizes: { readonly registers: number; readonly state: number };
  /** Writes the tables that handlers read, below the first vCPU's block; once for each memory. */
  prepare(memory: EngineMemory): void;
  decoder(parts: DecoderParts): RecordDecoder;
  connect(parts: CpuParts<Host>): CpuSet<View, Line>;
}
