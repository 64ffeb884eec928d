/** Finds several texts in a kernel's image in one pass. */

/** A text as bytes: characters of Latin-1, and NUL behind it. */
function withNul(text: string): Uint8Array {
  return Uint8Array.from([...Array.from(text, (letter) => letter.charCodeAt(0)), 0]);
}

/**
 * How far a search may advance when it has read two bytes, by their number (Wu and Manber, "A fast algorithm for multi-pattern
 * searching", 1994): to where they stand in the last `window` bytes of a text. 0 if a text ends so.
 */
function advances(texts: readonly Uint8Array[], window: number): Uint8Array {
  const table = new Uint8Array(65536).fill(Math.min(window - 1, 255));
  for (const text of texts) {
    for (let at = 1; at < window; at += 1) {
      const end = text.length - window + at;
      const pair = ((text[end - 1] ?? 0) << 8) | (text[end] ?? 0);
      table[pair] = Math.min(table[pair] ?? 0, window - 1 - at);
    }
  }
  return table;
}

/** Whether `text` stands in `bytes` with its last byte at `end`. */
function endsAt(bytes: Uint8Array, end: number, text: Uint8Array): boolean {
  // Backwards, because most places differ before the end.
  for (let i = 0; i < text.length; i += 1) if (bytes[end - i] !== text[text.length - 1 - i]) return false;
  return true;
}

/**
 * Where one of `texts` begins in `bytes` and NUL follows it, by offset, in ascending order of where they end. One text may be the
 * end of another. A text has one character or more.
 */
export function textsIn(bytes: Uint8Array, texts: readonly string[]): Map<number, string> {
  const found = new Map<number, string>();
  const wanted = texts.map(withNul);
  const window = Math.min(...wanted.map(({ length }) => length));
  const table = advances(wanted, window);
  for (let end = window - 1; end < bytes.length;) {
    const advance = table[((bytes[end - 1] ?? 0) << 8) | (bytes[end] ?? 0)] ?? 0;
    if (advance > 0) {
      end += advance;
      continue;
    }
    for (const [i, text] of wanted.entries())
      if (endsAt(bytes, end, text)) found.set(end - text.length + 1, texts[i] ?? '');
    end += 1;
  }
  return found;
}
