/**
 * The seam between a machine and its architecture. A board has the CPUs, the interrupt controller and the devices of one
 * architecture; the machine (machine.ts) has the scheduler, the clock, the domain and console input.
 */
import type { FrameRange } from '../base/index.js';
import type { CompilerStatistics, EngineOptions, PageContents, RunResult } from '../engine/index.js';
import type {
  CallerPort,
  CallRecord,
  Domain,
  DomainConfig,
  PowerRecord,
  StartContext,
} from '../hypervisor/index.js';
import type { XenVcpuId } from '../identity/index.js';
import type { CpuModel } from '../isa/x86_64/index.js';
import type { EngineFrames } from './frames.js';

export type { CpuModel };

/** Is told of the events of a run. */
export interface MachineListener {
  /** How the vCPUs' instructions are run; the run is the same in any way. */
  readonly engine?: EngineOptions;
  /** A byte that the guest sent to its UART. */
  uart(byte: number): void;
  /** Bytes that the guest wrote to its PV console. */
  pvConsole?(bytes: Uint8Array): void;
  /** A line that the guest wrote to Xen's own console, without its end. */
  xenConsole?(line: string): void;
  /** A hypercall is about to be made. */
  calling?(vcpu: XenVcpuId): void;
  /** A hypercall, when it has been answered for good; the vCPU's registers hold the answer, and pc is behind it. */
  hypercall?(vcpu: XenVcpuId, record: CallRecord): void;
  /** A vCPU asked for the start of another, stopped itself, or made another call of the same interface, and was answered. */
  power?(vcpu: XenVcpuId, record: PowerRecord): void;
  /** A vCPU enters the guest. */
  started?(vcpu: XenVcpuId): void;
  /**
   * A vCPU has switched its address translation on or off by itself: a kernel is being left or entered. Of a vCPU that was just
   * started it is off, which is not told.
   */
  translationSwitched?(vcpu: XenVcpuId, on: boolean): void;
  /** A slice of that vCPU's turn has ended: some thousands of instructions, or fewer where something was due. */
  sliceEnded?(vcpu: XenVcpuId): void;
  /** A vCPU was seen in user mode, at the end of a slice of its turn, for the first time. */
  userSpace?(): void;
}

/** What 64-bit code of x86 finds when it is entered by a loader. */
export interface LongModeEntry {
  /** CR3. */
  readonly pageTable: bigint;
  readonly descriptorTable: { readonly base: bigint; readonly limit: number };
}

/** What a machine is built from; a run depends on these and on its input alone. */
export interface MachineOptions {
  readonly config: DomainConfig;
  /** Of the scheduler's PRNG: a whole number. */
  readonly seed: number;
  /** System time in ns at which the domain is created (default: 0). */
  readonly startNs?: bigint;
  /** Guest physical address where `config.entryVcpu` starts. */
  readonly entry: bigint;
  /** What it finds in the register that points to its boot information, a guest physical address. */
  readonly bootInformation: bigint;
  /** x86-64: enters in 64-bit mode, with that page table and descriptor table at guest physical addresses. */
  readonly longMode?: LongModeEntry;
  /** x86-64: the model of the CPUs (default: `minimal`). */
  readonly cpu?: CpuModel;
}

/** What a board asks of its machine. */
export interface BoardPort {
  /** Those of the domain that runs now. */
  readonly options: MachineOptions;
  readonly listener: MachineListener;
  /** The vCPUs, by index. */
  readonly vcpus: readonly XenVcpuId[];
  /** The guest's memory, range by range. */
  readonly ranges: readonly FrameRange[];
  /** System time, ns, also within a slice. */
  nowNs(): bigint;
  /** The domain and its memory, which exist once the board's processor does. */
  readonly domain: () => Domain;
  readonly frames: () => EngineFrames;
  /** Called before a vCPU asks Xen for something: brings the domain's time up to now. */
  catchUp(): void;
  /** Called after that: delivers what became pending, and ends the slice where it must. */
  called(vcpu: XenVcpuId): void;
  /** Called when something may have become due earlier than the end of the current slice. */
  cutSlice(): void;
  /** An interrupt ends any wait of the vCPU. */
  interrupted(vcpu: XenVcpuId): void;
}

/** The processor of a board, as far as a machine uses it. */
export interface BoardProcessor {
  /** Of the engine; see there. */
  readonly compilerStatistics: CompilerStatistics | null;
  dropCompiled(): void;
  readonly ram: Uint8Array<ArrayBuffer>;
  readonly ramStart: number;
  readonly executed: number;
  setAbsent(pages: readonly (readonly [offset: number, contents: PageContents])[]): void;
  clearRam(): void;
  use(offset: number): void;
  bringIn(offset: number): void;
  peek(offset: number): Uint8Array;
  startOf(offset: number): number;
  lastUse(offset: number): number;
  wrote(offset: number, bytes: number): void;
  wasWritten(offset: number): boolean;
  /** The physical memory map has changed. */
  flushTranslations(): void;
  stop(): void;
}

/**
 * The CPUs, the interrupt controller and the devices of one guest. The machine calls it between slices; within a slice the board
 * calls the machine through its {@link BoardPort}.
 */
export interface Board {
  readonly processor: BoardProcessor;
  /** How Xen reads the memory and the state of a vCPU that calls it. */
  readonly caller: CallerPort;
  /** System time in ns of the next event of interrupt controller and timers; null if there is none. */
  readonly dueNs: bigint | null;
  /** Loads the entry state of a vCPU that was just started. */
  enter(vcpu: XenVcpuId, start: StartContext): void;
  /** Runs a vCPU, as the processor does, or passes over what changes nothing. */
  run(vcpu: XenVcpuId, budget: number): RunResult;
  /** Whether the vCPU is in user mode. */
  isUser(vcpu: XenVcpuId): boolean;
  /**
   * A vCPU executed an instruction by which it waits for an interrupt: tells Xen, unless an interrupt is there that ends the wait.
   * Returns whether it told Xen.
   */
  halt(vcpu: XenVcpuId): boolean;
  /** Interrupt controller and timers handle what is due by `ns`. */
  passTo(ns: bigint): void;
  /** Tells the vCPU that events are pending for it. */
  deliver(vcpu: XenVcpuId): void;
  /** Drives the interrupt lines that may have changed. */
  driveLines(): void;
  /** Bytes arrive at the guest's UART. Returns how many it accepted. */
  receive(bytes: Uint8Array): number;
  /** CPUs, interrupt controller and devices as a plain value, between turns. */
  save(): object;
  /** Restores what `save` of a board of the same architecture and options returned. Memory must have been restored before. */
  load(state: object): void;
}
