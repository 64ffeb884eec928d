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
import type { Layouts, LogRecord, NoteMemory, ReadKernel } from '../introspect/index.js';
import type { KernelImage } from './kernel_image.js';

/** The memory in which to search for the log. */
export interface KernelMemory {
  /** The kernel's image as in the file. */
  readonly image: KernelImage;
  /** The image, including .bss, as it is in memory now. */
  readonly loaded: () => Uint8Array;
  /** All guest memory. */
  readonly ram: NoteMemory;
  readonly read: ReadKernel;
  /** The kernel's version as its note must give it; null where any will do. */
  readonly version: string | null;
}

/** Maximum number of candidates for a ring buffer: a kernel has two, so more matches than this are false ones. */
const mostRings = 64;

/** A ring that VMCOREINFO names: the address of the pointer to it, and the lines of the note, by the word before `=`. */
interface NotedRing {
  readonly pointer: bigint;
  readonly info: readonly (readonly [name: string, value: string])[];
}

/** A plain value. */
export interface KernelLogState {
  /** Found by VMCOREINFO: final. */
  noted: NotedRing | null;
  /** The address of the ring found by its structure, until VMCOREINFO exists. */
  guessed: bigint | null;
  /** Time of the newest record in the guessed ring, as last seen. */
  seenNs: bigint | null;
}

/** Reads the log of one kernel. */
export class KernelLog {
  readonly #memory: KernelMemory;
  /** Replaced to restore a state. */
  state: KernelLogState = { noted: null, guessed: null, seenNs: null };

  constructor(memory: KernelMemory) {
    this.#memory = memory;
  }

  /**
   * The log's last `most` records, oldest first; empty if none are found. `text` is the kernel virtual address of
   * the image's start; null while it is not known.
   */
  tail(most: number, text: bigint | null): readonly LogRecord[] {
    const { state } = this;
    state.noted ??= this.#byNote();
    if (state.noted !== null) return this.#notedTail(state.noted, most) ?? [];
    const known = this.#guessedTail(most);
    const newestNs = known.at(-1)?.timeNs ?? null;
    // If nothing was added to a ring, the kernel may have moved to a larger one.
    if (text === null || (newestNs !== null && newestNs !== state.seenNs)) {
      state.seenNs = newestNs;
      return known;
    }
    state.guessed = this.#byShape(text);
    const found = this.#guessedTail(most);
    state.seenNs = found.at(-1)?.timeNs ?? null;
    return found;
  }

  #notedTail({ pointer, info }: NotedRing, most: number): readonly LogRecord[] | null {
    const bytes = this.#memory.read(pointer, 8);
    if (bytes === null) return null;
    const ring = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
    return readKernelLog(layoutsIn(new Map(info)), ring, this.#memory.read, most);
  }

  #guessedTail(most: number): readonly LogRecord[] {
    const { guessed } = this.state;
    const layouts = guessed === null ? null : this.#btfLayouts();
    return guessed === null || layouts === null ? [] : this.#read(layouts, guessed, most);
  }

  #read(layouts: Layouts, ring: bigint, most: number): readonly LogRecord[] {
    return readKernelLog(layouts, ring, this.#memory.read, most) ?? [];
  }

  /**
   * Memory may also hold the note of a kernel that ran before, so the note must be of this version, and the ring that it names must
   * be there in this kernel's memory. A note of the same build leads to the ring of the kernel that reads it.
   */
  #byNote(): NotedRing | null {
    const { ram, version } = this.#memory;
    let noted: NotedRing | null = null;
    findVmcoreInfo(ram, (info) => {
      const pointer = symbolIn(info, 'prb');
      if (pointer === null || (version !== null && info.get('OSRELEASE') !== version)) return false;
      const found = { pointer, info: [...info] };
      if (this.#notedTail(found, 1) === null) return false;
      noted = found;
      return true;
    });
    return noted;
  }

  #btfLayouts(): Layouts | null {
    return this.#memory.image.remember('ring', (bytes) => readBtfLayouts(bytes, ringStructures));
  }

  /** Of all candidates, the ring with the newest record: a kernel may have moved from its first ring to a larger one. */
  #byShape(text: bigint): bigint | null {
    const layouts = this.#btfLayouts();
    if (layouts === null) return null;
    let best: { readonly ring: bigint; readonly timeNs: bigint } | null = null;
    let looked = 0;
    for (const offset of printkRingsIn(this.#memory.loaded(), layouts)) {
      looked += 1;
      if (looked > mostRings) break;
      const ring = text + BigInt(offset);
      const last = readKernelLog(layouts, ring, this.#memory.read, 1)?.at(-1);
      if (last !== undefined && (best === null || last.timeNs > best.timeNs)) {
        best = { ring, timeNs: last.timeNs };
      }
    }
    return best?.ring ?? null;
  }
}
