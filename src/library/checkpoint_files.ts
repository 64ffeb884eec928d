/**
 * The files that go with a guest, among the frames of its checkpoint: the images of its kernels, and its initrd. An image is kept as its
 * difference (exclusive or) from the memory into which it was loaded. That is nearly all zero: a kernel changes little of its image.
 */
import { frameBytes } from '../base/index.js';
import type { FrameRange } from '../base/index.js';
import type { SavedFrame } from '../boot/index.js';

/** Frames from this number on hold files. A guest has no frames with such numbers (Xen's own begin at 2^28). */
export const firstFileFrame = 2 ** 31;
/** Each file has so many numbers, more than the frames of any. */
const framesPerFile = 2 ** 20;

/** Numbers of files. The images of other kernels follow the first one's. */
export const fileNumber = { firstImage: 0, initrd: 64 } as const;

/** The numbers of the frames of the file `number`, which has `length` bytes. */
export function fileRange(number: number, length: number): FrameRange {
  return { start: firstFileFrame + number * framesPerFile, count: Math.ceil(length / frameBytes) };
}

const frameWords = frameBytes / 4;

type Frames = ReadonlyMap<number, SavedFrame>;

export function framesByNumber(frames: readonly SavedFrame[]): Frames {
  return new Map(frames.map((frame) => [frame.number, frame]));
}

/** The frame of memory for each part of a file that was loaded at the guest physical address `at`; none for a file that was not. */
function loadedAt(memory: Frames, at: bigint | null, part: number): Uint8Array | undefined {
  return at === null ? undefined : memory.get(Number(at) / frameBytes + part)?.bytes;
}

/** Sets `words` to their exclusive or with those of a frame, if there is one. */
function addFrame(words: Uint32Array, frame: Uint8Array | undefined): void {
  if (frame === undefined) return;
  const { buffer, byteOffset } = frame.byteOffset % 4 === 0 ? frame : frame.slice();
  const other = new Uint32Array(buffer, byteOffset, frameWords);
  for (let i = 0; i < frameWords; i += 1) words[i] = (words[i] ?? 0) ^ (other[i] ?? 0);
}

/** A part of a file, exclusive or the memory where it was loaded, in a frame. */
function difference(part: Uint8Array, memory: Uint8Array | undefined): Uint8Array {
  const bytes = new Uint8Array(frameBytes);
  bytes.set(part);
  addFrame(new Uint32Array(bytes.buffer), memory);
  // The rest of the last frame is no part of the file.
  return bytes.fill(0, part.length);
}

/**
 * The frames that hold the file `number` of a guest with the frames `memory`, where it was loaded at the guest physical address `at`
 * (null: it is kept as it is). Each is made when it is asked for, and not kept.
 */
export function fileFrames(
  number: number,
  file: Uint8Array,
  memory: Frames,
  at: bigint | null,
): SavedFrame[] {
  const { start, count } = fileRange(number, file.length);
  return Array.from({ length: count }, (_, i) => ({
    number: start + i,
    get bytes() {
      return difference(file.subarray(i * frameBytes, (i + 1) * frameBytes), loadedAt(memory, at, i));
    },
  }));
}

/** The file of `length` bytes that {@link fileFrames} holds, among the frames `files`. */
export function fileOf(
  number: number,
  length: number,
  files: Frames,
  memory: Frames,
  at: bigint | null,
): Uint8Array {
  const { start, count } = fileRange(number, length);
  const file = new Uint8Array(count * frameBytes);
  const words = new Uint32Array(file.buffer);
  for (let i = 0; i < count; i += 1) {
    const part = words.subarray(i * frameWords, (i + 1) * frameWords);
    addFrame(part, files.get(start + i)?.bytes);
    addFrame(part, loadedAt(memory, at, i));
  }
  return file.subarray(0, length);
}
