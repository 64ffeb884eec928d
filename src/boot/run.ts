/** A boot from its first instruction to its end: puts its parts together, runs the machine, and collects the result. */
import type { Finding, TraceEvent } from '../audit/index.js';
import { notJudgedCalls } from '../audit/index.js';
import { cloneValue, earlier, present } from '../base/index.js';
import type { PowerRecord } from '../hypervisor/index.js';
import type { XenVcpuId } from '../identity/index.js';
import type { GuestConsole, MachineListener, SavedMachine } from '../machine/index.js';
import { ByteQueue } from './byte_queue.js';
import { ConsoleLines } from './console_lines.js';
import { mainConsoleOf } from './consoles.js';
import { cutText, findingsOf, kernelAtStep, listedFindings, platformOf } from './findings.js';
import { buildGuest, nextDomain, restoreGuest } from './guest.js';
import { RefusedCalls } from './refused_call.js';
import type { RefusedCallsState } from './refused_call.js';
import type { FirstKernel, FoundKernel, Guest, GuestFacts, GuestMachine } from './guest.js';
import { KernelImage } from './kernel_image.js';
import { factsOfNext, KernelRun } from './kernel_run.js';
import type { KernelFacts, KernelRunState } from './kernel_run.js';
import type { LoadedKernel } from './hung_guest.js';
import type { BegunOptions, BootOptions } from './options.js';
import { OutcomeWatch, tooManyKernels } from './outcome.js';
import type { OutcomeState } from './outcome.js';
import { PauseWatch } from './pause_point.js';
import type { PausePoint } from './pause_point.js';
import { powerOf } from './power_of_call.js';
import type { BootFinding, BootKernelResult, BootProgress, BootResult } from './result.js';
import { addCounts } from './trace_counts.js';
import type { TraceStoreState } from './trace_store.js';
import { TraceWriter } from './trace_writer.js';
import { WhatIfRecords } from './what_if.js';
import type { WhatIfState } from './what_if.js';

export type {
  BootCpu,
  BootFinding,
  BootKernelResult,
  BootOutcome,
  BootProgress,
  BootResult,
} from './result.js';

/** Listeners of a boot, and how the guest's instructions are run. Nothing that they hear depends on that. */
export interface BootWatcher extends Pick<MachineListener, 'engine'> {
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
  /** Those that have been entered so far, in that order. */
  readonly kernels: readonly KernelRunState[];
  /** By vCPU: the number of the kernel that it runs. */
  readonly runs: readonly number[];
  /** The vCPU that has left its kernel and not yet entered another one. */
  readonly leaving: XenVcpuId | null;
  readonly refusedCalls: RefusedCallsState;
  readonly trace: TraceStoreState;
  readonly whatIf: WhatIfState;
  readonly outcome: OutcomeState;
}

/** A boot between two steps: its guest's machine, and what it knows of the guest. */
export interface SavedBoot {
  readonly machine: SavedMachine;
  readonly boot: BootState;
}

/** A run is followed into no more kernels than this: a guest may change them endlessly. */
const mostKernels = 8;

/**
 * One boot of a guest, from its first instruction to its end. The constructor builds the guest and runs nothing; {@link step} runs
 * it piece by piece and tells the {@link BootWatcher} of what it does; {@link result} ends it, if it has not ended, and has the audit
 * judge its trace. The same options give the same run, however it is divided into steps. Nothing that the guest does throws.
 */
export class Boot {
  /** The machine and what it was built from. */
  readonly guest: Guest;
  readonly #options: BootOptions;
  /** That of the first kernel. */
  readonly #image: KernelImage;
  readonly #trace: TraceWriter;
  /** The kernels that were entered, in that order; the last one runs. */
  readonly #kernels: KernelRun[];
  /** By vCPU: the number of the kernel that it runs. */
  #runs: number[];
  #leaving: XenVcpuId | null = null;
  /** What CPUs and devices lacked in the domains before this one, by name. */
  #notImplemented: Readonly<Record<string, number>> = {};
  readonly #refusedCalls = new RefusedCalls();
  readonly #outcome: OutcomeWatch;
  /** Of the kernel that runs. */
  #whatIf: WhatIfRecords;
  readonly #pause = new PauseWatch();
  /** What happened where the boot paused, and may end it when it goes on. */
  #afterPause: (() => void)[] = [];
  readonly #sent: ByteQueue;
  readonly #lines: Readonly<Record<GuestConsole, ConsoleLines>>;

  /**
   * Throws InputError when the guest cannot be built as asked. `saved` is a boot that goes on instead of a guest that is built;
   * see {@link Boot.restore}.
   */
  constructor(options: BootOptions, watcher: BootWatcher = {}, saved: SavedBoot | null = null) {
    this.#options = options;
    this.#image = KernelImage.of(options.kernel.image);
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
    this.#trace = new TraceWriter(
      () => this.machine.nowNs,
      (event) => {
        sent.flush();
        watcher.event?.(event);
      },
    );
    this.#runs = this.machine.vcpus.map(() => 0);
    const first = this.#kernelRun(this.#firstFacts(), this.#image);
    this.#kernels = [first];
    this.#whatIf = this.#whatIfOf(first);
    this.#outcome = new OutcomeWatch(this.guest, options, {
      kernel: () => this.#loadedKernel(),
      log: (most) => this.#kernel.logTail(most),
      hasCrashKernel: () => this.#kernel.hasCrashKernel,
      lastRefused: () => this.#refusedCalls.clause((step) => this.whereOf(step)),
      notAsAsked: () => this.#whatIf.notAsAsked,
      restart: () => this.#restart(),
      softReset: () => this.#softReset(),
      isBetweenKernels: () => this.#leaving !== null,
      ended: (end) => this.#kernel.observer.end(end),
    });
    if (saved === null) first.observer.begin();
    else this.#load(cloneValue(saved.boot));
  }

  /**
   * The boot that was saved, which goes on as the saved one would have. Of the options, only seed, goal and limits may differ from
   * those of the saved boot; with another seed, the lengths of turns are drawn from it from now on.
   */
  static restore(options: BegunOptions, saved: SavedBoot, watcher: BootWatcher = {}): Boot {
    const boot = new Boot({ ...options, initrd: options.initrd ?? null }, watcher, saved);
    if (options.seed !== saved.machine.state.options.seed) boot.machine.reseed(options.seed);
    return boot;
  }

  /** The boot as a value. It can be taken between two steps. */
  save(): SavedBoot {
    this.#sent.flush();
    const { cpus, kernelAt } = this.guest;
    const { uart, pvConsole } = this.#lines;
    const boot: BootState = {
      guest: { cpus, kernelAt, maps: this.guest.maps.save() },
      lines: { uart: uart.line, pvConsole: pvConsole.line },
      kernels: this.#kernels.map((kernel) => kernel.save(kernel.image === this.#image)),
      runs: this.#runs,
      leaving: this.#leaving,
      refusedCalls: this.#refusedCalls.save(),
      trace: this.#trace.store.save(),
      whatIf: this.#whatIf.save(),
      outcome: this.#outcome.save(),
    };
    return { machine: this.machine.save(), boot: cloneValue(boot) };
  }

  #load({ lines, kernels, runs, leaving, refusedCalls, trace, whatIf, outcome }: BootState): void {
    this.#lines.uart.load(lines.uart);
    this.#lines.pvConsole.load(lines.pvConsole);
    this.#runs = [...runs];
    this.#leaving = leaving;
    for (const [i, saved] of kernels.entries()) {
      const image = saved.image === null ? this.#image : KernelImage.of(saved.image);
      const known = saved.facts.linkedAt === undefined ? this.#kernels[i] : undefined;
      const kernel = known ?? this.#kernelRun(saved.facts, image);
      this.#kernels[i] = kernel;
      kernel.load(saved);
    }
    this.#refusedCalls.load(refusedCalls);
    this.#trace.store.load(trace);
    this.#whatIf = this.#whatIfOf(this.#kernel);
    this.#whatIf.load(whatIf);
    this.#outcome.load(outcome);
  }

  #whatIfOf({ view, facts: { cpus, kernelAt } }: KernelRun): WhatIfRecords {
    return new WhatIfRecords({ ...this.guest, cpus, kernelAt }, view, this.#options.whatIf);
  }

  #firstFacts(): KernelFacts {
    const { cpus, kernelAt } = this.guest;
    const { kernel, commandLine } = this.#options;
    return {
      number: 0,
      name: 'kernel',
      entry: 'boot',
      version: kernel.version,
      entryVcpu: present(cpus[0], 'CPU 0').vcpu,
      cpus,
      kernelAt,
      memoryBytes: kernel.memoryBytes,
      commandLine,
    };
  }

  #kernelRun(facts: KernelFacts, image: KernelImage): KernelRun {
    return new KernelRun(facts, image, {
      guest: this.guest,
      trace: this.#trace,
      runsOn: (kernel, vcpu) => this.#runsOn(kernel, vcpu),
    });
  }

  /** Of a vCPU that was started and has not run since, the registers are those of before. */
  #runsOn(kernel: number, vcpu: XenVcpuId): boolean {
    if (this.#kernels.length === 1) return true;
    return this.#runs[vcpu] === kernel && this.machine.domain.state.vcpus[vcpu]?.start === null;
  }

  /** The kernel that was entered last. */
  get #kernel(): KernelRun {
    return present(this.#kernels.at(-1), 'a kernel');
  }

  #kernelOn(vcpu: XenVcpuId): KernelRun {
    return present(this.#kernels[this.#runs[vcpu] ?? 0], 'a kernel');
  }

  #loadedKernel(): LoadedKernel {
    const { facts, image } = this.#kernel;
    const { kernelAt, memoryBytes, version } = facts;
    return { at: kernelAt, image, memoryBytes, version, symbolAt: (address) => this.symbolAt(address) };
  }

  /**
   * A vCPU has left its kernel's own map (`on` false), or has begun to run in the map of a kernel. On Arm, both are where it turns
   * translation off and on again from the code of an image; an x86 kernel is left where it asks for a soft reset. Before it has user
   * space, a kernel has been given no other one: up to 5.19 it turns translation off and on when it changes its own map (Linux 5.10
   * arch/arm64/mm/proc.S, idmap_kpti_install_ng_mappings).
   */
  #translationSwitched(vcpu: XenVcpuId, on: boolean): void {
    if (!on) {
      if (this.#leaving !== null || this.machine.userSpaceNs === null) return;
      this.#kernel.observer.noteLost();
      this.#leave(vcpu, this.#outcome.panicBefore !== null);
      if (this.#options.toolstack === 'ideal' && this.machine.softReset(vcpu)) this.#wasReset();
      return;
    }
    const first = { image: this.#image, kernelAt: this.guest.kernelAt };
    this.#place(vcpu, first);
    if (this.#leaving !== vcpu || this.#isLastKernel) return;
    const found = this.guest.kernelEntered(vcpu, first);
    if (found !== null) this.#enter(vcpu, found);
  }

  /** The first kernel of a guest that unpacked it begins to run, where it was not known to lie. */
  #place(vcpu: XenVcpuId, first: FirstKernel): void {
    const { facts } = this.#kernel;
    const isKnown = this.#options.unpack !== 'guest' || facts.number > 0 || facts.linkedAt !== undefined;
    const place = isKnown ? null : (this.guest.kernelPlaced?.(vcpu, first) ?? null);
    if (place === null) return;
    this.#kernels[0] = this.#kernelRun({ ...facts, ...place }, this.#image);
    this.#whatIf = this.#whatIfOf(this.#kernel);
  }

  /** An orderly change of kernels may copy the next one over the memory of this one before. */
  #leave(vcpu: XenVcpuId, hasPanicked: boolean): void {
    this.#leaving = vcpu;
    this.guest.maps.leaves(vcpu);
    this.#kernel.left(hasPanicked);
    this.#outcome.kernelLeft();
    this.#whatIf.end();
  }

  /** Whether `vcpu`, which asks for something about a vCPU, runs a kernel that is not found. That ends the run. */
  #isUnknown(vcpu: XenVcpuId): boolean {
    // The kernel that asked for a reset may not have left yet.
    if (this.#leaving !== vcpu || !this.guest.hasLeftMap(vcpu)) return false;
    this.#translationSwitched(vcpu, true);
    if (this.#leaving !== vcpu) return false;
    this.#outcome.unknownKernel(this.#isLastKernel ? tooManyKernels : 'it was not found in memory as Linux');
    return true;
  }

  #wasReset(): void {
    this.#kernel.observer.domainReset();
    this.#trace.write({ kind: 'reset' });
  }

  get #isLastKernel(): boolean {
    return this.#kernels.length >= mostKernels;
  }

  /** The toolstack resets a domain that asked for it, and its kernel leaves. Else says why not: the domain is destroyed. */
  #softReset(): 'reset' | 'refused' | 'not followed' {
    const { by } = present(this.machine.domain.state.shutdown, 'a shutdown');
    this.#kernel.observer.noteLost();
    if (this.#isLastKernel) return 'not followed';
    if (!this.machine.resetAsAsked()) return 'refused';
    this.#leave(by, this.#outcome.hasPanicked);
    this.#wasReset();
    return 'reset';
  }

  #enter(vcpu: XenVcpuId, found: FoundKernel): void {
    const before = this.#kernel;
    const facts = factsOfNext(found, this.#kernels.length, vcpu);
    const kernel = this.#kernelRun(facts, found.image);
    if (found.isCrashKernel) before.crashed();
    this.#kernels.push(kernel);
    this.#whatIf = this.#whatIfOf(kernel);
    this.#runs[vcpu] = facts.number;
    this.#leaving = null;
    this.#refusedCalls.clear();
    this.#outcome.kernelEntered();
    this.machine.forgetUserSpace();
    kernel.observer.takeOver(before.observer);
    kernel.observer.begin();
  }

  /** Goes on in the domain that the toolstack makes after a reboot; false if the run is followed into no more kernels. */
  #restart(): boolean {
    if (this.#isLastKernel) return false;
    // Its memory is as it was until the new domain has it.
    this.#kernel.observer.noteLost();
    this.#kernel.left(true);
    this.#kernel.rebootedEarly = this.machine.userSpaceNs === null;
    this.#notImplemented = addCounts(this.#notImplemented, Object.fromEntries(this.guest.notImplemented));
    const { saved, domid } = nextDomain(this.#options, this.machine);
    this.machine.replaceDomain(saved);
    this.#trace.write({ kind: 'reset', domain: domid });
    const number = this.#kernels.length;
    const facts = { ...this.#firstFacts(), number, name: 'kernel after the reboot' };
    const kernel = this.#kernelRun({ ...facts, entry: 'reboot' }, this.#image);
    this.#kernels.push(kernel);
    this.#runs = this.machine.vcpus.map(() => number);
    this.#leaving = null;
    for (const lines of [this.#lines.uart, this.#lines.pvConsole]) lines.line = '';
    this.#refusedCalls.clear();
    this.#outcome.kernelEntered();
    kernel.observer.begin();
    return true;
  }

  /** `sent`: the bytes of the UART that the watcher has not got yet. It gets them before anything that comes after them. */
  #listener(watcher: BootWatcher, sent: ByteQueue): MachineListener {
    const { uart, pvConsole } = this.#lines;
    return {
      ...(watcher.engine === undefined ? {} : { engine: watcher.engine }),
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
        if (record.vcpuId !== null && this.#isUnknown(vcpu)) return;
        // Before the records are read, because their earlier contents do not matter in this boot.
        this.#whatIf.called(vcpu, record);
        const kernel = this.#kernelOn(vcpu);
        const { length } = this.#trace.store;
        kernel.observer.hypercall(vcpu, record);
        kernel.called(record);
        this.#refusedCalls.called(vcpu, record, () => this.#trace.store.stepOfCall(length));
        for (const power of powerOf(record, this.guest.config.hardwareIds)) this.#power(vcpu, power);
      },
      power: (vcpu, call) => {
        this.#outcome.called(vcpu);
        this.#power(vcpu, call);
      },
      sliceEnded: (vcpu) => {
        sent.flush();
        // The memory of a kernel that was left may be another one's.
        const isLeft = this.#leaving !== null || this.#runs[vcpu] !== this.#kernel.facts.number;
        if (!isLeft) this.#kernel.observer.sliceEnded(vcpu);
      },
      translationSwitched: (vcpu, on) => this.#translationSwitched(vcpu, on),
      userSpace: () => this.#notice(this.#pause.userSpace(), () => this.#outcome.userSpace()),
    };
  }

  /** `vcpu` started or stopped a vCPU. */
  #power(vcpu: XenVcpuId, call: PowerRecord): void {
    if (call.kind === 'start' && this.#isUnknown(vcpu)) return;
    const kernel = this.#kernelOn(vcpu);
    kernel.observer.power(vcpu, call);
    if (call.kind === 'start' && call.returned === 0 && call.target !== null)
      this.#runs[call.target] = kernel.facts.number;
  }

  /** Decides whether something ends the boot; where the boot is to pause for it, only when it goes on. */
  #notice(pauses: boolean, decide: () => void): void {
    if (pauses) {
      this.#afterPause.push(decide);
      this.machine.pause();
    } else decide();
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

  /** The line at which the boot paused last; null if it never did at a line. */
  get pausedLine(): string | null {
    return this.#pause.pausedLine;
  }

  /** The place in the kernel that made the call of that step of the trace: `function+0x1c`; null if the step is not a call. */
  whereOf(step: number): string | null {
    return (this.#kernels[this.#kernelAtStep(step)] ?? this.#kernel).observer.whereOf(step);
  }

  /** A kernel address by the kernel's own symbols: `function+0x1c`, or `_text+0x81c` without symbols. */
  symbolAt(address: bigint): string {
    return this.#kernel.view.symbolAt(address);
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

  /** Between steps: makes the kernel on that vCPU take an exception that it does not expect; false if it does not run there now. */
  makeOops(vcpu: XenVcpuId): boolean {
    return this.#outcome.end === null && this.guest.makeOops(vcpu);
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
    const { events, folding, counts } = this.#trace.store;
    const isCut = folding.auditedUpToStep !== null;
    const found = this.#findings();
    const findings = listedFindings(found).map((finding) => ({
      ...finding,
      where: this.whereOf(finding.step),
    }));
    const kernels = this.#kernels.map((kernel) => this.#resultOf(kernel, findings, found));
    const { cpus, introspection, kernelLog } = present(kernels.at(-1), 'a kernel');
    return {
      outcome,
      refused,
      ending: isCut ? `${ending}; ${cutText(folding)}` : ending,
      // Events that were not audited cannot be called right.
      reached: reached && !isCut,
      findings,
      omittedFindings: found.length - findings.length,
      notJudged: notJudgedCalls({ platform: platformOf(this.guest.config), events }),
      events,
      folding,
      counts,
      cpus,
      instructions: this.machine.instructions,
      guestNs: this.machine.nowNs,
      commandEnd,
      notModelled: kernels.reduce((sum, kernel) => addCounts(sum, kernel.notModelled), {}),
      introspection,
      kernelLog,
      kernels,
    };
  }

  #resultOf(kernel: KernelRun, listed: readonly BootFinding[], found: readonly Finding[]): BootKernelResult {
    const { number } = kernel.facts;
    const { events } = this.#trace.store;
    const isOwn = ({ step }: Finding): boolean => this.#kernelAtStep(step) === number;
    const findings = listed.filter(isOwn);
    const lacking = addCounts(this.#notImplemented, Object.fromEntries(this.guest.notImplemented));
    return kernel.result(this.#kernels[number - 1] ?? null, {
      findings,
      omittedFindings: found.filter(isOwn).length - findings.length,
      notJudged: notJudgedCalls({ platform: platformOf(this.guest.config), events }, number),
      // What the CPU and devices lack is counted over the whole run.
      notModelled: kernel === this.#kernel ? addCounts(kernel.notModelled, lacking) : kernel.notModelled,
    });
  }

  #kernelAtStep(step: number): number {
    return this.#kernels.length === 1 ? 0 : kernelAtStep(this.#trace.store.events, step);
  }

  /**
   * `all-vcpus-up` is not applied to a guest that was stopped or whose trace was cut, nor to a kernel that rebooted before user space:
   * it may not have had time to start its vCPUs.
   */
  #findings(): Finding[] {
    const { events, folding } = this.#trace.store;
    const isWhole = folding.auditedUpToStep === null;
    const gotFar =
      isWhole && (this.machine.userSpaceNs !== null || this.#outcome.end?.outcome === 'poweroff');
    const early = this.#kernels.map((one) => one.rebootedEarly || (one === this.#kernel && !gotFar));
    return findingsOf({ platform: platformOf(this.guest.config), events }, early);
  }
}
