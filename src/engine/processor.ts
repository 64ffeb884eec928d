/**
 * A set of vCPUs over one WebAssembly memory: their state, what was decoded and translated for them, and their runs. What
 * physical memory is, devices and hypervisor calls are the machine's affair (ports.ts).
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
  /** Memory for guests, in bytes, from `Processor.ramStart` on. */
  readonly ramBytes: number;
  /** Pages of code that are kept decoded, 16 KiB each; 4096 unless said. */
  readonly decodedPages?: number;
}

const tableBytes = 4096;
const defaultDecodedPages = 4096;

export class Processor {
  /** Where the guests' memory begins, in the engine's; a multiple of 64 KiB. */
  readonly ramStart: number;
  /** The vCPUs, as the machine may see and change them. */
  readonly vcpus: readonly VcpuView[];
  readonly #memory: EngineMemory;
  readonly #tlbs: Tlbs;
  readonly #pages: CodePages;
  readonly #context: CallContext;
  readonly #vcpus: readonly Vcpu[];
  readonly #interpreter: InterpreterInstance;
  #running: Vcpu | null = null;
  #budget = 0;
  /** Whether the interpreter runs, and what was taken off its budget to make it come back soon. */
  #inside = false;
  #held = 0;
  #stopAsked = false;

  /** Throws InvariantError where the sizes do not fit into a WebAssembly memory (4 GiB). */
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

  /** All of the guests' memory. Whoever writes to it must say so (`wrote`). */
  get ram(): Uint8Array<ArrayBuffer> {
    return this.#memory.bytes.subarray(this.ramStart);
  }

  /** Says that memory was written from a place on (a byte offset in the engine's memory), so that code there is read anew. */
  wrote(place: number, bytes: number): void {
    this.#pages.written(place, bytes);
  }

  /** Whether the page of 4 KiB at a place may hold anything but zeros. To read a page that does not makes the host provide it. */
  wasWritten(place: number): boolean {
    return this.#pages.wasWritten(place);
  }

  /** Says that other memory, or none, is now at some physical address: what `PhysicalMemory.frame` answered is asked again. */
  forgetTranslations(): void {
    this.#context.accesses.forgetFrames();
    for (const { index } of this.#vcpus) this.#tlbs.forgetAll(index);
  }

  /**
   * Runs a vCPU until the budget (instructions, below 2^26) is used up, at the next taken branch or page's end, or until
   * something ends the run before.
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
    // Others may have stored since it ran: the monitor is open.
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

  /** One stay in the interpreter; the exit's number. */
  #stay({ block }: Vcpu): number {
    this.#inside = true;
    const exit = this.#interpreter.run(block.place);
    this.#inside = false;
    block.budget += this.#held;
    this.#held = 0;
    return exit;
  }

  /** Within a call of the host: how many instructions of the present run are done. */
  get executed(): number {
    if (this.#running === null) return 0;
    const { block } = this.#running;
    return this.#budget - this.#held - (this.#inside ? block.left : block.budget);
  }

  /** Within a call of the host: ends the present run at its next taken branch or before. */
  stop(): void {
    this.#stopAsked = true;
    this.#endSoon();
  }

  #endSoon(): void {
    if (this.#running === null || !this.#inside || this.#held !== 0) return;
    this.#held = Math.max(this.#running.block.left, 0);
    this.#running.block.left -= this.#held;
  }

  /** Sets an interrupt line of a vCPU. One that runs takes the interrupt at its next taken branch or before, if it is not masked. */
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
