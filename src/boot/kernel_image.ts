/** A kernel's unpacked image, as in its file or as it was in memory at its entry. */

/** An image whose bytes may be read only when something needs more than their number. */
export class KernelImage {
  readonly length: number;
  /** The bytes, or how they are read. */
  #bytes: Uint8Array | (() => Uint8Array);

  /** `bytes`: as they are, or what reads them, and is called once or never. */
  constructor(length: number, bytes: Uint8Array | (() => Uint8Array)) {
    this.length = length;
    this.#bytes = bytes;
  }

  /** An image that may be there already. */
  static of(image: Uint8Array | KernelImage): KernelImage {
    return image instanceof KernelImage ? image : new KernelImage(image.length, image);
  }

  get bytes(): Uint8Array {
    if (typeof this.#bytes === 'function') this.#bytes = this.#bytes();
    return this.#bytes;
  }
}
