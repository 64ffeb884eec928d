/** The machine's memory as frames, over the bytes of the engine's memory: guest RAM, then the frames that Xen keeps. */
import { frameBytes } from '../base/index.js';
import type { FrameMemory, FrameRange } from '../base/index.js';

/** A range of machine frames that lies at byte `place` of the engine's memory. */
interface PlacedRange extends FrameRange {
  readonly place: number;
}

export class PlacedFrames implements FrameMemory {
  readonly #bytes: Uint8Array;
  readonly #ranges: readonly PlacedRange[];

  /** `ranges` one behind the other from byte `start` of `memory` on. */
  constructor(memory: ArrayBuffer, start: number, ranges: readonly FrameRange[]) {
    this.#bytes = new Uint8Array(memory);
    let place = start;
    this.#ranges = ranges.map((range) => {
      const placed = { ...range, place };
      place += range.count * frameBytes;
      return placed;
    });
  }

  /** Where frame `mfn` begins in the engine's memory; null where there is no memory. */
  placeOf(mfn: number): number | null {
    for (const { start, count, place } of this.#ranges) {
      if (mfn >= start && mfn < start + count) return place + (mfn - start) * frameBytes;
    }
    return null;
  }

  readable(mfn: number): Uint8Array | undefined {
    const place = this.placeOf(mfn);
    return place === null ? undefined : this.#bytes.subarray(place, place + frameBytes);
  }

  writable(mfn: number): Uint8Array | undefined {
    return this.readable(mfn);
  }
}
