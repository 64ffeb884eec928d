/** The machine's view of a vCPU: registers, reset, and the whole state as a plain value. */
import { cloneValue } from '../../base/index.js';
import * as x86_64 from '../../isa/x86_64/index.js';
import { newFloat, readMxcsr, writeMxcsr } from './float_state.js';
import { mxcsr } from './float_registers.js';
import { cr0 } from './regime.js';
import { attribute, nullSegment } from './segments.js';
import type { Segment } from './segments.js';
import type { CpuContext } from './system_calls.js';
import type { OpenException, Shadow, SystemState, Vcpu } from './vcpu.js';
import { summarize } from './x87_registers.js';

const { registerNames, registerNumber, segments } = x86_64;

/** The complete state of a vCPU as a plain value. */
export interface X86VcpuValue {
  /** RAX to R15, by number. */
  readonly registers: readonly bigint[];
  readonly pc: bigint;
  readonly rflags: number;
  readonly privilege: number;
  /** XMM0 to XMM15, each as low and high half. */
  readonly vectors: readonly (readonly [bigint, bigint])[];
  readonly mxcsr: number;
  readonly fsBase: bigint;
  readonly gsBase: bigint;
  readonly system: SystemState;
  readonly asserted: number;
  readonly shadow: Shadow | null;
  readonly isShutDown: boolean;
  readonly unimplemented: readonly (readonly [string, number])[];
}

const { present, ordinary, accessed, access, code } = attribute;

/** Segments as INIT leaves them (Intel SDM, volume 3, table 9-1). */
function resetSegment(selector: number, base: bigint, kind: number): Segment {
  return { selector, base, limit: 0xffff, attributes: present | ordinary | accessed | access | kind };
}

/** The state after reset and INIT, but for the general registers. */
export function resetSystem(): SystemState {
  const data = resetSegment(0, 0n, 0);
  return {
    cr0: cr0.extension | cr0.notWriteThrough | cr0.cacheDisable | 0,
    cr2: 0n,
    cr3: 0n,
    cr4: 0,
    xcr0: 1,
    efer: 0,
    star: 0n,
    lstar: 0n,
    cstar: 0n,
    fmask: 0n,
    kernelGsBase: 0n,
    sysenterSelector: 0n,
    sysenterStack: 0n,
    sysenterEntry: 0n,
    globalTable: { base: 0n, limit: 0xffff },
    interruptTable: { base: 0n, limit: 0xffff },
    localTable: { ...nullSegment(0), limit: 0xffff, attributes: present | 2 },
    task: { ...nullSegment(0), limit: 0xffff, attributes: present | 0xb },
    segments: [data, resetSegment(0xf000, 0xffff0000n, code), data, data, data, data],
    debug: [0n, 0n, 0n, 0n, 0n, 0n, 0xffff0ff0n, 0x400n],
    nmiMasked: false,
    resumes: false,
    float: newFloat(),
  };
}

export class X86VcpuView {
  readonly #cpu: Vcpu;
  readonly #context: CpuContext;

  constructor(cpu: Vcpu, context: CpuContext) {
    this.#cpu = cpu;
    this.#context = context;
  }

  /** The state after reset: real mode, at the reset vector. */
  reset(): void {
    const { block } = this.#cpu;
    for (const number of registerNames.keys()) block.setRegister(number, 0n);
    for (const number of registerNames.keys()) block.setVector(number, [0n, 0n]);
    this.#cpu.system = resetSystem();
    block.rflags = 2;
    block.privilege = 0;
    block.pc = 0xfff0n;
    writeMxcsr(this.#cpu, mxcsr.reset);
    this.#cpu.pending = null;
    this.#cpu.shadow = null;
    this.#cpu.isShutDown = false;
    this.#cpu.openException = null;
    this.#cpu.setLines(0);
    this.#cpu.setDataBase(segments.fs, 0n);
    this.#cpu.setDataBase(segments.gs, 0n);
    this.#systemChanged();
  }

  /** Makes the vCPU see all of its system state anew. */
  #systemChanged(): void {
    const cpu = this.#cpu;
    cpu.regimeChanged();
    cpu.debugChanged();
    summarize(cpu);
    for (const [number, segment] of cpu.system.segments.entries()) {
      const { base } = segment;
      const hasBase = number === segments.fs || number === segments.gs;
      const kept = hasBase ? cpu.dataBase(number) : base;
      cpu.setSegment(number, segment);
      if (hasBase) cpu.setDataBase(number, kept);
    }
    this.#context.tlbs.flushAll(cpu.index);
  }

  /** A general register by its number. */
  register(number: number): bigint {
    return this.#cpu.block.register(number);
  }

  setRegister(number: number, value: bigint): void {
    this.#cpu.block.setRegister(number, BigInt.asUintN(64, value));
  }

  /** The instruction pointer: an offset in the code segment. */
  get pc(): bigint {
    return this.#cpu.block.pc;
  }

  set pc(value: bigint) {
    this.#cpu.block.pc = value;
  }

  get stackPointer(): bigint {
    return this.register(registerNumber('rsp'));
  }

  get rflags(): number {
    return this.#cpu.block.rflags;
  }

  set rflags(value: number) {
    this.#cpu.block.rflags = value;
  }

  /** CPL. */
  get privilege(): number {
    return this.#cpu.privilege;
  }

  /** The size of code in bits: 16, 32 or 64. */
  get codeBits(): number {
    return this.#cpu.mode;
  }

  /** RFLAGS.IF. */
  get interruptsEnabled(): boolean {
    return this.#cpu.block.interruptsEnabled;
  }

  /** The bits of CR4 that the CPU has. */
  get writableCr4(): number {
    return this.#cpu.writableCr4;
  }

  /** Whether a triple fault ended it. */
  get isShutDown(): boolean {
    return this.#cpu.isShutDown;
  }

  /**
   * The first exception that the vCPU took in the kernel since it last returned from an interrupt or exception, or started; null
   * where it has returned from all. `save` and `load` do not carry it.
   */
  get openException(): OpenException | null {
    return this.#cpu.openException;
  }

  /** Exceptions that the vCPU has taken since it was made, from any level; also those by INT and the like. */
  get exceptionsTaken(): number {
    return this.#cpu.exceptionsTaken;
  }

  /** Whether an interrupt or NMI is asserted, masked or not. */
  get isInterrupted(): boolean {
    return this.#cpu.asserted !== 0;
  }

  /** Counts what the vCPU would have met. */
  countUnimplemented(what: string, times: number): void {
    if (times > 0) this.#cpu.countUnimplemented(what, times);
  }

  /** How often each instruction or feature was met that is not implemented, and so was undefined. */
  get unimplemented(): ReadonlyMap<string, number> {
    return this.#cpu.unimplemented;
  }

  vector(number: number): readonly [bigint, bigint] {
    return this.#cpu.block.vector(number);
  }

  setVector(number: number, value: readonly [bigint, bigint]): void {
    this.#cpu.block.setVector(number, value);
  }

  /** The system state as it is; it must not be changed. */
  get system(): Readonly<SystemState> {
    return this.#cpu.system;
  }

  /** Changes parts of the system state. */
  setSystem(parts: Partial<SystemState>): void {
    Object.assign(this.#cpu.system, parts);
    this.#systemChanged();
  }

  /** Sets a segment register with its hidden part, by number. */
  setSegment(number: number, segment: Segment): void {
    this.#cpu.setSegment(number, segment);
    this.#context.tlbs.flushAll(this.#cpu.index);
  }

  /** The base of GS: in 64-bit mode, what GS.base has. */
  get gsBase(): bigint {
    return this.#cpu.dataBase(segments.gs);
  }

  /** The physical address of a linear one, for an access of the supervisor; null where it would fault. The guest cannot tell. */
  translate(address: bigint, access: 'read' | 'write' | 'fetch' = 'read'): bigint | null {
    const linear = BigInt.asUintN(64, address);
    const [low, high] = [Number(linear & 0xffffffffn), Number(linear >> 32n)];
    const found = this.#context.accesses.peek(this.#cpu, low, high, access);
    return found === null ? null : BigInt(found + (low & 0xfff));
  }

  save(): X86VcpuValue {
    const cpu = this.#cpu;
    const { block } = cpu;
    return {
      registers: registerNames.map((_, number) => block.register(number)),
      pc: block.pc,
      rflags: block.rflags,
      privilege: block.privilege,
      vectors: registerNames.map((_, number) => block.vector(number)),
      mxcsr: readMxcsr(cpu),
      fsBase: cpu.dataBase(segments.fs),
      gsBase: cpu.dataBase(segments.gs),
      system: cloneValue(cpu.system),
      asserted: cpu.asserted,
      shadow: cpu.shadow,
      isShutDown: cpu.isShutDown,
      unimplemented: [...cpu.unimplemented],
    };
  }

  load(value: X86VcpuValue): void {
    const cpu = this.#cpu;
    const { block } = cpu;
    block.loadRegisters(value.registers, registerNames.length);
    block.loadVectors(value.vectors, registerNames.length);
    cpu.system = cloneValue(value.system);
    block.pc = value.pc;
    block.rflags = value.rflags;
    block.privilege = value.privilege;
    writeMxcsr(cpu, value.mxcsr);
    cpu.setDataBase(segments.fs, value.fsBase);
    cpu.setDataBase(segments.gs, value.gsBase);
    this.#systemChanged();
    cpu.setLines(value.asserted);
    cpu.shadow = value.shadow;
    cpu.isShutDown = value.isShutDown;
    cpu.unimplemented.clear();
    for (const [what, count] of value.unimplemented) cpu.unimplemented.set(what, count);
  }
}
