/**
 * A set of vCPUs over one WebAssembly memory: their state, their decoded code and TLBs, and the function that runs
 * them. Physical memory, devices and hypervisor calls belong to the machine (ports.ts).
 */
import { equalValues, invariant, present } from '../base/index.js';
import type { CpuArchitecture, CpuSet } from './architecture.js';
import { Compiler, usualPolicy } from './compiler/compiler.js';
import type { CompilerPolicy, CompilerStatistics } from './compiler/compiler.js';
import type { HandlerPlan } from './handlers.js';
import { interpreterOf, InterpreterInstance } from './interpreter_instance.js';
import type { Built } from './interpreter_instance.js';
import { blockRoom, budgetLimit, cpuOffsets, exits } from './layout.js';
import { EngineMemory } from './memory.js';
import type { PageContents } from './memory.js';
import type { RunResult, StopReason } from './ports.js';
import { tlbBytes, Tlbs } from './tlb.js';
import type { TlbsValue } from './tlb.js';
import { VcpuBlock } from './vcpu_block.js';

export interface ProcessorSizes {
  readonly vcpus: number;
  /** Size in bytes of the guests' memory, which starts at `Processor.ramStart`. */
  readonly ramBytes: number;
  /** Number of code pages to keep decoded (default: 4096). */
  readonly decodedPages?: number;
}

/**
 * What runs instructions: the interpreter alone; with the compiler for what runs often, where that knows the architecture; or so that all
 * compiled code is also interpreted, and must do the same. It changes nothing of what the instructions do.
 */
export const engineKinds = ['interpreter', 'compiler', 'check'] as const;
/** One of {@link engineKinds}. */
export type EngineKind = (typeof engineKinds)[number];

export interface EngineOptions {
  /** Default: `interpreter`. */
  readonly kind?: EngineKind;
  readonly policy?: Partial<CompilerPolicy>;
}

/** A processor as a plain value, without its memory. It fits a processor of the same architecture and sizes only. */
export interface ProcessorValue {
  readonly sizes: Required<ProcessorSizes>;
  /** As the architecture saves them. */
  readonly cpus: object;
  /** Translations that a guest has not invalidated are visible to it, so they are part of the state. */
  readonly tlbs: TlbsValue;
}

const tableBytes = 4096;
const defaultDecodedPages = 4096;

/** `View`, `Host` and `Line` are the types of its {@link CpuArchitecture}. */
export class Processor<View, Host, Line> {
  /** Byte offset of the guests' memory in the engine's memory, a multiple of 64 KiB. */
  readonly ramStart: number;
  /** The vCPUs; the machine may read and change them. */
  readonly vcpus: readonly View[];
  readonly #sizes: Required<ProcessorSizes>;
  readonly #memory: EngineMemory;
  readonly #tlbs: Tlbs;
  readonly #cpus: CpuSet<View, Line>;
  readonly #blocks: readonly VcpuBlock[];
  readonly #interpreter: InterpreterInstance;
  readonly #compiler: Compiler | null;
  /** The index of the vCPU that runs. */
  #running: number | null = null;
  #budget = 0;
  /** See `run`. */
  #before = 0;
  /** Whether the interpreter is running, and how much was taken off its budget to make it return early. */
  #inside = false;
  #held = 0;
  #stopAsked = false;

  /** Throws InvariantError if the sizes do not fit into a WebAssembly memory (4 GiB). */
  constructor(
    architecture: CpuArchitecture<View, Host, Line>,
    host: Host,
    sizes: ProcessorSizes,
    engine: EngineOptions = {},
  ) {
    const { vcpus, ramBytes, decodedPages = defaultDecodedPages } = sizes;
    this.#sizes = { vcpus, ramBytes, decodedPages };
    const { registers, state } = architecture.sizes;
    invariant(
      registers <= blockRoom.registers && state <= blockRoom.state,
      'a vCPU does not fit into its block',
    );
    const tlbStart = tableBytes + vcpus * cpuOffsets.size;
    const recordsStart = tlbStart + tlbBytes(vcpus);
    this.ramStart = Math.ceil((recordsStart + architecture.codeBytes(decodedPages)) / 65536) * 65536;
    const end = this.ramStart + ramBytes;
    invariant(end <= 2 ** 32, `${end} bytes do not fit into the engine's memory`);
    this.#memory = new EngineMemory(end);
    this.#tlbs = new Tlbs(this.#memory, tlbStart, vcpus, architecture.highMask);
    this.#blocks = Array.from(
      { length: vcpus },
      (_, index) => new VcpuBlock(this.#memory, tableBytes + index * cpuOffsets.size),
    );
    const built = interpreterOf(architecture.model);
    this.#cpus = architecture.connect({
      memory: this.#memory,
      tlbs: this.#tlbs,
      blocks: this.#blocks.map(({ offset }) => offset),
      host,
      plan: built.plan,
      provide: (handler) => this.#interpreter.provide(handler),
      interruptsEnabled: () => this.#endSoon(),
      code: { start: recordsStart, pages: decodedPages },
      memoryEnd: end,
    });
    this.vcpus = this.#cpus.views;
    architecture.prepare(this.#memory);
    this.#interpreter = this.#instantiate(built);
    this.#compiler = this.#compilerFor(architecture, built.plan, engine);
  }

  #compilerFor(
    architecture: CpuArchitecture<View, Host, Line>,
    plan: HandlerPlan,
    { kind = 'interpreter', policy }: EngineOptions,
  ): Compiler | null {
    const { model, regions } = architecture;
    if (kind === 'interpreter' || regions === undefined) return null;
    const interpreter = this.#interpreter;
    return new Compiler(
      {
        memory: this.#memory,
        tlbs: this.#tlbs,
        code: this.#cpus.code,
        plan,
        model,
        regions,
        callFunction: interpreter.callFunction,
        checks: kind === 'check',
        prepare: (memory) => architecture.prepare(memory),
        setFunction: (handler, found) => interpreter.setFunction(handler, found),
      },
      { ...usualPolicy, ...policy },
    );
  }

  /** What the compiler has done; null without one. */
  get compilerStatistics(): CompilerStatistics | null {
    return this.#compiler?.statistics ?? null;
  }

  /** Drops all compiled code, while no vCPU runs. */
  dropCompiled(): void {
    this.#compiler?.dropAll();
  }

  /** The guests' memory. Call `bringIn` before reading or writing a page of it, and `wrote` after writing. */
  get ram(): Uint8Array<ArrayBuffer> {
    return this.#memory.bytes.subarray(this.ramStart);
  }

  /** See {@link EngineMemory.setAbsent}; byte offsets in the engine's memory. */
  setAbsent(pages: readonly (readonly [offset: number, contents: PageContents])[]): void {
    this.#memory.setAbsent(pages);
  }

  /** See {@link EngineMemory.use}. */
  use(offset: number): void {
    this.#memory.use(offset);
  }

  /** See {@link EngineMemory.bringIn}. */
  bringIn(offset: number): void {
    this.#memory.bringIn(offset);
  }

  /** See {@link EngineMemory.lastUse}. */
  lastUse(offset: number): number {
    return this.#memory.lastUse(offset);
  }

  /** See {@link EngineMemory.startOf}. */
  startOf(offset: number): number {
    return this.#memory.startOf(offset);
  }

  /** See {@link EngineMemory.peek}. */
  peek(offset: number): Uint8Array {
    return this.#memory.peek(offset);
  }

  /** Invalidates the decoded code of memory that was written, from a byte offset in the engine's memory on. */
  wrote(offset: number, bytes: number): void {
    this.#cpus.code.watched.written(offset, bytes);
  }

  /**
   * Whether the 4 KiB page at a byte offset may contain nonzero bytes. Use it to avoid reading unused pages: a read
   * makes the host allocate them.
   */
  wasWritten(offset: number): boolean {
    return this.#cpus.code.watched.wasWritten(offset);
  }

  /** Sets the guests' memory to zeros, and forgets what is absent from it. */
  clearRam(): void {
    this.#memory.setAbsent([]);
    const { watched } = this.#cpus.code;
    for (
      let page = watched.nextWritten(this.ramStart / 4096);
      page >= 0;
      page = watched.nextWritten(page + 1)
    ) {
      watched.written(page * 4096, 4096);
      this.#memory.bytes.fill(0, page * 4096, (page + 1) * 4096);
    }
  }

  /** Invalidates all cached answers of `PhysicalMemory.frame`. Call it when the physical memory map has changed. */
  flushTranslations(): void {
    this.#cpus.flushFrames();
    for (const vcpu of this.#blocks.keys()) this.#tlbs.flushAll(vcpu);
  }

  /** The state as a plain value, while no vCPU runs. */
  save(): ProcessorValue {
    invariant(this.#running === null, 'a processor is saved while no vCPU runs');
    return { sizes: this.#sizes, cpus: this.#cpus.saveState(), tlbs: this.#tlbs.save() };
  }

  /** Restores a state that `save` returned, while no vCPU runs. Memory must have been restored before. Throws InputError for another state. */
  load({ sizes, cpus, tlbs }: ProcessorValue): void {
    invariant(this.#running === null, 'a processor is restored while no vCPU runs');
    invariant(equalValues(sizes, this.#sizes), 'the state is that of a processor of other sizes');
    this.#cpus.loadState(cpus);
    this.#cpus.flushFrames();
    const end = this.ramStart + this.#sizes.ramBytes;
    this.#tlbs.load(tlbs, {
      isCode: (records) => this.#cpus.code.holds(records),
      isData: (page) => page % 4096 === 0 && page >= this.ramStart && page < end,
    });
  }

  /**
   * Runs a vCPU until its budget (in instructions, below 2^26) is used up and it reaches a scheduling point, or until
   * another event ends the run. Where several runs are one slice to the machine, `before` is
   * the number of instructions that the earlier ones executed; `executed` counts them too.
   */
  run(index: number, budget: number, before = 0): RunResult {
    const block = this.#block(index);
    invariant(
      this.#running === null && budget > 0 && budget < budgetLimit,
      `vCPU ${index} cannot run ${budget}`,
    );
    this.#running = index;
    this.#budget = budget;
    this.#before = before;
    this.#stopAsked = false;
    block.budget = budget;
    this.#grant(block);
    this.#cpus.begin(index, before);
    const reason = this.#runUntilStopped(index, block);
    this.#cpus.end(index);
    this.#running = null;
    return { reason, executed: budget - block.budget };
  }

  #block(index: number): VcpuBlock {
    return present(this.#blocks[index], 'a vCPU');
  }

  /** A run ends at scheduling points only, so that it does not depend on why and how often the interpreter returns. */
  #runUntilStopped(index: number, block: VcpuBlock): StopReason {
    let isSchedulingPoint = true;
    for (;;) {
      if (isSchedulingPoint) {
        if (this.#stopAsked) return 'stopped';
        if (block.budget <= 0) return 'budget';
      }
      isSchedulingPoint = true;
      if (!this.#cpus.prepareEntry(index)) continue;
      const steps = this.#cpus.isStepping(index);
      this.#compiler?.entering(block);
      if (this.#enter(block, steps) !== exits.host) {
        if (steps) this.#cpus.stepped(index);
        this.#compiler?.sample(block);
        continue;
      }
      const completion = this.#cpus.finish(index);
      if (completion === 'goesOn') isSchedulingPoint = false;
      else if (completion !== 'schedulingPoint') return completion;
    }
  }

  /** Enters the interpreter once, for one instruction if the vCPU steps. Returns the exit number. */
  #enter(block: VcpuBlock, steps: boolean): number {
    this.#inside = true;
    if (this.#stopAsked || steps) {
      // To be stopped: the last instruction was no scheduling point, and the vCPU runs on to the next one.
      this.#held = Math.max(block.budget - (this.#stopAsked ? 0 : 1), 0);
      block.budget -= this.#held;
    }
    this.#grant(block);
    const exit = this.#interpreter.run(block.offset);
    this.#inside = false;
    block.budget += this.#held;
    this.#held = 0;
    this.#grant(block);
    return exit;
  }

  #grant(block: VcpuBlock): void {
    block.granted = this.#before + this.#budget - this.#held;
  }

  /** Within a host call: the number of instructions that the current run, and the runs that it continues, have completed. */
  get executed(): number {
    if (this.#running === null) return 0;
    const block = this.#block(this.#running);
    return this.#inside ? block.executedBefore : block.executed;
  }

  /** Within a host call: ends the current run at its next taken branch or before. */
  stop(): void {
    this.#stopAsked = true;
    this.#endSoon();
  }

  #endSoon(): void {
    if (this.#running === null || !this.#inside || this.#held !== 0) return;
    const block = this.#block(this.#running);
    this.#held = Math.max(block.left, 0);
    block.left -= this.#held;
    this.#grant(block);
  }

  /**
   * Sets an interrupt line of a vCPU. A running vCPU takes an unmasked interrupt at its next taken branch or before.
   */
  setInterruptLine(index: number, line: Line, asserted: boolean): void {
    this.#cpus.setLine(index, line, asserted);
    if (index === this.#running && this.#cpus.hasOpenInterrupt(index)) this.#endSoon();
  }

  #instantiate(built: Built): InterpreterInstance {
    const cpus = this.#cpus;
    const indexOf = (block: number): number => (block - tableBytes) / cpuOffsets.size;
    return new InterpreterInstance(built, this.#memory, {
      fetch: (block: number, low: number, high: number) => cpus.fetch(indexOf(block), low >>> 0, high >>> 0),
      decode: (record: number) => cpus.decode(record),
      slowLoad: (block: number, low: number, high: number, flags: number) =>
        cpus.load(indexOf(block), low >>> 0, high >>> 0, flags),
      slowStore: (block: number, low: number, high: number, flags: number) =>
        cpus.store(indexOf(block), low >>> 0, high >>> 0, flags),
      system: (block: number, number: number, a: bigint, b: bigint) =>
        cpus.system(indexOf(block), number, a, b) ? 1 : 0,
    });
  }
}
