/** A boot from its first instruction to its end: who is told what on the way, when it ends, and what it came to. */
import type { Finding, NotJudged, Outcome, Platform, TraceEvent } from '../audit/index.js';
import { audit, notJudgedCalls } from '../audit/index.js';
import { frameBytes, present } from '../base/index.js';
import type { CallRecord } from '../hypervisor/index.js';
import type { LinuxCpu, XenVcpuId } from '../identity/index.js';
import type { LogRecord } from '../introspect/index.js';
import type { ArmMachine, GuestConsole } from '../machine/index.js';
import { ConsoleLines } from './console_lines.js';
import { mainConsoleOf } from './consoles.js';
import { ByteQueue } from './byte_queue.js';
import { buildGuest } from './guest.js';
import type { Guest } from './guest.js';
import { readGuest } from './guest_memory.js';
import { KernelLog } from './kernel_log.js';
import type { KernelMemory } from './kernel_log.js';
import { KernelView } from './kernel_view.js';
import type { Introspection } from './kernel_view.js';
import { panicIn, PanicWatch } from './panic_watch.js';
import { cutText, listedFindings } from './findings.js';
import { Observer } from './observer.js';
import type { BootOptions } from './options.js';
import type { TraceCounts } from './trace_counts.js';
import type { TraceFolding } from './trace_store.js';
import { unsetRecords } from './what_if.js';
import { commandEnd } from './command_end.js';
import type { CommandEnd } from '../guest_init/index.js';

/** What those who watch a boot are told as it goes. */
export interface BootWatcher {
  /** Bytes that the guest wrote to one of its consoles, as they come. */
  console?(bytes: Uint8Array, from: GuestConsole): void;
  /** What the audit will read, event by event as it comes. */
  event?(event: TraceEvent): void;
  /** A line that the guest wrote to Xen's own console. */
  xenConsole?(line: string): void;
}

/** A broken rule, and the place of the kernel that made the call; null where there is no call, or it cannot be told. */
export interface BootFinding extends Finding {
  readonly where: string | null;
}

/** Where a boot stands; `waiting`: it can go on no further before the time that it may run to. */
export type BootState = 'running' | 'waiting' | 'ended';

/** One Linux CPU in the end. */
export interface BootCpu {
  readonly linuxCpu: LinuxCpu;
  readonly vcpu: XenVcpuId;
  readonly mpidr: number;
  /** What the kernel's record says; null where it has none, or none that could be read. */
  readonly recordedVcpuId: number | null;
  /** The ids, unsigned, of the calls that this CPU made about itself or others, each once, in order of size. */
  readonly usedVcpuIds: readonly number[];
  /** Whether the kernel counted it as online at any time; null where it was started, and nothing tells. */
  readonly online: boolean | null;
  /** The limit by which the kernel left it out when it booted, e.g. `nr_cpus=3`; null where there is none, or it came up later. */
  readonly leftOut: string | null;
}

/** What became of a guest; `stopped` is one that was cut short by us. */
export type BootOutcome = Outcome | 'stopped';

export interface BootResult {
  readonly outcome: BootOutcome;
  /** One line: what became of the guest. */
  readonly ending: string;
  /** Whether the guest got where it was asked to. */
  readonly reached: boolean;
  readonly findings: readonly BootFinding[];
  /** Calls that carry a vCPU id of which nothing tells what was meant: no rule speaks of those ids. */
  readonly notJudged: readonly NotJudged[];
  /** Findings that are not listed: a finding is listed 16 times at most, and 2000 in all. */
  readonly omittedFindings: number;
  /** What is kept of the trace, which the audit has read. */
  readonly events: readonly TraceEvent[];
  /** What is not kept. */
  readonly folding: TraceFolding;
  /** Counts of the whole trace, whatever is kept. */
  readonly counts: TraceCounts;
  readonly cpus: readonly BootCpu[];
  readonly instructions: number;
  readonly guestNs: bigint;
  /** How the command ended; null where there is none, or the guest ended before it. */
  readonly commandEnd: CommandEnd | null;
  /** Calls by name that Xen would have served and that nothing here does, and how often each was made. */
  readonly notModelled: Readonly<Record<string, number>>;
  /** By which way each thing was read of the kernel. */
  readonly introspection: Introspection;
  /** The end of the kernel's own log, from its memory; empty where it could not be found. */
  readonly kernelLog: readonly LogRecord[];
}

const logTail = 40;
/**
 * How long a guest that runs into a limit must have left an event unheard, ns: Linux starts all its CPUs sooner, and before that
 * the vCPU that is to hear of it may still come up.
 */
const patienceNs = 1_000_000_000n;
/** The log's records up to the first call that is about a CPU are fewer than this. */
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
        // Before the records are looked at: what stood there until now is not what this boot is about.
        this.#fillRecords(vcpu, record);
        this.#observer.hypercall(vcpu, record);
        this.#countNotModelled(record);
      },
      power: (vcpu, record, affinity) => {
        this.#lastCaller = vcpu;
        this.#observer.power(vcpu, record, affinity);
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

  /** Where in the kernel the call of that step of the trace was made: `function+0x1c`; null for steps that are no call. */
  whereOf(step: number): string | null {
    return this.#observer.whereOf(step);
  }

  /** A kernel address by the kernel's own symbols: `function+0x1c`, `_text+0x81c` where it has none. */
  symbolAt(address: bigint): string {
    return this.#kernel.symbolAt(address);
  }

  get machine(): ArmMachine {
    return this.guest.machine;
  }

  /**
   * Types at one of the guest's consoles: the bytes are there from guest time `atNs` on, now unless said. A run with the
   * same input at the same times is the same run.
   */
  input(console: GuestConsole, bytes: Uint8Array, atNs?: bigint): void {
    this.machine.input(console, bytes, atNs);
  }

  /**
   * Runs on for about `instructions`, to system time `untilNs`, or to the end. When it ends does not depend on how many
   * steps led there.
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
      // A line of its console may have ended it meanwhile.
      if (this.#hasEnded()) break;
      if (stop === 'shutdown') return this.#shutDown();
      const panic = stop === 'stuck' ? this.#panics.look() : this.#panics.lookWhenDue();
      if (panic !== null) return this.#finish('panic', panic, false);
      // Where time is given bit by bit, somebody may be about to type.
      if (stop === 'stuck' && untilNs !== undefined) return 'waiting';
      if (stop === 'stuck') return this.#finish('hang', 'every vCPU waits, and nothing is to come', false);
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
   * Types `bytes` into the guest's console, the last that its command line names: they are there from system time `atNs` on,
   * now unless said.
   */
  type(bytes: Uint8Array, atNs?: bigint): void {
    this.machine.input(mainConsoleOf(this.#options.commandLine), bytes, atNs);
  }

  /** Ends the boot where it stands; `why` is one line. Nothing happens when it has ended. */
  cutShort(why: string): void {
    this.#finish('stopped', why, false);
  }

  /** What the boot came to, once it has ended. A boot that is asked before is cut short. */
  result(): BootResult {
    this.cutShort('the run was cut short');
    const { outcome, ending, reached } = this.#end ?? { outcome: 'stopped', ending: '', reached: false };
    const { events, folding, counts } = this.#observer.trace;
    const isCut = folding.auditedUpToStep !== null;
    const found = this.#findings();
    const findings = listedFindings(found);
    return {
      outcome,
      ending: isCut ? `${ending}; ${cutText(folding)}` : ending,
      // Of what was not audited, nobody can say that it is right.
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
    } else if (panic !== null) {
      this.#finish('panic', panic, false);
      this.machine.stop();
    }
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
    if (panic === null) this.#finish('hang', `no end after ${spent}, which is the limit`, false);
    else this.#finish('panic', panic, false);
    return true;
  }

  #finish(outcome: BootOutcome, ending: string, reached: boolean): BootState {
    if (this.#end !== null) return 'ended';
    const notAsked = this.#notAsAsked();
    this.#end =
      notAsked === null
        ? { outcome, ending, reached }
        : { outcome, ending: `${ending}; ${notAsked}`, reached: false };
    // To the audit, a run that is cut short is one that got no further.
    this.#observer.end(outcome === 'stopped' ? 'hang' : outcome, ending, this.#unheardUpToNs(outcome));
    return 'ended';
  }

  /** Until when an event that no vCPU has heard of by the end is lost, by system time in ns. */
  #unheardUpToNs(outcome: BootOutcome): bigint {
    if (outcome === 'stopped') return -1n;
    return this.#hasReachedLimit ? this.machine.nowNs - patienceNs : this.machine.nowNs;
  }

  /** Why the records were not set though they should have been; null where all was done as asked. */
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

  /** A guest that was cut short, or of which no more is known, had no time to bring its vCPUs up: then that rule says nothing. */
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

  /** The command line of which the kernel's log tells; null where it tells of none. */
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
    present(machine.frames.placeOf(Number(kernelAt) / frameBytes), "the kernel's memory") - ramStart;
  return {
    image: kernel.image,
    loaded: ram.subarray(place, place + kernel.memoryBytes),
    ram,
    wasWritten: (offset) => machine.processor.wasWritten(ramStart + offset),
    // A vCPU that is off, or has no page tables yet, sees no kernel addresses.
    read: (address, size) => {
      for (const vcpu of machine.processor.vcpus.keys()) {
        const bytes = readGuest(machine, vcpu, address, size);
        if (bytes !== null) return bytes;
      }
      return null;
    },
  };
}
