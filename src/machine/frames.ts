/** The machine's memory as frames in the engine's memory: guest RAM first, then Xen's own frames. */
import { frameBytes } from '../base/index.js';
import type { FrameMemory, FrameRange } from '../base/index.js';

/** A range of machine frames at byte offset `place` of the engine's memory. */
interface PlacedRange extends FrameRange {
  readonly place: number;
}

export class PlacedFrames implements FrameMemory {
  readonly #bytes: Uint8Array;
  readonly #ranges: readonly PlacedRange[];
  readonly #written: (place: number, bytes: number) => void;

  /**
   * Lays out `ranges` consecutively from byte `start` of `memory`. `written` is called for each frame returned for
   * writing, so that its decoded code can be invalidated.
   */
  constructor(
    memory: ArrayBuffer,
    start: number,
    ranges: readonly FrameRange[],
    written: (place: number, bytes: number) => void,
  ) {
    this.#bytes = new Uint8Array(memory);
    this.#written = written;
    let place = start;
    this.#ranges = ranges.map((range) => {
      const placed = { ...range, place };
      place += range.count * frameBytes;
      return placed;
    });
  }

  /** Byte offset of frame `mfn` in the engine's memory; null where there is no memory. */
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
    const place = this.placeOf(mfn);
    if (place === null) return undefined;
    this.#written(place, frameBytes);
    return this.#bytes.subarray(place, place + frameBytes);
  }
}
