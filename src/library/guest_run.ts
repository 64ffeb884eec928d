/** A boot that its caller drives: it goes on while its calls are taken, or its report is awaited. */
import type { TraceEvent } from '../audit/index.js';
import { present } from '../base/index.js';
import { Boot, bootReport, mainConsoleOf, unstartedEnd, unstartedReport } from '../boot/index.js';
import type { BootOptions, BootReport, KernelOrigin } from '../boot/index.js';
import { defaultKernel, settle } from './request.js';
import type { BootRequest, Settled } from './request.js';
import { bytesName, loadSources } from './sources.js';

/** A hypercall that the guest made. */
export interface Hypercall {
  /** The vCPU that really made it. */
  readonly vcpu: number;
  /** The CPU that the kernel believes to be on; null where that cannot be told. */
  readonly linuxCpu: number | null;
  /** `EVTCHNOP_init_control` and the like. */
  readonly name: string;
  /** The vCPU id that it carries, unsigned 32-bit; null when it carries none. */
  readonly vcpuId: number | null;
  /** Its argument, decoded, by the field names of Xen's headers. */
  readonly argument: Readonly<Record<string, unknown>>;
  /** The answer: 0 or more, or minus a XEN_E* number. */
  readonly returned: number;
  /** Guest time when it was answered, ns. */
  readonly guestTimeNs: bigint;
}

/** How far a run is. */
export interface Progress {
  readonly phase: 'loading' | 'kernel' | 'user space' | 'ended';
  /** Of all vCPUs. */
  readonly instructions: number;
  readonly guestTimeNs: bigint;
}

/**
 * Instructions between two moments at which the caller gets its turn: as many as take about this long, as far as the last
 * ones tell. How a run is divided changes nothing about it.
 */
const slice = { ms: 100, fewest: 10_000, most: 50_000_000, first: 1_000_000 } as const;
/** How long a guest that is ahead of the caller's time is left alone, ms. */
const pauseMs = 10;

interface Started {
  readonly boot: Boot;
  readonly options: BootOptions;
  readonly origin: KernelOrigin;
}

function hypercallOf(event: TraceEvent): Hypercall | null {
  if (event.kind !== 'hypercall') return null;
  const { vcpu, linuxCpu, call, timeNs } = event;
  const { op, vcpuId, detail, returned } = call;
  return { vcpu, linuxCpu, name: op, vcpuId, argument: detail, returned, guestTimeNs: timeNs };
}

/** One boot. It does nothing until its hypercalls or its report are asked for. */
export class GuestRun implements AsyncIterable<Hypercall> {
  readonly #request: BootRequest;
  readonly #settled: Settled;
  #starting: Promise<void> | null = null;
  #started: Started | null = null;
  #report: BootReport | null = null;
  #isListened = false;
  #calls: Hypercall[] = [];
  /** What was typed before there was a guest. */
  readonly #typed: { readonly bytes: Uint8Array; readonly atNs: bigint }[] = [];
  #hasEnded = false;
  #stopped: string | null = null;
  /** Called when the run is to be stopped before there is a guest. */
  #abandon: (() => void) | null = null;
  /** Milliseconds that the guest has run for, and those at which it began. */
  #wallMs = 0;
  #slice: number = slice.first;
  #begunMs = 0;

  /** Throws InputError when the request asks for what there cannot be. */
  constructor(request: BootRequest) {
    this.#request = request;
    this.#settled = settle(request);
  }

  /** How far the run is. */
  get progress(): Progress {
    if (this.#started === null)
      return { phase: this.#hasEnded ? 'ended' : 'loading', instructions: 0, guestTimeNs: 0n };
    const { instructions, nowNs, userSpaceNs } = this.#started.boot.machine;
    const running = userSpaceNs === null ? 'kernel' : 'user space';
    return { phase: this.#hasEnded ? 'ended' : running, instructions, guestTimeNs: nowNs };
  }

  /**
   * The guest's hypercalls in their order, each once, as it makes them. The guest runs on only while they are taken: a loop
   * that is left early leaves it where it stands. Throws InputError when kernel or initrd cannot be had or booted.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<Hypercall, void, undefined> {
    this.#isListened = true;
    try {
      for (;;) {
        const calls = this.#calls;
        this.#calls = [];
        yield* calls;
        if (calls.length === 0 && !(await this.#advance())) return;
      }
    } finally {
      this.#isListened = false;
    }
  }

  /** Runs the guest to its end; the report. Throws InputError when kernel or initrd cannot be had or booted. */
  async report(): Promise<BootReport> {
    while (await this.#advance());
    return this.#finalReport();
  }

  /**
   * Ends the run where it stands, as incomplete; `why` is one line for the report. Where the kernel is still fetched or
   * unpacked, the run does not wait for that.
   */
  stop(why = 'the run was stopped'): void {
    this.#stopped ??= why;
    this.#abandon?.();
  }

  /**
   * Types `bytes` into the guest's console, the last that its command line names: they are there from guest time `atNs` on,
   * now unless said. A run depends on them and on `atNs`, on nothing else; what is typed without `atNs` makes it one that
   * cannot be made again.
   */
  type(bytes: Uint8Array, atNs?: bigint): void {
    if (this.#started === null) this.#typed.push({ bytes: bytes.slice(), atNs: atNs ?? 0n });
    else this.#started.boot.type(bytes, atNs);
  }

  async #start(): Promise<void> {
    const { kernel, initrd, origin } = await loadSources(this.#request);
    if (this.#hasEnded) return;
    const options: BootOptions = { ...this.#settled, kernel, initrd };
    const mainConsole = mainConsoleOf(options.commandLine);
    const boot = new Boot(options, {
      console: (bytes, from) => {
        if (from === mainConsole) this.#request.console?.(bytes);
      },
      event: (event) => this.#hear(event),
    });
    for (const { bytes, atNs } of this.#typed) boot.type(bytes, atNs);
    this.#begunMs = performance.now();
    this.#started = { boot, options, origin };
  }

  /** Waits until there is a guest; false when the run is stopped before. */
  async #load(): Promise<boolean> {
    if (this.#started !== null) return true;
    if (this.#stopped === null) {
      const stopped = new Promise<void>((resolve) => (this.#abandon = resolve));
      this.#starting ??= this.#start();
      await Promise.race([this.#starting, stopped]);
    }
    if (this.#hasStarted()) return true;
    if (!this.#hasEnded) this.#hear(unstartedEnd(this.#stopped ?? ''));
    this.#hasEnded = true;
    return false;
  }

  #hasStarted(): boolean {
    return this.#started !== null;
  }

  #hear(event: TraceEvent): void {
    this.#request.event?.(event);
    const call = this.#isListened ? hypercallOf(event) : null;
    if (call !== null) this.#calls.push(call);
  }

  /** Runs the guest a little; false when it has ended. */
  async #advance(): Promise<boolean> {
    if (!(await this.#load()) || this.#hasEnded) return false;
    const { boot } = present(this.#started, 'the boot that runs');
    if (this.#stopped !== null) boot.cutShort(this.#stopped);
    const began = performance.now();
    const untilNs = this.#request.realTime === true ? this.#dueNs(began) : undefined;
    const state = boot.step(this.#slice, untilNs);
    this.#hasEnded = state === 'ended';
    this.#count(performance.now() - began);
    await this.#breathe(state === 'waiting' ? pauseMs : 0);
    return true;
  }

  /** A slice took so long. */
  #count(ms: number): void {
    this.#wallMs += ms;
    const fitting = (this.#slice * slice.ms) / Math.max(ms, 1);
    // No more than twice the last: a slice may have ended early.
    this.#slice = Math.round(Math.min(Math.max(fitting, slice.fewest), 2 * this.#slice, slice.most));
  }

  /** How far guest time may be by now. */
  #dueNs(nowMs: number): bigint {
    return BigInt(Math.round((nowMs - this.#begunMs + pauseMs) * 1e6));
  }

  /** Lets what waits on the host be done: output, input, signals. */
  async #breathe(ms: number): Promise<void> {
    await new Promise((resolve) => (ms > 0 ? setTimeout(resolve, ms) : setImmediate(resolve)));
  }

  #finalReport(): BootReport {
    const host = { wallMs: Math.round(this.#wallMs), node: process.version };
    this.#report ??= this.#reportOf(this.#started, host);
    return this.#report;
  }

  #reportOf(started: Started | null, host: { readonly wallMs: number; readonly node: string }): BootReport {
    if (started !== null) {
      const { boot, options, origin } = started;
      return bootReport(options, boot.result(), origin, host);
    }
    const { kernel = defaultKernel } = this.#request;
    const name = typeof kernel === 'string' ? kernel : bytesName;
    return unstartedReport(this.#settled, name, this.#stopped ?? '', host);
  }
}
