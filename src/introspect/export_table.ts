/**
 * The kernel's export table, read from its image without any symbol file. An entry (struct kernel_symbol, with
 * CONFIG_HAVE_ARCH_PREL32_RELOCATIONS as on arm64) is three signed 32-bit distances, each from its own address: to the
 * value, to the name and to the namespace (Linux include/linux/export.h and export-internal.h, 5.4 to 7.2). A kernel without
 * modules has none; one with CONFIG_TRIM_UNUSED_KSYMS has entries for what its modules use, and no others.
 */
import { textsIn } from './text_search.js';
import { signedWordsOf } from './words.js';

/**
 * By name, the offsets in `image` of those symbols in `names` that it exports (a negative or
 * large offset is outside the file, such as in .bss). `image` is an unpacked kernel Image as in the file.
 */
export function exportedOffsets(image: Uint8Array, names: readonly string[]): ReadonlyMap<string, number> {
  // The linker lets a name be the end of another one's text.
  return findEntries(image, signedWordsOf(image), textsIn(image, names), names.length);
}

/** The same as {@link exportedOffsets} for one symbol; null if the image does not export it. */
export function exportedOffset(image: Uint8Array, name: string): number | null {
  return exportedOffsets(image, [name]).get(name) ?? null;
}

/**
 * The first word from `from` on that is a distance to an offset of `first` to `last`; the number of words if there is none. All
 * words of an image are read, so this does one comparison for each.
 */
function nextDistance(words: Int32Array, from: number, first: number, last: number): number {
  const span = last - first;
  for (let word = from; word < words.length; word += 1) {
    // No sum reaches 2^32, so only offsets from `first` on become small numbers.
    if ((4 * word - first + (words[word] ?? 0)) >>> 0 <= span) return word;
  }
  return words.length;
}

/** The values of the entries whose names are `texts`, by offset in the image; one pass finds all of them. */
function findEntries(
  image: Uint8Array,
  words: Int32Array,
  texts: ReadonlyMap<number, string>,
  wanted: number,
): Map<string, number> {
  const found = new Map<string, number>();
  if (texts.size === 0) return found;
  const [first, last] = boundsOf(texts.keys());
  const next = (from: number): number => nextDistance(words, from, first, last);
  for (let word = next(1); word + 1 < words.length && found.size < wanted; word = next(word + 1)) {
    const name = texts.get(4 * word + (words[word] ?? 0));
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
