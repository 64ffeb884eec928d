/**
 * The kernel's export table, read from its image without any symbol file. An entry (struct kernel_symbol, with
 * CONFIG_HAVE_ARCH_PREL32_RELOCATIONS as on arm64) is three signed 32-bit distances, each from its own address: to the
 * value, to the name and to the namespace (Linux include/linux/export.h and export-internal.h, 5.4 to 7.2).
 */

/** How far a search may go on by the byte under the text's end (Horspool's way of searching). */
function skips(wanted: Uint8Array): Int32Array {
  const table = new Int32Array(256).fill(wanted.length);
  for (const [i, byte] of wanted.subarray(0, -1).entries()) table[byte] = wanted.length - 1 - i;
  return table;
}

/** Offsets in `image` at which `name` begins and its NUL follows. The linker lets a name be the end of another one's text. */
function placesOfName(image: Uint8Array, name: string): number[] {
  const wanted = Uint8Array.from([...Array.from(name, (letter) => letter.charCodeAt(0)), 0]);
  const skip = skips(wanted);
  const last = wanted.length - 1;
  const places: number[] = [];
  for (let end = last; end < image.length; end += skip[image[end] ?? 0] ?? 1) {
    if (image[end] === 0 && wanted.every((byte, i) => image[end - last + i] === byte))
      places.push(end - last);
  }
  return places;
}

/** The image as words. It may begin anywhere in its buffer, words may not. */
function wordsOf(image: Uint8Array): Int32Array {
  const { buffer, byteOffset, byteLength } = isOnWord(image) ? image : image.slice();
  return new Int32Array(buffer, byteOffset, Math.floor(byteLength / 4));
}

function isOnWord({ byteOffset }: Uint8Array): boolean {
  return byteOffset % 4 === 0;
}

/**
 * The offset in `image` of what exported symbol `name` stands for (a negative or large one lies outside the file, as
 * .bss does); null when the image exports no such name. `image` is an unpacked kernel Image as it lies in the file.
 */
export function exportedOffset(image: Uint8Array, name: string): number | null {
  const words = wordsOf(image);
  const entry = findEntry(image, words, placesOfName(image, name));
  return entry === null ? null : entry + (words[entry / 4] ?? 0);
}

/** The entry whose name is the text at one of the offsets, which grow. */
function findEntry(image: Uint8Array, words: Int32Array, places: readonly number[]): number | null {
  const [first = Infinity] = places;
  const last = places.at(-1) ?? 0;
  const texts = new Set(places);
  for (let word = 1; word + 1 < words.length; word += 1) {
    const named = 4 * word + (words[word] ?? 0);
    if (named < first || named > last || !texts.has(named)) continue;
    // Other data can hold such a distance by chance; an entry's namespace then is no empty text.
    if (image[4 * (word + 1) + (words[word + 1] ?? 0)] === 0) return 4 * (word - 1);
  }
  return null;
}
