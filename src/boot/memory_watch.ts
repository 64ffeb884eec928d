/**
 * Detects changes of bytes in the guest's memory at low cost. Their position in the host's memory is looked up once; a check
 * then only compares bytes and translates no address.
 */
import { InputError } from '../base/index.js';

/** A watched range as a plain value: its offset in the guest's memory, and the bytes that were last seen there. */
export interface WatchedRange {
  readonly offset: number;
  readonly last: Uint8Array;
}

interface Watched {
  /** The guest's memory itself, not a copy of it. */
  readonly live: Uint8Array;
  readonly last: Uint8Array;
}

function differs({ live, last }: Watched): boolean {
  for (let at = 0; at < last.length; at += 1) if (live[at] !== last[at]) return true;
  return false;
}

/** Watches a set of memory ranges. */
export class MemoryWatch {
  readonly #memory: Uint8Array;
  readonly #bringIn: (offset: number) => void;
  #watched: readonly Watched[] = [];

  /**
   * `memory`: the guest's memory, which contains all views. `bringIn` is called before the page at an offset in it is first looked
   * at, so that it has its contents.
   */
  constructor(memory: Uint8Array, bringIn: (offset: number) => void) {
    this.#memory = memory;
    this.#bringIn = bringIn;
  }

  /** Watches `views` of the guest's memory instead of the previous ones; their current contents count as seen. */
  watch(views: readonly Uint8Array[]): void {
    this.#watched = views.map((live) => ({ live, last: live.slice() }));
  }

  /** Whether any byte has changed since {@link watch} was called. */
  get changed(): boolean {
    return this.#watched.some(differs);
  }

  save(): WatchedRange[] {
    return this.#watched.map(({ live, last }) => ({
      offset: live.byteOffset - this.#memory.byteOffset,
      last,
    }));
  }

  /** Watches the saved ranges. Throws InputError if one is outside of the memory. */
  load(ranges: readonly WatchedRange[]): void {
    this.#watched = ranges.map(({ offset, last }) => {
      const live = this.#memory.subarray(offset, offset + last.length);
      if (live.length !== last.length) throw new InputError('it watches memory that its guest does not have');
      // Each range is that of a view of one frame.
      this.#bringIn(offset);
      this.#bringIn(offset + Math.max(last.length - 1, 0));
      return { live, last };
    });
  }
}
