/**
 * What a running kernel believes, read from its registers and its memory as a debugger reads them: where its image lies,
 * which Linux CPU each vCPU is to it, what it has recorded, which CPUs it counts as online, and its symbols. It writes
 * nothing, neither into the guest nor into the trace.
 */
import { viewOf } from '../abi/index.js';
import { present } from '../base/index.js';
import { linuxCpu } from '../identity/index.js';
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
import { guestPlaces, readGuest } from './guest_memory.js';

export class KernelView {
  readonly #machine: ArmMachine;
  readonly #cpus: readonly KernelCpu[];
  readonly #kernelAt: bigint;
  readonly #image: Uint8Array;
  readonly #places: RecordPlaces | null;
  /** Where the kernel keeps its masks of CPUs and their bound: offsets from `_text`; null where it exports no such name. */
  readonly #masks: { readonly online: number | null; readonly possible: number | null };
  readonly #nrCpuIds: number | null;
  #records: KernelRecords | null = null;
  /** The vCPU by whose translation the kernel's memory is read. */
  #reader = 0;
  #text: bigint | null = null;
  /** undefined until somebody asks for a symbol. */
  #symbols: Kallsyms | null | undefined;

  /** `image` is the kernel's unpacked image as it lies in the file. */
  constructor(guest: Guest, image: Uint8Array) {
    this.#machine = guest.machine;
    this.#cpus = guest.cpus;
    this.#kernelAt = guest.kernelAt;
    this.#image = image;
    this.#places = findRecordPlaces(image);
    this.#masks = {
      online: exportedOffset(image, '__cpu_online_mask'),
      possible: exportedOffset(image, '__cpu_possible_mask'),
    };
    this.#nrCpuIds = exportedOffset(image, 'nr_cpu_ids');
  }

  /** Kernel virtual address of the image's start; null while it is not known. */
  get textAddress(): bigint | null {
    return this.#text;
  }

  /** Whether it is known where the kernel keeps its records; they may be unreadable until it has its tables. */
  get hasRecords(): boolean {
    return this.#places !== null;
  }

  /** Whether the kernel exports its mask of online CPUs. */
  get hasOnlineMask(): boolean {
    return this.#masks.online !== null;
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

  /**
   * The CPUs that have an area of their own by now. Before the kernel has set the areas up, and for ever where a CPU is not
   * possible, a CPU reads the records of the image (Linux mm/percpu.c, setup_per_cpu_areas).
   */
  ownAreas(vcpu: number): readonly LinuxCpu[] {
    const records = this.recordsFrom(vcpu);
    const possible = this.possibleFrom(vcpu);
    const cpus = this.#cpus.map(({ linuxCpu: cpu }) => cpu).filter((cpu) => possible?.has(cpu) ?? true);
    const offsets = cpus.map((cpu) => records?.perCpuOffset(cpu) ?? null);
    const uses = new Map<bigint, number>();
    for (const offset of offsets) if (offset !== null) uses.set(offset, (uses.get(offset) ?? 0) + 1);
    return cpus.filter((_, index) => {
      const offset = offsets[index] ?? 0n;
      return offset !== 0n && uses.get(offset) === 1;
    });
  }

  /**
   * The memory that holds the mask of online CPUs, where the kernel exports one, and the record of each CPU with an area of its
   * own, as `vcpu` sees it; null while the kernel's memory cannot be read.
   */
  placesFrom(vcpu: number): { readonly online: Uint8Array[]; readonly records: Uint8Array[] } | null {
    const records = this.recordsFrom(vcpu);
    const { online: mask } = this.#masks;
    const online = mask === null ? [] : this.#placesAt(vcpu, mask, Math.ceil(this.#cpus.length / 8));
    if (online === null) return null;
    const areas = this.ownAreas(vcpu).flatMap((cpu) => {
      const offset = records?.perCpuOffset(cpu) ?? null;
      if (records === null || offset === null) return [];
      return guestPlaces(this.#machine, vcpu, records.recordAddress(offset), 4) ?? [];
    });
    return { online, records: areas };
  }

  /** Which CPUs the kernel counts as online (`__cpu_online_mask`), as `vcpu` reads it; null while that cannot be read. */
  onlineFrom(vcpu: number): ReadonlySet<LinuxCpu> | null {
    return this.#maskFrom(vcpu, this.#masks.online);
  }

  /**
   * Which CPUs the kernel may ever bring up (`__cpu_possible_mask`), as `vcpu` reads it; null while that cannot be read.
   * The mask is empty until the kernel has counted its CPUs (arm64: smp_init_cpus), and final from then on.
   */
  possibleFrom(vcpu: number): ReadonlySet<LinuxCpu> | null {
    return this.#maskFrom(vcpu, this.#masks.possible);
  }

  /**
   * One more than the highest CPU number that the kernel allows (`nr_cpu_ids`), as `vcpu` reads it: CONFIG_NR_CPUS at
   * first, then what `nr_cpus=` says, in the end one more than the last possible CPU. Null while it cannot be read.
   */
  nrCpuIdsFrom(vcpu: number): number | null {
    const value = this.#bytesFrom(vcpu, this.#nrCpuIds, 4);
    return value === null ? null : viewOf(value).getUint32(0, true);
  }

  /** The bits behind `nr_cpu_ids` belong to no CPU: the kernel's mask may be shorter than the device tree's list. */
  #maskFrom(vcpu: number, offset: number | null): ReadonlySet<LinuxCpu> | null {
    const count = Math.min(this.#cpus.length, this.nrCpuIdsFrom(vcpu) ?? Infinity);
    const bytes = this.#bytesFrom(vcpu, offset, Math.ceil(count / 8));
    if (bytes === null) return null;
    const cpus = this.#cpus.slice(0, count).map(({ linuxCpu: cpu }) => cpu);
    return new Set(cpus.filter((cpu) => (((bytes[cpu >> 3] ?? 0) >> (cpu & 7)) & 1) === 1));
  }

  /** `size` bytes at an offset from `_text`; null where either is not known, or nothing is mapped there. */
  #bytesFrom(vcpu: number, offset: number | null, size: number): Uint8Array | null {
    if (offset === null || this.#text === null) return null;
    return readGuest(this.#machine, vcpu, BigInt.asUintN(64, this.#text + BigInt(offset)), size);
  }

  #placesAt(vcpu: number, offset: number, size: number): Uint8Array[] | null {
    if (this.#text === null) return null;
    return guestPlaces(this.#machine, vcpu, BigInt.asUintN(64, this.#text + BigInt(offset)), size);
  }

  /** Where `vcpu` will return to from the routine that it is in. */
  callerOn(vcpu: number): bigint {
    return present(this.#machine.processor.vcpus[vcpu], 'a vCPU').register(30);
  }

  /**
   * A kernel address as `function+0x1c`, by the kernel's own symbols; as `_text+0x81c` where it has none; as a number where
   * it is not the kernel's, or `_text` is not known yet. A kernel without a mapping of its own runs where it was loaded.
   */
  symbolAt(address: bigint): string {
    const text = address >> 63n === 0n ? this.#kernelAt : this.#text;
    const offset = text === null ? -1 : Number(address - text);
    if (offset < 0 || offset >= this.#image.length) return `0x${address.toString(16)}`;
    if (this.#symbols === undefined) this.#symbols = findKallsyms(this.#image);
    const { name, offset: within } = this.#symbols?.symbolAt(offset) ?? { name: '_text', offset };
    return `${name}+0x${within.toString(16)}`;
  }
}
