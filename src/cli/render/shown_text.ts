/** What guests wrote, made fit to be shown. */

/** The bytes as text, without those that a terminal would obey rather than show; line ends and tabs stay. */
export function shownText(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => {
    const shown = byte === 0x0a || byte === 0x0d || byte === 0x09 || (byte >= 0x20 && byte < 0x7f);
    return shown ? String.fromCharCode(byte) : '';
  }).join('');
}

/** A guest's text as one line: control characters, line ends among them, become blanks. */
export function shownLine(text: string): string {
  return text.replace(/\p{Cc}+/gu, ' ').trimEnd();
}
