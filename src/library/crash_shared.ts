/** What the threads of side-by-side runs share: a guest that waits for its crash, whether to stop, and how much of what they tell waits. */
import type { MessagePort } from 'node:worker_threads';
import type { TraceEvent } from '../audit/index.js';
import { frameBytes } from '../base/index.js';
import { KernelImage } from '../boot/index.js';
import type { Crash, WaitingGuest } from './crash_run.js';

/** A guest as it is handed to a thread. Frames and the kernel's image are shared and never written; the rest is copied. */
export interface SharedGuest {
  readonly guest: WaitingGuest;
  readonly numbers: readonly number[];
  readonly frames: SharedArrayBuffer;
  readonly image: SharedArrayBuffer;
}

function sharedBytes(bytes: Uint8Array): SharedArrayBuffer {
  const shared = new SharedArrayBuffer(bytes.length);
  new Uint8Array(shared).set(bytes);
  return shared;
}

export function shareGuest({ options, saved }: WaitingGuest): SharedGuest {
  const { frames } = saved.machine;
  const shared = new SharedArrayBuffer(frames.length * frameBytes);
  const all = new Uint8Array(shared);
  for (const [i, { bytes }] of frames.entries()) all.set(bytes, i * frameBytes);
  const image = sharedBytes(KernelImage.of(options.kernel.image).bytes);
  return {
    guest: {
      options: { ...options, kernel: { ...options.kernel, image: new Uint8Array() } },
      saved: { ...saved, machine: { ...saved.machine, frames: [] } },
    },
    numbers: frames.map(({ number }) => number),
    frames: shared,
    image,
  };
}

export function guestOf({ guest: { options, saved }, numbers, frames, image }: SharedGuest): WaitingGuest {
  return {
    // One image, so that all runs of a thread share what is found in it.
    options: { ...options, kernel: { ...options.kernel, image: KernelImage.of(new Uint8Array(image)) } },
    saved: {
      ...saved,
      machine: {
        ...saved.machine,
        frames: numbers.map((number, i) => ({
          number,
          bytes: new Uint8Array(frames, i * frameBytes, frameBytes),
        })),
      },
    },
  };
}

/** Longer reasons to stop are cut. */
const mostReasonBytes = 4096;

/** Why all runs are to stop. One thread sets it, the others read it. */
export class SharedStop {
  /** The number of bytes of the reason and 1; 0 while there is none. */
  readonly #length: Int32Array;
  readonly #bytes: Uint8Array;

  readonly memory: SharedArrayBuffer;

  constructor(memory = new SharedArrayBuffer(4 + mostReasonBytes)) {
    this.memory = memory;
    this.#length = new Int32Array(memory, 0, 1);
    this.#bytes = new Uint8Array(memory, 4);
  }

  get reason(): string | null {
    const length = Atomics.load(this.#length, 0) - 1;
    return length < 0 ? null : new TextDecoder().decode(this.#bytes.slice(0, length));
  }

  set(reason: string): void {
    const { written } = new TextEncoder().encodeInto(reason, this.#bytes);
    Atomics.store(this.#length, 0, written + 1);
  }
}

/** The most bytes that a run's console output and events take while they wait to be told. */
const mostWaiting = 16 << 20;
/** What a piece of output takes beside its bytes, about: it waits as a message, and then as a function. */
const pieceBytes = 512;
/** What an event takes, about. */
const eventBytes = 1024;
export const eventsBytes = (events: number): number => events * eventBytes;
/** How long a thread waits for some to be told before it looks whether it is to stop, ms. */
const lookMs = 500;

/** How many bytes a run's console output and events take that wait to be told. Its thread waits while there are too many. */
export class SharedBacklog {
  readonly #bytes: Int32Array;

  readonly memory: SharedArrayBuffer;

  constructor(memory = new SharedArrayBuffer(4)) {
    this.memory = memory;
    this.#bytes = new Int32Array(memory);
  }

  /** The thread of the run: a piece of that many bytes waits. Returns when there are not too many, or when the run is to stop. */
  add(bytes: number, stop: SharedStop): void {
    Atomics.add(this.#bytes, 0, bytes + pieceBytes);
    for (;;) {
      const waiting = Atomics.load(this.#bytes, 0);
      if (waiting <= mostWaiting || stop.reason !== null) return;
      Atomics.wait(this.#bytes, 0, waiting, lookMs);
    }
  }

  /** A piece of that many bytes was told. */
  told(bytes: number): void {
    Atomics.sub(this.#bytes, 0, bytes + pieceBytes);
    Atomics.notify(this.#bytes, 0);
  }
}

/** What every thread gets once. */
export interface ThreadData {
  readonly shared: SharedGuest;
  readonly stop: SharedArrayBuffer;
  /** What is to be told of the runs. */
  readonly tells: Readonly<Record<'console' | 'event' | 'progress', boolean>>;
}

/** A run for a thread. */
export interface ThreadTask {
  readonly crash: Crash;
  /** Where a thread tells of the run: {@link ThreadMessage}s. */
  readonly port: MessagePort;
  readonly backlog: SharedArrayBuffer;
}

/** What a thread tells of a run; null is the last of it. */
export type ThreadMessage =
  | { readonly console: Uint8Array }
  | { readonly events: readonly TraceEvent[] }
  | { readonly instructions: number; readonly guestTimeNs: bigint }
  | null;

/** How a run ended in its thread: with what {@link crashOn} gives, or with an error, whose class would be lost on the way. */
export type ThreadResult<R> =
  | { readonly run: R }
  | { readonly isInput: boolean; readonly name: string; readonly message: string; readonly stack: string };
