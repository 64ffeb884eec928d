/** UTF-8 encoder (RFC 3629, section 3), for modules that cannot use the encoder of Node and browsers. */

function bytesOf(codePoint: number): number[] {
  if (codePoint < 0x80) return [codePoint];
  const following = codePoint < 0x800 ? 1 : codePoint < 0x1_0000 ? 2 : 3;
  const lead = (0xff00 >> (following + 1)) & 0xff;
  const rest = Array.from({ length: following }, (_, i) => {
    const shift = 6 * (following - 1 - i);
    return 0x80 | ((codePoint >> shift) & 0x3f);
  });
  return [lead | (codePoint >> (6 * following)), ...rest];
}

/** `text` in UTF-8. It must have no lone surrogates. */
export function utf8(text: string): Uint8Array {
  return Uint8Array.from(Array.from(text, (character) => bytesOf(character.codePointAt(0) ?? 0)).flat());
}
