/**
 * The addresses of what is read from a running kernel. What the export table, kallsyms or BTF of its image say is known from the
 * start. The rest is found from registers and memory once the kernel runs: the address of `_text` and, for a kernel that has only
 * BTF, each CPU's own area.
 */
import { viewOf } from '../abi/index.js';
import { frameBytes, savedRecord } from '../base/index.js';
import type { SavedRecord } from '../base/index.js';
import { findAreas, isAreaOf, isKernelAddress, readImageFacts } from '../introspect/index.js';
import type {
  AreaLayout,
  AreaOffsets,
  ImageFacts,
  KnownSymbol,
  ReadKernel,
  RecordOffsets,
  RunningCpu,
  RunningKernel,
  VariableName,
  Way,
} from '../introspect/index.js';
import type { XenVcpuId } from '../identity/index.js';
import type { Guest, GuestMachine } from './guest.js';
import type { KernelImage } from './kernel_image.js';
import { readGuest } from './guest_memory.js';

/** Maximum number of searches for the areas; they take place at the first, second, fourth, eighth ... request. */
const mostSearches = 16;

/** How each thing that boot reads was found; null if it was not found. */
export interface KnownBy {
  readonly records: Way | null;
  readonly caller: Way | null;
  readonly online: Way | null;
  readonly possible: Way | null;
}

function byBtf(fact: unknown): Way | null {
  return fact === null || fact === undefined ? null : 'BTF';
}

interface State {
  /** Kernel virtual address of `_text`. */
  text: bigint | null;
  areas: AreaOffsets | null;
  /** How often the areas were asked for while they were not known, and how often they were searched. */
  asked: number;
  searches: number;
}

/** A plain value, with what the image says: to read it takes tenths of a second. */
export interface KernelAddressesState extends Readonly<State> {
  readonly facts: SavedRecord<ImageFacts>;
}

/** Knows the addresses of one kernel's data; finds the missing ones while the kernel runs. */
export class KernelAddresses {
  readonly #guest: Guest;
  readonly #machine: GuestMachine;
  readonly #kernelAt: bigint;
  readonly #image: KernelImage;
  readonly #cpus: number;
  readonly #linkedText: bigint | null;
  readonly #knownSymbol: KnownSymbol;
  /** What the image says; null until something asks for it. */
  #imageFacts: ImageFacts | null = null;
  state: State = { text: null, areas: null, asked: 0, searches: 0 };

  /** `image` is the kernel's unpacked image as in the file. */
  constructor(guest: Guest, image: KernelImage) {
    const { machine, kernelAt, cpus, knownSymbol } = guest;
    this.#guest = guest;
    this.#machine = machine;
    this.#kernelAt = kernelAt;
    this.#image = image;
    this.#cpus = cpus.length;
    this.#linkedText = guest.linkedText(guest.linkedAt ?? kernelAt);
    this.#knownSymbol = knownSymbol;
  }

  save(): KernelAddressesState {
    return { ...this.state, facts: savedRecord(this.#facts) };
  }

  load({ facts: { symbols, btf }, ...state }: KernelAddressesState): void {
    this.state = state;
    this.#imageFacts = { symbols: new Map(symbols), btf };
  }

  get #facts(): ImageFacts {
    this.#imageFacts ??= this.#image.remember('facts', (bytes) => readImageFacts(bytes, this.#knownSymbol));
    return this.#imageFacts;
  }

  /** Kernel virtual address of `_text`, the start of the image; null while it is not known. */
  get text(): bigint | null {
    return this.state.text;
  }

  /** Whether the image shows that the kernel has records, with enough information to find them when it runs. */
  get hasRecords(): boolean {
    const { symbols, btf } = this.#facts;
    const isListed = symbols.has('xen_vcpu_id') && symbols.has('__per_cpu_offset');
    return isListed || (btf?.area?.xenVcpuId ?? null) !== null;
  }

  /** Finds the addresses of the kernel and its areas from the registers of `vcpu`, which runs it. */
  look(vcpu: XenVcpuId): void {
    this.state.text ??= this.#findText(vcpu);
    this.state.areas ??= this.#findAreas(vcpu);
  }

  /** The offset from `_text` of a variable; null while it is not known. */
  offsetOf(name: VariableName): number | null {
    return this.#facts.symbols.get(name)?.offset ?? null;
  }

  /** The address of the records; null while it is not known. */
  get records(): RecordOffsets | null {
    const template = this.#facts.btf?.area?.xenVcpuId ?? null;
    const inArea =
      this.state.areas === null || template === null ? null : this.state.areas.template + template;
    const xenVcpuId = this.#recordOffset() ?? inArea;
    const perCpuOffset = this.offsetOf('__per_cpu_offset') ?? this.state.areas?.perCpuOffset ?? null;
    return xenVcpuId === null || perCpuOffset === null ? null : { xenVcpuId, perCpuOffset };
  }

  /** The offset from `_text`, as the kernel runs, of the record in the areas' template, if its name was found. */
  #recordOffset(): number | null {
    const offset = this.offsetOf('xen_vcpu_id');
    const { text } = this.state;
    const isInImage = offset === null || (offset >= 0 && offset < this.#image.length);
    if (isInImage || this.#linkedText === null || text === null) return offset;
    // The template is at address 0, so it does not move with the image.
    return Number(BigInt.asUintN(64, this.#linkedText + BigInt(offset) - text));
  }

  /** The CPU that the current task of `vcpu` names; null if it is not known, or if no kernel code runs. */
  taskCpuOn(vcpu: XenVcpuId): number | null {
    return this.#runningOn(vcpu)?.linuxCpu ?? null;
  }

  /** The hotplug state of `linuxCpu`, whose per-CPU offset is given: the state's address, and its value when online. */
  hotplugState(perCpuOffset: bigint): { readonly address: bigint; readonly online: number } | null {
    const hotplug = this.#facts.btf?.area?.hotplug ?? null;
    if (this.state.text === null || this.state.areas === null || hotplug === null) return null;
    const offset = BigInt(this.state.areas.template + hotplug.state);
    return { address: BigInt.asUintN(64, this.state.text + offset + perCpuOffset), online: hotplug.online };
  }

  /** Whether `perCpuOffset` leads to the area of `linuxCpu`; null while this is not known. */
  isAreaOf(vcpu: XenVcpuId, perCpuOffset: bigint, linuxCpu: number): boolean | null {
    const area = this.#facts.btf?.area ?? null;
    const kernel = this.#kernelOn(vcpu);
    if (area === null || kernel === null || this.state.areas === null) return null;
    return isAreaOf(kernel, area, this.state.areas.template, perCpuOffset, linuxCpu);
  }

  /** The target of the pointer at an offset in the image, as an offset from `_text`; null while the kernel does not run. */
  pointerAt(at: number): number | null {
    const { length } = this.#image;
    if (this.state.text === null || at < 0 || at + 8 > length) return null;
    const loaded = this.#loaded(at, 8);
    if (loaded === null) return null;
    const offset = viewOf(loaded).getBigUint64(0, true) - this.state.text;
    return offset < 0n || offset >= BigInt(length) ? null : Number(offset);
  }

  /** How each thing that is known now was found. */
  get knownBy(): KnownBy {
    const { btf } = this.#facts;
    const area = this.state.areas === null ? null : (btf?.area ?? null);
    const array = this.#wayOf('__per_cpu_offset', area);
    return {
      records: array === null ? null : this.#wayOf('xen_vcpu_id', area?.xenVcpuId),
      caller: array ?? byBtf(btf?.taskCpu),
      online: this.#wayOf('__cpu_online_mask', area?.hotplug),
      possible: this.#wayOf('__cpu_possible_mask', area),
    };
  }

  /** How a variable was found; if its name was not found, BTF if that has `instead`. */
  #wayOf(name: VariableName, instead: unknown): Way | null {
    return this.#facts.symbols.get(name)?.way ?? byBtf(instead);
  }

  #findText(vcpu: XenVcpuId): bigint | null {
    return this.#guest.anchors(vcpu).text({ at: this.#kernelAt, bytes: this.#image.length });
  }

  /** A part of the image as it is in memory now; the image begins at a page boundary. */
  #loaded(at: number, bytes: number): Uint8Array | null {
    const { processor, frames } = this.#machine;
    const ramOffset = frames.offsetOf(Number(this.#kernelAt) / frameBytes);
    if (ramOffset === null) return null;
    const start = ramOffset - processor.ramStart + at;
    for (let page = start - (start % frameBytes); page < start + bytes; page += frameBytes)
      processor.bringIn(processor.ramStart + page);
    return processor.ram.subarray(start, start + bytes);
  }

  #kernelOn(vcpu: XenVcpuId): RunningKernel | null {
    const { text } = this.state;
    const loaded = text === null ? null : this.#loaded(0, this.#image.length);
    if (text === null || loaded === null) return null;
    const read: ReadKernel = (address, size) => readGuest(this.#machine, vcpu, address, size);
    const sectionMayBeAt0 = this.#linkedText !== null;
    return { text, loaded, read, cpus: this.#cpus, sectionMayBeAt0 };
  }

  /** The current task of `vcpu`, and the CPU that it names. */
  #runningOn(vcpu: XenVcpuId): RunningCpu | null {
    const { task, perCpuBase } = this.#guest.anchors(vcpu);
    const { taskCpu = null, area = null } = this.#facts.btf ?? {};
    const current = this.#linkedText === null ? null : (area?.current ?? null);
    if (current !== null) return this.#runningInArea(vcpu, perCpuBase, current);
    if (taskCpu === null || task === null) return null;
    return this.#running(vcpu, perCpuBase, task, task + BigInt(taskCpu));
  }

  /** The same by the area itself, if the section is linked at address 0: then the base of the CPU is the area's address. */
  #runningInArea(
    vcpu: XenVcpuId,
    perCpuBase: bigint,
    current: NonNullable<AreaLayout['current']>,
  ): RunningCpu | null {
    if (perCpuBase === 0n) return null;
    const address = BigInt.asUintN(64, perCpuBase + BigInt(current.task));
    const bytes = readGuest(this.#machine, vcpu, address, 8);
    const task = bytes === null ? 0n : viewOf(bytes).getBigUint64(0, true);
    return isKernelAddress(task)
      ? this.#running(vcpu, perCpuBase, task, perCpuBase + BigInt(current.cpu))
      : null;
  }

  /** `task` on the CPU whose number is at `cpuAt`. */
  #running(vcpu: XenVcpuId, perCpuOffset: bigint, task: bigint, cpuAt: bigint): RunningCpu | null {
    const bytes = readGuest(this.#machine, vcpu, BigInt.asUintN(64, cpuAt), 4);
    if (bytes === null) return null;
    const linuxCpu = viewOf(bytes).getUint32(0, true);
    return linuxCpu >= this.#cpus ? null : { perCpuOffset, task, linuxCpu };
  }

  #findAreas(vcpu: XenVcpuId): AreaOffsets | null {
    const area = this.#facts.btf?.area ?? null;
    const kernel = area === null ? null : this.#kernelOn(vcpu);
    if (area === null || kernel === null || this.state.searches === mostSearches) return null;
    const cpu = this.#runningOn(vcpu);
    if (cpu === null || cpu.perCpuOffset === 0n) return null;
    this.state.asked += 1;
    if ((this.state.asked & (this.state.asked - 1)) !== 0) return null;
    this.state.searches += 1;
    return findAreas(kernel, area, cpu);
  }
}
