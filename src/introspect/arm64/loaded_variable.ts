/** Which variable a small function reads, from its code: for variables that no symbol table lists. */

/** How many instructions of the function are looked at. */
const mostInstructions = 8;
const pageBytes = 4096;

/** The bits of `word` from `low` on, `count` of them. */
function bits(word: number, low: number, count: number): number {
  return (word >>> low) & (2 ** count - 1);
}

/** ADRP: its register, and the page relative to that of the instruction; null for another instruction (Arm DDI 0487, C6.2.11). */
function adrp(word: number): { readonly register: number; readonly pages: number } | null {
  if (bits(word, 31, 1) !== 1 || bits(word, 24, 5) !== 0b10000) return null;
  const unsigned = (bits(word, 5, 19) << 2) | bits(word, 29, 2);
  return { register: bits(word, 0, 5), pages: (unsigned << 11) >> 11 };
}

/** LDR of 64 bits with an unsigned offset: its base register and the offset in bytes; null for another instruction (C6.2.187). */
function load(word: number): { readonly base: number; readonly offset: number } | null {
  if (bits(word, 22, 10) !== 0b11_1110_0101) return null;
  return { base: bits(word, 5, 5), offset: 8 * bits(word, 10, 12) };
}

/**
 * The offset in `image` of the 64-bit variable that the function at `start` reads first, by ADRP and LDR; null if it does not begin
 * so. `start` and the result are offsets from the same page boundary.
 */
export function loadedVariable(image: Uint8Array, start: number): number | null {
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  const pages = new Map<number, number>();
  for (let at = start; at < start + 4 * mostInstructions && at >= 0 && at + 4 <= image.length; at += 4) {
    const word = view.getUint32(at, true);
    const page = adrp(word);
    if (page !== null) pages.set(page.register, Math.floor(at / pageBytes) + page.pages);
    const loaded = load(word);
    const base = loaded === null ? undefined : pages.get(loaded.base);
    if (loaded !== null && base !== undefined) return base * pageBytes + loaded.offset;
  }
  return null;
}
