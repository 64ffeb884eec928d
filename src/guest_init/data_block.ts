/** Builder for a data block with texts and lists of pointers to them, at a given address. */

import { utf8 } from './utf8.js';

const align = (address: number): number => (address + 7) & ~7;

export class DataBlock {
  readonly #start: number;
  #end: number;
  readonly #parts: { readonly at: number; readonly bytes: Uint8Array }[] = [];

  constructor(start: number) {
    this.#start = start;
    this.#end = start;
  }

  /** Adds `characters` in UTF-8 and a NUL. Returns the address, and the length without the NUL. */
  text(characters: string): { readonly address: number; readonly length: number } {
    const bytes = utf8(`${characters}\0`);
    return { address: this.#add(bytes), length: bytes.length - 1 };
  }

  /** Adds bytes. Returns their address. */
  bytesAt(bytes: Uint8Array): number {
    return this.#add(bytes);
  }

  /**
   * Adds `texts` and a list of pointers to them, followed by `nulls` null pointers. Returns the address of the list.
   */
  list(texts: readonly string[], nulls = 1): number {
    const pointers = texts.map((one) => BigInt(this.text(one).address));
    const all = new BigUint64Array([...pointers, ...Array<bigint>(nulls).fill(0n)]);
    return this.#add(new Uint8Array(all.buffer));
  }

  bytes(): Uint8Array {
    const all = new Uint8Array(this.#end - this.#start);
    for (const { at, bytes } of this.#parts) all.set(bytes, at - this.#start);
    return all;
  }

  #add(bytes: Uint8Array): number {
    const at = align(this.#end);
    this.#parts.push({ at, bytes });
    this.#end = at + bytes.length;
    return at;
  }
}
