/** The engine's interface for x86-64 CPUs (Intel SDM; AMD APM where they differ). */
import { present } from '../../base/index.js';
import * as isa from '../../isa/x86_64/index.js';
import type { Completion, CpuArchitecture, CpuParts, CpuSet } from '../architecture.js';
import type { Processor } from '../processor.js';
import { straightLayout } from '../straight_layout.js';
import { StraightRuns } from '../straight_runs.js';
import type { StraightRunsValue } from '../straight_runs.js';
import { Accesses } from './accesses.js';
import { X86Block } from './block.js';
import { emitCondition } from './conditions.js';
import { x86FloatRegisters } from './float_registers.js';
import type { X86Host } from './host.js';
import { RecordDecoder } from './records.js';
import { finishInstruction, finishStep, prepareEntry } from './resume.js';
import { answerCall } from './system_calls.js';
import type { CpuContext } from './system_calls.js';
import { beginTimestamp } from './timestamp.js';
import { lines, Vcpu } from './vcpu.js';
import type { OpenException, PageAddress } from './vcpu.js';
import { resetSystem, X86VcpuView } from './vcpu_view.js';
import type { X86VcpuValue } from './vcpu_view.js';

export type X86Line = keyof typeof lines;

/** What a vCPU has beside what its view saves. */
interface VcpuRest {
  readonly decodedAs: number;
  readonly openException: OpenException | null;
  readonly exceptionsTaken: number;
  readonly met: number;
  readonly openPages: readonly PageAddress[] | null;
}

/** The CPUs of a processor as a plain value. */
export interface X86CpusValue {
  /** By index. */
  readonly vcpus: readonly (X86VcpuValue & VcpuRest)[];
  readonly code: StraightRunsValue;
}

/** A processor of x86-64 CPUs. */
export type X86Processor = Processor<X86VcpuView, X86Host, X86Line>;

class X86Cpus implements CpuSet<X86VcpuView, X86Line> {
  readonly views: readonly X86VcpuView[];
  readonly code: StraightRuns;
  readonly #vcpus: readonly Vcpu[];
  readonly #context: CpuContext;

  constructor(parts: CpuParts<X86Host>) {
    const { memory, tlbs, blocks, host, code, memoryEnd, interruptsEnabled } = parts;
    const decoder = new RecordDecoder(parts);
    this.code = new StraightRuns(memory, tlbs, code, memoryEnd, (bytes) => decoder.decode(bytes));
    this.#vcpus = blocks.map(
      (offset, index) => new Vcpu(index, new X86Block(memory, offset), resetSystem(), host.features),
    );
    const accesses = new Accesses(memory, tlbs, this.code, host);
    const context: CpuContext = { tlbs, accesses, host, interruptsEnabled };
    this.#context = context;
    this.views = this.#vcpus.map((vcpu) => new X86VcpuView(vcpu, context));
    for (const view of this.views) view.reset();
  }

  #of(vcpu: number): Vcpu {
    return present(this.#vcpus[vcpu], 'a vCPU');
  }

  begin(vcpu: number, executed: number): void {
    const cpu = this.#of(vcpu);
    if (executed === 0) beginTimestamp(this.#context.host, cpu);
    cpu.beginRun(executed);
  }

  end(vcpu: number): void {
    this.#of(vcpu).endRun();
  }

  prepareEntry(vcpu: number): boolean {
    return prepareEntry(this.#context, this.#of(vcpu));
  }

  finish(vcpu: number): Completion {
    return finishInstruction(this.#context, this.#of(vcpu));
  }

  isStepping(vcpu: number): boolean {
    return this.#of(vcpu).isStepping;
  }

  stepped(vcpu: number): void {
    finishStep(this.#context, this.#of(vcpu));
  }

  setLine(vcpu: number, line: X86Line, asserted: boolean): void {
    const cpu = this.#of(vcpu);
    cpu.setLines(asserted ? cpu.asserted | lines[line] : cpu.asserted & ~lines[line]);
  }

  hasOpenInterrupt(vcpu: number): boolean {
    return this.#of(vcpu).openInterrupts(null) !== 0;
  }

  flushFrames(): void {
    this.#context.accesses.forgetFrames();
  }

  fetch(vcpu: number, low: number, high: number): number {
    return this.#context.accesses.fetch(this.#of(vcpu), low, high);
  }

  decode(): void {
    // Straight runs are decoded by fetches.
  }

  load(vcpu: number, low: number, high: number, flags: number): number {
    return this.#context.accesses.load(this.#of(vcpu), low, high, flags);
  }

  store(vcpu: number, low: number, high: number, flags: number): number {
    return this.#context.accesses.store(this.#of(vcpu), low, high, flags);
  }

  system(vcpu: number, call: number, a: bigint, b: bigint): boolean {
    const cpu = this.#of(vcpu);
    cpu.length = this.code.lengthOf(cpu.block.record);
    return answerCall(this.#context, cpu, call, a, b);
  }

  saveState(): X86CpusValue {
    const vcpus = this.#vcpus.map((vcpu, index) => ({
      ...present(this.views[index], 'a vCPU').save(),
      decodedAs: vcpu.decodedAs,
      openException: vcpu.openException,
      exceptionsTaken: vcpu.exceptionsTaken,
      met: vcpu.met,
      openPages: vcpu.openPages === null ? null : [...vcpu.openPages],
    }));
    return { vcpus, code: this.code.save() };
  }

  loadState({ vcpus, code }: X86CpusValue): void {
    for (const [index, state] of vcpus.entries()) {
      present(this.views[index], 'a vCPU').load(state);
      const vcpu = this.#of(index);
      vcpu.decodedAs = state.decodedAs;
      vcpu.openException = state.openException;
      vcpu.exceptionsTaken = state.exceptionsTaken;
      vcpu.met = state.met;
      vcpu.openPages = state.openPages === null ? null : [...state.openPages];
    }
    this.code.load(code);
  }
}

export const x86_64: CpuArchitecture<X86VcpuView, X86Host, X86Line> = {
  model: {
    name: 'x86_64',
    instructions: isa.x86,
    systemCalls: isa.x86SystemCalls,
    flags: isa.x86Flags,
    layout: straightLayout(isa.registerFile.nextInstruction),
    floatRegisters: x86FloatRegisters,
    unaligned: 'inline',
    stackPointer: isa.registerNumber('rsp'),
    emitCondition,
  },
  highMask: 0xffffffff,
  sizes: { registers: isa.registerFile.places, state: isa.x86State.places },
  prepare: () => undefined,
  codeBytes: (pages) => StraightRuns.bytes(pages),
  connect: (parts) => new X86Cpus(parts),
};
