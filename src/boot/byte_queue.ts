/** Collects the bytes that a guest sends one by one: whoever shows them is better told of many at once. */

/** How many bytes are kept at most before they are passed on. */
const capacity = 4096;

export class ByteQueue {
  readonly #take: (bytes: Uint8Array) => void;
  readonly #bytes = new Uint8Array(capacity);
  #length = 0;

  constructor(take: (bytes: Uint8Array) => void) {
    this.#take = take;
  }

  /** Keeps a byte; when there is room for no more, all are passed on. */
  add(byte: number): void {
    this.#bytes[this.#length] = byte;
    this.#length += 1;
    if (this.#length === capacity) this.flush();
  }

  /** Passes on what is kept, in an array of its own. */
  flush(): void {
    if (this.#length === 0) return;
    const bytes = this.#bytes.slice(0, this.#length);
    this.#length = 0;
    this.#take(bytes);
  }
}
