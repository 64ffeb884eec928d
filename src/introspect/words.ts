/** Memory as words of 32 bits in little-endian order. It is copied if it is not aligned in its buffer. */
export function wordsOf(memory: Uint8Array): Uint32Array {
  const { buffer, byteOffset, byteLength } = memory.byteOffset % 4 === 0 ? memory : memory.slice();
  return new Uint32Array(buffer, byteOffset, Math.floor(byteLength / 4));
}

/** The same, as signed words. */
export function signedWordsOf(memory: Uint8Array): Int32Array {
  const { buffer, byteOffset, length } = wordsOf(memory);
  return new Int32Array(buffer, byteOffset, length);
}
