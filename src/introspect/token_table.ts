/**
 * The table with which a kernel's symbol names are compressed: 256 consecutive texts, and an index of 16-bit offsets
 * into them (Linux scripts/kallsyms.c, kallsyms_token_table and kallsyms_token_index, 5.10 to 7.2). No symbol says where it
 * is. But a character that names use stands for itself, and so do the digits, which follow each other.
 */

const tokens = 256;
/** Maximum length of a token: it is a part of a name (KSYM_NAME_LEN). */
const longestText = 511;
const zero = 0x30;
/** `0\0` to `9\0`. */
const digits = Array.from({ length: 20 }, (_, i) => (i % 2 === 0 ? zero + i / 2 : 0));

export interface TokenTable {
  /** The start of the texts, and the end of the index after them: offsets in the image. */
  readonly start: number;
  readonly end: number;
  readonly texts: readonly string[];
}

/** The start of the text `count` texts after the one at `at`; -1 if the image ends before. */
function textAfter(image: Uint8Array, at: number, count: number): number {
  let next = at;
  for (let left = count; left > 0 && next >= 0; left -= 1) {
    const end = image.indexOf(0, next);
    next = end < 0 ? -1 : end + 1;
  }
  return next;
}

/** The end of the first of the `count` texts before the one at `at`; -1 if the image begins after it. */
function firstEndBefore(image: Uint8Array, at: number, count: number): number {
  let end = at;
  for (let left = count; left > 0 && end > 0; left -= 1) end = image.lastIndexOf(0, end - 1);
  return end;
}

/** The texts from `start` on, if the index at `index` matches them. */
function textsBy(image: Uint8Array, view: DataView, start: number, index: number): string[] | null {
  const texts: string[] = [];
  for (let at = start; texts.length < tokens;) {
    if (start + view.getUint16(index + 2 * texts.length, true) !== at) return null;
    const end = image.indexOf(0, at);
    if (end < at || end - at > longestText) return null;
    texts.push(String.fromCharCode(...image.subarray(at, end)));
    at = end + 1;
  }
  return texts;
}

/** The table whose text for the digit 0 is at `at`. */
function tableAround(image: Uint8Array, view: DataView, at: number): TokenTable | null {
  const behind = textAfter(image, at, tokens - zero);
  const firstEnd = firstEndBefore(image, at, zero);
  if (behind < 0 || firstEnd < 0) return null;
  for (const alignment of [4, 8]) {
    const index = Math.ceil(behind / alignment) * alignment;
    if (index + 2 * tokens > view.byteLength) continue;
    const start = firstEnd + 1 - view.getUint16(index + 2, true);
    const texts = start < 0 ? null : textsBy(image, view, start, index);
    if (texts !== null) return { start, end: index + 2 * tokens, texts };
  }
  return null;
}

/** The token table in a kernel's image; null if there is none. */
export function findTokenTable(image: Uint8Array): TokenTable | null {
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  for (let at = image.indexOf(zero); at >= 0; at = image.indexOf(zero, at + 1)) {
    if (image[at - 1] !== 0 || !digits.every((byte, i) => image[at + i] === byte)) continue;
    const table = tableAround(image, view, at);
    if (table !== null) return table;
  }
  return null;
}
