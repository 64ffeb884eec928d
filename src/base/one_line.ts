/** `text` as one line: each run of white space and control characters, line ends included, becomes a space. */
export function oneLine(text: string): string {
  return text.replace(/[\s\p{Cc}]+/gu, ' ').trim();
}
