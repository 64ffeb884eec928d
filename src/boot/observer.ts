/**
 * Observes a real kernel from outside and writes the trace for the audit: its calls with the CPU that it believes it is
 * on, the starts that it requests, its own records, and which CPUs it counts as online. What the kernel believes comes
 * from a {@link KernelView}. The kernel is not changed.
 */
import type { LeftOut, Outcome, PossibleCpu, TraceEvent } from '../audit/index.js';
import { equalValues, present } from '../base/index.js';
import { lostUpcall, unheardEvents, withoutEffects } from '../hypervisor/index.js';
import type { CallRecord, PowerRecord } from '../hypervisor/index.js';
import { xenVcpuId } from '../identity/index.js';
import type { LinuxCpu, XenVcpuId } from '../identity/index.js';
import type { Arm64Machine } from '../machine/index.js';
import { cpuOptions, leftOutOf } from './cpu_limits.js';
import type { CpuLimits } from './cpu_limits.js';
import type { Guest, KernelCpu } from './guest.js';
import { IrqBindings } from './irq_bindings.js';
import type { KernelView } from './kernel_view.js';
import { MemoryWatch } from './memory_watch.js';
import { TraceStore } from './trace_store.js';

type WithoutPlace<E> = E extends TraceEvent ? Omit<E, 'step' | 'timeNs'> : never;

/**
 * After `lookUps` slices the addresses of the watched memory are looked up again and all of it is read, because a guest may have
 * moved it. During the first `early` slices, in which a kernel sets up its per-CPU areas, this is done after each `earlyLookUps`
 * slices. In between, the mask of online CPUs is compared after each slice, and the records after each `records` slices.
 */
const slicesBetween = { earlyLookUps: 256, lookUps: 4096, records: 8 } as const;
const early = 8192;

/**
 * Maximum number of unheard events in the end event: a guest may have a hundred thousand, and the finding is the same for
 * each.
 */
const mostUnheard = 16;

/** Whether to ask at slice `count` of a vCPU, from 1: often at first, later rarely. */
function isAskedAt(count: number): boolean {
  return (count & (count - 1)) === 0 || count % 64 === 0;
}

function possibleAmong(cpus: readonly KernelCpu[], possible: CpuLimits['possible']): PossibleCpu[] {
  const counted = cpus.filter(({ linuxCpu: cpu }) => possible?.has(cpu) ?? true);
  return counted.map(({ linuxCpu: cpu, mpidr }) => ({ linuxCpu: cpu, hardwareId: mpidr }));
}

function onlineWord({ hasOnlineMask }: KernelView): { readonly online?: 'unreadable' } {
  return hasOnlineMask ? {} : { online: 'unreadable' };
}

export interface KernelCommandLine {
  /** The command line that the kernel was given. */
  readonly given: string;
  /** The command line in the kernel's log, which may be longer (CONFIG_CMDLINE); null if the log has none. */
  readonly said: () => string | null;
}

export class Observer {
  /** The observed events, in bounded form. */
  readonly trace = new TraceStore();
  readonly #machine: Arm64Machine;
  readonly #cpus: readonly KernelCpu[];
  readonly #kernel: KernelView;
  readonly #bindings: IrqBindings;
  readonly #lastRecords = new Map<number, number>();
  readonly #running = new Set<number>();
  readonly #online = new Set<number>();
  readonly #onlineWatch = new MemoryWatch();
  readonly #recordWatch = new MemoryWatch();
  #isWatching = false;
  #slices = 0;
  /** Whether a call has carried a vCPU id. Before that the records need not be set, so their contents are not reported. */
  #usesIds = false;
  /** By vCPU: its number of slices during which its Linux CPU was not known. */
  readonly #slicesUnknown = new Map<number, number>();
  readonly #everOnline = new Set<number>();
  /** The vCPUs that are certainly online, for a kernel whose mask of online CPUs cannot be read. */
  readonly #surelyOnline = new Set<number>();
  /** The vCPUs that run the kernel, judged by starts: the one on which it is entered, and those that it started. */
  readonly #started = new Set<number>();
  /** By vCPU: the port of the event that it lost while it was down. */
  readonly #lost = new Map<number, number>();
  readonly #heard: (event: TraceEvent) => void;
  readonly #commandLine: KernelCommandLine;
  #leftOut: readonly LeftOut[];
  #hasLimits = false;
  /** Whether the place of the kernel's mask of online CPUs was known from the start. */
  readonly #couldSeeOnline: boolean;

  /** `heard` is called with each event as it comes. */
  constructor(
    { machine, cpus }: Guest,
    kernel: KernelView,
    heard: (event: TraceEvent) => void,
    commandLine: KernelCommandLine,
  ) {
    this.#machine = machine;
    this.#cpus = cpus;
    this.#kernel = kernel;
    this.#heard = heard;
    this.#commandLine = commandLine;
    this.#leftOut = leftOutOf(cpus, cpuOptions(commandLine.given));
    this.#couldSeeOnline = kernel.hasOnlineMask;
    this.#bindings = new IrqBindings(machine, kernel, (vcpu, bound, port) =>
      this.#emit({ kind: 'affinity', kernel: 0, vcpu: xenVcpuId(vcpu), linuxCpu: bound, port }),
    );
    const [entry] = cpus;
    this.#emit({
      kind: 'kernel',
      kernel: 0,
      name: 'kernel',
      entryVcpu: present(entry, 'CPU 0').vcpu,
      possible: possibleAmong(cpus, null),
      leftOut: this.#leftOut,
      ...onlineWord(kernel),
      records: kernel.hasRecords ? 'readable' : 'unreadable',
    });
    this.#started.add(present(entry, 'CPU 0').vcpu);
  }

  /** A hypercall was answered. */
  hypercall(vcpu: number, call: CallRecord): void {
    this.#bindings.before(vcpu, call);
    this.#noteLost();
    const cpu = this.#kernel.linuxCpuOn(vcpu);
    this.#noteRunning(vcpu, cpu);
    if (call.vcpuId !== null) {
      this.#usesIds = true;
      this.#noteLimits(vcpu);
      this.#noteRecords(vcpu);
    }
    this.noteOnline(vcpu);
    this.#noteCaller(vcpu);
    this.#place({
      kind: 'hypercall',
      step: this.trace.length,
      timeNs: this.#machine.nowNs,
      kernel: 0,
      vcpu: xenVcpuId(vcpu),
      linuxCpu: cpu,
      call: withoutEffects(call),
      phase: null,
    });
    this.#bindings.after(vcpu, call);
  }

  /** A power call was answered. */
  power(vcpu: number, record: PowerRecord): void {
    this.#bindings.before(vcpu, null);
    this.#noteLost();
    if (record.kind === 'other') return;
    const cpu = this.#kernel.linuxCpuOn(vcpu);
    this.#noteRunning(vcpu, cpu);
    this.noteOnline(vcpu);
    if (record.kind === 'start') this.#noteLimits(vcpu);
    if (record.kind === 'start') this.#noteStart(vcpu, cpu, record);
    else this.#noteStop(vcpu, cpu, record);
  }

  #noteStart(
    vcpu: number,
    cpu: LinuxCpu | null,
    { how, hardwareId, returned, target }: PowerRecord & { readonly kind: 'start' },
  ): void {
    const meant = this.#cpus.find(({ mpidr }) => BigInt(mpidr) === hardwareId)?.linuxCpu ?? null;
    this.#noteCaller(vcpu);
    this.#emit({
      kind: 'start',
      kernel: 0,
      by: xenVcpuId(vcpu),
      linuxCpu: cpu,
      how,
      meant,
      target,
      returned,
    });
    if (returned === 0 && target !== null) this.#started.add(target);
  }

  #noteStop(vcpu: number, cpu: LinuxCpu | null, { how }: PowerRecord & { readonly kind: 'stop' }): void {
    this.#noteCaller(vcpu);
    this.#emit({ kind: 'stop', kernel: 0, vcpu: xenVcpuId(vcpu), linuxCpu: cpu, how });
    this.#surelyOnline.delete(vcpu);
    const gone = this.#cpus.find((known) => known.vcpu === vcpu);
    if (gone !== undefined && !this.#kernel.hasOnlineMask) this.#setOnline(gone, false);
    this.#started.delete(vcpu);
    // It may be started again, as another CPU.
    this.#running.delete(vcpu);
  }

  /** A time slice of that vCPU, or a part of one, has ended. */
  sliceEnded(vcpu: number): void {
    this.#bindings.paused(vcpu);
    // Before its first call the kernel may still move to its final address.
    if (this.#kernel.textAddress === null) return;
    this.#slices += 1;
    if (this.#isToLook()) this.look(vcpu);
    this.#noteSurelyOnline(vcpu);
    // When a vCPU turns itself off, its slice ends after that, and its registers are unchanged.
    const isUp = this.#machine.domain.state.vcpus[vcpu]?.up === true;
    if (isUp && !this.#running.has(vcpu)) this.#askWhoRuns(vcpu);
  }

  /**
   * Reports once which CPUs the kernel has determined as possible, if that differs from what was known. The kernel determines
   * them long before it starts another CPU or makes a call about one.
   */
  #noteLimits(vcpu: number): void {
    if (this.#hasLimits) return;
    const limits = {
      possible: this.#kernel.possibleFrom(vcpu),
      configured: this.#kernel.configuredCpus,
      maxCpus: this.#kernel.maxCpusFrom(vcpu),
    };
    if (limits.possible === null && limits.maxCpus === null) return;
    this.#hasLimits = true;
    const { given, said } = this.#commandLine;
    const byGiven = leftOutOf(this.#cpus, cpuOptions(given), limits);
    const isExplained = this.#cpus.every(
      ({ linuxCpu: cpu, vcpu: id }) =>
        limits.possible?.has(cpu) !== false || byGiven.some((left) => left.vcpu === id),
    );
    // Finding the log in memory takes a while.
    const leftOut = isExplained ? byGiven : leftOutOf(this.#cpus, cpuOptions(said() ?? given), limits);
    const possible = possibleAmong(this.#cpus, limits.possible);
    const isKnown = possible.length === this.#cpus.length && equalValues(leftOut, this.#leftOut);
    // With BTF alone, online CPUs become visible only when the kernel runs.
    const isSeen = this.#kernel.hasOnlineMask === this.#couldSeeOnline;
    this.#leftOut = leftOut;
    if (isKnown && isSeen) return;
    this.#emit({ kind: 'limits', kernel: 0, possible, leftOut, ...onlineWord(this.#kernel) });
  }

  /** Why the kernel need not bring up `vcpu` when it boots; null if there is no such reason. */
  whyLeftOut(vcpu: XenVcpuId): string | null {
    return this.#leftOut.find((left) => left.vcpu === vcpu)?.why ?? null;
  }

  #isToLook(): boolean {
    const { earlyLookUps, lookUps, records } = slicesBetween;
    const between = this.#slices <= early ? earlyLookUps : lookUps;
    if (!this.#isWatching || this.#slices % between === 0 || this.#onlineWatch.changed) return true;
    return this.#slices % records === 0 && this.#recordWatch.changed;
  }

  #askWhoRuns(vcpu: number): void {
    const count = (this.#slicesUnknown.get(vcpu) ?? 0) + 1;
    this.#slicesUnknown.set(vcpu, count);
    if (isAskedAt(count)) this.#noteRunning(vcpu, this.#kernel.linuxCpuOn(vcpu));
  }

  /** Records the kernel's records and online CPUs as `vcpu` sees them, and watches them for changes from now on. */
  look(vcpu: number): void {
    const places = this.#kernel.placesFrom(vcpu);
    if (places === null) return;
    this.#isWatching = true;
    this.#onlineWatch.watch(places.online);
    this.#recordWatch.watch(places.records);
    this.noteOnline(vcpu);
    this.#noteRecords(vcpu);
  }

  /**
   * The place in the kernel that made the hypercall or power call of a step, as {@link KernelView.symbolAt} prints it; null for
   * other steps.
   */
  whereOf(step: number): string | null {
    const address = this.trace.callerOf(step);
    return address === null ? null : this.#kernel.symbolAt(address);
  }

  /** Notes the return address of the call. The call instruction itself is in a function that does nothing else. */
  #noteCaller(vcpu: number): void {
    this.trace.noteCaller(this.#kernel.callerOn(vcpu));
  }

  /** Reports the records that have changed. */
  #noteRecords(vcpu: number): void {
    const records = this.#usesIds ? this.#kernel.recordsFrom(vcpu) : null;
    if (records === null) return;
    for (const cpu of this.#kernel.ownAreas(vcpu)) {
      const value = records.recordedVcpuId(cpu);
      if (value === null || this.#lastRecords.get(cpu) === value) continue;
      this.#lastRecords.set(cpu, value);
      this.#emit({ kind: 'record', kernel: 0, linuxCpu: cpu, value, source: "the kernel's memory" });
    }
  }

  /** The last known record of a CPU; null if none was ever read. */
  lastRecord(cpu: LinuxCpu): number | null {
    return this.#lastRecords.get(cpu) ?? null;
  }

  /** Reports the CPUs that have come online or gone offline. */
  noteOnline(vcpu: number): void {
    const online = this.#kernel.onlineFrom(vcpu);
    if (online === null) return;
    for (const cpu of this.#cpus) this.#setOnline(cpu, online.has(cpu.linuxCpu));
  }

  #setOnline({ linuxCpu: cpu, vcpu }: KernelCpu, online: boolean): void {
    if (online === this.#online.has(cpu)) return;
    if (online) {
      this.#online.add(cpu);
      this.#everOnline.add(cpu);
    } else this.#online.delete(cpu);
    this.#emit({ kind: online ? 'online' : 'offline', kernel: 0, vcpu, linuxCpu: cpu });
  }

  /** The CPUs that are online, as last seen. */
  get online(): readonly LinuxCpu[] {
    return this.#cpus.map(({ linuxCpu: cpu }) => cpu).filter((cpu) => this.#online.has(cpu));
  }

  /**
   * Whether the kernel ever counted `cpu` as online; null if this is not known: its mask cannot be read, and the CPU was
   * started but not seen in user space.
   */
  wasOnline({ linuxCpu: cpu, vcpu }: KernelCpu): boolean | null {
    if (this.#everOnline.has(cpu)) return true;
    return this.#kernel.hasOnlineMask || !this.#started.has(vcpu) ? false : null;
  }

  /** For a kernel whose mask cannot be read: the entry CPU is online, and so is every CPU that runs user space. */
  #noteSurelyOnline(vcpu: number): void {
    if (this.#kernel.hasOnlineMask || this.#surelyOnline.has(vcpu)) return;
    const isEntry = vcpu === this.#cpus[0]?.vcpu;
    if (!isEntry && this.#machine.processor.vcpus[vcpu]?.mode !== 'EL0t') return;
    this.#surelyOnline.add(vcpu);
    const cpu = this.#cpus.find((known) => known.vcpu === vcpu);
    if (cpu !== undefined) this.#setOnline(cpu, true);
  }

  /** Reports the vCPUs that have lost an upcall, or that are told of events again. */
  #noteLost(): void {
    for (const { vcpu } of this.#cpus) {
      const [was, is] = [this.#lost.get(vcpu) ?? null, lostUpcall(this.#machine.domain, vcpu)];
      if (was === is) continue;
      if (is === null) this.#lost.delete(vcpu);
      else this.#lost.set(vcpu, is);
      this.#emit({ kind: is === null ? 'upcall-heard' : 'lost-upcall', vcpu, port: is ?? was ?? 0 });
    }
  }

  /**
   * The guest has ended. Events after the system time `unheardUpToNs` (default: now) do not count as unheard, because
   * the guest might still have started the vCPU.
   */
  end(outcome: Outcome, why: string, unheardUpToNs = this.#machine.nowNs, isCut = false): void {
    for (const vcpu of this.#machine.processor.vcpus.keys()) this.#bindings.paused(vcpu);
    for (const vcpu of this.#machine.processor.vcpus.keys()) this.look(vcpu);
    this.#noteLost();
    const unheard = unheardEvents(this.#machine.domain)
      .filter(({ sinceNs }) => sinceNs <= unheardUpToNs)
      .slice(0, mostUnheard);
    this.#emit({
      kind: 'end',
      kernel: 0,
      outcome,
      online: this.online,
      why,
      ...(isCut ? { isCut } : {}),
      ...(unheard.length === 0 ? {} : { unheard }),
    });
  }

  #noteRunning(vcpu: number, cpu: LinuxCpu | null): void {
    if (cpu === null || this.#running.has(vcpu) || !this.#kernel.ownAreas(vcpu).includes(cpu)) return;
    this.#running.add(vcpu);
    this.#slicesUnknown.delete(vcpu);
    this.#emit({ kind: 'running', kernel: 0, vcpu: xenVcpuId(vcpu), linuxCpu: cpu });
  }

  #emit(event: WithoutPlace<TraceEvent>): void {
    this.#place({ ...event, step: this.trace.length, timeNs: this.#machine.nowNs });
  }

  #place(event: TraceEvent): void {
    this.trace.add(event);
    this.#heard(event);
  }
}
