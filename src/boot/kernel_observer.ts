/**
 * Observes a real kernel from outside and tells the trace what the audit needs: its calls with the CPU that it believes it is
 * on, the starts that it requests, its own records, and which CPUs it counts as online. A {@link KernelView} reads what the
 * kernel believes, a {@link TraceWriter} writes the events. The kernel is not changed.
 */
import { loadRecord, present, savedRecord } from '../base/index.js';
import type { SavedRecord } from '../base/index.js';
import { lostUpcall, unheardEvents, withoutEffects } from '../hypervisor/index.js';
import type { CallRecord, PowerRecord } from '../hypervisor/index.js';
import type { LinuxCpu, XenVcpuId } from '../identity/index.js';
import type { Guest, GuestMachine, KernelCpu } from './guest.js';
import { IrqBindings } from './irq_bindings.js';
import type { IrqBindingsState } from './irq_bindings.js';
import type { KernelView } from './kernel_view.js';
import { LeftOutCpus } from './left_out.js';
import type { KernelCommandLine, LeftOutState } from './left_out.js';
import { MemoryWatch } from './memory_watch.js';
import type { WatchedRange } from './memory_watch.js';
import { OnlineCpus } from './online_cpus.js';
import type { OnlineCpusState } from './online_cpus.js';
import type { AuditedEnd } from './outcome.js';
import type { TraceStore } from './trace_store.js';
import type { TraceWriter } from './trace_writer.js';

type StartCall = Extract<PowerRecord, { readonly kind: 'start' }>;
type StopCall = Extract<PowerRecord, { readonly kind: 'stop' }>;

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

interface State {
  /** By Linux CPU: the last known record. */
  readonly lastRecords: Map<number, number>;
  /** By Linux CPU: what was in the place of its record at first, where it may not have been set yet. */
  readonly firstValues: Map<number, number>;
  /** The Linux CPUs that the kernel has started. */
  readonly startedCpus: Set<number>;
  /** The vCPUs whose Linux CPU is known since they were started. */
  readonly running: Set<number>;
  isWatching: boolean;
  /** The slices since the kernel's address is known. */
  slices: number;
  /** Whether a call has carried a vCPU id. Before that the records need not be set, so their contents are not reported. */
  usesIds: boolean;
  /** By vCPU: its number of slices during which its Linux CPU was not known. */
  readonly slicesUnknown: Map<number, number>;
  /** By vCPU: the port of the event that it lost while it was down. */
  readonly lost: Map<number, number>;
}

/** A plain value, without the trace and the kernel's view. */
export type KernelObserverState = SavedRecord<State> & {
  readonly onlineWatch: readonly WatchedRange[];
  readonly recordWatch: readonly WatchedRange[];
  readonly bindings: IrqBindingsState;
  readonly online: OnlineCpusState;
  readonly leftOut: LeftOutState;
};

/** Where a kernel stands among those of its run. */
export interface KernelPlace {
  /** Its number in the trace, from 0. */
  readonly number: number;
  readonly name: string;
  /** Whether a vCPU runs this kernel, by starts and entries. */
  readonly runsOn: (vcpu: XenVcpuId) => boolean;
}

const firstKernel: KernelPlace = { number: 0, name: 'kernel', runsOn: () => true };

/** Turns the events of a machine into the trace of one of its kernels. */
export class KernelObserver {
  readonly #machine: GuestMachine;
  readonly #cpus: readonly KernelCpu[];
  readonly #recordsAreSet: Guest['recordsAreSet'];
  readonly #kernel: KernelView;
  readonly #trace: TraceWriter;
  readonly #place: KernelPlace;
  readonly #bindings: IrqBindings;
  readonly #online: OnlineCpus;
  readonly #leftOut: LeftOutCpus;
  readonly #onlineWatch: MemoryWatch;
  readonly #recordWatch: MemoryWatch;
  readonly #state: State = {
    lastRecords: new Map(),
    firstValues: new Map(),
    startedCpus: new Set(),
    running: new Set(),
    isWatching: false,
    slices: 0,
    usesIds: false,
    slicesUnknown: new Map(),
    lost: new Map(),
  };

  constructor(
    guest: Guest,
    kernel: KernelView,
    trace: TraceWriter,
    commandLine: KernelCommandLine,
    place: KernelPlace = firstKernel,
  ) {
    const { machine, cpus, recordsAreSet } = guest;
    this.#place = place;
    this.#machine = machine;
    this.#recordsAreSet = recordsAreSet;
    this.#cpus = cpus;
    const { processor } = machine;
    const watch = (): MemoryWatch =>
      new MemoryWatch(processor.ram, (offset) => processor.bringIn(processor.ramStart + offset));
    this.#onlineWatch = watch();
    this.#recordWatch = watch();
    this.#kernel = kernel;
    this.#trace = trace;
    this.#online = new OnlineCpus(guest, kernel, trace, place.number);
    const unnumbered = machine.vcpus.filter((vcpu) => !cpus.some((known) => known.vcpu === vcpu));
    this.#leftOut = new LeftOutCpus(
      cpus,
      kernel,
      trace,
      commandLine,
      place.number,
      unnumbered.flatMap((vcpu) => {
        const why = guest.whyUnnumbered(vcpu, commandLine.given);
        return why === null ? [] : [{ vcpu, why }];
      }),
    );
    this.#bindings = new IrqBindings(guest, kernel, (vcpu, bound, port) =>
      trace.write({ kind: 'affinity', kernel: place.number, vcpu, linuxCpu: bound, port }),
    );
  }

  /** The kernel is about to be entered. */
  begin(): void {
    this.#trace.write({
      kind: 'kernel',
      kernel: this.#place.number,
      name: this.#place.name,
      entryVcpu: present(this.#cpus[0], 'CPU 0').vcpu,
      ...this.#leftOut.atEntry,
      records: this.#kernel.hasRecords ? 'readable' : 'unreadable',
    });
  }

  save(): KernelObserverState {
    return {
      ...savedRecord(this.#state),
      onlineWatch: this.#onlineWatch.save(),
      recordWatch: this.#recordWatch.save(),
      bindings: this.#bindings.save(),
      online: this.#online.save(),
      leftOut: this.#leftOut.state,
    };
  }

  /** Continues the saved observation, instead of {@link begin}. The machine must have been restored before. */
  load(state: KernelObserverState): void {
    loadRecord(this.#state, state);
    this.#onlineWatch.load(state.onlineWatch);
    this.#recordWatch.load(state.recordWatch);
    this.#bindings.load(state.bindings);
    this.#online.load(state.online);
    this.#leftOut.state = state.leftOut;
  }

  /** By vCPU: the port of the event that it lost while it was down. A next kernel takes this over. */
  get lost(): ReadonlyMap<number, number> {
    return this.#state.lost;
  }

  /** The domain was reset, and with it what its vCPUs have lost. */
  domainReset(): void {
    this.#state.lost.clear();
  }

  /** Takes over what is known of the domain from the observer of the kernel before. */
  takeOver(before: KernelObserver): void {
    for (const [vcpu, port] of before.lost) this.#state.lost.set(vcpu, port);
  }

  /** The observed events, in bounded form. */
  get trace(): TraceStore {
    return this.#trace.store;
  }

  /** A hypercall was answered. */
  hypercall(vcpu: XenVcpuId, call: CallRecord): void {
    this.#bindings.before(vcpu, call);
    this.noteLost();
    const linuxCpu = this.#kernel.linuxCpuOn(vcpu);
    this.#noteRunning(vcpu, linuxCpu);
    if (call.vcpuId !== null) {
      this.#state.usesIds = true;
      this.#leftOut.note(vcpu);
      this.#noteRecords(vcpu);
    }
    this.#online.note(vcpu);
    this.#trace.write(
      {
        kind: 'hypercall',
        kernel: this.#place.number,
        vcpu,
        linuxCpu,
        call: withoutEffects(call),
        phase: null,
      },
      this.#callerOn(vcpu),
    );
    this.#bindings.after(vcpu, call);
  }

  /** A power call was answered. */
  power(vcpu: XenVcpuId, call: PowerRecord): void {
    this.#bindings.before(vcpu, null);
    this.noteLost();
    if (call.kind === 'other') return;
    const linuxCpu = this.#kernel.linuxCpuOn(vcpu);
    this.#noteRunning(vcpu, linuxCpu);
    this.#online.note(vcpu);
    if (call.kind === 'stop') {
      this.#noteStop(vcpu, linuxCpu, call);
      return;
    }
    this.#leftOut.note(vcpu);
    this.#noteStart(vcpu, linuxCpu, call);
  }

  #noteStart(vcpu: XenVcpuId, linuxCpu: LinuxCpu | null, call: StartCall): void {
    const { how, hardwareId, returned, target } = call;
    const meant = this.#cpus.find((known) => BigInt(known.hardwareId) === hardwareId)?.linuxCpu ?? null;
    this.#trace.write(
      { kind: 'start', kernel: this.#place.number, by: vcpu, linuxCpu, how, meant, target, returned },
      this.#callerOn(vcpu),
    );
    if (returned === 0 && target !== null) this.#online.started(target);
    if (meant !== null) this.#state.startedCpus.add(meant);
    if (this.#recordsAreSet === 'with each CPU') this.#noteRecords(vcpu);
  }

  #noteStop(by: XenVcpuId, caller: LinuxCpu | null, { how, target: vcpu = by }: StopCall): void {
    const linuxCpu = vcpu === by ? caller : this.#runningCpuOn(vcpu);
    this.#trace.write({ kind: 'stop', kernel: this.#place.number, vcpu, linuxCpu, how }, this.#callerOn(by));
    this.#online.stopped(vcpu);
    // It may be started again, as another CPU.
    this.#state.running.delete(vcpu);
  }

  /** Of a vCPU that has not run since it was started, the registers are those of before. */
  #runningCpuOn(vcpu: XenVcpuId): LinuxCpu | null {
    return this.#state.running.has(vcpu) ? this.#kernel.linuxCpuOn(vcpu) : null;
  }

  /** A time slice of that vCPU, or a part of one, has ended. */
  sliceEnded(vcpu: XenVcpuId): void {
    this.#bindings.paused(vcpu);
    // Before its first call the kernel may still move to its final address.
    if (this.#kernel.textAddress === null) return;
    this.#state.slices += 1;
    if (this.#isToLook()) this.look(vcpu);
    this.#online.sliceEnded(vcpu);
    // When a vCPU turns itself off, its slice ends after that, and its registers are unchanged.
    const isUp = this.#machine.domain.state.vcpus[vcpu]?.up === true;
    if (isUp && !this.#state.running.has(vcpu)) this.#askWhoRuns(vcpu);
  }

  #isToLook(): boolean {
    const { earlyLookUps, lookUps, records } = slicesBetween;
    const between = this.#state.slices <= early ? earlyLookUps : lookUps;
    if (!this.#state.isWatching || this.#state.slices % between === 0 || this.#onlineWatch.changed)
      return true;
    return this.#state.slices % records === 0 && this.#recordWatch.changed;
  }

  #askWhoRuns(vcpu: XenVcpuId): void {
    const count = (this.#state.slicesUnknown.get(vcpu) ?? 0) + 1;
    this.#state.slicesUnknown.set(vcpu, count);
    if (isAskedAt(count)) this.#noteRunning(vcpu, this.#kernel.linuxCpuOn(vcpu));
  }

  /** Records the kernel's records and online CPUs as `vcpu` sees them, and watches them for changes from now on. */
  look(vcpu: XenVcpuId): void {
    const watched = this.#kernel.watchedFrom(vcpu);
    if (watched === null) return;
    this.#state.isWatching = true;
    this.#onlineWatch.watch(watched.online);
    this.#recordWatch.watch(watched.records);
    // A CPU that goes may have been told of events again since the last call.
    this.noteLost();
    this.#online.note(vcpu);
    this.#noteRecords(vcpu);
  }

  /** The return address of the call. The call instruction itself is in a function that does nothing else. */
  #callerOn(vcpu: XenVcpuId): bigint {
    return this.#kernel.callerOn(vcpu);
  }

  /** Reports the records that have changed. */
  #noteRecords(vcpu: XenVcpuId): void {
    const records = this.#state.usesIds ? this.#kernel.recordsFrom(vcpu) : null;
    if (records === null) return;
    for (const linuxCpu of this.#kernel.ownAreas(vcpu)) {
      const value = records.recordedVcpuId(linuxCpu);
      if (value === null || this.#state.lastRecords.get(linuxCpu) === value) continue;
      if (!this.#isSet(linuxCpu, value)) continue;
      this.#state.lastRecords.set(linuxCpu, value);
      this.#trace.write({
        kind: 'record',
        kernel: this.#place.number,
        linuxCpu,
        value,
        source: "the kernel's memory",
      });
    }
  }

  /**
   * Whether the kernel has set the record of `cpu`, which has that value. If it sets each with its CPU: once the value is another than
   * at first, or the right one, and at the latest when the CPU is started or runs.
   */
  #isSet(cpu: LinuxCpu, value: number): boolean {
    const { lastRecords, firstValues, startedCpus, running } = this.#state;
    if (this.#recordsAreSet === 'before the first id' || lastRecords.has(cpu)) return true;
    const first = firstValues.get(cpu) ?? value;
    firstValues.set(cpu, first);
    const truth = this.#cpus.find(({ linuxCpu }) => linuxCpu === cpu)?.vcpu ?? null;
    return (
      value !== first || value === truth || startedCpus.has(cpu) || (truth !== null && running.has(truth))
    );
  }

  #noteRunning(vcpu: XenVcpuId, linuxCpu: LinuxCpu | null): void {
    if (linuxCpu === null || this.#state.running.has(vcpu)) return;
    if (!this.#kernel.ownAreas(vcpu).includes(linuxCpu)) return;
    this.#state.running.add(vcpu);
    this.#state.slicesUnknown.delete(vcpu);
    this.#trace.write({ kind: 'running', kernel: this.#place.number, vcpu, linuxCpu });
  }

  /** Reports the vCPUs that have lost an upcall, or that are told of events again. */
  noteLost(): void {
    for (const { vcpu } of this.#cpus) {
      const [was, is] = [this.#state.lost.get(vcpu) ?? null, lostUpcall(this.#machine.domain, vcpu)];
      if (was === is) continue;
      if (is === null) this.#state.lost.delete(vcpu);
      else this.#state.lost.set(vcpu, is);
      this.#trace.write({ kind: is === null ? 'upcall-heard' : 'lost-upcall', vcpu, port: is ?? was ?? 0 });
    }
  }

  /** The guest has ended. Events after `unheardUpToNs` do not count as unheard: the guest might still have started the vCPU. */
  end({ outcome, why, isCut, unheardUpToNs }: AuditedEnd): void {
    // The registers of a vCPU that does not run this kernel lead to another one's memory.
    const own = this.#machine.vcpus.filter((vcpu) => this.#place.runsOn(vcpu));
    for (const vcpu of own) this.#bindings.paused(vcpu);
    for (const vcpu of own) this.look(vcpu);
    this.noteLost();
    const unheard = unheardEvents(this.#machine.domain)
      .filter(({ sinceNs }) => sinceNs <= unheardUpToNs)
      .slice(0, mostUnheard);
    this.#trace.write({
      kind: 'end',
      kernel: this.#place.number,
      outcome,
      online: this.#online.online,
      why,
      ...(isCut ? { isCut } : {}),
      ...(unheard.length === 0 ? {} : { unheard }),
    });
  }

  /**
   * The place in the kernel that made the hypercall or power call of a step, as {@link KernelView.symbolAt} prints it; null for
   * other steps.
   */
  whereOf(step: number): string | null {
    const address = this.trace.callerOf(step);
    return address === null ? null : this.#kernel.symbolAt(address);
  }

  /** The last known record of a CPU; null if none was ever read. */
  lastRecord(cpu: LinuxCpu): number | null {
    return this.#state.lastRecords.get(cpu) ?? null;
  }

  /** The CPUs that the kernel counts as online, as last seen. */
  get online(): readonly LinuxCpu[] {
    return this.#online.online;
  }

  /** Whether the kernel ever counted `cpu` as online; null if this is not known. */
  wasOnline(cpu: KernelCpu): boolean | null {
    return this.#online.wasOnline(cpu);
  }

  /** Why the kernel need not bring up `vcpu` when it boots; null if there is no such reason. */
  whyLeftOut(vcpu: XenVcpuId): string | null {
    return this.#leftOut.whyLeftOut(vcpu);
  }
}
