/**
 * Words of guest memory that keep a value, whatever the vCPUs store there. While a frame has such words, stores to it come to the
 * board, as those to a device do.
 */
import { viewOf } from '../../abi/index.js';
import { frameBytes } from '../../base/index.js';

/** A word of 32 bits, at a guest physical address that is a multiple of 4, and its value, unsigned. A plain value. */
export interface KeptWord {
  readonly at: number;
  readonly value: number;
}

export class KeptWords {
  readonly #byFrame = new Map<number, KeptWord[]>();

  /** Keeps these words and no others. */
  set(words: readonly KeptWord[]): void {
    this.#byFrame.clear();
    for (const word of words) {
      const gfn = Math.floor(word.at / frameBytes);
      this.#byFrame.set(gfn, [...(this.#byFrame.get(gfn) ?? []), word]);
    }
  }

  /** The numbers of the frames that have such words. */
  get frames(): Iterable<number> {
    return this.#byFrame.keys();
  }

  isIn(gfn: number): boolean {
    return this.#byFrame.has(gfn);
  }

  /** Gives the words of a frame, whose contents are `bytes`, their values. */
  restore(gfn: number, bytes: Uint8Array): void {
    for (const { at, value } of this.#byFrame.get(gfn) ?? []) {
      viewOf(bytes).setUint32(at % frameBytes, value, true);
    }
  }
}
