/** Collects the bytes that a guest sends one by one, so that they can be displayed in larger pieces. */

/** Maximum number of bytes before they are passed on. */
const capacity = 4096;

export class ByteQueue {
  readonly #take: (bytes: Uint8Array) => void;
  readonly #bytes = new Uint8Array(capacity);
  #length = 0;

  constructor(take: (bytes: Uint8Array) => void) {
    this.#take = take;
  }

  /** Adds a byte; passes all bytes on when the queue is full. */
  add(byte: number): void {
    this.#bytes[this.#length] = byte;
    this.#length += 1;
    if (this.#length === capacity) this.flush();
  }

  /** Passes all bytes on, in a new array. */
  flush(): void {
    if (this.#length === 0) return;
    const bytes = this.#bytes.slice(0, this.#length);
    this.#length = 0;
    this.#take(bytes);
  }
}
