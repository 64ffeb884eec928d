/** A boot from its first instruction to its end: puts its parts together, runs the machine, and collects the result. */
import type { Finding, Platform, TraceEvent } from '../audit/index.js';
import { audit, notJudgedCalls } from '../audit/index.js';
import { frameBytes, present } from '../base/index.js';
import type { CallRecord } from '../hypervisor/index.js';
import type { LogRecord } from '../introspect/index.js';
import type { GuestConsole, MachineListener } from '../machine/index.js';
import { ByteQueue } from './byte_queue.js';
import { ConsoleLines } from './console_lines.js';
import { mainConsoleOf } from './consoles.js';
import { cutText, listedFindings } from './findings.js';
import { buildGuest } from './guest.js';
import type { Guest, GuestMachine } from './guest.js';
import { readGuest } from './guest_memory.js';
import { KernelLog } from './kernel_log.js';
import type { KernelMemory } from './kernel_log.js';
import { KernelView } from './kernel_view.js';
import { KernelObserver } from './kernel_observer.js';
import type { BootOptions } from './options.js';
import { OutcomeWatch } from './outcome.js';
import type { BootCpu, BootResult, BootState } from './result.js';
import { TraceWriter } from './trace_writer.js';
import { WhatIfRecords } from './what_if.js';

export type { BootCpu, BootFinding, BootOutcome, BootResult, BootState } from './result.js';

/** Listeners of a boot. */
export interface BootWatcher {
  /** Bytes that the guest wrote to one of its consoles, as they come. */
  console?(bytes: Uint8Array, from: GuestConsole): void;
  /** Each event that the audit will read, as it comes. */
  event?(event: TraceEvent): void;
  /** A line that the guest wrote to Xen's own console. */
  xenConsole?(line: string): void;
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
  readonly #notModelled = new Map<string, number>();

  /** Throws InputError when the guest cannot be built as asked. */
  constructor(options: BootOptions, watcher: BootWatcher = {}) {
    this.#options = options;
    const sent = new ByteQueue((bytes) => watcher.console?.(bytes, 'uart'));
    this.guest = buildGuest(options, this.#listener(watcher, sent));
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
  }

  /** `sent`: the bytes of the UART that the watcher has not got yet. It gets them before anything that comes after them. */
  #listener(watcher: BootWatcher, sent: ByteQueue): MachineListener {
    const lines = (): ConsoleLines => new ConsoleLines((line) => this.#outcome.line(line));
    const [uart, pvConsole] = [lines(), lines()];
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
      userSpace: () => this.#outcome.userSpace(),
    };
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
  step(instructions: number, untilNs?: bigint): BootState {
    const { limits } = this.#options;
    const endNs = untilNs === undefined || untilNs > limits.guestNs ? limits.guestNs : untilNs;
    const end = Math.min(this.machine.instructions + Math.max(instructions, 1), limits.instructions);
    while (this.#outcome.end === null) {
      const look = this.#outcome.nextLook;
      const stop = this.machine.run(
        Math.min(end, look.instructions) - this.machine.instructions,
        look.ns < endNs ? look.ns : endNs,
      );
      // If the caller limits the time of each step, input may still come.
      const state = this.#outcome.stopped(stop, untilNs !== undefined);
      if (state !== null) return state;
      if (this.machine.nowNs >= endNs) return 'waiting';
      if (this.machine.instructions >= end) return 'running';
    }
    return 'ended';
  }

  /** Ends the boot now; `why` is one line. Does nothing if it has already ended. */
  cutShort(why: string): void {
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
      notModelled: Object.fromEntries(this.#notModelled),
      introspection: this.#kernel.introspection,
      kernelLog: this.#kernelLog(),
    };
  }

  #countNotModelled({ notModelled }: CallRecord): void {
    if (notModelled === undefined) return;
    this.#notModelled.set(notModelled, (this.#notModelled.get(notModelled) ?? 0) + 1);
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
