/**
 * Finds the kernel's own log in a guest's memory: by VMCOREINFO once the kernel has made it, before that by BTF and the
 * structure of the ring buffer. If a kernel dies on a CPU that is not yet online, only the log says so.
 */
import {
  findVmcoreInfo,
  layoutsIn,
  printkRingsIn,
  readBtfLayouts,
  readKernelLog,
  ringStructures,
  symbolIn,
} from '../introspect/index.js';
import type { Layouts, LogRecord, ReadKernel } from '../introspect/index.js';

/** The memory in which to search for the log. */
export interface KernelMemory {
  /** The kernel's image as in the file. */
  readonly image: Uint8Array;
  /** The image, including .bss, as it is in memory now. */
  readonly loaded: Uint8Array;
  /** All guest memory. */
  readonly ram: Uint8Array;
  /** Whether the page of 4 KiB at an offset in `ram` may contain anything but zeros. */
  readonly wasWritten: (offset: number) => boolean;
  readonly read: ReadKernel;
}

/** Maximum number of candidates for a ring buffer: a kernel has two, so more matches than this are false ones. */
const mostRings = 64;

interface FoundRing {
  readonly layouts: Layouts;
  readonly ring: bigint;
}

/** Reads the log of one kernel. */
export class KernelLog {
  readonly #memory: KernelMemory;
  #btf: Layouts | null | undefined;
  /** Found by VMCOREINFO: final. Found by the structure of the ring: only until VMCOREINFO exists. */
  #noted: FoundRing | null = null;
  #guessed: FoundRing | null = null;
  /** Time of the newest record in the guessed ring, as last seen. */
  #seenNs: bigint | null = null;

  constructor(memory: KernelMemory) {
    this.#memory = memory;
  }

  /**
   * The log's last `most` records, oldest first; empty if none are found. `text` is the kernel virtual address of
   * the image's start; null while it is not known.
   */
  tail(most: number, text: bigint | null): readonly LogRecord[] {
    this.#noted ??= this.#byNote();
    if (this.#noted !== null) return this.#read(this.#noted, most);
    const known = this.#guessed === null ? [] : this.#read(this.#guessed, most);
    const newestNs = known.at(-1)?.timeNs ?? null;
    // If nothing was added to a ring, the kernel may have moved to a larger one.
    if (text === null || (newestNs !== null && newestNs !== this.#seenNs)) {
      this.#seenNs = newestNs;
      return known;
    }
    this.#guessed = this.#byShape(text);
    const found = this.#guessed === null ? [] : this.#read(this.#guessed, most);
    this.#seenNs = found.at(-1)?.timeNs ?? null;
    return found;
  }

  #read({ layouts, ring }: FoundRing, most: number): readonly LogRecord[] {
    return readKernelLog(layouts, ring, this.#memory.read, most) ?? [];
  }

  #byNote(): FoundRing | null {
    const info = findVmcoreInfo(this.#memory.ram, this.#memory.wasWritten);
    const pointer = info === null ? null : symbolIn(info, 'prb');
    const bytes = pointer === null ? null : this.#memory.read(pointer, 8);
    if (info === null || bytes === null) return null;
    const ring = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
    return { layouts: layoutsIn(info), ring };
  }

  /** Of all candidates, the ring with the newest record: a kernel may have moved from its first ring to a larger one. */
  #byShape(text: bigint): FoundRing | null {
    if (this.#btf === undefined) this.#btf = readBtfLayouts(this.#memory.image, ringStructures);
    const layouts = this.#btf;
    if (layouts === null) return null;
    let best: { readonly found: FoundRing; readonly timeNs: bigint } | null = null;
    let looked = 0;
    for (const offset of printkRingsIn(this.#memory.loaded, layouts)) {
      looked += 1;
      if (looked > mostRings) break;
      const ring = text + BigInt(offset);
      const last = readKernelLog(layouts, ring, this.#memory.read, 1)?.at(-1);
      if (last !== undefined && (best === null || last.timeNs > best.timeNs)) {
        best = { found: { layouts, ring }, timeNs: last.timeNs };
      }
    }
    return best?.found ?? null;
  }
}
