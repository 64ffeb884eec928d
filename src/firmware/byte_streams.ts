/**
 * Byte streams as async generators, and conversion from and to the part of the Streams API (WHATWG) that the libraries
 * use. All supported hosts have that API.
 */
import { InputError } from '../base/index.js';

/** Consecutive pieces of a byte stream. A consumer that stops early ends the producer. */
export type Pieces = AsyncGenerator<Uint8Array, void, undefined>;

interface StreamReader<T> {
  read(): Promise<{ readonly done: boolean; readonly value?: T }>;
  cancel(): Promise<void>;
}

/** A ReadableStream of the Streams API. */
export interface WebStream<T> {
  getReader(): StreamReader<T>;
  cancel(): Promise<void>;
  pipeThrough<U>(transform: object): WebStream<U>;
}

interface StreamController {
  enqueue(piece: Uint8Array): void;
  close(): void;
}

type WebStreamConstructor = new (source: {
  pull(controller: StreamController): Promise<void>;
  cancel(): Promise<void>;
}) => WebStream<Uint8Array>;

/** Divides `bytes` into pieces. */
// eslint-disable-next-line @typescript-eslint/require-await -- other implementations await
export async function* piecesOf(bytes: Uint8Array, size = 1 << 16): Pieces {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

/** Converts pieces to a stream of the Streams API. */
export function toWebStream(pieces: Pieces): WebStream<Uint8Array> {
  const { ReadableStream } = globalThis as unknown as { ReadableStream: WebStreamConstructor };
  return new ReadableStream({
    async pull(controller) {
      const next = await pieces.next();
      if (next.done === true) controller.close();
      else controller.enqueue(next.value);
    },
    async cancel() {
      await pieces.return();
    },
  });
}

/** The items of a stream of the Streams API. If the reader stops early, the stream is cancelled. */
export async function* fromWebStream<T>(stream: WebStream<T>): AsyncGenerator<T, void, undefined> {
  const reader = stream.getReader();
  let open = true;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      open = !done;
      if (done || value === undefined) return;
      yield value;
    }
  } catch (error) {
    open = false;
    throw error;
  } finally {
    // A reader that has stopped does not care how the stream ends. xz-decompress fails here if it had reached the end.
    if (open) await reader.cancel().catch(() => undefined);
  }
}

/** Concatenates all pieces. Throws {@link InputError} if they exceed `limit` bytes; `what` names them. */
export async function collect(pieces: Pieces, limit: number, what: string): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const piece of pieces) {
    length += piece.length;
    if (length > limit) throw new InputError(`${what} unpacks to more than ${limit >> 20} MiB`);
    parts.push(piece);
  }
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Bytes as text, one character per byte: ASCII is unchanged, and no byte is refused. */
export function byteText(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += 4096)
    text += String.fromCharCode(...bytes.subarray(at, at + 4096));
  return text;
}

/** `length` bytes at `offset` as text, fewer where `bytes` ends. */
export function textAt(bytes: Uint8Array, offset: number, length: number): string {
  return byteText(bytes.subarray(offset, offset + length));
}
