/** The engine's WebAssembly memory and its views. Byte offsets in it are below 2^32. */
import { InputError } from '../base/index.js';
import { webAssembly } from './wasm/host_api.js';
import type { WasmMemory } from './wasm/host_api.js';

export class EngineMemory {
  readonly wasm: WasmMemory;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** 32-bit words, for aligned data. The index is a byte offset divided by four. */
  readonly words: Uint32Array<ArrayBuffer>;
  readonly view: DataView<ArrayBuffer>;

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
