/**
 * Which CPUs the kernel counts as online, as it changes. For a kernel that does not show this, only what is certain: the CPU
 * that it is entered on is online, and so is every CPU that runs user space.
 */
import { loadRecord, present, savedRecord } from '../base/index.js';
import type { SavedRecord } from '../base/index.js';
import type { LinuxCpu, XenVcpuId } from '../identity/index.js';
import type { Guest, KernelCpu } from './guest.js';
import type { KernelView } from './kernel_view.js';
import type { TraceWriter } from './trace_writer.js';

interface State {
  readonly online: Set<LinuxCpu>;
  readonly everOnline: Set<LinuxCpu>;
  /** The vCPUs that are certainly online, for a kernel whose mask of online CPUs cannot be read. */
  readonly surelyOnline: Set<number>;
  /** The vCPUs that run the kernel, judged by starts: the one on which it is entered, and those that it started. */
  readonly started: Set<number>;
}

/** A plain value. */
export type OnlineCpusState = SavedRecord<State>;

/** Tracks which CPUs of one kernel are online, and reports the changes to its trace. */
export class OnlineCpus {
  readonly #guest: Guest;
  readonly #kernel: KernelView;
  readonly #trace: TraceWriter;
  readonly #number: number;
  readonly #state: State = {
    online: new Set(),
    everOnline: new Set(),
    surelyOnline: new Set(),
    started: new Set(),
  };

  /** `number`: of the kernel in the trace. */
  constructor(guest: Guest, kernel: KernelView, trace: TraceWriter, number: number) {
    this.#guest = guest;
    this.#kernel = kernel;
    this.#trace = trace;
    this.#number = number;
    this.#state.started.add(present(guest.cpus[0], 'CPU 0').vcpu);
  }

  save(): OnlineCpusState {
    return savedRecord(this.#state);
  }

  load(state: OnlineCpusState): void {
    loadRecord(this.#state, state);
  }

  /** Reports the CPUs that have come online or gone offline, as `vcpu` reads it. */
  note(vcpu: XenVcpuId): void {
    const online = this.#kernel.onlineFrom(vcpu);
    if (online === null) return;
    for (const cpu of this.#guest.cpus) this.#set(cpu, online.has(cpu.linuxCpu));
  }

  /** A slice of `vcpu` has ended. For a kernel whose mask cannot be read, its CPU may now be certainly online. */
  sliceEnded(vcpu: XenVcpuId): void {
    if (this.#kernel.hasOnlineMask || this.#state.surelyOnline.has(vcpu)) return;
    const isEntry = vcpu === this.#guest.cpus[0]?.vcpu;
    if (!isEntry && !this.#guest.machine.board.isUser(vcpu)) return;
    this.#state.surelyOnline.add(vcpu);
    const cpu = this.#cpuOn(vcpu);
    if (cpu !== undefined) this.#set(cpu, true);
  }

  /** The kernel has started `vcpu`. */
  started(vcpu: XenVcpuId): void {
    this.#state.started.add(vcpu);
  }

  /** `vcpu` has turned itself off. */
  stopped(vcpu: XenVcpuId): void {
    this.#state.surelyOnline.delete(vcpu);
    const gone = this.#cpuOn(vcpu);
    if (gone !== undefined && !this.#kernel.hasOnlineMask) this.#set(gone, false);
    this.#state.started.delete(vcpu);
  }

  /** The CPUs that are online, as last seen. */
  get online(): readonly LinuxCpu[] {
    return this.#guest.cpus.map(({ linuxCpu }) => linuxCpu).filter((cpu) => this.#state.online.has(cpu));
  }

  /**
   * Whether the kernel ever counted `cpu` as online; null if this is not known: its mask cannot be read, and the CPU was
   * started but not seen in user space.
   */
  wasOnline({ linuxCpu: cpu, vcpu }: KernelCpu): boolean | null {
    if (this.#state.everOnline.has(cpu)) return true;
    return this.#kernel.hasOnlineMask || !this.#state.started.has(vcpu) ? false : null;
  }

  #cpuOn(vcpu: XenVcpuId): KernelCpu | undefined {
    return this.#guest.cpus.find((known) => known.vcpu === vcpu);
  }

  #set({ linuxCpu, vcpu }: KernelCpu, online: boolean): void {
    if (online === this.#state.online.has(linuxCpu)) return;
    if (online) {
      this.#state.online.add(linuxCpu);
      this.#state.everOnline.add(linuxCpu);
    } else this.#state.online.delete(linuxCpu);
    this.#trace.write({ kind: online ? 'online' : 'offline', kernel: this.#number, vcpu, linuxCpu });
  }
}
