/** The engine's one WebAssembly memory, and its views. Places are byte offsets in it, below 2^32. */
import { webAssembly } from './wasm/host_api.js';
import type { WasmMemory } from './wasm/host_api.js';

export class EngineMemory {
  readonly wasm: WasmMemory;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** 32-bit words, for what is aligned; the index is a place divided by four. */
  readonly words: Uint32Array<ArrayBuffer>;
  readonly view: DataView<ArrayBuffer>;

  /** `size` bytes, rounded up to WebAssembly's pages of 64 KiB. */
  constructor(size: number) {
    this.wasm = new webAssembly.Memory({ initial: Math.ceil(size / 65536) });
    this.bytes = new Uint8Array(this.wasm.buffer);
    this.words = new Uint32Array(this.wasm.buffer);
    this.view = new DataView(this.wasm.buffer);
  }

  /** The 32 bits at an aligned place, unsigned. */
  word(place: number): number {
    return this.words[place >>> 2] ?? 0;
  }

  setWord(place: number, value: number): void {
    this.words[place >>> 2] = value;
  }
}
