/** Makes the output of guests safe to display. */

/** The bytes as text, without control characters except line ends and tabs. */
export function shownText(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => {
    const shown = byte === 0x0a || byte === 0x0d || byte === 0x09 || (byte >= 0x20 && byte < 0x7f);
    return shown ? String.fromCharCode(byte) : '';
  }).join('');
}

/** A guest's text as one line: control characters, including line ends, become spaces. */
export function shownLine(text: string): string {
  return text.replace(/\p{Cc}+/gu, ' ').trimEnd();
}
