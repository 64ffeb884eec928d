/** Where translation tables are in the engine's memory. */
import type { PhysicalMemory } from './ports.js';

/** Number of cached pages. */
const frames = 256;

/** Cache of the byte offsets of translation table pages. Walks read the same few pages again and again. */
export class TableFrames {
  readonly #memory: PhysicalMemory;
  readonly #addresses = new Float64Array(frames).fill(-1);
  readonly #slots = new Float64Array(frames);

  constructor(memory: PhysicalMemory) {
    this.#memory = memory;
  }

  /** The byte offset of the page at a physical address; -1 where there is no memory. */
  place(address: number): number {
    const index = (address / 4096) % frames;
    if (this.#addresses[index] !== address) {
      this.#addresses[index] = address;
      this.#slots[index] = this.#memory.frame(address, false);
    }
    return this.#slots[index] ?? -1;
  }

  /** Drops all cached answers of `PhysicalMemory.frame`. */
  forget(): void {
    this.#addresses.fill(-1);
  }
}
