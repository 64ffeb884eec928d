/**
 * A machine's memory, in frames. A frame is 4 KiB, Xen's page size on both architectures (XEN_PAGE_SIZE), and has a
 * machine frame number (mfn). The hypervisor's physmap decides where a guest sees a frame.
 */
import { present } from './assert.js';

export const frameBytes = 4096;

export interface FrameMemory {
  /** The bytes of frame `mfn`, read-only; undefined where there is no memory. */
  readable(mfn: number): Uint8Array | undefined;
  /**
   * All bytes of frame `mfn`, for immediate reading, and for writing `count` of them from byte `from` on (default: all).
   * Callers must not keep them. Undefined where there is no memory.
   */
  writable(mfn: number, from?: number, count?: number): Uint8Array | undefined;
}

/** `count` frames starting at machine frame `start`. */
export interface FrameRange {
  readonly start: number;
  readonly count: number;
}

const zeroFrame = new Uint8Array(frameBytes);

/** The result of {@link SparseMemory.toValue}: the ranges, and every frame that is not all zeros. */
export interface SparseMemoryValue {
  readonly ranges: readonly FrameRange[];
  readonly frames: Record<string, Uint8Array>;
}

/** A memory that stores only frames that were written. Clones share frames until one of them writes (copy on write). */
export class SparseMemory implements FrameMemory {
  readonly ranges: readonly FrameRange[];
  readonly #frames = new Map<number, Uint8Array>();
  /** Frames that no clone shares, which can be written in place. */
  readonly #owned = new Set<number>();

  constructor(ranges: readonly FrameRange[]) {
    this.ranges = ranges;
  }

  readable(mfn: number): Uint8Array | undefined {
    return this.#frames.get(mfn) ?? (this.#exists(mfn) ? zeroFrame : undefined);
  }

  writable(mfn: number): Uint8Array | undefined {
    if (this.#owned.has(mfn)) return this.#frames.get(mfn);
    if (!this.#exists(mfn)) return undefined;
    const frame = this.#frames.get(mfn)?.slice() ?? new Uint8Array(frameBytes);
    this.#frames.set(mfn, frame);
    this.#owned.add(mfn);
    return frame;
  }

  /** A memory with the same contents. Writes to one do not affect the other. */
  clone(): SparseMemory {
    const copy = new SparseMemory(this.ranges);
    for (const [mfn, frame] of this.#frames) copy.#frames.set(mfn, frame);
    this.#owned.clear();
    return copy;
  }

  /** The contents as a plain value (see value.ts). Memories with equal contents give equal values. */
  toValue(): SparseMemoryValue {
    const frames: Record<string, Uint8Array> = {};
    const written = [...this.#frames.keys()].sort((a, b) => a - b);
    for (const mfn of written) {
      const frame = present(this.#frames.get(mfn), 'a listed frame');
      const end = frame.findLastIndex((byte) => byte !== 0) + 1;
      if (end > 0) frames[mfn] = frame.slice(0, end);
    }
    return { ranges: this.ranges, frames };
  }

  static fromValue(value: SparseMemoryValue): SparseMemory {
    const memory = new SparseMemory(value.ranges);
    for (const [mfn, bytes] of Object.entries(value.frames)) {
      present(memory.writable(Number(mfn)), `frame ${mfn} of the saved memory`).set(bytes);
    }
    return memory;
  }

  #exists(mfn: number): boolean {
    return this.ranges.some(({ start, count }) => mfn >= start && mfn < start + count);
  }
}
