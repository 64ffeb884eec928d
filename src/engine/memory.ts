/** The engine's WebAssembly memory and its views. Byte offsets in it are below 2^32. */
import { InputError, invariant } from '../base/index.js';
import { webAssembly } from './wasm/host_api.js';
import type { WasmMemory } from './wasm/host_api.js';

/** The contents of a page of 4 KiB, which may be read only when they are asked for. */
export interface PageContents {
  readonly bytes: Uint8Array;
  /** Their first 32 bits, unsigned, if those are known without the rest. */
  readonly start?: number;
  /** As {@link EngineMemory.lastUse} told of them. */
  readonly lastUse?: number;
}

const pageShift = 12;

export class EngineMemory {
  readonly wasm: WasmMemory;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** 32-bit words, for aligned data. The index is a byte offset divided by four. */
  readonly words: Uint32Array<ArrayBuffer>;
  readonly view: DataView<ArrayBuffer>;
  /** The contents of pages that were not brought in yet, and by page: one more than their index, or 0. Null when no page is absent. */
  #absent: { readonly contents: readonly PageContents[]; readonly index: Int32Array; left: number } | null =
    null;
  /** By page: when it was last used, counted by uses. */
  readonly #lastUse: Uint32Array;
  #uses = 0;

  /**
   * Reserves `size` bytes, rounded up to WebAssembly's pages of 64 KiB. Throws InputError when the host cannot reserve
   * them.
   */
  constructor(size: number) {
    this.wasm = reserve(size);
    this.bytes = new Uint8Array(this.wasm.buffer);
    this.words = new Uint32Array(this.wasm.buffer);
    this.view = new DataView(this.wasm.buffer);
    this.#lastUse = new Uint32Array(this.bytes.length >>> pageShift);
  }

  /**
   * From now on, pages of 4 KiB have these contents, by their byte offsets. Contents are read when {@link bringIn} first names their
   * page; whoever reads or writes a page must call that before. What was set earlier and not brought in is forgotten.
   */
  setAbsent(pages: readonly (readonly [offset: number, contents: PageContents])[]): void {
    const index = new Int32Array(this.bytes.length >>> pageShift);
    for (const [at, [offset, { lastUse = 0 }]] of pages.entries()) {
      const page = offset >>> pageShift;
      index[page] = at + 1;
      this.#lastUse[page] = lastUse;
      this.#uses = Math.max(this.#uses, lastUse);
    }
    const contents = pages.map(([, each]) => each);
    this.#absent = contents.length === 0 ? null : { contents, index, left: contents.length };
  }

  /** The contents of a page that is absent; undefined if it is not. */
  #absentAt(page: number): PageContents | undefined {
    return this.#absent?.contents[(this.#absent.index[page] ?? 0) - 1];
  }

  /** The page at a byte offset is used, and so has its contents. */
  use(offset: number): void {
    this.#uses += 1;
    this.#lastUse[offset >>> pageShift] = this.#uses;
    this.bringIn(offset);
  }

  /** Makes sure that the page at a byte offset has its contents. */
  bringIn(offset: number): void {
    const page = offset >>> pageShift;
    const contents = this.#absent === null ? undefined : this.#absentAt(page);
    if (contents === undefined || this.#absent === null) return;
    const { bytes } = contents;
    invariant(bytes.length === 1 << pageShift, 'a page has 4096 bytes');
    this.bytes.set(bytes, (page << pageShift) >>> 0);
    this.#absent.index[page] = 0;
    this.#absent.left -= 1;
    if (this.#absent.left === 0) this.#absent = null;
  }

  /** A number that is larger for pages that were used later, as far as {@link use} was told; 0 for one that was not used. */
  lastUse(offset: number): number {
    return this.#lastUse[offset >>> pageShift] ?? 0;
  }

  /** The first 32 bits of the page at a byte offset, unsigned; it is not brought in for that. */
  startOf(offset: number): number {
    const page = offset >>> pageShift;
    const contents = this.#absentAt(page);
    if (contents === undefined) return this.word((page << pageShift) >>> 0);
    if (contents.start !== undefined) return contents.start;
    const [a = 0, b = 0, c = 0, d = 0] = contents.bytes;
    return (a | (b << 8) | (c << 16) | (d << 24)) >>> 0;
  }

  /** What the page at a byte offset holds, to be looked at now; it is not brought in for that. */
  peek(offset: number): Uint8Array {
    const page = offset >>> pageShift;
    const contents = this.#absentAt(page);
    const start = (page << pageShift) >>> 0;
    return contents?.bytes ?? this.bytes.subarray(start, start + (1 << pageShift));
  }

  /** The 32 bits at an aligned byte offset, unsigned. */
  word(offset: number): number {
    return this.words[offset >>> 2] ?? 0;
  }

  setWord(offset: number, value: number): void {
    this.words[offset >>> 2] = value;
  }
}

function reserve(size: number): WasmMemory {
  try {
    return new webAssembly.Memory({ initial: Math.ceil(size / 65536) });
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new InputError(
      `the host cannot reserve ${Math.ceil(size / 2 ** 20)} MiB for the guest; give the guest less memory, or the host more`,
      { cause: error },
    );
  }
}
