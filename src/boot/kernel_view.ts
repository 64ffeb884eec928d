/**
 * What a running kernel believes, read from its registers and its memory as by a debugger: the address of its image,
 * the Linux CPU of each vCPU, its records, which CPUs it counts as online, and its symbols. It writes
 * nothing to the guest or to the trace.
 */
import { viewOf } from '../abi/index.js';
import { linuxCpu, xenVcpuId } from '../identity/index.js';
import type { LinuxCpu, XenVcpuId } from '../identity/index.js';
import { findIrqInfoLayout, IrqTable, isKernelAddress, KernelRecords } from '../introspect/index.js';
import type {
  IrqInfoLayout,
  IrqTableState,
  Kallsyms,
  ReadKernel,
  VariableName,
  Way,
} from '../introspect/index.js';
import type { Guest, GuestMachine, KernelCpu } from './guest.js';
import { guestViews, readGuest } from './guest_memory.js';
import type { KernelImage } from './kernel_image.js';
import { KernelAddresses } from './kernel_addresses.js';
import type { KernelAddressesState } from './kernel_addresses.js';

/** How each thing is read from a kernel; null if it cannot be read. */
export interface Introspection {
  /** The records: which vCPU each CPU believes it is. */
  readonly records: Way | null;
  /** Which CPU makes a call. */
  readonly caller: Way | null;
  /** Which CPUs it counts as online. */
  readonly online: Way | null;
  /** Which CPUs it may ever bring up. */
  readonly possible: Way | null;
}

/** All views in one list; null if any could not be translated, as by a vCPU whose MMU is still off. */
function allOf(views: readonly (readonly Uint8Array[] | null)[]): Uint8Array[] | null {
  const found = views.filter((each) => each !== null);
  return found.length === views.length ? found.flat() : null;
}

interface State {
  /** The vCPU whose page tables are used to read the kernel's memory. */
  reader: XenVcpuId;
  /** Whether a vCPU's per-CPU base was found among the kernel's per-CPU offsets, which confirms that these are the offsets. */
  areOffsetsSeen: boolean;
  /** The possible CPUs, if there is no mask to read; they do not change after the areas are set up. */
  possible: ReadonlySet<LinuxCpu> | null;
}

/** A plain value. */
export type KernelViewState = Omit<State, 'possible'> & {
  readonly possible: readonly LinuxCpu[] | null;
  readonly addresses: KernelAddressesState;
  /** Whether the address of the records was found. */
  readonly hasFoundRecords: boolean;
  /** Null while the table was not used, or if its layout is not known. */
  readonly irqLayout: IrqInfoLayout | null;
  readonly irqTable: IrqTableState | null;
};

/** Reads one running kernel. A value that cannot be read is null. */
export class KernelView {
  readonly #guest: Guest;
  readonly #machine: GuestMachine;
  readonly #cpus: readonly KernelCpu[];
  readonly #kernelAt: bigint;
  readonly #image: KernelImage;
  readonly #addresses: KernelAddresses;
  #records: KernelRecords | null = null;
  #state: State = { reader: xenVcpuId(0), areOffsetsSeen: false, possible: null };
  #irqLayout: IrqInfoLayout | null = null;
  /** undefined until the first request. */
  #irqTable: IrqTable | null | undefined;
  /** undefined until the first request for a symbol. */
  #symbols: Kallsyms | null | undefined;

  /** `image` is the kernel's unpacked image as in the file. */
  constructor(guest: Guest, image: KernelImage) {
    this.#guest = guest;
    this.#machine = guest.machine;
    this.#cpus = guest.cpus;
    this.#kernelAt = guest.kernelAt;
    this.#image = image;
    this.#addresses = new KernelAddresses(guest, image);
  }

  save(): KernelViewState {
    const { possible } = this.#state;
    return {
      ...this.#state,
      possible: possible === null ? null : [...possible],
      addresses: this.#addresses.save(),
      hasFoundRecords: this.#records !== null,
      irqLayout: this.#irqTable === undefined ? null : this.#irqLayout,
      irqTable: this.#irqTable?.save() ?? null,
    };
  }

  /** What the image shows and the state does not have, such as its symbols, is found again when it is needed. */
  load({ addresses, possible, hasFoundRecords, irqLayout, irqTable, ...state }: KernelViewState): void {
    this.#state = { ...state, possible: possible === null ? null : new Set(possible) };
    this.#addresses.load(addresses);
    this.#records = hasFoundRecords ? this.#openRecords() : null;
    this.#irqLayout = irqLayout;
    this.#irqTable = irqLayout === null ? undefined : this.#newIrqTable(irqLayout);
    if (irqTable !== null) this.#irqTable?.load(irqTable);
  }

  /** Kernel virtual address of the image's start; null while it is not known. */
  get textAddress(): bigint | null {
    return this.#addresses.text;
  }

  /** Whether the address of the kernel's records is known; they may be unreadable until the kernel has page tables. */
  get hasRecords(): boolean {
    return this.#addresses.hasRecords;
  }

  /** The kernel's table of interrupts; null if its layout is not known. */
  get irqTable(): IrqTable | null {
    if (this.#irqTable === undefined) {
      this.#irqLayout = this.#image.remember('irq_info', findIrqInfoLayout);
      this.#irqTable = this.#newIrqTable(this.#irqLayout);
    }
    return this.#irqTable;
  }

  #newIrqTable(layout: IrqInfoLayout | null): IrqTable | null {
    return layout === null ? null : new IrqTable(layout, (address) => this.isInImage(address));
  }

  /** Reads kernel virtual addresses as `vcpu` sees them. */
  readerFrom(vcpu: XenVcpuId): ReadKernel {
    return (address, size) => readGuest(this.#machine, vcpu, address, size);
  }

  /** Whether Linux CPU `cpu` is one of the machine's. */
  hasCpu(cpu: number): boolean {
    return this.#cpus.some(({ linuxCpu: known }) => known === cpu);
  }

  /** Whether a kernel virtual address is one of its image; false while that is not known. */
  isInImage(address: bigint): boolean {
    const text = this.textAddress;
    return text !== null && address >= text && address < text + BigInt(this.#image.length);
  }

  /** Whether the kernel's online CPUs can be read: from its mask, or else from the hotplug state of each CPU. */
  get hasOnlineMask(): boolean {
    return this.#addresses.knownBy.online !== null;
  }

  /** What could be read from this kernel, and how each of it was found. */
  get introspection(): Introspection {
    const { records, caller, online, possible } = this.#addresses.knownBy;
    return {
      records: this.#state.areOffsetsSeen ? records : null,
      caller: caller === 'BTF' || this.#state.areOffsetsSeen ? caller : null,
      online: this.#addresses.text === null ? null : online,
      possible: this.#addresses.text === null ? null : possible,
    };
  }

  /** The kernel's records, once its memory can be read from `vcpu`; null before that, and if it has none. */
  recordsFrom(vcpu: XenVcpuId): KernelRecords | null {
    if (!this.#guest.anchors(vcpu).hasKernelMap) return this.#records;
    // Uses the caller's page tables: those of a vCPU that is off or has just started may be invalid.
    this.#state.reader = vcpu;
    this.#addresses.look(vcpu);
    return (this.#records ??= this.#openRecords());
  }

  #openRecords(): KernelRecords | null {
    const { text, records } = this.#addresses;
    if (text === null || records === null) return null;
    return new KernelRecords(records, text, (address, size) =>
      readGuest(this.#machine, this.#state.reader, address, size),
    );
  }

  /**
   * The Linux CPU that `vcpu` believes it is: the one whose per-CPU offset is the base of this vCPU, or if the offsets are not
   * known, the one that the current task names. Null if this is not known.
   */
  linuxCpuOn(vcpu: XenVcpuId): LinuxCpu | null {
    const records = this.recordsFrom(vcpu);
    const { perCpuBase } = this.#guest.anchors(vcpu);
    const found =
      records === null ? this.#addresses.taskCpuOn(vcpu) : records.linuxCpuOf(perCpuBase, this.#cpus.length);
    if (records !== null && found !== null && perCpuBase !== 0n) this.#state.areOffsetsSeen = true;
    return found === null ? null : linuxCpu(found);
  }

  /**
   * The CPUs that have their own per-CPU area now. Before the kernel has set up the areas, a CPU reads the records of the
   * image; a CPU that is not possible always does (Linux mm/percpu.c, setup_per_cpu_areas).
   */
  ownAreas(vcpu: XenVcpuId): readonly LinuxCpu[] {
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
   * The memory that shows which CPUs are online, if that can be read, and the record of each CPU that has its own area, as
   * `vcpu` sees it; null while the kernel's memory cannot be read.
   */
  watchedFrom(vcpu: XenVcpuId): { readonly online: Uint8Array[]; readonly records: Uint8Array[] } | null {
    const records = this.recordsFrom(vcpu);
    const online = this.#onlineViews(vcpu);
    if (online === null) return null;
    const areas = this.ownAreas(vcpu).map((cpu) => {
      const offset = records?.perCpuOffset(cpu) ?? null;
      if (records === null || offset === null) return [];
      return guestViews(this.#machine, vcpu, records.recordAddress(offset), 4);
    });
    const known = allOf(areas);
    return known === null ? null : { online, records: known };
  }

  #onlineViews(vcpu: XenVcpuId): Uint8Array[] | null {
    const mask = this.#addressOf('__cpu_online_mask');
    if (mask !== null) return guestViews(this.#machine, vcpu, mask, Math.ceil(this.#cpus.length / 8));
    if (this.#addresses.text === null) return null;
    return allOf(
      [...(this.possibleFrom(vcpu) ?? [])].map((cpu) => {
        const address = this.#stateOf(vcpu, cpu)?.address ?? null;
        return address === null ? [] : guestViews(this.#machine, vcpu, address, 4);
      }),
    );
  }

  /**
   * Which CPUs the kernel counts as online, as `vcpu` reads it: from `__cpu_online_mask`, or if that is not known from the
   * hotplug state of each CPU (`cpuhp_state`). Null while neither can be read.
   */
  onlineFrom(vcpu: XenVcpuId): ReadonlySet<LinuxCpu> | null {
    if (this.#addresses.offsetOf('__cpu_online_mask') !== null)
      return this.#maskFrom(vcpu, '__cpu_online_mask');
    const possible = this.possibleFrom(vcpu);
    if (possible === null) return null;
    const online = [...possible].map((cpu): [LinuxCpu, boolean | null] => [cpu, this.#isUp(vcpu, cpu)]);
    if (online.some(([, isUp]) => isUp === null)) return null;
    return new Set(online.filter(([, isUp]) => isUp).map(([cpu]) => cpu));
  }

  #isUp(vcpu: XenVcpuId, cpu: LinuxCpu): boolean | null {
    const state = this.#stateOf(vcpu, cpu);
    const bytes = state === null ? null : readGuest(this.#machine, vcpu, state.address, 4);
    return state === null || bytes === null ? null : viewOf(bytes).getInt32(0, true) >= state.online;
  }

  #stateOf(vcpu: XenVcpuId, cpu: LinuxCpu): { readonly address: bigint; readonly online: number } | null {
    const offset = this.recordsFrom(vcpu)?.perCpuOffset(cpu) ?? null;
    return offset === null ? null : this.#addresses.hotplugState(offset);
  }

  /**
   * Which CPUs the kernel may ever bring up, as `vcpu` reads it: from `__cpu_possible_mask`, which is empty until the kernel
   * has counted its CPUs and final after that; or if that is not known, those that have their own
   * area. Null while neither can be read.
   */
  possibleFrom(vcpu: XenVcpuId): ReadonlySet<LinuxCpu> | null {
    if (this.#addresses.offsetOf('__cpu_possible_mask') !== null)
      return this.#maskFrom(vcpu, '__cpu_possible_mask');
    return (this.#state.possible ??= this.#cpusWithAreas(vcpu));
  }

  #cpusWithAreas(vcpu: XenVcpuId): ReadonlySet<LinuxCpu> | null {
    const records = this.recordsFrom(vcpu);
    const cpus = this.#cpus.map(({ linuxCpu: cpu }) => cpu);
    const own = cpus.filter((cpu) => {
      const offset = records?.perCpuOffset(cpu) ?? null;
      return offset !== null && this.#addresses.isAreaOf(vcpu, offset, cpu) === true;
    });
    return own.length === 0 ? null : new Set(own);
  }

  /**
   * One more than the highest CPU number that the kernel allows (`nr_cpu_ids`), as `vcpu` reads it: CONFIG_NR_CPUS at
   * first, then the value of `nr_cpus=`, finally one more than the last possible CPU. Null while it cannot be read.
   */
  nrCpuIdsFrom(vcpu: XenVcpuId): number | null {
    const value = this.#bytesFrom(vcpu, 'nr_cpu_ids', 4);
    return value === null ? null : viewOf(value).getUint32(0, true);
  }

  /** How many CPUs may be online when the kernel has booted (`setup_max_cpus`), as `vcpu` reads it; null while it cannot be. */
  maxCpusFrom(vcpu: XenVcpuId): number | null {
    const value = this.#bytesFrom(vcpu, 'setup_max_cpus', 4);
    return value === null ? null : viewOf(value).getUint32(0, true);
  }

  /** CONFIG_NR_CPUS, the initial value of `nr_cpu_ids`; null if the image does not show it. */
  get configuredCpus(): number | null {
    const at = this.#addresses.offsetOf('nr_cpu_ids');
    if (at === null || at < 0 || at + 4 > this.#image.length) return null;
    return viewOf(this.#image.bytes).getUint32(at, true);
  }

  /** Bits above `nr_cpu_ids` belong to no CPU: the kernel's mask may be shorter than the list of CPUs in its tables. */
  #maskFrom(vcpu: XenVcpuId, mask: VariableName): ReadonlySet<LinuxCpu> | null {
    const count = Math.min(this.#cpus.length, this.nrCpuIdsFrom(vcpu) ?? Infinity);
    const bytes = this.#bytesFrom(vcpu, mask, Math.ceil(count / 8));
    if (bytes === null) return null;
    const cpus = this.#cpus.slice(0, count).map(({ linuxCpu: cpu }) => cpu);
    return new Set(cpus.filter((cpu) => (((bytes[cpu >> 3] ?? 0) >> (cpu & 7)) & 1) === 1));
  }

  /** `size` bytes of a variable; null if its address is not known, or if nothing is mapped there. */
  #bytesFrom(vcpu: XenVcpuId, name: VariableName, size: number): Uint8Array | null {
    const address = this.#addressOf(name);
    return address === null ? null : readGuest(this.#machine, vcpu, address, size);
  }

  /** The address of a variable; null while it is not known. */
  #addressOf(name: VariableName): bigint | null {
    const [text, offset] = [this.#addresses.text, this.#addresses.offsetOf(name)];
    return text === null || offset === null ? null : BigInt.asUintN(64, text + BigInt(offset));
  }

  /** The return address of the function that `vcpu` is in. */
  callerOn(vcpu: XenVcpuId): bigint {
    return this.#guest.anchors(vcpu).caller;
  }

  /**
   * A kernel address as `function+0x1c`, by the kernel's own symbols; as `_text+0x81c` without symbols; as a number if
   * it is not in the kernel, or if `_text` is not known yet. A kernel without its own mapping runs at its load address.
   */
  symbolAt(address: bigint): string {
    const text = isKernelAddress(address) ? this.#addresses.text : this.#kernelAt;
    const offset = text === null ? -1 : Number(address - text);
    if (offset < 0 || offset >= this.#image.length) return `0x${address.toString(16)}`;
    const { name, offset: within } = this.#symbolTable()?.symbolAt(offset) ?? { name: '_text', offset };
    return `${name}+0x${within.toString(16)}`;
  }

  /** The kernel virtual address of a symbol that its own table lists; null if there is none, or if `_text` is not known. */
  addressOfSymbol(name: string): bigint | null {
    const text = this.textAddress;
    const offset = text === null ? null : (this.#symbolTable()?.offsetOf(name) ?? null);
    return text === null || offset === null ? null : BigInt.asUintN(64, text + BigInt(offset));
  }

  /** The address of the variable that a function of that name reads first; null as {@link addressOfSymbol} is. */
  addressReadBy(name: string): bigint | null {
    const text = this.textAddress;
    const start = this.#symbolTable()?.offsetOf(name) ?? null;
    const offset = start === null ? null : this.#guest.loadedVariable(this.#image.bytes, start);
    return text === null || offset === null ? null : BigInt.asUintN(64, text + BigInt(offset));
  }

  #symbolTable(): Kallsyms | null {
    if (this.#symbols === undefined) {
      this.#symbols = this.#image.symbols(this.#guest.knownSymbol, (at) => this.#addresses.pointerAt(at));
    }
    return this.#symbols;
  }
}
