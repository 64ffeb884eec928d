/** The engine's WebAssembly memory and its views. Byte offsets in it are below 2^32. */
import { InputError, invariant, present } from '../base/index.js';
import { webAssembly } from './wasm/host_api.js';
import type { WasmMemory } from './wasm/host_api.js';

/** The contents of a page of 4 KiB, which may be read only when they are asked for. */
export interface PageContents {
  readonly bytes: Uint8Array;
}

const pageShift = 12;

export class EngineMemory {
  readonly wasm: WasmMemory;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** 32-bit words, for aligned data. The index is a byte offset divided by four. */
  readonly words: Uint32Array<ArrayBuffer>;
  readonly view: DataView<ArrayBuffer>;
  /** By page: whether its contents have not been brought in yet. Null when no page is absent. */
  #isAbsent: Uint8Array | null = null;
  readonly #absent = new Map<number, PageContents>();

  /**
   * Reserves `size` bytes, rounded up to WebAssembly's pages of 64 KiB. Throws InputError when the host cannot reserve
   * them.
   */
  constructor(size: number) {
    this.wasm = reserve(size);
    this.bytes = new Uint8Array(this.wasm.buffer);
    this.words = new Uint32Array(this.wasm.buffer);
    this.view = new DataView(this.wasm.buffer);
  }

  /**
   * From now on, pages of 4 KiB have these contents, by their byte offsets. Contents are read when {@link bringIn} first names their
   * page; whoever reads or writes a page must call that before. What was set earlier and not brought in is forgotten.
   */
  setAbsent(pages: Iterable<readonly [offset: number, contents: PageContents]>): void {
    this.#absent.clear();
    const isAbsent = new Uint8Array(this.bytes.length >>> pageShift);
    for (const [offset, contents] of pages) {
      const page = offset >>> pageShift;
      this.#absent.set(page, contents);
      isAbsent[page] = 1;
    }
    this.#isAbsent = this.#absent.size === 0 ? null : isAbsent;
  }

  /** Makes sure that the page at a byte offset has its contents. */
  bringIn(offset: number): void {
    const isAbsent = this.#isAbsent;
    const page = offset >>> pageShift;
    if (isAbsent?.[page] !== 1) return;
    const { bytes } = present(this.#absent.get(page), 'the contents of an absent page');
    invariant(bytes.length === 1 << pageShift, 'a page has 4096 bytes');
    this.bytes.set(bytes, (page << pageShift) >>> 0);
    isAbsent[page] = 0;
    this.#absent.delete(page);
    if (this.#absent.size === 0) this.#isAbsent = null;
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
