/** Lists of 32-bit words as byte arrays, which plain values hold in less space than arrays of numbers. Little-endian. */

/** The words, each taken modulo 2^32. */
export function packWords(words: Iterable<number>): Uint8Array {
  const list = Uint32Array.from(words, (word) => word >>> 0);
  const bytes = new Uint8Array(4 * list.length);
  const view = new DataView(bytes.buffer);
  for (const [index, word] of list.entries()) view.setUint32(4 * index, word, true);
  return bytes;
}

/** The words of a packed list, unsigned. */
export function unpackWords(bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: Math.floor(bytes.length / 4) }, (_, index) => view.getUint32(4 * index, true));
}

/** The indices at which `flags` is not zero. */
export function* setIndices(flags: Uint8Array): Generator<number> {
  for (let index = 0; index < flags.length; index += 1) if (flags[index] !== 0) yield index;
}
