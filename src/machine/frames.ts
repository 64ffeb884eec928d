/** The machine's memory as frames in the engine's memory: guest RAM first, then Xen's own frames. */
import { frameBytes } from '../base/index.js';
import type { FrameMemory, FrameRange } from '../base/index.js';

/** A range of machine frames at byte offset `offset` of the engine's memory. */
interface LocatedRange extends FrameRange {
  readonly offset: number;
}

export class EngineFrames implements FrameMemory {
  readonly #bytes: Uint8Array;
  readonly #ranges: readonly LocatedRange[];
  readonly #written: (offset: number, bytes: number) => void;
  readonly #use: (offset: number) => void;

  /**
   * Lays out `ranges` consecutively from byte `start` of `memory`. `written` is called with the bytes of a frame
   * that are to be written, so that their decoded code can be invalidated; `use` is called before a frame is used, so that it has
   * its contents.
   */
  constructor(
    memory: ArrayBuffer,
    start: number,
    ranges: readonly FrameRange[],
    written: (offset: number, bytes: number) => void,
    use: (offset: number) => void = () => undefined,
  ) {
    this.#bytes = new Uint8Array(memory);
    this.#written = written;
    this.#use = use;
    let offset = start;
    this.#ranges = ranges.map((range) => {
      const located = { ...range, offset };
      offset += range.count * frameBytes;
      return located;
    });
  }

  /** The numbers of all frames, range by range. */
  *numbers(): Generator<number> {
    for (const { start, count } of this.#ranges) {
      for (let mfn = start; mfn < start + count; mfn += 1) yield mfn;
    }
  }

  /** As `offsetOf`, for use of the frame: it has its contents. */
  placeOf(mfn: number): number | null {
    const offset = this.offsetOf(mfn);
    if (offset !== null) this.#use(offset);
    return offset;
  }

  /** Byte offset of frame `mfn` in the engine's memory; null where there is no memory. */
  offsetOf(mfn: number): number | null {
    for (const { start, count, offset } of this.#ranges) {
      if (mfn >= start && mfn < start + count) return offset + (mfn - start) * frameBytes;
    }
    return null;
  }

  readable(mfn: number): Uint8Array | undefined {
    const offset = this.placeOf(mfn);
    return offset === null ? undefined : this.#bytes.subarray(offset, offset + frameBytes);
  }

  writable(mfn: number, from = 0, count = frameBytes): Uint8Array | undefined {
    const offset = this.placeOf(mfn);
    if (offset === null) return undefined;
    this.#written(offset + from, count);
    return this.#bytes.subarray(offset, offset + frameBytes);
  }
}
