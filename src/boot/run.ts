/** A boot from its first instruction to its end: its listeners, the conditions that end it, and its result. */
import type { Finding, NotJudged, Outcome, Platform, TraceEvent } from '../audit/index.js';
import { audit, notJudgedCalls, patienceNs } from '../audit/index.js';
import { frameBytes, present } from '../base/index.js';
import type { CallRecord } from '../hypervisor/index.js';
import type { LinuxCpu, XenVcpuId } from '../identity/index.js';
import type { LogRecord } from '../introspect/index.js';
import type { Arm64Machine, GuestConsole } from '../machine/index.js';
import { ConsoleLines } from './console_lines.js';
import { mainConsoleOf } from './consoles.js';
import { ByteQueue } from './byte_queue.js';
import { buildGuest } from './guest.js';
import { hungGuest } from './hung_guest.js';
import type { RefusedInstruction } from './hung_guest.js';
import type { Guest } from './guest.js';
import { readGuest } from './guest_memory.js';
import { KernelLog } from './kernel_log.js';
import type { KernelMemory } from './kernel_log.js';
import { KernelView } from './kernel_view.js';
import type { Introspection } from './kernel_view.js';
import { panicIn, panicOf, panicTail, PanicWatch } from './panic_watch.js';
import { cutText, listedFindings } from './findings.js';
import { Observer } from './observer.js';
import type { BootOptions } from './options.js';
import type { TraceCounts } from './trace_counts.js';
import type { TraceFolding } from './trace_store.js';
import { unsetRecords } from './what_if.js';
import { commandEnd } from './command_end.js';
import type { CommandEnd } from '../guest_init/index.js';

/** Listeners of a boot. */
export interface BootWatcher {
  /** Bytes that the guest wrote to one of its consoles, as they come. */
  console?(bytes: Uint8Array, from: GuestConsole): void;
  /** Each event that the audit will read, as it comes. */
  event?(event: TraceEvent): void;
  /** A line that the guest wrote to Xen's own console. */
  xenConsole?(line: string): void;
}

/** A broken rule, and the place in the kernel that made the call; null if there is no call or the place is not known. */
export interface BootFinding extends Finding {
  readonly where: string | null;
}

/** The state of a boot; `waiting`: it has reached the time up to which it may run. */
export type BootState = 'running' | 'waiting' | 'ended';

/** The final state of one Linux CPU. */
export interface BootCpu {
  readonly linuxCpu: LinuxCpu;
  readonly vcpu: XenVcpuId;
  readonly mpidr: number;
  /** The kernel's record; null if there is none, or if it could not be read. */
  readonly recordedVcpuId: number | null;
  /** The ids in this CPU's calls, about itself or others; unsigned, each once, in ascending order. */
  readonly usedVcpuIds: readonly number[];
  /** Whether the kernel ever counted it as online; null if it was started and this is not known. */
  readonly online: boolean | null;
  /**
   * The limit because of which the kernel left it out when it booted, e.g. `nr_cpus=3`; null if there is none, or if it came
   * up later.
   */
  readonly leftOut: string | null;
}

/** The outcome of a guest; `stopped`: it was stopped from outside. */
export type BootOutcome = Outcome | 'stopped';

export interface BootResult {
  readonly outcome: BootOutcome;
  /** The outcome in one line. */
  readonly ending: string;
  /** Of a guest that hangs or was stopped: an instruction that the CPU refused, and that the guest did not get over. */
  readonly refused: RefusedInstruction | null;
  /** Whether the guest reached its goal. */
  readonly reached: boolean;
  readonly findings: readonly BootFinding[];
  /** Calls with a vCPU id whose meaning is not known; no rule judges these ids. */
  readonly notJudged: readonly NotJudged[];
  /** The number of findings that are not listed: the same finding is listed at most 16 times, and 2000 are listed in all. */
  readonly omittedFindings: number;
  /** The events that were kept, which the audit has read. */
  readonly events: readonly TraceEvent[];
  /** What was left out of the trace. */
  readonly folding: TraceFolding;
  /** Counts over the whole trace, including events that were not kept. */
  readonly counts: TraceCounts;
  readonly cpus: readonly BootCpu[];
  readonly instructions: number;
  readonly guestNs: bigint;
  /** How the command ended; null if there is none, or if the guest ended before it. */
  readonly commandEnd: CommandEnd | null;
  /** Calls that Xen has and the hypervisor does not model, by name, and how often each was made. */
  readonly notModelled: Readonly<Record<string, number>>;
  /** How each thing was read from the kernel. */
  readonly introspection: Introspection;
  /** The end of the kernel's own log, from its memory; empty if the log was not found. */
  readonly kernelLog: readonly LogRecord[];
}

const logTail = 40;
/** The kernel's log has fewer records than this before the first call about a CPU. */
const earlyLog = 1000;

export class Boot {
  readonly guest: Guest;
  readonly #options: BootOptions;
  readonly #kernel: KernelView;
  readonly #observer: Observer;
  readonly #lines: Readonly<Record<GuestConsole, ConsoleLines>>;
  readonly #log: KernelLog;
  readonly #panics: PanicWatch;
  readonly #notModelled = new Map<string, number>();
  #sawInitControl = false;
  #hasReachedLimit = false;
  /** Whether the records were set as `whatIf` says. */
  #recordsSet = false;
  /** The vCPU that made the last hypercall or power call. */
  #lastCaller = 0;
  #commandEnd: CommandEnd | null = null;
  #refused: RefusedInstruction | null = null;
  #end: { readonly outcome: BootOutcome; readonly ending: string; readonly reached: boolean } | null = null;

  /** Throws InputError when the guest cannot be built as asked. */
  constructor(options: BootOptions, watcher: BootWatcher = {}) {
    this.#options = options;
    const lines = (): ConsoleLines => new ConsoleLines((line) => this.#line(line));
    this.#lines = { uart: lines(), pvConsole: lines() };
    const sent = new ByteQueue((bytes) => watcher.console?.(bytes, 'uart'));
    this.guest = buildGuest(options, {
      uart: (byte) => {
        sent.add(byte);
        this.#lines.uart.pushByte(byte);
      },
      pvConsole: (bytes) => {
        sent.flush();
        watcher.console?.(bytes, 'pvConsole');
        this.#lines.pvConsole.push(bytes);
      },
      xenConsole: (line) => {
        sent.flush();
        watcher.xenConsole?.(line);
      },
      hypercall: (vcpu, record) => {
        this.#lastCaller = vcpu;
        // Before the records are read, because their earlier contents do not matter in this boot.
        this.#fillRecords(vcpu, record);
        this.#observer.hypercall(vcpu, record);
        this.#countNotModelled(record);
      },
      power: (vcpu, record) => {
        this.#lastCaller = vcpu;
        this.#observer.power(vcpu, record);
      },
      sliceEnded: (vcpu) => {
        sent.flush();
        this.#observer.sliceEnded(vcpu);
      },
      userSpace: () => this.#userSpace(),
    });
    this.#kernel = new KernelView(this.guest, options.kernel.image);
    this.#observer = new Observer(
      this.guest,
      this.#kernel,
      (event) => {
        sent.flush();
        watcher.event?.(event);
      },
      {
        given: options.commandLine,
        said: () => this.#saidCommandLine(),
      },
    );
    this.#log = new KernelLog(kernelMemory(this.guest, options));
    this.#panics = new PanicWatch(this.machine, (most) => this.#kernelLog(most));
  }

  /** The place in the kernel that made the call of that step of the trace: `function+0x1c`; null if the step is not a call. */
  whereOf(step: number): string | null {
    return this.#observer.whereOf(step);
  }

  /** A kernel address by the kernel's own symbols: `function+0x1c`, or `_text+0x81c` without symbols. */
  symbolAt(address: bigint): string {
    return this.#kernel.symbolAt(address);
  }

  get machine(): Arm64Machine {
    return this.guest.machine;
  }

  /**
   * Types at one of the guest's consoles. The guest can read the bytes from guest time `atNs` (default: now). The same input
   * at the same times gives the same run.
   */
  input(console: GuestConsole, bytes: Uint8Array, atNs?: bigint): void {
    this.machine.input(console, bytes, atNs);
  }

  /**
   * Continues for about `instructions`, up to system time `untilNs`, or to the end of the run. The division into steps does not
   * change when the run ends.
   */
  step(instructions: number, untilNs?: bigint): BootState {
    const { limits } = this.#options;
    const endNs = untilNs === undefined || untilNs > limits.guestNs ? limits.guestNs : untilNs;
    const end = Math.min(this.machine.instructions + Math.max(instructions, 1), limits.instructions);
    while (!this.#hasEnded()) {
      const look = this.#panics.next;
      const stop = this.machine.run(
        Math.min(end, look.instructions) - this.machine.instructions,
        look.ns < endNs ? look.ns : endNs,
      );
      // A line of the guest's console may have ended the run.
      if (this.#hasEnded()) break;
      if (stop === 'shutdown') return this.#shutDown();
      const panic = stop === 'stuck' ? this.#panics.look() : this.#panics.lookWhenDue();
      if (panic !== null) return this.#finish('panic', panic, false);
      // If the caller limits the time of each step, input may still come.
      if (stop === 'stuck' && untilNs !== undefined) return 'waiting';
      if (stop === 'stuck') return this.#hang('hang', 'every vCPU waits, and nothing is to come');
      if (this.#limitReached()) break;
      if (this.machine.nowNs >= endNs) return 'waiting';
      if (this.machine.instructions >= end) return 'running';
    }
    return 'ended';
  }

  #hasEnded(): boolean {
    return this.#end !== null;
  }

  /**
   * Types `bytes` into the guest's console (the last one that its command line names). The guest can read them from system time
   * `atNs` (default: now).
   */
  type(bytes: Uint8Array, atNs?: bigint): void {
    this.machine.input(mainConsoleOf(this.#options.commandLine), bytes, atNs);
  }

  /** Ends the boot now; `why` is one line. Does nothing if it has already ended. */
  cutShort(why: string): void {
    if (!this.#hasEnded()) this.#hang('stopped', why);
  }

  /** The result of the boot. If the boot has not ended yet, this ends it. */
  result(): BootResult {
    this.cutShort('the run was cut short');
    const { outcome, ending, reached } = this.#end ?? { outcome: 'stopped', ending: '', reached: false };
    const { events, folding, counts } = this.#observer.trace;
    const isCut = folding.auditedUpToStep !== null;
    const found = this.#findings();
    const findings = listedFindings(found);
    return {
      outcome,
      refused: this.#refused,
      ending: isCut ? `${ending}; ${cutText(folding)}` : ending,
      // Events that were not audited cannot be called right.
      reached: reached && !isCut,
      findings: findings.map((finding) => ({ ...finding, where: this.#observer.whereOf(finding.step) })),
      omittedFindings: found.length - findings.length,
      notJudged: notJudgedCalls({ platform: this.#platform(), events }),
      events,
      folding,
      counts,
      cpus: this.#cpus(),
      instructions: this.machine.instructions,
      guestNs: this.machine.nowNs,
      commandEnd: this.#commandEnd,
      notModelled: Object.fromEntries(this.#notModelled),
      introspection: this.#kernel.introspection,
      kernelLog: this.#kernelLog(),
    };
  }

  #fillRecords(vcpu: number, { op }: CallRecord): void {
    const { whatIf } = this.#options;
    if (op !== 'EVTCHNOP_init_control' || this.#sawInitControl) return;
    this.#sawInitControl = true;
    if (whatIf === null) return;
    this.#recordsSet = unsetRecords(this.machine, this.#kernel, this.guest.cpus, vcpu, whatIf);
  }

  #countNotModelled({ notModelled }: CallRecord): void {
    if (notModelled === undefined) return;
    this.#notModelled.set(notModelled, (this.#notModelled.get(notModelled) ?? 0) + 1);
  }

  #line(line: string): void {
    const { until } = this.#options;
    const panic = panicIn(line);
    if (until.kind === 'line' && line.search(until.pattern) >= 0) {
      this.#finish('userspace', `the console said: ${line.trim()}`, true);
      this.machine.stop();
    } else if (panic !== null && this.#logHasPanic()) {
      this.#finish('panic', panic, false);
      this.machine.stop();
    }
  }

  /** Whether the kernel's own log tells of a panic. A program may print such a line, too. Where no log is found, a line is enough. */
  #logHasPanic(): boolean {
    const log = this.#kernelLog(panicTail);
    return log.length === 0 || panicOf(log) !== null;
  }

  #shutDown(): BootState {
    const { reason } = this.machine.domain.state.shutdown ?? { reason: -1 };
    const names = ['poweroff', 'reboot', 'suspend', 'crash', 'watchdog', 'soft reset'];
    const said = `the guest asked for ${names[reason] ?? `shutdown reason ${reason}`}`;
    if (reason === 0) return this.#powerOff(said);
    return this.#finish('destroyed', said, false);
  }

  #powerOff(said: string): BootState {
    const { until, command = null } = this.#options;
    if (command === null) return this.#finish('poweroff', said, until.kind === 'poweroff');
    this.#commandEnd = commandEnd(this.machine, this.#lastCaller);
    if (this.#commandEnd !== null) return this.#finish('poweroff', said, true);
    return this.#finish('poweroff', 'the guest powered off before its command ended', false);
  }

  /** A vCPU was seen at EL0 for the first time. */
  #userSpace(): void {
    if (this.#options.until.kind !== 'userspace') return;
    this.#finish('userspace', 'user space runs', true);
    this.machine.stop();
  }

  /** Ends the boot where a limit is reached. */
  #limitReached(): boolean {
    const { limits } = this.#options;
    const spent =
      this.machine.instructions >= limits.instructions
        ? `${limits.instructions} instructions`
        : this.machine.nowNs >= limits.guestNs
          ? `${limits.guestNs / 1_000_000_000n} s of guest time`
          : null;
    if (spent === null) return false;
    this.#hasReachedLimit = true;
    const panic = this.#panics.look();
    if (panic === null) this.#hang('hang', `no end after ${spent}, which is the limit`);
    else this.#finish('panic', panic, false);
    return true;
  }

  /** Ends a boot that got nowhere, with what its vCPUs stand at. */
  #hang(outcome: 'hang' | 'stopped', why: string): BootState {
    const { image, memoryBytes, version } = this.#options.kernel;
    const { clauses, refused } = hungGuest(this.machine, {
      at: this.guest.kernelAt,
      image,
      memoryBytes,
      version,
      symbolAt: (address) => this.#kernel.symbolAt(address),
    });
    this.#refused = refused;
    return this.#finish(outcome, [why, ...clauses].join('; '), false);
  }

  #finish(outcome: BootOutcome, ending: string, reached: boolean): BootState {
    if (this.#end !== null) return 'ended';
    const notAsked = this.#notAsAsked();
    this.#end =
      notAsked === null
        ? { outcome, ending, reached }
        : { outcome, ending: `${ending}; ${notAsked}`, reached: false };
    const isCut = outcome === 'stopped' || this.#isEarlyGoal(outcome);
    // For the audit, a run that was cut is one that hangs.
    const upToNs = isCut ? -1n : this.#unheardUpToNs();
    this.#observer.end(isCut ? 'hang' : outcome, ending, upToNs, isCut || this.#hasReachedLimit);
    return 'ended';
  }

  /** Whether the goal is a line of the console that came before user space: the kernel was still about to set things up. */
  #isEarlyGoal(outcome: BootOutcome): boolean {
    return (
      outcome === 'userspace' && this.machine.userSpaceNs === null && this.#options.until.kind === 'line'
    );
  }

  /** The latest system time in ns at which an event that is unheard at the end counts as lost. */
  #unheardUpToNs(): bigint {
    return this.#hasReachedLimit ? this.machine.nowNs - patienceNs : this.machine.nowNs;
  }

  /** Why the records were not set as requested; null if they were, or if this was not requested. */
  #notAsAsked(): string | null {
    const { whatIf } = this.#options;
    if (whatIf === null || this.#recordsSet) return null;
    const why = this.#sawInitControl ? 'it has none that can be written' : 'it made no EVTCHNOP_init_control';
    return `its records were never set ${whatIf}: ${why}`;
  }

  #platform(): Platform {
    const { kind, release, hardwareIds, fifo, softReset } = this.guest.config;
    return { kind, release, hardwareIds, fifo, softReset };
  }

  /**
   * `all-vcpus-up` is not applied to a guest that was stopped or whose trace was cut: it may not have had time to start its
   * vCPUs.
   */
  #findings(): Finding[] {
    const { events, folding } = this.#observer.trace;
    const isWhole = folding.auditedUpToStep === null;
    const gotFar = isWhole && (this.machine.userSpaceNs !== null || this.#end?.outcome === 'poweroff');
    return audit({ platform: this.#platform(), events }).filter(
      ({ rule }) => gotFar || rule !== 'all-vcpus-up',
    );
  }

  #cpus(): BootCpu[] {
    const { counts } = this.#observer.trace;
    return this.guest.cpus.map((cpu) => {
      const { linuxCpu, mpidr, vcpu } = cpu;
      const online = this.#observer.wasOnline(cpu);
      return {
        linuxCpu,
        vcpu,
        mpidr,
        recordedVcpuId: this.#observer.lastRecord(linuxCpu),
        usedVcpuIds: counts.idsOf(linuxCpu),
        online,
        leftOut: online === true ? null : this.#observer.whyLeftOut(vcpu),
      };
    });
  }

  /** The command line in the kernel's log; null if the log has none. */
  #saidCommandLine(): string | null {
    const found = this.#kernelLog(earlyLog).map(
      ({ text }) => /^Kernel command line: (.*)/s.exec(text)?.[1] ?? null,
    );
    return found.find((line) => line !== null) ?? null;
  }

  #kernelLog(most = logTail): readonly LogRecord[] {
    return this.#log.tail(most, this.#kernel.textAddress);
  }
}

function kernelMemory({ machine, kernelAt }: Guest, { kernel }: BootOptions): KernelMemory {
  const { ram, ramStart } = machine.processor;
  const place =
    present(machine.frames.offsetOf(Number(kernelAt) / frameBytes), "the kernel's memory") - ramStart;
  return {
    image: kernel.image,
    loaded: ram.subarray(place, place + kernel.memoryBytes),
    ram,
    wasWritten: (offset) => machine.processor.wasWritten(ramStart + offset),
    // A vCPU that is off, or that has no page tables yet, cannot translate kernel addresses.
    read: (address, size) => {
      for (const vcpu of machine.processor.vcpus.keys()) {
        const bytes = readGuest(machine, vcpu, address, size);
        if (bytes !== null) return bytes;
      }
      return null;
    },
  };
}
