/**
 * A set of vCPUs over one WebAssembly memory: their state, their decoded code and TLBs, and the function that runs
 * them. Physical memory, devices and hypervisor calls belong to the machine (ports.ts).
 */
import { invariant, present } from '../base/index.js';
import type { Instruction } from '../isa/index.js';
import { Accesses } from './arm64/accesses.js';
import { answerCall } from './arm64/system_calls.js';
import type { CallContext } from './arm64/system_calls.js';
import { finishInstruction, settle } from './arm64/turns.js';
import { Vcpu } from './arm64/vcpu.js';
import { VcpuView } from './arm64/vcpu_view.js';
import { CodePages, recordPageBytes } from './code_pages.js';
import { conditionRows, conditionTable } from './conditions.js';
import { interpreterOf, InterpreterInstance } from './interpreter_instance.js';
import type { Built } from './interpreter_instance.js';
import { budgetLimit, cpuOffsets, exits } from './layout.js';
import { EngineMemory } from './memory.js';
import type { EngineHost, RunResult, StopReason } from './ports.js';
import { RecordDecoder } from './record_decoder.js';
import { tlbBytes, Tlbs } from './tlb.js';
import { at, VcpuBlock } from './vcpu_block.js';

export interface ProcessorSizes {
  readonly vcpus: number;
  /** Size in bytes of the guests' memory, which starts at `Processor.ramStart`. */
  readonly ramBytes: number;
  /** Number of code pages to keep decoded, 16 KiB each (default: 4096). */
  readonly decodedPages?: number;
}

const tableBytes = 4096;
const defaultDecodedPages = 4096;

export class Processor {
  /** Byte offset of the guests' memory in the engine's memory, a multiple of 64 KiB. */
  readonly ramStart: number;
  /** The vCPUs; the machine may read and change them. */
  readonly vcpus: readonly VcpuView[];
  readonly #memory: EngineMemory;
  readonly #tlbs: Tlbs;
  readonly #pages: CodePages;
  readonly #context: CallContext;
  readonly #vcpus: readonly Vcpu[];
  readonly #interpreter: InterpreterInstance;
  #running: Vcpu | null = null;
  #budget = 0;
  /** Whether the interpreter is running, and how much was taken off its budget to make it return early. */
  #inside = false;
  #held = 0;
  #stopAsked = false;

  /** Throws InvariantError if the sizes do not fit into a WebAssembly memory (4 GiB). */
  constructor(instructions: readonly Instruction[], host: EngineHost, sizes: ProcessorSizes) {
    const { vcpus, ramBytes, decodedPages = defaultDecodedPages } = sizes;
    const tlbStart = tableBytes + vcpus * cpuOffsets.size;
    const recordsStart = tlbStart + tlbBytes(vcpus);
    this.ramStart = Math.ceil((recordsStart + decodedPages * recordPageBytes) / 65536) * 65536;
    const end = this.ramStart + ramBytes;
    invariant(end <= 2 ** 32, `${end} bytes do not fit into the engine's memory`);
    this.#memory = new EngineMemory(end);
    this.#tlbs = new Tlbs(this.#memory, tlbStart, vcpus);
    this.#pages = new CodePages(this.#memory, this.#tlbs, recordsStart, decodedPages, end);
    this.#vcpus = Array.from(
      { length: vcpus },
      (_, index) => new Vcpu(index, new VcpuBlock(this.#memory, tableBytes + index * cpuOffsets.size)),
    );
    const accesses = new Accesses(this.#memory, this.#tlbs, this.#pages, host);
    this.#context = { vcpus: this.#vcpus, tlbs: this.#tlbs, accesses, host };
    this.vcpus = this.#vcpus.map((vcpu) => new VcpuView(vcpu, this.#context));
    for (const vcpu of this.vcpus) vcpu.reset();
    for (const [code, row] of conditionRows().entries()) {
      this.#memory.view.setUint16(conditionTable + 2 * code, row, true);
    }
    this.#interpreter = this.#instantiate(interpreterOf(instructions));
  }

  /** The guests' memory. Call `wrote` after writing to it. */
  get ram(): Uint8Array<ArrayBuffer> {
    return this.#memory.bytes.subarray(this.ramStart);
  }

  /** Invalidates the decoded code of memory that was written, from a byte offset in the engine's memory on. */
  wrote(place: number, bytes: number): void {
    this.#pages.written(place, bytes);
  }

  /**
   * Whether the 4 KiB page at a byte offset may contain nonzero bytes. Use it to avoid reading unused pages: a read
   * makes the host allocate them.
   */
  wasWritten(place: number): boolean {
    return this.#pages.wasWritten(place);
  }

  /** Invalidates all cached answers of `PhysicalMemory.frame`. Call it when the physical memory map has changed. */
  forgetTranslations(): void {
    this.#context.accesses.forgetFrames();
    for (const { index } of this.#vcpus) this.#tlbs.forgetAll(index);
  }

  /**
   * Runs a vCPU until its budget (in instructions, below 2^26) is used up and it reaches a taken branch or the end of a
   * page, or until another event ends the run.
   */
  run(index: number, budget: number): RunResult {
    const vcpu = present(this.#vcpus[index], 'a vCPU');
    invariant(
      this.#running === null && budget > 0 && budget < budgetLimit,
      `vCPU ${index} cannot run ${budget}`,
    );
    this.#running = vcpu;
    this.#budget = budget;
    this.#stopAsked = false;
    vcpu.block.budget = budget;
    // Another vCPU may have stored since this one ran, so clear the monitor.
    vcpu.block.setLow(at.monitorBytes, 0);
    const reason = this.#runUntilStopped(vcpu);
    this.#running = null;
    return { reason, executed: budget - vcpu.block.budget };
  }

  #runUntilStopped(vcpu: Vcpu): StopReason {
    for (;;) {
      if (this.#stopAsked) return 'stopped';
      if (vcpu.block.budget <= 0) return 'budget';
      if (!settle(this.#context, vcpu)) continue;
      if (this.#stay(vcpu) !== exits.host) continue;
      const reason = finishInstruction(this.#context, vcpu);
      if (reason !== null) return reason;
    }
  }

  /** Enters the interpreter once. Returns the exit number. */
  #stay({ block }: Vcpu): number {
    this.#inside = true;
    const exit = this.#interpreter.run(block.place);
    this.#inside = false;
    block.budget += this.#held;
    this.#held = 0;
    return exit;
  }

  /** Within a host call: the number of instructions that the current run has completed. */
  get executed(): number {
    if (this.#running === null) return 0;
    const { block } = this.#running;
    return this.#budget - this.#held - (this.#inside ? block.left : block.budget);
  }

  /** Within a host call: ends the current run at its next taken branch or before. */
  stop(): void {
    this.#stopAsked = true;
    this.#endSoon();
  }

  #endSoon(): void {
    if (this.#running === null || !this.#inside || this.#held !== 0) return;
    this.#held = Math.max(this.#running.block.left, 0);
    this.#running.block.left -= this.#held;
  }

  /**
   * Sets an interrupt line of a vCPU. A running vCPU takes an unmasked interrupt at its next taken branch or before.
   */
  setInterruptLine(index: number, line: 'irq' | 'fiq', asserted: boolean): void {
    const vcpu = present(this.#vcpus[index], 'a vCPU');
    const bit = line === 'irq' ? 0x80 : 0x40;
    const lines = vcpu.block.low(at.lines);
    vcpu.block.setLow(at.lines, asserted ? lines | bit : lines & ~bit);
    if (vcpu === this.#running && vcpu.openInterrupts !== 0) this.#endSoon();
  }

  #instantiate(made: Built): InterpreterInstance {
    const context = this.#context;
    const { accesses } = context;
    const of = (block: number): Vcpu =>
      present(this.#vcpus[(block - tableBytes) / cpuOffsets.size], 'the vCPU of a block');
    const instance: InterpreterInstance = new InterpreterInstance(made, this.#memory, {
      fetch: (block: number, low: number, high: number) => accesses.fetch(of(block), low >>> 0, high >>> 0),
      decode: (record: number) => decoder.decode(record),
      slowLoad: (block: number, low: number, high: number, flags: number) =>
        accesses.load(of(block), low >>> 0, high >>> 0, flags),
      slowStore: (block: number, low: number, high: number, flags: number) =>
        accesses.store(of(block), low >>> 0, high >>> 0, flags),
      system: (block: number, number: number, a: bigint, b: bigint) =>
        answerCall(context, of(block), number, a, b) ? 1 : 0,
    });
    const provide = (handler: number): void => instance.provide(handler);
    const decoder = new RecordDecoder(this.#memory, this.#pages, made.decoder, made.plan, provide);
    return instance;
  }
}
