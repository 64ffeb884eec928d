/** A boot from its first instruction to its end: puts its parts together, runs the machine, and collects the result. */
import type { Finding, Platform, TraceEvent } from '../audit/index.js';
import { audit, notJudgedCalls } from '../audit/index.js';
import { cloneValue, earlier, frameBytes, loadRecord, present, savedRecord } from '../base/index.js';
import type { CallRecord } from '../hypervisor/index.js';
import type { LogRecord } from '../introspect/index.js';
import type { GuestConsole, MachineListener, SavedMachine } from '../machine/index.js';
import { ByteQueue } from './byte_queue.js';
import { ConsoleLines } from './console_lines.js';
import { mainConsoleOf } from './consoles.js';
import { cutText, listedFindings } from './findings.js';
import { buildGuest, restoreGuest } from './guest.js';
import type { Guest, GuestFacts, GuestMachine } from './guest.js';
import { readGuest } from './guest_memory.js';
import { KernelLog } from './kernel_log.js';
import type { KernelLogState, KernelMemory } from './kernel_log.js';
import { KernelView } from './kernel_view.js';
import type { KernelViewState } from './kernel_view.js';
import { KernelObserver } from './kernel_observer.js';
import type { KernelObserverState } from './kernel_observer.js';
import type { BootOptions } from './options.js';
import { OutcomeWatch } from './outcome.js';
import type { OutcomeState } from './outcome.js';
import { PauseWatch } from './pause_point.js';
import type { PausePoint } from './pause_point.js';
import type { BootCpu, BootResult, BootProgress } from './result.js';
import type { TraceStoreState } from './trace_store.js';
import { TraceWriter } from './trace_writer.js';
import { WhatIfRecords } from './what_if.js';
import type { WhatIfState } from './what_if.js';

export type { BootCpu, BootFinding, BootOutcome, BootResult, BootProgress } from './result.js';

/** Listeners of a boot. */
export interface BootWatcher {
  /** Bytes that the guest wrote to one of its consoles, as they come. */
  console?(bytes: Uint8Array, from: GuestConsole): void;
  /** Each event that the audit will read, as it comes. */
  event?(event: TraceEvent): void;
  /** A line that the guest wrote to Xen's own console. */
  xenConsole?(line: string): void;
}

/** Everything that a boot knows of its guest, beside the machine. A plain value. */
export interface BootState {
  readonly guest: GuestFacts;
  /** The lines that the guest has begun on its consoles. */
  readonly lines: Readonly<Record<GuestConsole, string>>;
  readonly kernel: KernelViewState;
  readonly observer: KernelObserverState;
  readonly trace: TraceStoreState;
  readonly log: KernelLogState;
  readonly whatIf: WhatIfState;
  readonly outcome: OutcomeState;
  /** Calls that the hypervisor does not model, by name, and how often each was made. */
  readonly notModelled: readonly (readonly [name: string, calls: number])[];
}

/** A boot between two steps: its guest's machine, and what it knows of the guest. */
export interface SavedBoot {
  readonly machine: SavedMachine;
  readonly boot: BootState;
}

const logTail = 40;
/** The kernel's log has fewer records than this before the first call about a CPU. */
const earlyLog = 1000;

/**
 * One boot of a guest, from its first instruction to its end. The constructor builds the guest and runs nothing; {@link step} runs
 * it piece by piece and tells the {@link BootWatcher} of what it does; {@link result} ends it, if it has not ended, and has the audit
 * judge its trace. The same options give the same run, however it is divided into steps. Nothing that the guest does throws.
 */
export class Boot {
  /** The machine and what it was built from. */
  readonly guest: Guest;
  readonly #options: BootOptions;
  readonly #kernel: KernelView;
  readonly #observer: KernelObserver;
  readonly #outcome: OutcomeWatch;
  readonly #whatIf: WhatIfRecords;
  readonly #log: KernelLog;
  readonly #pause = new PauseWatch();
  /** What happened where the boot paused, and may end it when it goes on. */
  #afterPause: (() => void)[] = [];
  readonly #sent: ByteQueue;
  readonly #lines: Readonly<Record<GuestConsole, ConsoleLines>>;
  readonly #calls = { notModelled: new Map<string, number>() };

  /**
   * Throws InputError when the guest cannot be built as asked. `saved` is a boot that goes on instead of a guest that is built;
   * see {@link Boot.restore}.
   */
  constructor(options: BootOptions, watcher: BootWatcher = {}, saved: SavedBoot | null = null) {
    this.#options = options;
    const sent = new ByteQueue((bytes) => watcher.console?.(bytes, 'uart'));
    this.#sent = sent;
    const lines = (): ConsoleLines =>
      new ConsoleLines((line) => {
        this.#notice(this.#pause.line(line), () => this.#outcome.line(line));
      });
    this.#lines = { uart: lines(), pvConsole: lines() };
    const listener = this.#listener(watcher, sent);
    this.guest =
      saved === null
        ? buildGuest(options, listener)
        : restoreGuest(options, saved.boot.guest, saved.machine, listener);
    this.#kernel = new KernelView(this.guest, options.kernel.image);
    const trace = new TraceWriter(
      () => this.machine.nowNs,
      (event) => {
        sent.flush();
        watcher.event?.(event);
      },
    );
    this.#observer = new KernelObserver(this.guest, this.#kernel, trace, {
      given: options.commandLine,
      said: () => this.#saidCommandLine(),
    });
    this.#log = new KernelLog(kernelMemory(this.guest, options));
    this.#whatIf = new WhatIfRecords(this.guest, this.#kernel, options.whatIf);
    this.#outcome = new OutcomeWatch(this.guest, options, {
      log: (most) => this.#kernelLog(most),
      symbolAt: (address) => this.#kernel.symbolAt(address),
      notAsAsked: () => this.#whatIf.notAsAsked,
      ended: (end) => this.#observer.end(end),
    });
    if (saved === null) this.#observer.begin();
    else this.#load(cloneValue(saved.boot));
  }

  /**
   * The boot that was saved, which goes on as the saved one would have. Of the options, only seed, goal and limits may differ from
   * those of the saved boot; with another seed, the lengths of turns are drawn from it from now on.
   */
  static restore(options: Omit<BootOptions, 'initrd'>, saved: SavedBoot, watcher: BootWatcher = {}): Boot {
    // The guest has its initrd in memory.
    const boot = new Boot({ ...options, initrd: null }, watcher, saved);
    if (options.seed !== saved.machine.state.options.seed) boot.machine.reseed(options.seed);
    return boot;
  }

  /** The boot as a value. It can be taken between two steps. */
  save(): SavedBoot {
    this.#sent.flush();
    const { cpus, kernelAt } = this.guest;
    const { uart, pvConsole } = this.#lines;
    const boot: BootState = {
      guest: { cpus, kernelAt },
      lines: { uart: uart.line, pvConsole: pvConsole.line },
      kernel: this.#kernel.save(),
      observer: this.#observer.save(),
      trace: this.#observer.trace.save(),
      log: this.#log.state,
      whatIf: this.#whatIf.state,
      outcome: this.#outcome.save(),
      ...savedRecord(this.#calls),
    };
    return { machine: this.machine.save(), boot: cloneValue(boot) };
  }

  #load({ lines, kernel, observer, trace, log, whatIf, outcome, notModelled }: BootState): void {
    this.#lines.uart.line = lines.uart;
    this.#lines.pvConsole.line = lines.pvConsole;
    this.#kernel.load(kernel);
    this.#observer.load(observer);
    this.#observer.trace.load(trace);
    this.#log.state = log;
    this.#whatIf.state = whatIf;
    this.#outcome.load(outcome);
    loadRecord(this.#calls, { notModelled });
  }

  /** `sent`: the bytes of the UART that the watcher has not got yet. It gets them before anything that comes after them. */
  #listener(watcher: BootWatcher, sent: ByteQueue): MachineListener {
    const { uart, pvConsole } = this.#lines;
    return {
      uart: (byte) => {
        sent.add(byte);
        uart.pushByte(byte);
      },
      pvConsole: (bytes) => {
        sent.flush();
        watcher.console?.(bytes, 'pvConsole');
        pvConsole.push(bytes);
      },
      xenConsole: (line) => {
        sent.flush();
        watcher.xenConsole?.(line);
      },
      hypercall: (vcpu, record) => {
        this.#outcome.called(vcpu);
        // Before the records are read, because their earlier contents do not matter in this boot.
        this.#whatIf.called(vcpu, record);
        this.#observer.hypercall(vcpu, record);
        this.#countNotModelled(record);
      },
      power: (vcpu, call) => {
        this.#outcome.called(vcpu);
        this.#observer.power(vcpu, call);
      },
      sliceEnded: (vcpu) => {
        sent.flush();
        this.#observer.sliceEnded(vcpu);
      },
      userSpace: () => this.#notice(this.#pause.userSpace(), () => this.#outcome.userSpace()),
    };
  }

  /** Decides whether something ends the boot; where the boot is to pause for it, only when it goes on. */
  #notice(pauses: boolean, decide: () => void): void {
    if (!pauses) {
      decide();
      return;
    }
    this.#afterPause.push(decide);
    this.machine.pause();
  }

  #decide(): void {
    for (const decide of this.#afterPause.splice(0)) decide();
  }

  /**
   * Lets {@link step} return `paused` at `point`, once; at once for a time that has passed. The run is the same as without a
   * pause, except that a boot whose goal is the same place ends at the end of that turn, and not in it.
   */
  pauseAt(point: PausePoint): void {
    this.#pause.set(point);
  }

  /** The place in the kernel that made the call of that step of the trace: `function+0x1c`; null if the step is not a call. */
  whereOf(step: number): string | null {
    return this.#observer.whereOf(step);
  }

  /** A kernel address by the kernel's own symbols: `function+0x1c`, or `_text+0x81c` without symbols. */
  symbolAt(address: bigint): string {
    return this.#kernel.symbolAt(address);
  }

  get machine(): GuestMachine {
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
   * Types `bytes` into the guest's console (the last one that its command line names). The guest can read them from system time
   * `atNs` (default: now).
   */
  type(bytes: Uint8Array, atNs?: bigint): void {
    this.machine.input(mainConsoleOf(this.#options.commandLine), bytes, atNs);
  }

  /**
   * Continues for about `instructions`, up to system time `untilNs`, or to the end of the run. The division into steps does not
   * change when the run ends.
   */
  step(instructions: number, untilNs?: bigint): BootProgress {
    const { limits } = this.#options;
    const endNs = untilNs === undefined || untilNs > limits.guestNs ? limits.guestNs : untilNs;
    this.#decide();
    const end = Math.min(this.machine.instructions + Math.max(instructions, 1), limits.instructions);
    while (this.#outcome.end === null) {
      if (this.#pause.take(this.machine.nowNs)) return 'paused';
      const look = this.#outcome.nextLook;
      const stop = this.machine.run(
        Math.min(end, look.instructions) - this.machine.instructions,
        present(earlier(earlier(look.ns, endNs), this.#pause.dueNs), 'a time'),
      );
      // If the caller limits the time of each step, input may still come.
      if (stop === 'shutdown') this.#decide();
      const state = this.#outcome.stopped(stop, untilNs !== undefined);
      if (state !== null) return state;
      if (this.#pause.take(this.machine.nowNs)) return 'paused';
      if (this.machine.nowNs >= endNs) return 'waiting';
      if (this.machine.instructions >= end) return 'running';
    }
    return 'ended';
  }

  /** Ends the boot now; `why` is one line. Does nothing if it has already ended. */
  cutShort(why: string): void {
    this.#decide();
    this.#outcome.cutShort(why);
  }

  /** The result of the boot. If the boot has not ended yet, this ends it. */
  result(): BootResult {
    this.cutShort('the run was cut short');
    const { refused, commandEnd, end } = this.#outcome;
    const { outcome, ending, reached } = present(end, 'the end of the boot');
    const { events, folding, counts } = this.#observer.trace;
    const isCut = folding.auditedUpToStep !== null;
    const found = this.#findings();
    const findings = listedFindings(found);
    return {
      outcome,
      refused,
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
      commandEnd,
      notModelled: Object.fromEntries(this.#calls.notModelled),
      introspection: this.#kernel.introspection,
      kernelLog: this.#kernelLog(),
    };
  }

  #countNotModelled({ notModelled }: CallRecord): void {
    if (notModelled === undefined) return;
    this.#calls.notModelled.set(notModelled, (this.#calls.notModelled.get(notModelled) ?? 0) + 1);
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
    const gotFar =
      isWhole && (this.machine.userSpaceNs !== null || this.#outcome.end?.outcome === 'poweroff');
    return audit({ platform: this.#platform(), events }).filter(
      ({ rule }) => gotFar || rule !== 'all-vcpus-up',
    );
  }

  #cpus(): BootCpu[] {
    const { counts } = this.#observer.trace;
    return this.guest.cpus.map((cpu) => {
      const online = this.#observer.wasOnline(cpu);
      return {
        ...cpu,
        recordedVcpuId: this.#observer.lastRecord(cpu.linuxCpu),
        usedVcpuIds: counts.idsOf(cpu.linuxCpu),
        online,
        leftOut: online === true ? null : this.#observer.whyLeftOut(cpu.vcpu),
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
  const offset =
    present(machine.frames.offsetOf(Number(kernelAt) / frameBytes), "the kernel's memory") - ramStart;
  return {
    image: kernel.image,
    loaded: ram.subarray(offset, offset + kernel.memoryBytes),
    ram,
    wasWritten: (offset) => machine.processor.wasWritten(ramStart + offset),
    // A vCPU that is off, or that has no page tables yet, cannot translate kernel addresses.
    read: (address, size) => {
      for (const vcpu of machine.vcpus) {
        const bytes = readGuest(machine, vcpu, address, size);
        if (bytes !== null) return bytes;
      }
      return null;
    },
  };
}
