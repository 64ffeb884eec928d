/**
 * Watches a real kernel from outside, and writes down what the audit reads: its calls with the CPU that it believes to be
 * on, the starts it asks for, what its own records say, and which CPUs it counts as online. All of it comes from registers
 * and memory; the kernel is not changed.
 */
import type { Outcome, TraceEvent } from '../audit/index.js';
import { present } from '../base/index.js';
import type { CallRecord, PsciRecord } from '../hypervisor/index.js';
import { linuxCpu, xenVcpuId } from '../identity/index.js';
import type { LinuxCpu } from '../identity/index.js';
import {
  exportedOffset,
  findKallsyms,
  findRecordPlaces,
  KernelRecords,
  vectorsOffset,
} from '../introspect/index.js';
import type { Kallsyms, RecordPlaces } from '../introspect/index.js';
import type { ArmMachine } from '../machine/index.js';
import type { Guest, KernelCpu } from './guest.js';
import { readGuest } from './guest_memory.js';

type WithoutPlace<E> = E extends TraceEvent ? Omit<E, 'step' | 'timeNs'> : never;

export class Observer {
  readonly events: TraceEvent[] = [];
  readonly #machine: ArmMachine;
  readonly #cpus: readonly KernelCpu[];
  readonly #kernelAt: bigint;
  readonly #places: RecordPlaces | null;
  readonly #onlineMask: number | null;
  #records: KernelRecords | null = null;
  /** The vCPU by whose translation the kernel's memory is read. */
  #reader = 0;
  #text: bigint | null = null;
  readonly #lastRecords = new Map<number, number>();
  readonly #running = new Set<number>();
  readonly #online = new Set<number>();
  readonly #image: Uint8Array;
  /** By step: where the call returns to. The call itself stands in a routine that does nothing else. */
  readonly #callers = new Map<number, bigint>();
  /** Not looked for before one is asked for. */
  #lookedForSymbols = false;
  #symbols: Kallsyms | null = null;
  readonly #everOnline = new Set<number>();
  /** The vCPUs that run the kernel, as far as starts tell: the one that it is entered on, and those that it turned on. */
  readonly #started = new Set<number>();
  readonly #heard: (event: TraceEvent) => void;

  /** `heard` is told each event as it comes. */
  constructor(guest: Guest, image: Uint8Array, heard: (event: TraceEvent) => void) {
    const { machine, cpus } = guest;
    this.#machine = machine;
    this.#cpus = cpus;
    this.#image = image;
    this.#kernelAt = guest.kernelAt;
    this.#heard = heard;
    this.#places = findRecordPlaces(image);
    this.#onlineMask = exportedOffset(image, '__cpu_online_mask');
    const [entry] = cpus;
    this.#emit({
      kind: 'kernel',
      kernel: 0,
      name: 'kernel',
      entryVcpu: present(entry, 'CPU 0').vcpu,
      possible: cpus.map(({ linuxCpu: cpu, mpidr }) => ({ linuxCpu: cpu, hardwareId: mpidr })),
      leftOut: [],
    });
    this.#started.add(present(entry, 'CPU 0').vcpu);
  }

  /** Kernel virtual address of the image's start; null while it is not known. */
  get textAddress(): bigint | null {
    return this.#text;
  }

  /** The kernel's records, once its memory can be read from `vcpu`; null before, and where it has none. */
  recordsFrom(vcpu: number): KernelRecords | null {
    const vbar = present(this.#machine.processor.vcpus[vcpu], 'a vCPU').systemRegister('VBAR_EL1');
    if (vbar >> 63n === 0n) return this.#records;
    // By the tables of who asks: those of another one may be gone, when it is off or just started.
    this.#reader = vcpu;
    this.#text ??= vbar - BigInt(vectorsOffset);
    if (this.#places === null) return null;
    this.#records ??= new KernelRecords(this.#places, this.#text, (address, size) =>
      readGuest(this.#machine, this.#reader, address, size),
    );
    return this.#records;
  }

  /** The Linux CPU that `vcpu` believes to be; null where that cannot be told. */
  linuxCpuOn(vcpu: number): LinuxCpu | null {
    const view = present(this.#machine.processor.vcpus[vcpu], 'a vCPU');
    const found =
      this.recordsFrom(vcpu)?.linuxCpuOf(view.systemRegister('TPIDR_EL1'), this.#cpus.length) ?? null;
    return found === null ? null : linuxCpu(found);
  }

  /** Whether each CPU has an area of its own by now: before, all of them read the records of the image. */
  hasOwnAreas(vcpu: number): boolean {
    const records = this.recordsFrom(vcpu);
    const offsets = this.#cpus.map(({ linuxCpu: cpu }) => records?.perCpuOffset(cpu) ?? null);
    return !offsets.includes(null) && new Set(offsets).size === offsets.length;
  }

  /** A hypercall was answered. */
  hypercall(vcpu: number, call: CallRecord): void {
    const cpu = this.linuxCpuOn(vcpu);
    this.#noteRunning(vcpu, cpu);
    if (call.vcpuId !== null) this.noteRecords(vcpu);
    this.noteOnline(vcpu);
    this.#noteCaller(vcpu);
    this.#emit({ kind: 'hypercall', kernel: 0, vcpu: xenVcpuId(vcpu), linuxCpu: cpu, call, phase: null });
  }

  /** A power call was answered. */
  power(vcpu: number, { name, returned, target }: PsciRecord, affinity: bigint): void {
    const cpu = this.linuxCpuOn(vcpu);
    if (!name.endsWith('CPU_ON')) return;
    this.#noteRunning(vcpu, cpu);
    const meant = this.#cpus.find(({ mpidr }) => BigInt(mpidr) === affinity)?.linuxCpu ?? null;
    this.#noteCaller(vcpu);
    this.#emit({
      kind: 'start',
      kernel: 0,
      by: xenVcpuId(vcpu),
      linuxCpu: cpu,
      how: 'psci',
      meant,
      target,
      returned,
    });
    if (returned === 0 && target !== null) this.#started.add(target);
  }

  /** Where in the kernel the hypercall or power call of a step was made, as {@link symbolAt} says it; null for other steps. */
  whereOf(step: number): string | null {
    const address = this.#callers.get(step);
    return address === undefined ? null : this.symbolAt(address);
  }

  /**
   * A kernel address as `function+0x1c`, by the kernel's own symbols; as `_text+0x81c` where it has none; as a number where
   * it is not the kernel's, or `_text` is not known yet. A kernel without a mapping of its own runs where it was loaded.
   */
  symbolAt(address: bigint): string {
    const text = address >> 63n === 0n ? this.#kernelAt : this.#text;
    const offset = text === null ? -1 : Number(address - text);
    if (offset < 0 || offset >= this.#image.length) return `0x${address.toString(16)}`;
    if (!this.#lookedForSymbols) this.#symbols = findKallsyms(this.#image);
    this.#lookedForSymbols = true;
    const { name, offset: within } = this.#symbols?.symbolAt(offset) ?? { name: '_text', offset };
    return `${name}+0x${within.toString(16)}`;
  }

  #noteCaller(vcpu: number): void {
    const view = present(this.#machine.processor.vcpus[vcpu], 'a vCPU');
    this.#callers.set(this.events.length, view.register(30));
  }

  /** What the records say now, where that has changed. */
  noteRecords(vcpu: number): void {
    if (!this.hasOwnAreas(vcpu)) return;
    for (const { linuxCpu: cpu } of this.#cpus) {
      const value = this.recordsFrom(vcpu)?.recordedVcpuId(cpu) ?? null;
      if (value === null || this.#lastRecords.get(cpu) === value) continue;
      this.#lastRecords.set(cpu, value);
      this.#emit({ kind: 'record', kernel: 0, linuxCpu: cpu, value, source: "the kernel's memory" });
    }
  }

  /** The record of a CPU as it was last seen; null when it never was. */
  lastRecord(cpu: LinuxCpu): number | null {
    return this.#lastRecords.get(cpu) ?? null;
  }

  /** Which CPUs are online now, where that has changed (`__cpu_online_mask`). */
  noteOnline(vcpu: number): void {
    if (this.#onlineMask === null || this.#text === null) return;
    const bytes = readGuest(
      this.#machine,
      vcpu,
      this.#text + BigInt(this.#onlineMask),
      Math.ceil(this.#cpus.length / 8),
    );
    if (bytes === null) return;
    for (const cpu of this.#cpus) {
      const byte = bytes[cpu.linuxCpu >> 3] ?? 0;
      this.#setOnline(cpu, ((byte >> (cpu.linuxCpu & 7)) & 1) === 1);
    }
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

  /** Whether `cpu` was seen online at any time. */
  wasOnline(cpu: LinuxCpu): boolean {
    return this.#everOnline.has(cpu);
  }

  /** Of a kernel that exports no mask, the CPUs that were started count as online; when they came to be, nothing tells. */
  #noteStarted(): void {
    for (const cpu of this.#cpus) if (this.#started.has(cpu.vcpu)) this.#setOnline(cpu, true);
  }

  end(outcome: Outcome, why: string): void {
    if (this.#onlineMask === null) this.#noteStarted();
    const online = this.online;
    this.#emit({ kind: 'end', kernel: 0, outcome, online, why });
  }

  #noteRunning(vcpu: number, cpu: LinuxCpu | null): void {
    if (cpu === null || this.#running.has(vcpu) || !this.hasOwnAreas(vcpu)) return;
    this.#running.add(vcpu);
    this.#emit({ kind: 'running', kernel: 0, vcpu: xenVcpuId(vcpu), linuxCpu: cpu });
  }

  #emit(event: WithoutPlace<TraceEvent>): void {
    const placed = { ...event, step: this.events.length, timeNs: this.#machine.nowNs };
    this.events.push(placed);
    this.#heard(placed);
  }
}
