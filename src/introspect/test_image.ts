/** Builds images with the data that the tests read, in the places and formats of real kernels. */

/** A symbol as kallsyms lists it: kind and name, and its offset from `_text`. */
export interface MadeSymbol {
  readonly kind: string;
  readonly name: string;
  readonly offset: number;
}

/** The formats of kallsyms in the releases. */
export type KallsymsLayout = '5.10' | '6.1' | '6.12' | '7.2';

/** Symbols of x86-64's per-CPU section at address 0: in front of the others, with their addresses instead of offsets. */
export interface MadeAbsolute {
  readonly symbols: readonly { readonly name: string; readonly address: number }[];
  /** The address of `_text` in the file. */
  readonly text: bigint;
}

/** An image that is written from its beginning. */
export class MadeImage {
  readonly #parts: number[] = [];

  get size(): number {
    return this.#parts.length;
  }

  bytes(values: Iterable<number>): this {
    for (const value of values) this.#parts.push(value & 0xff);
    return this;
  }

  text(text: string): this {
    return this.bytes(Array.from(text, (letter) => letter.charCodeAt(0))).bytes([0]);
  }

  word(value: number): this {
    return this.bytes([value, value >>> 8, value >>> 16, value >>> 24]);
  }

  align(bytes: number): this {
    while (this.size % bytes !== 0) this.bytes([0]);
    return this;
  }

  done(): Uint8Array {
    return Uint8Array.from(this.#parts);
  }
}

/** Tokens as scripts/kallsyms.c makes them: characters stand for themselves, what is left over for frequent pieces. */
const pieces = new Map([
  [0, 'T'],
  [1, 'xen_'],
  [2, 'function_'],
  [200, 'vcpu'],
]);

function tokenText(token: number): string {
  return pieces.get(token) ?? (token > 0x20 && token < 0x7f ? String.fromCharCode(token) : '');
}

function compress(text: string): number[] {
  const tokens: number[] = [];
  for (let rest = text; rest.length > 0;) {
    const longest = [...pieces].find(([, piece]) => rest.startsWith(piece));
    tokens.push(longest?.[0] ?? rest.charCodeAt(0));
    rest = rest.slice(longest?.[1].length ?? 1);
  }
  return tokens;
}

/** `alignment` is that of the table's parts: 4 bytes from 7.2 on. */
function writeNames(image: MadeImage, symbols: readonly MadeSymbol[], alignment: 4 | 8): void {
  image.align(alignment).word(symbols.length).align(alignment);
  const first = image.size;
  const markers: number[] = [];
  for (const [i, { kind, name }] of symbols.entries()) {
    if (i % 256 === 0) markers.push(image.size - first);
    const tokens = compress(kind + name);
    const long = tokens.length > 0x7f;
    image.bytes(long ? [(tokens.length & 0x7f) | 0x80, tokens.length >>> 7] : [tokens.length]).bytes(tokens);
  }
  image.align(alignment);
  for (const marker of markers) image.word(marker);
}

function writeTokens(image: MadeImage, alignment: 4 | 8): void {
  image.align(alignment);
  const start = image.size;
  const index: number[] = [];
  for (let token = 0; token < 256; token += 1) {
    index.push(image.size - start);
    image.text(tokenText(token));
  }
  image.align(alignment);
  for (const at of index) image.bytes([at, at >>> 8]);
}

/** `from`: what offsets count from, which a relocation fills in when the kernel runs. */
function writeOffsets(
  image: MadeImage,
  symbols: readonly MadeSymbol[],
  from: number,
  absolute: MadeAbsolute | null,
): MadeImage {
  image.align(8);
  for (const { address } of absolute?.symbols ?? []) image.word(address);
  for (const { offset } of symbols) image.word(absolute === null ? offset - from : -1 - (offset - from));
  image.align(8);
  const base = absolute === null ? 0n : absolute.text + BigInt(from);
  return image.word(Number(base & 0xffff_ffffn)).word(Number(base >> 32n));
}

/** Appends a symbol table; symbols in order of their offsets. */
export function writeKallsyms(
  image: MadeImage,
  symbols: readonly MadeSymbol[],
  layout: KallsymsLayout,
  absolute: MadeAbsolute | null = null,
): MadeImage {
  const first = symbols[0]?.offset ?? 0;
  const named = [
    ...(absolute?.symbols ?? []).map(({ name }) => ({ kind: 'A', name, offset: 0 })),
    ...symbols,
  ];
  if (layout === '5.10' || layout === '6.1') {
    writeOffsets(image, symbols, first, absolute);
    writeNames(image, named, 8);
    // Three bytes for each name: its place in alphabetical order.
    if (layout === '6.1') image.align(8).bytes(Array.from({ length: 3 * named.length }, (_, i) => i));
    writeTokens(image, 8);
    return image;
  }
  const alignment = layout === '6.12' ? 8 : 4;
  // An odd multiple of 4, which is possible in real kernels.
  if (alignment === 4) image.align(8).word(0);
  writeNames(image, named, alignment);
  writeTokens(image, alignment);
  image.align(alignment);
  if (layout === '6.12') writeOffsets(image, symbols, first, absolute);
  else for (const { offset } of symbols) image.word(offset - image.size);
  return image.align(8).bytes(Array.from({ length: 3 * symbols.length }, (_, i) => i));
}

/** Appends an export table of these symbols, then their names; it must begin at a multiple of 4. */
export function writeExports(
  image: MadeImage,
  symbols: readonly { readonly name: string; readonly offset: number }[],
): MadeImage {
  const texts = image.size + 12 * symbols.length + 4;
  let text = texts + 1;
  for (const { name, offset } of symbols) {
    const at = image.size;
    image
      .word(offset - at)
      .word(text - (at + 4))
      .word(texts - (at + 8));
    text += name.length + 1;
  }
  image.word(0).bytes([0]);
  for (const { name } of symbols) image.text(name);
  return image.align(4);
}
