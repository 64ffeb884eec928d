/**
 * The table of Xen interrupts that a Linux kernel keeps (drivers/xen/events/events_base.c, 5.10 to 6.12): a `struct irq_info`
 * for each, linked into one list whose head is in the image. Its member `evtchn` is the port, and `cpu` is the Linux CPU to
 * which the port is bound. The table is read from memory, which may contain anything: no read throws, and the number of reads
 * is limited.
 */
import { readBtfLayouts } from './btf.js';
import type { ReadKernel } from './layouts.js';

/** Offsets in `struct irq_info`, bytes. */
export interface IrqInfoLayout {
  /** `struct list_head`: the next entry's, then the previous one's. */
  readonly list: number;
  /** u32 */
  readonly evtchn: number;
  /** u16 */
  readonly cpu: number;
}

/** The layout from the BTF in `image`; null if it has none. */
export function findIrqInfoLayout(image: Uint8Array): IrqInfoLayout | null {
  // The driver of 8250 UARTs has a structure of the same name.
  const layouts = readBtfLayouts(image, [{ name: 'irq_info', having: 'evtchn' }]);
  const [list, evtchn, cpu] = ['list', 'evtchn', 'cpu'].map((member) =>
    layouts?.offset(`irq_info.${member}`),
  );
  if (typeof list !== 'number' || typeof evtchn !== 'number' || typeof cpu !== 'number') return null;
  return { list, evtchn, cpu };
}

/** Maximum length of a list. Kernels have an entry for each port in use, and FIFO events allow 2^17 ports. */
const mostEntries = 1 << 17;
/** Limit of entries read in a whole run: a guest could change its list before every call. */
const mostSteps = 1 << 20;
/** Maximum number of searches for an entry among candidates. */
const mostSearches = 1 << 10;

interface State {
  /** The last known address of an entry, by port. */
  entries: Map<number, bigint>;
  stepsLeft: number;
  searches: number;
}

/** A plain value: the state with a list of ports and addresses. */
export type IrqTableState = Omit<State, 'entries'> & {
  readonly entries: readonly (readonly [port: number, address: bigint])[];
};

export class IrqTable {
  readonly #layout: IrqInfoLayout;
  readonly #isImage: (address: bigint) => boolean;
  readonly #state: State;

  /** `isImage` says whether a kernel virtual address is in the kernel's image: the list's head is, its entries are not. */
  constructor(layout: IrqInfoLayout, isImage: (address: bigint) => boolean, steps = mostSteps) {
    this.#layout = layout;
    this.#isImage = isImage;
    this.#state = { entries: new Map(), stepsLeft: steps, searches: 0 };
  }

  save(): IrqTableState {
    return { ...this.#state, entries: [...this.#state.entries] };
  }

  load(state: IrqTableState): void {
    Object.assign(this.#state, { ...state, entries: new Map(state.entries) });
  }

  /** Whether any entry is known; the others can be found from it. */
  get isFound(): boolean {
    return this.#state.entries.size > 0;
  }

  /** Searches `candidates` for the address of the entry of `port`, unless an entry of the table is known. */
  search(read: ReadKernel, port: number, candidates: readonly bigint[]): void {
    if (this.isFound || this.#state.searches >= mostSearches) return;
    this.#state.searches += 1;
    const found = candidates.find((address) => this.#isEntryOf(read, address, port));
    if (found !== undefined) this.#state.entries.set(port, found);
  }

  /** The Linux CPU in the table's entry for `port`; null if there is none, or if the table cannot be read now. */
  cpuOf(read: ReadKernel, port: number): number | null {
    const known = this.#state.entries.get(port);
    if (known !== undefined && this.#isEntryOf(read, known, port)) return this.#cpuAt(read, known);
    this.#walk(read);
    const found = this.#state.entries.get(port);
    return found === undefined || !this.#isEntryOf(read, found, port) ? null : this.#cpuAt(read, found);
  }

  #cpuAt(read: ReadKernel, entry: bigint): number | null {
    const bytes = read(BigInt.asUintN(64, entry + BigInt(this.#layout.cpu)), 2);
    return bytes === null ? null : viewOf(bytes).getUint16(0, true);
  }

  #portAt(read: ReadKernel, entry: bigint): number | null {
    const bytes = read(BigInt.asUintN(64, entry + BigInt(this.#layout.evtchn)), 4);
    return bytes === null ? null : viewOf(bytes).getUint32(0, true);
  }

  #isEntryOf(read: ReadKernel, entry: bigint, port: number): boolean {
    if (entry >> 63n === 0n || (entry & 7n) !== 0n || this.#isImage(entry)) return false;
    return this.#portAt(read, entry) === port && this.#isLinked(read, entry + BigInt(this.#layout.list));
  }

  /** Whether the neighbours of the list_head at `node` point back to it. */
  #isLinked(read: ReadKernel, node: bigint): boolean {
    const links = linksAt(read, node);
    if (links === null) return false;
    return linksAt(read, links.next)?.previous === node && linksAt(read, links.previous)?.next === node;
  }

  /** Follows the list once around from a known entry. A list that does not return to its start is not used. */
  #walk(read: ReadKernel): void {
    const list = BigInt(this.#layout.list);
    if (this.#state.stepsLeft <= 0) return;
    const start = [...this.#state.entries.values()].find((entry) => this.#isLinked(read, entry + list));
    if (start === undefined) return;
    const found = new Map<number, bigint | null>();
    let heads = 0;
    let node = start + list;
    for (let entries = 0; entries < mostEntries && this.#state.stepsLeft > 0; entries += 1) {
      this.#state.stepsLeft -= 1;
      if (this.#isImage(node)) heads += 1;
      else this.#note(read, found, node - list);
      const next = linksAt(read, node)?.next;
      if (next === undefined || linksAt(read, next)?.previous !== node) return;
      if (next === start + list) {
        if (heads === 1) this.#keep(found);
        return;
      }
      node = next;
    }
  }

  /** An entry without a port has 0. If two entries have the same port, neither is used. */
  #note(read: ReadKernel, found: Map<number, bigint | null>, entry: bigint): void {
    const port = this.#portAt(read, entry);
    if (port !== null && port !== 0) found.set(port, found.has(port) ? null : entry);
  }

  #keep(found: ReadonlyMap<number, bigint | null>): void {
    const single = [...found].filter((pair): pair is [number, bigint] => pair[1] !== null);
    // An entry is useful only while it leads to others.
    if (single.length > 0) this.#state.entries = new Map(single);
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

interface Links {
  readonly next: bigint;
  readonly previous: bigint;
}

/** The contents of the list_head at `node`; null if nothing is mapped. */
function linksAt(read: ReadKernel, node: bigint): Links | null {
  const bytes = read(BigInt.asUintN(64, node), 16);
  if (bytes === null) return null;
  const view = viewOf(bytes);
  return { next: view.getBigUint64(0, true), previous: view.getBigUint64(8, true) };
}
