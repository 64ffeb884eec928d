/** A kernel's unpacked image, as in its file or as it was in memory at its entry, with what was found in it. */
import { findKallsyms } from '../introspect/index.js';
import type { Kallsyms, KnownSymbol } from '../introspect/index.js';

/** A table of symbols, with the pointers in memory that were read for it: of an offset in the image, the target's offset. */
interface ReadSymbols {
  readonly symbols: Kallsyms | null;
  readonly pointers: ReadonlyMap<number, number | null>;
}

/** An image whose bytes may be read only when something needs more than their number. */
export class KernelImage {
  readonly length: number;
  /** The bytes, or how they are read. */
  #bytes: Uint8Array | (() => Uint8Array);
  #symbols: ReadSymbols | null = null;
  readonly #found = new Map<string, { readonly value: unknown }>();

  /** `bytes`: as they are, or what reads them, and is called once or never. */
  constructor(length: number, bytes: Uint8Array | (() => Uint8Array)) {
    this.length = length;
    this.#bytes = bytes;
  }

  /** An image that may be there already. */
  static of(image: Uint8Array | KernelImage): KernelImage {
    return image instanceof KernelImage ? image : new KernelImage(image.length, image);
  }

  /** What `make` gives for the bytes. It is called once for a name, so that all runs of the kernel share what it finds. */
  remember<T>(name: string, make: (bytes: Uint8Array) => T): T {
    const known = this.#found.get(name);
    if (known !== undefined) return known.value as T;
    const value = make(this.bytes);
    this.#found.set(name, { value });
    return value;
  }

  get bytes(): Uint8Array {
    if (typeof this.#bytes === 'function') this.#bytes = this.#bytes();
    return this.#bytes;
  }

  /** Its own table of symbols, as of a kernel whose pointers `pointerAt` reads; null if it has none. */
  symbols(known: KnownSymbol, pointerAt: (at: number) => number | null): Kallsyms | null {
    const before = this.#symbols;
    if (before !== null && [...before.pointers].every(([at, target]) => pointerAt(at) === target))
      return before.symbols;
    const pointers = new Map<number, number | null>();
    const symbols = findKallsyms(this.bytes, known, (at) => {
      const target = pointerAt(at);
      pointers.set(at, target);
      return target;
    });
    this.#symbols = { symbols, pointers };
    return symbols;
  }
}
