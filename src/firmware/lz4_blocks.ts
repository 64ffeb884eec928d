/**
 * Unpacks lz4's legacy format, in which kernels are packed (`lz4 -l`; lz4's doc/lz4_Frame_format.md, "Legacy frame", and
 * doc/lz4_Block_format.md). The libraries for lz4 have the newer frame format only.
 */
import { viewOf } from '../abi/index.js';

/** The number with which a frame begins. Another frame may follow. */
export const lz4Magic = [0x02, 0x21, 0x4c, 0x18] as const;
const magicWord = 0x184c_2102;
/** A block has so many bytes when it is unpacked; the last may have fewer. */
const mostBytes = 8 << 20;
/** A length of 15 goes on in the bytes that follow; each 255 is followed by another. */
const longLength = 15;
const shortestMatch = 4;

function endsEarly(): never {
  throw new Error('they end too early');
}

function damaged(): never {
  throw new Error('they are corrupt');
}

/** Unpacks blocks, one after the other. */
class BlockReader {
  readonly #bytes: Uint8Array;
  readonly #out = new Uint8Array(mostBytes);
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** The block in `bytes` from `start` to `end`. The result is valid until the next call. */
  read(start: number, end: number): Uint8Array {
    const [bytes, out] = [this.#bytes, this.#out];
    let written = 0;
    this.#at = start;
    for (;;) {
      const token = this.#byte(end);
      const literals = this.#length(token >> 4, end);
      const from = this.#at;
      if (from + literals > end || written + literals > mostBytes) damaged();
      out.set(bytes.subarray(from, from + literals), written);
      written += literals;
      this.#at = from + literals;
      // The last sequence has literals only.
      if (this.#at === end) return out.subarray(0, written);
      const distance = this.#byte(end) | (this.#byte(end) << 8);
      const length = this.#length(token & longLength, end) + shortestMatch;
      if (distance === 0 || distance > written || written + length > mostBytes) damaged();
      this.#repeat(written, distance, length);
      written += length;
    }
  }

  /** Copies what is `distance` bytes before; the two may overlap, and then repeat. */
  #repeat(at: number, distance: number, length: number): void {
    const out = this.#out;
    if (distance >= length) {
      out.copyWithin(at, at - distance, at - distance + length);
      return;
    }
    for (let i = at; i < at + length; i += 1) out[i] = out[i - distance] ?? 0;
  }

  #byte(end: number): number {
    if (this.#at >= end) damaged();
    const byte = this.#bytes[this.#at] ?? 0;
    this.#at += 1;
    return byte;
  }

  #length(first: number, end: number): number {
    let length = first;
    if (first < longLength) return length;
    for (;;) {
      const more = this.#byte(end);
      length += more;
      if (more < 255) return length;
    }
  }
}

/** The unpacked blocks of a file in the legacy format. Throws Error with a clause that says what is wrong. */
export function* unpackLz4(bytes: Uint8Array): Generator<Uint8Array, void, undefined> {
  const view = viewOf(bytes);
  const reader = new BlockReader(bytes);
  let at: number = lz4Magic.length;
  if (at > bytes.length || view.getUint32(0, true) !== magicWord) damaged();
  while (at < bytes.length) {
    if (at + 4 > bytes.length) endsEarly();
    const size = view.getUint32(at, true);
    at += 4;
    if (size === magicWord) continue;
    if (at + size > bytes.length) endsEarly();
    yield reader.read(at, at + size).slice();
    at += size;
  }
}
