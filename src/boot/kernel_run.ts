/** One kernel of a boot: what is known of it from its entry on, and the parts that read and observe it. */
import { viewOf } from '../abi/index.js';
import { cloneValue, frameBytes, loadRecord, present, savedRecord } from '../base/index.js';
import type { CallRecord } from '../hypervisor/index.js';
import type { XenVcpuId } from '../identity/index.js';
import type { LogRecord, ReadKernel } from '../introspect/index.js';
import type { FoundKernel, Guest, KernelCpu } from './guest.js';
import { readGuest } from './guest_memory.js';
import type { KernelImage } from './kernel_image.js';
import { KernelLog } from './kernel_log.js';
import type { KernelLogState, KernelMemory } from './kernel_log.js';
import { KernelObserver } from './kernel_observer.js';
import type { KernelObserverState } from './kernel_observer.js';
import { KernelView } from './kernel_view.js';
import type { KernelViewState } from './kernel_view.js';
import type { BootCpu, BootKernelResult } from './result.js';
import type { TraceWriter } from './trace_writer.js';

const logTail = 40;
/** The kernel's log has fewer records than this before the first call about a CPU. */
const earlyLog = 1000;

/** How a kernel came to run: it was booted, entered from another one after a crash or in order, or booted again after a reboot. */
export type KernelEntry = 'boot' | 'crash' | 'kexec' | 'reboot';

/** What is known of a kernel at its entry. */
export interface KernelFacts {
  /** Its number in the trace, from 0. */
  readonly number: number;
  /** What it is: `kernel`, and of those that follow `crash kernel`, `next kernel` or `kernel after the reboot`. */
  readonly name: string;
  readonly entry: KernelEntry;
  readonly version: string | null;
  /** The vCPU on which it was entered. */
  readonly entryVcpu: XenVcpuId;
  readonly cpus: readonly KernelCpu[];
  /** Guest physical address of its image. */
  readonly kernelAt: bigint;
  /** x86: the one for which it was linked, where that differs. */
  readonly linkedAt?: bigint;
  readonly memoryBytes: number;
  /** The command line that it was given. */
  readonly commandLine: string;
}

/** What is known of a kernel that `vcpu` entered from another one. */
export function factsOfNext(found: FoundKernel, number: number, entryVcpu: XenVcpuId): KernelFacts {
  const { isCrashKernel, version, cpus, at, linkedAt, memoryBytes, commandLine } = found;
  return {
    number,
    name: isCrashKernel ? 'crash kernel' : 'next kernel',
    entry: isCrashKernel ? 'crash' : 'kexec',
    version,
    entryVcpu,
    cpus,
    kernelAt: at,
    ...(linkedAt === undefined ? {} : { linkedAt }),
    memoryBytes,
    commandLine,
  };
}

/** A plain value. The image of a kernel that is the first one's again is null. */
export interface KernelRunState {
  readonly facts: KernelFacts;
  readonly image: Uint8Array | null;
  readonly kernel: KernelViewState;
  readonly observer: KernelObserverState;
  readonly log: KernelLogState;
  readonly lastLog: readonly LogRecord[] | null;
  readonly hasCrashed: boolean;
  readonly rebootedEarly: boolean;
  readonly droppedAtLeaving: readonly number[] | null;
  /** Calls that the hypervisor does not model, by name, and how often each was made. */
  readonly notModelled: readonly (readonly [name: string, calls: number])[];
}

/** What a kernel needs of its boot. */
export interface KernelSurroundings {
  readonly guest: Guest;
  readonly trace: TraceWriter;
  /** Whether a vCPU runs that kernel, by starts and entries. */
  readonly runsOn: (kernel: number, vcpu: XenVcpuId) => boolean;
}

/** What is known of a kernel only when the whole run is. */
export type JudgedKernel = Pick<
  BootKernelResult,
  'findings' | 'omittedFindings' | 'notJudged' | 'notModelled'
>;

/** One kernel of a boot. */
export class KernelRun {
  readonly facts: KernelFacts;
  readonly image: KernelImage;
  readonly view: KernelView;
  readonly observer: KernelObserver;
  readonly log: KernelLog;
  /** Whether it asked for a reboot before user space. */
  rebootedEarly = false;
  readonly #surroundings: KernelSurroundings;
  readonly #calls = { notModelled: new Map<string, number>() };
  /** The end of its log when it was left, if it was still there. */
  #lastLog: readonly LogRecord[] | null = null;
  /** By vCPU: how many events for it Xen had dropped when this kernel was left; null while it was not. */
  #droppedAtLeaving: readonly number[] | null = null;
  /** Whether the kernel that it was left for lies elsewhere, in memory that was kept free for it. */
  #hasCrashed = false;

  /** `image`: as in the file, or as it was in memory at its entry. */
  constructor(facts: KernelFacts, image: KernelImage, surroundings: KernelSurroundings) {
    const { trace, runsOn } = surroundings;
    const { number, name, cpus, kernelAt, linkedAt, commandLine } = facts;
    this.facts = facts;
    this.image = image;
    this.#surroundings = surroundings;
    const linked = linkedAt === undefined ? {} : { linkedAt };
    const guest: Guest = { ...surroundings.guest, cpus, kernelAt, ...linked };
    this.view = new KernelView(guest, image);
    this.log = new KernelLog(this.#memory());
    this.observer = new KernelObserver(
      guest,
      this.view,
      trace,
      { given: commandLine, said: () => this.#saidCommandLine() },
      { number, name, runsOn: (vcpu) => runsOn(number, vcpu) },
    );
  }

  save(isFirstImage: boolean): KernelRunState {
    return {
      facts: this.facts,
      image: isFirstImage ? null : this.image.bytes,
      kernel: this.view.save(),
      observer: this.observer.save(),
      log: this.log.state,
      lastLog: this.#lastLog,
      hasCrashed: this.#hasCrashed,
      rebootedEarly: this.rebootedEarly,
      droppedAtLeaving: this.#droppedAtLeaving,
      ...savedRecord(this.#calls),
    };
  }

  load(state: KernelRunState): void {
    const { kernel, observer, log, lastLog, hasCrashed, rebootedEarly, droppedAtLeaving, notModelled } =
      state;
    this.view.load(kernel);
    this.observer.load(observer);
    this.log.state = cloneValue(log);
    this.#lastLog = lastLog;
    this.#hasCrashed = hasCrashed;
    this.rebootedEarly = rebootedEarly;
    this.#droppedAtLeaving = droppedAtLeaving;
    loadRecord(this.#calls, { notModelled });
  }

  /** A vCPU that runs this kernel has made a hypercall. */
  called({ notModelled }: CallRecord): void {
    if (notModelled === undefined) return;
    this.#calls.notModelled.set(notModelled, (this.#calls.notModelled.get(notModelled) ?? 0) + 1);
  }

  get #droppedUpToNow(): number[] {
    return this.#surroundings.guest.machine.domain.state.vcpus.map(({ droppedEvents }) => droppedEvents);
  }

  /**
   * By vCPU: how many events for it Xen has dropped since `before` was left, because it had no FIFO control block. A domain that was
   * made anew counts from 0.
   */
  #droppedSince(before: KernelRun | null): number[] {
    const isSameDomain = before !== null && this.facts.entry !== 'reboot';
    const known = isSameDomain ? before.#droppedAtLeaving : null;
    const upTo = this.#droppedAtLeaving ?? this.#droppedUpToNow;
    return upTo.map((dropped, vcpu) => dropped - (known?.[vcpu] ?? 0));
  }

  get notModelled(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#calls.notModelled);
  }

  /** The last `most` records of its log; those of when it was left, if it was. */
  logTail(most = logTail): readonly LogRecord[] {
    if (this.#lastLog === null) return this.log.tail(most, this.view.textAddress);
    return this.#hasCrashed ? this.#lastLog.slice(-most) : [];
  }

  /** It is left for another kernel. `hasCrashed`: whether it panicked, so that its memory is as it was. */
  left(hasCrashed: boolean): void {
    this.#lastLog ??= this.logTail();
    this.#droppedAtLeaving = this.#droppedUpToNow;
    this.#hasCrashed = hasCrashed;
  }

  /** Its crash kernel follows, so its memory is as it was. */
  crashed(): void {
    this.#hasCrashed = true;
  }

  /**
   * Whether a crash kernel is loaded (Linux kernel/kexec_core.c: kexec_crash_image, which kexec_crash_loaded reads); null if that
   * cannot be read.
   */
  get hasCrashKernel(): boolean | null {
    const pointer =
      this.view.addressOfSymbol('kexec_crash_image') ?? this.view.addressReadBy('kexec_crash_loaded');
    const bytes = pointer === null ? null : this.#read(pointer, 8);
    return bytes === null ? null : viewOf(bytes).getBigUint64(0, true) !== 0n;
  }

  /** The final states of its CPUs. */
  get cpus(): BootCpu[] {
    const { counts } = this.observer.trace;
    // In this order, whatever that in a file was.
    return this.facts.cpus.map(({ linuxCpu, hardwareId, hardwareIdKind, vcpu }) => {
      const cpu = { linuxCpu, hardwareId, hardwareIdKind, vcpu };
      const online = this.observer.wasOnline(cpu);
      return {
        ...cpu,
        recordedVcpuId: this.observer.lastRecord(cpu.linuxCpu),
        usedVcpuIds: counts.ofKernel(this.facts.number).idsOf(cpu.linuxCpu),
        online,
        leftOut: online === true ? null : this.observer.whyLeftOut(cpu.vcpu),
      };
    });
  }

  /** What it did, and what was judged of it. `before`: the kernel before it. */
  result(before: KernelRun | null, judged: JudgedKernel): BootKernelResult {
    const { number, version, entry, entryVcpu } = this.facts;
    const { calls, eventAbi } = this.observer.trace.counts.ofKernel(number);
    return {
      version,
      entryVcpu,
      entry,
      eventAbi,
      calls,
      introspection: this.view.introspection,
      cpus: this.cpus,
      droppedEvents: this.#droppedSince(before),
      kernelLog: this.logTail(),
      ...judged,
    };
  }

  /** The command line in the kernel's log; null if the log has none. */
  #saidCommandLine(): string | null {
    const found = this.logTail(earlyLog).map(
      ({ text }) => /^Kernel command line: (.*)/s.exec(text)?.[1] ?? null,
    );
    return found.find((line) => line !== null) ?? null;
  }

  // A vCPU that is off, or that has no page tables yet, cannot translate kernel addresses.
  readonly #read: ReadKernel = (address, size) => {
    const { guest, runsOn } = this.#surroundings;
    for (const vcpu of guest.machine.vcpus) {
      if (!runsOn(this.facts.number, vcpu)) continue;
      const bytes = readGuest(guest.machine, vcpu, address, size);
      if (bytes !== null) return bytes;
    }
    return null;
  };

  #memory(): KernelMemory {
    const { machine } = this.#surroundings.guest;
    const { processor } = machine;
    const { ram, ramStart } = processor;
    const bringIn = (at: number): void => processor.bringIn(ramStart + at);
    const { kernelAt, memoryBytes, number, version } = this.facts;
    const offset =
      present(machine.frames.offsetOf(Number(kernelAt) / frameBytes), "the kernel's memory") - ramStart;
    return {
      image: this.image,
      loaded: () => {
        for (let at = 0; at < memoryBytes; at += frameBytes) bringIn(offset + at);
        return ram.subarray(offset, offset + memoryBytes);
      },
      ram: {
        bytes: ram.length,
        startAt: (at) => (processor.wasWritten(ramStart + at) ? processor.startOf(ramStart + at) : 0),
        pageAt: (at) => processor.peek(ramStart + at),
      },
      read: this.#read,
      version: number === 0 ? null : version,
    };
  }
}
