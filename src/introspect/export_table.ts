/**
 * The kernel's export table, read from its image without any symbol file. An entry (struct kernel_symbol, with
 * CONFIG_HAVE_ARCH_PREL32_RELOCATIONS as on arm64) is three signed 32-bit distances, each from its own address: to the
 * value, to the name and to the namespace (Linux include/linux/export.h and export-internal.h, 5.4 to 7.2). A kernel without
 * modules has none; one with CONFIG_TRIM_UNUSED_KSYMS has entries for what its modules use, and no others.
 */

/** How far a search may advance for each value of the byte at the text's end (Horspool's algorithm). */
function skips(wanted: Uint8Array): Int32Array {
  const table = new Int32Array(256).fill(wanted.length);
  for (const [i, byte] of wanted.subarray(0, -1).entries()) table[byte] = wanted.length - 1 - i;
  return table;
}

/** Offsets in `image` at which `name` begins and its NUL follows. The linker lets a name be the end of another one's text. */
function offsetsOfName(image: Uint8Array, name: string): number[] {
  const wanted = Uint8Array.from([...Array.from(name, (letter) => letter.charCodeAt(0)), 0]);
  const skip = skips(wanted);
  const last = wanted.length - 1;
  const offsets: number[] = [];
  for (let end = last; end < image.length; end += skip[image[end] ?? 0] ?? 1) {
    if (image[end] === 0 && wanted.every((byte, i) => image[end - last + i] === byte))
      offsets.push(end - last);
  }
  return offsets;
}

/** The image as words. It is copied if it is not aligned in its buffer. */
function wordsOf(image: Uint8Array): Int32Array {
  const { buffer, byteOffset, byteLength } = isOnWord(image) ? image : image.slice();
  return new Int32Array(buffer, byteOffset, Math.floor(byteLength / 4));
}

function isOnWord({ byteOffset }: Uint8Array): boolean {
  return byteOffset % 4 === 0;
}

/**
 * By name, the offsets in `image` of those symbols in `names` that it exports (a negative or
 * large offset is outside the file, such as in .bss). `image` is an unpacked kernel Image as in the file.
 */
export function exportedOffsets(image: Uint8Array, names: readonly string[]): ReadonlyMap<string, number> {
  const texts = new Map<number, string>();
  for (const name of names) for (const offset of offsetsOfName(image, name)) texts.set(offset, name);
  return findEntries(image, wordsOf(image), texts, names.length);
}

/** The same as {@link exportedOffsets} for one symbol; null if the image does not export it. */
export function exportedOffset(image: Uint8Array, name: string): number | null {
  return exportedOffsets(image, [name]).get(name) ?? null;
}

/** The values of the entries whose names are `texts`, by offset in the image; one pass finds all of them. */
function findEntries(
  image: Uint8Array,
  words: Int32Array,
  texts: ReadonlyMap<number, string>,
  wanted: number,
): Map<string, number> {
  const [first, last] = boundsOf(texts.keys());
  const found = new Map<string, number>();
  for (let word = 1; word + 1 < words.length && found.size < wanted; word += 1) {
    const offset = 4 * word + (words[word] ?? 0);
    if (offset < first || offset > last) continue;
    const name = texts.get(offset);
    if (name === undefined || found.has(name)) continue;
    // Other data may contain such a distance by coincidence; then its namespace is not an empty text.
    if (image[4 * (word + 1) + (words[word + 1] ?? 0)] !== 0) continue;
    found.set(name, 4 * (word - 1) + (words[word - 1] ?? 0));
  }
  return found;
}

function boundsOf(offsets: Iterable<number>): readonly [first: number, last: number] {
  let [first, last] = [Infinity, -Infinity];
  for (const offset of offsets) [first, last] = [Math.min(first, offset), Math.max(last, offset)];
  return [first, last];
}
