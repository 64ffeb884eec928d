/**
 * The host's side of one vCPU: its block, the state that is kept outside the block, and work that a host call left
 * pending.
 */
import * as x86_64 from '../../isa/x86_64/index.js';
import type { StopReason } from '../ports.js';
import type { AddressSpaceKey } from '../tlb.js';
import { rflags } from './block.js';
import type { X86Block } from './block.js';
import type { Regime } from './mmu.js';
import { cr0, cr4, efer, readRegime, writableCr4 } from './regime.js';
import { attribute, has } from './segments.js';
import type { Segment } from './segments.js';

const { modes, segments, x86State } = x86_64;
type Mode = x86_64.Mode;
type CpuFeature = x86_64.CpuFeature;

/** A descriptor table register. */
export interface TableRegister {
  readonly base: bigint;
  readonly limit: number;
}

/** Where an x87 instruction or its operand is: an offset in a segment. */
export interface FloatPointer {
  readonly offset: bigint;
  readonly selector: number;
}

/** x87. The XMM registers and MXCSR are in the block. */
export interface FloatSystem {
  control: number;
  status: number;
  /** The full tag word, two bits for each register. */
  tags: number;
  /** ST(0) to ST(7) by physical number: mantissa, and sign with exponent. */
  registers: (readonly [mantissa: bigint, exponent: number])[];
  /** The last instruction that is none of control: 11 bits of its opcode, where it is, and the last operand in memory. */
  opcode: number;
  instruction: FloatPointer;
  operand: FloatPointer;
}

/** State that only the host reads and writes: a plain value. */
export interface SystemState {
  cr0: number;
  cr2: bigint;
  cr3: bigint;
  cr4: number;
  /** The components of state that XSAVE may save: bit 0 is x87, bit 1 SSE. */
  xcr0: number;
  efer: number;
  star: bigint;
  lstar: bigint;
  cstar: bigint;
  fmask: bigint;
  kernelGsBase: bigint;
  sysenterSelector: bigint;
  sysenterStack: bigint;
  sysenterEntry: bigint;
  globalTable: TableRegister;
  interruptTable: TableRegister;
  localTable: Segment;
  task: Segment;
  /** ES, CS, SS, DS, FS and GS. In 64-bit mode the bases of FS and GS are in the register file. */
  segments: Segment[];
  /** DR0 to DR7. */
  debug: bigint[];
  /** Whether an NMI was taken and no IRET was made since. */
  nmiMasked: boolean;
  /** RFLAGS.RF before the next instruction, which then meets no breakpoint of code. */
  resumes: boolean;
  float: FloatSystem;
}

/** An exception or interrupt to be delivered. */
export interface Event {
  readonly vector: number;
  /** Null where the vector has no error code. */
  readonly errorCode: number | null;
  /** What CR2 becomes; null where it stays. */
  readonly address: bigint | null;
  /** By INT n, INT3, INTO or INT1, or from outside; all others are made by an instruction that failed. */
  readonly origin: 'exception' | 'software' | 'external';
}

/** An exception that a vCPU took in the kernel and has not returned from. */
export interface OpenException {
  readonly vector: number;
  readonly errorCode: number | null;
  /** What CR2 became; null for all but page faults. */
  readonly address: bigint | null;
  /** The offset in the code segment of the instruction that raised it. */
  readonly pc: bigint;
}

/** The address of a page, as two halves. */
export interface PageAddress {
  readonly low: number;
  readonly high: number;
}

/** Work to do after the interpreter has returned. */
export type Pending =
  | { readonly kind: 'event'; readonly event: Event; readonly returnsTo: 'this' | 'next' }
  /** pc becomes `target`, by a transfer that is a scheduling point. */
  | { readonly kind: 'transferred'; readonly target: bigint }
  /** The instruction is done, but the next one has to be fetched anew, or an interrupt may be taken before it. */
  | { readonly kind: 'completed' }
  /** The instruction has to run again. */
  | { readonly kind: 'again' }
  /** The instruction before pc is done, and the vCPU steps. */
  | { readonly kind: 'stepped' }
  | { readonly kind: 'hypercall'; readonly instruction: 'vmcall' | 'vmmcall' }
  | { readonly kind: 'stop'; readonly reason: StopReason };

/** By what the events at the end of an instruction are held back: STI, or a load of SS, which holds back more of them. */
export type Shadow = 'interrupts' | 'stack';

/** The lines of a vCPU as bits of its state slot. */
export const lines = { interrupt: 1, nmi: 2 } as const;

/** Which instructions of x87, MMX and SSE trap, as bits of a decode variant above the mode. */
export const trapping = {
  /** CR0.TS: all. */
  taskSwitched: 4,
  /** CR0.EM: all. */
  emulated: 8,
  /** CR4.OSFXSR is 0: those of SSE. */
  withoutVectors: 16,
  /** CR0.TS and CR0.MP: FWAIT too. */
  waits: 32,
  /** RFLAGS.TF, or breakpoints in DR7: each instruction is looked at. */
  steps: 64,
} as const;

/** What a decode variant says: the size of code in bits, and which instructions trap. */
export interface Variant {
  readonly mode: Mode;
  /** Bits of `trapping`. */
  readonly traps: number;
}

export function variantOf(variant: number): Variant {
  return { mode: modes[variant & 3] ?? 64, traps: variant & ~3 };
}

/** How many names of what is not implemented a vCPU counts, and that of all others. */
export const mostUnimplemented = 256;
export const otherUnimplemented = 'others';

export class Vcpu {
  readonly index: number;
  readonly block: X86Block;
  system: SystemState;
  pending: Pending | null = null;
  /** The length of the instruction that made the current host call, in bytes. */
  length = 0;
  /** Asserted lines. */
  asserted = 0;
  /** What an x87 instruction is about to store. */
  converted: readonly [mantissa: bigint, exponent: number] = [0n, 0];
  /** The strings that an instruction is about to compare. */
  readonly strings: [bigint, bigint] = [0n, 0n];
  /** The status slot before an instruction of SSE whose exceptions are not all masked. */
  statusBefore = 0;
  /** Between runs: the shadow that the next instruction is in. While it runs: the one that was cast last (`shadowAt`). */
  shadow: Shadow | null = null;
  /** At which number of executed instructions that is. */
  #shadowAt = 0;
  /** DR7's enabled breakpoints: two bits for each. */
  breakpoints = 0;
  /** Whether RFLAGS.TF was set when the current instruction began. */
  traced = false;
  /** Whether RFLAGS.RF was set then. */
  resumed = false;
  /** Where the current instruction is, by its linear address, if the vCPU steps. */
  steppedAt: bigint | null = null;
  /** Breakpoints of data that the current instruction met, as bits of DR6; behind a load of SS those that it met. */
  met = 0;
  /** Whether the current instruction loads SS, behind which there is no trap. */
  loadsStack = false;
  /** Whether a triple fault ended it. */
  isShutDown = false;
  /** The first exception in the kernel since it last returned from an interrupt or exception by IRET. */
  openException: OpenException | null = null;
  /** Exceptions that were taken, from any level. */
  exceptionsTaken = 0;
  /** The decode variant of the code pages in the TLBs; -1 if there are none. */
  decodedAs = -1;
  /** How often each instruction or feature was met that is not implemented. */
  readonly unimplemented = new Map<string, number>();
  /**
   * User pages that the privileged TLB set has because RFLAGS.AC was set when they were accessed, by their addresses: with SMAP they
   * must leave it when AC is cleared. Null if there are too many to list.
   */
  openPages: PageAddress[] | null = [];
  /** The bits of CR4 that may be set. */
  readonly writableCr4: number;
  #regime: Regime | null = null;
  #openRegime: Regime | null = null;
  #key: AddressSpaceKey | null = null;

  constructor(index: number, block: X86Block, system: SystemState, features: ReadonlySet<CpuFeature>) {
    this.index = index;
    this.writableCr4 = writableCr4(features);
    this.block = block;
    this.system = system;
  }

  segment(number: number): Segment {
    return this.system.segments[number] ?? this.system.localTable;
  }

  get privilege(): number {
    return this.block.privilege;
  }

  get isUser(): boolean {
    return this.block.privilege === 3;
  }

  get isProtected(): boolean {
    return (this.system.cr0 & cr0.protected) !== 0;
  }

  /** EFER.LMA. */
  get isLong(): boolean {
    return (this.system.efer & efer.longActive) !== 0;
  }

  /** The size of code in bits. */
  get mode(): Mode {
    const code = this.segment(segments.cs);
    if (this.isLong && has(code, attribute.long)) return 64;
    return has(code, attribute.big) ? 32 : 16;
  }

  /** Whether the host looks at each instruction. */
  get isStepping(): boolean {
    return this.breakpoints !== 0 || (this.block.systemFlags & rflags.trap) !== 0;
  }

  /** Called when DR7 was written. */
  debugChanged(): void {
    this.breakpoints = Number((this.system.debug[7] ?? 0n) & 0xffn);
  }

  /** The current decode variant (`variantOf`). */
  get variant(): number {
    const { cr0: control, cr4: extensions } = this.system;
    const isSwitched = (control & cr0.taskSwitched) !== 0;
    return (
      modes.indexOf(this.mode) |
      (isSwitched ? trapping.taskSwitched : 0) |
      (isSwitched && (control & cr0.monitor) !== 0 ? trapping.waits : 0) |
      ((control & cr0.emulated) === 0 ? 0 : trapping.emulated) |
      ((extensions & cr4.vectorState) === 0 ? trapping.withoutVectors : 0) |
      (this.isStepping ? trapping.steps : 0)
    );
  }

  /** What holds for accesses by the CPU itself, whatever RFLAGS.AC says (SDM, volume 3, 4.6.1, implicit accesses). */
  get ownRegime(): Regime {
    this.#regime ??= readRegime(this.system);
    return this.#regime;
  }

  /** What holds for accesses of instructions. */
  get regime(): Regime {
    const own = this.ownRegime;
    if (!own.smap || !this.accessesUserPages) return own;
    this.#openRegime ??= { ...own, smap: false };
    return this.#openRegime;
  }

  /** RFLAGS.AC, by which the supervisor may access user pages where SMAP is on. */
  get accessesUserPages(): boolean {
    return (this.block.systemFlags & rflags.alignmentCheck) !== 0;
  }

  /** The key that identifies a user TLB set. */
  get addressSpace(): AddressSpaceKey {
    const { cr3 } = this.system;
    this.#key ??= { words: [Number(cr3 & 0xffffffffn), Number(cr3 >> 32n)], group: 0 };
    return this.#key;
  }

  /** Called when a register of the translation regime was written. */
  regimeChanged(): void {
    this.#regime = null;
    this.#openRegime = null;
    this.#key = null;
  }

  /** Called when CS, SS or the mode was changed: sets the slots that instructions read. */
  segmentsChanged(): void {
    const stack = this.segment(segments.ss);
    const { mode } = this;
    this.block.setHalves(
      x86State.stackMask,
      mode === 64 || has(stack, attribute.big) ? 0xffffffff : 0xffff,
      mode === 64 ? 0xffffffff : 0,
    );
  }

  setSegment(number: number, segment: Segment): void {
    this.system.segments[number] = segment;
    this.block.setState(x86State.selectors + number, BigInt(segment.selector));
    if (number === segments.fs || number === segments.gs) this.setDataBase(number, segment.base);
    if (number === segments.cs || number === segments.ss) this.segmentsChanged();
  }

  /** Sets the base of FS or GS in the register file. */
  setDataBase(number: number, base: bigint): void {
    const { fsBase, gsBase } = x86_64.registerFile;
    this.block.setRegister(number === segments.fs ? fsBase : gsBase, BigInt.asUintN(64, base));
  }

  dataBase(number: number): bigint {
    const { fsBase, gsBase } = x86_64.registerFile;
    return this.block.register(number === segments.fs ? fsBase : gsBase);
  }

  /** Pending interrupts that may be taken in a shadow or outside, as bits of `lines`. */
  openInterrupts(shadow: Shadow | null): number {
    const mayInterrupt = this.block.interruptsEnabled && shadow === null;
    const mayNmi = !this.system.nmiMasked && shadow !== 'stack';
    return this.asserted & ((mayInterrupt ? lines.interrupt : 0) | (mayNmi ? lines.nmi : 0));
  }

  /** The shadow behind a number of executed instructions. */
  shadowAt(executed: number): Shadow | null {
    return executed === this.#shadowAt ? this.shadow : null;
  }

  /** The current instruction casts a shadow, which ends with the next instruction. */
  castShadow(shadow: Shadow): void {
    this.shadow = shadow;
    this.#shadowAt = this.block.executedBefore + 1;
  }

  beginRun(executed: number): void {
    this.#shadowAt = executed;
  }

  endRun(): void {
    this.shadow = this.shadowAt(this.block.executed);
  }

  setLines(asserted: number): void {
    this.asserted = asserted;
    this.block.setHalves(x86State.pendingInterrupt, asserted & lines.interrupt, 0);
  }

  raise(event: Event, returnsTo: 'this' | 'next' = 'this'): void {
    this.pending = { kind: 'event', event, returnsTo };
  }

  /** A guest can make up any number of opcodes: beyond `mostUnimplemented` names all are counted as one. */
  countUnimplemented(what: string, times = 1): void {
    const isNamed = this.unimplemented.has(what) || this.unimplemented.size < mostUnimplemented;
    const name = isNamed ? what : otherUnimplemented;
    this.unimplemented.set(name, (this.unimplemented.get(name) ?? 0) + times);
  }
}
