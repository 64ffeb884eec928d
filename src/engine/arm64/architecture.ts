/** The engine's interface for A64 CPUs (Arm DDI 0487). */
import { present } from '../../base/index.js';
import {
  a64,
  a64Flags,
  a64SystemCalls,
  conditionHolds,
  registerFile,
  Semantics,
  statePlaces,
} from '../../isa/index.js';
import type { Completion, CpuArchitecture, CpuParts, CpuSet } from '../architecture.js';
import type { Arm64Host } from './host.js';
import type { Processor } from '../processor.js';
import { Accesses } from './accesses.js';
import { A64Block, stateSlots } from './block.js';
import { conditionRows, conditionTable, emitCondition } from './conditions.js';
import { RecordPages, recordPageBytes } from './code_cache.js';
import type { RecordPagesValue } from './code_cache.js';
import { nearTarget, pageLayout, recordAt } from './code_layout.js';
import { WordDecoder } from './records.js';
import { answerCall } from './system_calls.js';
import type { CpuContext } from './system_calls.js';
import { a64FloatRegisters } from './float_registers.js';
import { finishInstruction, prepareEntry } from './resume.js';
import { Vcpu } from './vcpu.js';
import type { OpenException } from './vcpu.js';
import { VcpuView } from './vcpu_view.js';
import type { VcpuValue } from './vcpu_view.js';

export type Arm64Line = 'irq' | 'fiq';

/** A vCPU with what the host keeps of it: what it shows of a hung guest, and as which mode its code was decoded. */
interface VcpuState extends VcpuValue {
  readonly openException: OpenException | null;
  readonly exceptionsTaken: number;
  readonly decodedAs: readonly [number, number];
}

/** The CPUs of a processor as a plain value. */
export interface Arm64CpusValue {
  /** By index. */
  readonly vcpus: readonly VcpuState[];
  readonly code: RecordPagesValue;
}

/** A processor of A64 CPUs. */
export type Arm64Processor = Processor<VcpuView, Arm64Host, Arm64Line>;

/** Bits of ISR_EL1. */
const lineBits: Readonly<Record<Arm64Line, number>> = { irq: 0x80, fiq: 0x40 };

class Arm64Cpus implements CpuSet<VcpuView, Arm64Line> {
  readonly views: readonly VcpuView[];
  readonly code: RecordPages;
  readonly #vcpus: readonly Vcpu[];
  readonly #decoder: WordDecoder;
  readonly #context: CpuContext;

  constructor(parts: CpuParts<Arm64Host>) {
    const { memory, tlbs, blocks, host, code, memoryEnd } = parts;
    this.code = new RecordPages(memory, tlbs, code.start, code.pages, memoryEnd);
    this.#decoder = new WordDecoder(parts, this.code);
    this.#vcpus = blocks.map((offset, index) => new Vcpu(index, new A64Block(memory, offset)));
    const accesses = new Accesses(memory, tlbs, this.code, host);
    const context: CpuContext = { vcpus: this.#vcpus, tlbs, accesses, host };
    this.#context = context;
    this.views = this.#vcpus.map((vcpu) => new VcpuView(vcpu, context));
    for (const view of this.views) view.reset();
  }

  #of(vcpu: number): Vcpu {
    return present(this.#vcpus[vcpu], 'a vCPU');
  }

  /** Another vCPU may have stored since this one ran, so clear the exclusive monitor. */
  begin(vcpu: number, executed: number): void {
    if (executed === 0) this.#of(vcpu).block.setLow(stateSlots.monitorBytes, 0);
  }

  end(): void {
    // Nothing is kept.
  }

  prepareEntry(vcpu: number): boolean {
    return prepareEntry(this.#context, this.#of(vcpu));
  }

  finish(vcpu: number): Completion {
    return finishInstruction(this.#context, this.#of(vcpu));
  }

  isStepping(): boolean {
    return false;
  }

  stepped(): void {
    // Nothing waits for it.
  }

  setLine(vcpu: number, line: Arm64Line, asserted: boolean): void {
    const { block } = this.#of(vcpu);
    const lines = block.low(stateSlots.lines);
    block.setLow(stateSlots.lines, asserted ? lines | lineBits[line] : lines & ~lineBits[line]);
  }

  hasOpenInterrupt(vcpu: number): boolean {
    return this.#of(vcpu).openInterrupts !== 0;
  }

  flushFrames(): void {
    this.#context.accesses.forgetFrames();
  }

  fetch(vcpu: number, low: number, high: number): number {
    return this.#context.accesses.fetch(this.#of(vcpu), low, high);
  }

  decode(record: number): void {
    this.#decoder.decode(record);
  }

  load(vcpu: number, low: number, high: number, flags: number): number {
    return this.#context.accesses.load(this.#of(vcpu), low, high, flags);
  }

  store(vcpu: number, low: number, high: number, flags: number): number {
    return this.#context.accesses.store(this.#of(vcpu), low, high, flags);
  }

  system(vcpu: number, call: number, a: bigint, b: bigint): boolean {
    return answerCall(this.#context, this.#of(vcpu), call, a, b);
  }

  saveState(): Arm64CpusValue {
    const vcpus = this.#vcpus.map((vcpu, index) => {
      const view = present(this.views[index], 'a vCPU');
      const { openException, exceptionsTaken, decodedAs } = vcpu;
      return { ...view.save(), openException, exceptionsTaken, decodedAs: [...decodedAs] as const };
    });
    return { vcpus, code: this.code.save() };
  }

  loadState({ vcpus, code }: Arm64CpusValue): void {
    for (const [index, state] of vcpus.entries()) {
      const vcpu = this.#of(index);
      present(this.views[index], 'a vCPU').load(state);
      vcpu.openException = state.openException;
      vcpu.exceptionsTaken = state.exceptionsTaken;
      [vcpu.decodedAs[0], vcpu.decodedAs[1]] = state.decodedAs;
    }
    this.code.load(code);
  }
}

export const arm64: CpuArchitecture<VcpuView, Arm64Host, Arm64Line> = {
  model: {
    name: 'arm64',
    get instructions() {
      return a64();
    },
    systemCalls: a64SystemCalls,
    flags: a64Flags,
    layout: pageLayout,
    floatRegisters: a64FloatRegisters,
    unaligned: 'missed',
    stackPointer: registerFile.stackPointer,
    emitCondition,
  },
  regions: {
    condition: (number) => conditionHolds(new Semantics(), number),
    zero: registerFile.zero,
    sink: registerFile.sink,
    nearTarget,
    recordAt,
  },
  // Bits 63 to 56 may be a tag: a translation is invalidated by bits 55 and below (DDI 0487, TLBI VAE1).
  highMask: 0xffffff,
  sizes: { registers: registerFile.places, state: statePlaces },
  prepare: ({ view }) => {
    for (const [code, row] of conditionRows().entries()) view.setUint16(conditionTable + 2 * code, row, true);
  },
  codeBytes: (pages) => pages * recordPageBytes,
  connect: (parts) => new Arm64Cpus(parts),
};
