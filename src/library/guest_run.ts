/** A boot that its caller drives: it runs while the caller reads its calls or awaits its report. */
import type { TraceEvent } from '../audit/index.js';
import { InputError, isUsable, oneLine, present } from '../base/index.js';
import {
  Boot,
  bootReport,
  defaultArchitecture,
  loadArchitecture,
  mainConsoleOf,
  unstartedEnd,
  unstartedReport,
} from '../boot/index.js';
import type { BootReport, BootWatcher, PausePoint } from '../boot/index.js';
import { kernelName, kernelSpecOf } from '../kernel_source/index.js';
import { checkFrom, checkpointName, checkpointOf, errorOfRun, resumeBoot } from './checkpoint.js';
import type { Checkpoint, StartedBoot } from './checkpoint.js';
import type { KernelSpec } from '../kernel_source/index.js';
import { defaultKernel, runLimits } from './limits.js';
import { commandLineOf } from './guest_command.js';
import { architectureAsked, settle } from './request.js';
import { ownRequest, shownValue } from './request_types.js';
import type { BootRequest, Settled } from './request.js';
import { runSlice } from './slices.js';
import { loadSources } from './sources.js';

/** A hypercall that the guest made. */
export interface Hypercall {
  /** The vCPU that really made it. */
  readonly vcpu: number;
  /** The CPU that the kernel believes it is on; null if that is not known. */
  readonly linuxCpu: number | null;
  /** `EVTCHNOP_init_control` and the like. */
  readonly name: string;
  /** The vCPU id in the call, unsigned 32-bit; null when it carries none. */
  readonly vcpuId: number | null;
  /** Its argument, decoded, by the field names of Xen's headers. */
  readonly argument: Readonly<Record<string, unknown>>;
  /** The answer: 0 or more, or minus a XEN_E* number. */
  readonly returned: number;
  /** Guest time when it was answered, ns. */
  readonly guestTimeNs: bigint;
}

/** The progress of a run. */
export interface Progress {
  readonly phase: 'loading' | 'kernel' | 'user space' | 'ended';
  /** Of all vCPUs. */
  readonly instructions: number;
  readonly guestTimeNs: bigint;
}

/** Why a run is stopped, if its caller does not say. */
const usualWhy = 'the run was stopped';
/** How long to wait when guest time is ahead of the host's, ms. */
const pauseMs = 10;

function checkInput(bytes: unknown, atNs: unknown): void {
  if (!(bytes instanceof Uint8Array)) throw new InputError('the bytes to type must be a Uint8Array');
  if (atNs !== undefined && typeof atNs !== 'bigint')
    throw new InputError('the guest time of input must be a bigint, in ns');
}

function hypercallOf(event: TraceEvent): Hypercall | null {
  if (event.kind !== 'hypercall') return null;
  const { vcpu, linuxCpu, call, timeNs } = event;
  const { op, vcpuId, detail, returned } = call;
  return { vcpu, linuxCpu, name: op, vcpuId, argument: detail, returned, guestTimeNs: timeNs };
}

function usable(pattern: RegExp): RegExp {
  if (isUsable(pattern)) return pattern;
  throw new InputError('the regular expression of a place to reach is too large');
}

function pausePointOf(place: 'userspace' | RegExp | number): PausePoint {
  if (place === 'userspace') return { kind: 'userspace' };
  if (place instanceof RegExp) return { kind: 'line', pattern: usable(place) };
  if (typeof place !== 'number' || !(place >= 0 && place <= runLimits.guestSeconds.most))
    throw new InputError(
      `a place to reach is userspace, a RegExp, or a guest time from 0 to ${runLimits.guestSeconds.most} s, not ${shownValue(place)}`,
    );
  return { kind: 'time', ns: BigInt(Math.round(place * 1e9)) };
}

/** One boot. It does nothing until the caller asks for its hypercalls or its report. */
export class GuestRun implements AsyncIterable<Hypercall> {
  readonly #request: BootRequest;
  readonly #kernel: KernelSpec;
  readonly #settled: Settled;
  #starting: Promise<void> | null = null;
  #started: StartedBoot | null = null;
  #report: BootReport | null = null;
  /** Why the run cannot go on: what was thrown while it was loaded, or by a function of the caller. */
  #failure: { readonly error: unknown } | null = null;
  /** What a function of the caller threw last. */
  #thrown: { readonly error: unknown } | null = null;
  /** The number of loops that read the hypercalls. */
  #readers = 0;
  /** The calls that no loop has read yet start at `#read`. */
  #calls: Hypercall[] = [];
  #read = 0;
  /** Input that came before the guest existed. */
  readonly #typed: { readonly bytes: Uint8Array; readonly atNs: bigint }[] = [];
  #hasEnded = false;
  #isPaused = false;
  #stopped: string | null = null;
  /** Stops the run before the guest exists, and what waits for that. */
  #abandon: () => void = () => undefined;
  readonly #abandoned: Promise<void>;
  /** How long the guest has run, and when it began, in ms of host time. */
  #wallMs = 0;
  #begunMs = 0;
  /** Guest time when it began, ns. */
  #begunNs = 0n;

  /** Throws InputError for an invalid request. */
  constructor(request: BootRequest) {
    this.#request = ownRequest(request);
    this.#abandoned = new Promise((resolve) => (this.#abandon = resolve));
    if (this.#request.from !== undefined) checkFrom(this.#request);
    this.#kernel = kernelSpecOf(this.#request.kernel ?? defaultKernel);
    this.#settled = settle(this.#request, this.#kernel);
  }

  /** The progress of the run. */
  get progress(): Progress {
    if (this.#started === null)
      return { phase: this.#hasEnded ? 'ended' : 'loading', instructions: 0, guestTimeNs: 0n };
    const { instructions, nowNs, userSpaceNs } = this.#started.boot.machine;
    const running = userSpaceNs === null ? 'kernel' : 'user space';
    return { phase: this.#hasEnded ? 'ended' : running, instructions, guestTimeNs: nowNs };
  }

  /**
   * The guest's hypercalls in order, each once, as it makes them. The guest runs only while the caller reads them. If the caller
   * leaves the loop early, the guest stops within a fraction of a second; the next loop starts with the calls that it made until
   * then. Each of several loops gets some of the calls. Throws InputError when kernel or initrd cannot be loaded or booted.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<Hypercall, void, undefined> {
    this.#readers++;
    try {
      for (;;) {
        for (let call = this.#nextCall(); call !== undefined; call = this.#nextCall()) yield call;
        if (!(await this.#advance()) && this.#calls.length === 0) return;
      }
    } finally {
      this.#readers--;
    }
  }

  /**
   * Runs the guest to its end and returns the report. Throws InputError when kernel or initrd cannot be loaded or booted. What a
   * function of the request throws ends the run: this throws it, now and later.
   */
  async report(): Promise<BootReport> {
    while (await this.#advance());
    return await this.#orFail(() => Promise.resolve(this.#finalReport()));
  }

  /**
   * Runs the guest until it reaches a place: user space, a line of its console, or a guest time in seconds. False if the run ends
   * before. A pause there changes nothing of the run. Throws InputError as {@link report} does.
   */
  async reach(place: 'userspace' | RegExp | number): Promise<boolean> {
    const point = pausePointOf(place);
    if (!(await this.#orFail(() => this.#load())) || this.#hasEnded) return false;
    present(this.#started, 'the boot that runs').boot.pauseAt(point);
    while (await this.#advance()) if (this.#hasPaused()) return true;
    return false;
  }

  /**
   * The run as it is now, from which others can go on: `boot({ from })`. This run is not changed by that. Throws InputError as
   * {@link report} does, and if the run has ended.
   */
  async checkpoint(): Promise<Checkpoint> {
    const isLoaded = await this.#orFail(() => this.#load());
    if (!isLoaded || this.#hasEnded || this.#started === null)
      throw new InputError('the run has ended; a checkpoint can be taken only before that');
    const started = this.#started;
    const saved = await this.#orFail(() => Promise.resolve(started.boot.save()));
    // A run that cannot be a checkpoint can go on.
    return checkpointOf(started, saved);
  }

  /**
   * Ends the run within a fraction of a second, as incomplete, if it does not end before; `why` is one line for the report. The run does not wait for a kernel that is still being
   * fetched or unpacked. Line ends and control characters in `why` are replaced.
   */
  stop(why = usualWhy): void {
    if (typeof (why as unknown) !== 'string') throw new InputError('why a run is stopped must be a string');
    this.#stopped ??= oneLine(why) || usualWhy;
    this.#abandon();
  }

  /**
   * Types `bytes` into the guest's console (the last one that its command line names). The guest can read them from guest time
   * `atNs` (default: now). The run depends only on the bytes and on `atNs`. Without `atNs` the run cannot be reproduced. Throws
   * InputError if the arguments are something else.
   */
  type(bytes: Uint8Array, atNs?: bigint): void {
    checkInput(bytes, atNs);
    // A slice of a Buffer would share its bytes.
    const own = new Uint8Array(bytes);
    if (this.#started === null) this.#typed.push({ bytes: own, atNs: atNs ?? 0n });
    else this.#started.boot.type(own, atNs);
  }

  async #start(): Promise<void> {
    const { from } = this.#request;
    const started = from === undefined ? await this.#boot() : await this.#resume(from);
    if (this.#hasEnded || started === null) return;
    for (const { bytes, atNs } of this.#typed) started.boot.type(bytes, atNs);
    this.#begunMs = performance.now();
    this.#begunNs = started.boot.machine.nowNs;
    this.#started = started;
  }

  async #boot(): Promise<StartedBoot | null> {
    const { kernel, initrd, origin } = await loadSources(this.#request, this.#kernel);
    if (this.#hasEnded) return null;
    const { architecture } = kernel.placement;
    await loadArchitecture(architecture);
    const { packed, ...known } = kernel;
    const commandLine = commandLineOf(this.#request, architecture);
    const options = { ...this.#settled, commandLine, kernel: known };
    const watcher = this.#watcher(() => options.commandLine);
    const loaded = packed === undefined ? known : { ...known, packed };
    const boot = new Boot({ ...options, kernel: loaded, initrd }, watcher);
    const begun = options.onReboot === 'restart' ? { ...options, initrd } : options;
    return { boot, options: begun, origin, script: null };
  }

  async #resume(from: NonNullable<BootRequest['from']>): Promise<StartedBoot> {
    const started: StartedBoot = await resumeBoot(
      from,
      this.#request,
      this.#watcher(() => started.options.commandLine),
    );
    return started;
  }

  #watcher(commandLine: () => string): BootWatcher {
    const { engine } = this.#request;
    return {
      ...(engine === undefined ? {} : { engine: { kind: engine } }),
      console: (bytes, from) => {
        if (from === mainConsoleOf(commandLine())) this.#tell(() => this.#request.console?.(bytes));
      },
      event: (event) => this.#hear(event),
    };
  }

  /** Waits until the guest exists; false if the run is stopped before. */
  async #load(): Promise<boolean> {
    if (this.#started !== null) return true;
    if (this.#stopped === null) {
      this.#starting ??= this.#start();
      await Promise.race([this.#starting, this.#abandoned]);
    }
    if (this.#hasStarted()) return true;
    if (!this.#hasEnded) this.#hear(unstartedEnd(this.#stopped ?? ''));
    this.#hasEnded = true;
    return false;
  }

  #hasPaused(): boolean {
    return this.#isPaused;
  }

  #hasStarted(): boolean {
    return this.#started !== null;
  }

  /** Calls a function of the request, and remembers what it throws. */
  #tell(call: () => void): void {
    try {
      call();
    } catch (error) {
      this.#thrown = { error };
      throw error;
    }
  }

  #hear(event: TraceEvent): void {
    this.#tell(() => this.#request.event?.(event));
    const call = this.#readers > 0 ? hypercallOf(event) : null;
    if (call !== null) this.#calls.push(call);
  }

  /** The next call that no loop has read. */
  #nextCall(): Hypercall | undefined {
    const call = this.#calls[this.#read++];
    if (call !== undefined) return call;
    this.#calls = [];
    this.#read = 0;
    return undefined;
  }

  /** What `act` gives. What it throws ends the run: the guest may stand within an instruction, from where it cannot go on. */
  async #orFail<T>(act: () => Promise<T>): Promise<T> {
    try {
      if (this.#failure === null) return await act();
    } catch (error) {
      const isOfCaller = this.#thrown?.error === error;
      this.#failure ??= { error: isOfCaller ? error : errorOfRun(this.#request.from, error) };
      this.#hasEnded = true;
    }
    throw present(this.#failure, 'the error that ended the run').error;
  }

  /** Runs the guest for one slice; false when it has ended. */
  async #advance(): Promise<boolean> {
    return await this.#orFail(() => this.#runSlice());
  }

  async #runSlice(): Promise<boolean> {
    if (!(await this.#load()) || this.#hasEnded) return false;
    const { boot } = present(this.#started, 'the boot that runs');
    if (this.#stopped !== null) boot.cutShort(this.#stopped);
    const began = performance.now();
    const untilNs = this.#request.realTime === true ? this.#dueNs(began) : undefined;
    const state = runSlice(boot, untilNs);
    this.#hasEnded = state === 'ended';
    this.#isPaused = state === 'paused';
    this.#wallMs += performance.now() - began;
    await this.#breathe(state === 'waiting' ? pauseMs : 0);
    return true;
  }

  /** The limit of guest time at this moment of host time. */
  #dueNs(nowMs: number): bigint {
    return this.#begunNs + BigInt(Math.round((nowMs - this.#begunMs + pauseMs) * 1e6));
  }

  /** Lets the host process output, input and signals. */
  async #breathe(ms: number): Promise<void> {
    await new Promise((resolve) => (ms > 0 ? setTimeout(resolve, ms) : setImmediate(resolve)));
  }

  #finalReport(): BootReport {
    const host = { wallMs: Math.round(this.#wallMs), node: process.version };
    this.#report ??= this.#reportOf(this.#started, host);
    return this.#report;
  }

  #reportOf(
    started: StartedBoot | null,
    host: { readonly wallMs: number; readonly node: string },
  ): BootReport {
    if (started !== null) {
      const { boot, options, origin } = started;
      return bootReport(options, boot.result(), origin, host);
    }
    const { from } = this.#request;
    const name = from === undefined ? kernelName(this.#kernel) : `the kernel of ${checkpointName(from)}`;
    const architecture = architectureAsked(this.#request) ?? defaultArchitecture;
    return unstartedReport(this.#settled, { name, architecture }, this.#stopped ?? '', host);
  }
}
