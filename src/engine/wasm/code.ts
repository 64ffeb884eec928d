/**
 * Builder for WebAssembly function bodies (WebAssembly core specification 2.0, section 5.4). It has one method per
 * instruction, and appends bytes to one flat buffer.
 */

/** Value types, by their binary code. */
export const i32 = 0x7f;
export const i64 = 0x7e;
export const v128 = 0x7b;
export type ScalarType = typeof i32 | typeof i64;
export type ValueType = ScalarType | typeof v128;

const emptyBlock = 0x40;

export class Code {
  #bytes = new Uint8Array(256);
  #length = 0;

  /** The bytes written so far. */
  bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  get length(): number {
    return this.#length;
  }

  byte(value: number): this {
    if (this.#length === this.#bytes.length) this.#grow(this.#length + 1);
    this.#bytes[this.#length] = value;
    this.#length += 1;
    return this;
  }

  append(bytes: ArrayLike<number>): this {
    if (this.#length + bytes.length > this.#bytes.length) this.#grow(this.#length + bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
    return this;
  }

  #grow(least: number): void {
    const grown = new Uint8Array(Math.max(this.#bytes.length * 2, least));
    grown.set(this.#bytes);
    this.#bytes = grown;
  }

  /** An unsigned number below 2^32, LEB128. */
  unsigned(value: number): this {
    let rest = value >>> 0;
    while (rest >= 0x80) {
      this.byte((rest & 0x7f) | 0x80);
      rest >>>= 7;
    }
    return this.byte(rest);
  }

  /** A signed number of up to 64 bits, LEB128. */
  signed(value: bigint): this {
    let rest = value;
    for (;;) {
      const low = Number(rest & 0x7fn);
      rest >>= 7n;
      const done = (rest === 0n && (low & 0x40) === 0) || (rest === -1n && (low & 0x40) !== 0);
      if (done) return this.byte(low);
      this.byte(low | 0x80);
    }
  }

  /** A signed number of 32 bits, LEB128. */
  #signed32(value: number): this {
    let rest = value;
    for (;;) {
      const low = rest & 0x7f;
      rest >>= 7;
      if (rest === ((low & 0x40) === 0 ? 0 : -1)) return this.byte(low);
      this.byte(low | 0x80);
    }
  }

  constant(type: ScalarType, value: bigint | number): this {
    this.byte(type === i32 ? 0x41 : 0x42);
    // BigInts are slow, and most constants are small.
    if (typeof value === 'number' && value === (value | 0)) return this.#signed32(value);
    return this.signed(BigInt.asIntN(type === i32 ? 32 : 64, BigInt(value)));
  }

  get(local: number): this {
    return this.byte(0x20).unsigned(local);
  }

  set(local: number): this {
    return this.byte(0x21).unsigned(local);
  }

  tee(local: number): this {
    return this.byte(0x22).unsigned(local);
  }

  /** A memory instruction: opcode, binary logarithm of the alignment, and constant byte offset. */
  memory(opcode: number, alignment: number, offset: number): this {
    return this.byte(opcode).unsigned(alignment).unsigned(offset);
  }

  block(): this {
    return this.byte(0x02).byte(emptyBlock);
  }

  loop(): this {
    return this.byte(0x03).byte(emptyBlock);
  }

  if(): this {
    return this.byte(0x04).byte(emptyBlock);
  }

  else(): this {
    return this.byte(0x05);
  }

  end(): this {
    return this.byte(0x0b);
  }

  branch(depth: number): this {
    return this.byte(0x0c).unsigned(depth);
  }

  branchIf(depth: number): this {
    return this.byte(0x0d).unsigned(depth);
  }

  branchTable(depths: readonly number[], otherwise: number): this {
    this.byte(0x0e).unsigned(depths.length);
    for (const depth of depths) this.unsigned(depth);
    return this.unsigned(otherwise);
  }

  /** A vector instruction (section 5.4.9), without its immediates. */
  simd(opcode: number): this {
    return this.byte(0xfd).unsigned(opcode);
  }

  /**
   * Calls a function of table 0 by its index, which is on the stack above its arguments. `type` is the function's type
   * index.
   */
  callIndirect(type: number): this {
    return this.byte(0x11).unsigned(type).byte(0);
  }

  call(index: number): this {
    return this.byte(0x10).unsigned(index);
  }

  unreachable(): this {
    return this.byte(0x00);
  }

  return(): this {
    return this.byte(0x0f);
  }
}

/** One-byte instructions, by type. */
export const opcodes = {
  [i32]: {
    eqz: 0x45, eq: 0x46, ne: 0x47, ltSigned: 0x48, ltUnsigned: 0x49, leUnsigned: 0x4d, leSigned: 0x4c, geSigned: 0x4e,
    clz: 0x67, add: 0x6a, sub: 0x6b, mul: 0x6c, divSigned: 0x6d, divUnsigned: 0x6e,
    and: 0x71, or: 0x72, xor: 0x73, shl: 0x74, shrSigned: 0x75, shrUnsigned: 0x76, rotr: 0x78,
    signExtend8: 0xc0, signExtend16: 0xc1, signExtend32: 0x01,
  },
  [i64]: {
    eqz: 0x50, eq: 0x51, ne: 0x52, ltSigned: 0x53, ltUnsigned: 0x54, leUnsigned: 0x58, leSigned: 0x57, geSigned: 0x59,
    clz: 0x79, add: 0x7c, sub: 0x7d, mul: 0x7e, divSigned: 0x7f, divUnsigned: 0x80,
    and: 0x83, or: 0x84, xor: 0x85, shl: 0x86, shrSigned: 0x87, shrUnsigned: 0x88, rotr: 0x8a,
    signExtend8: 0xc2, signExtend16: 0xc3, signExtend32: 0xc4,
  },
} as const; // prettier-ignore

export const select = 0x1b;
export const wrap = 0xa7;
export const extendUnsigned = 0xad;
export const extendSigned = 0xac;
/** i32.popcnt. */
export const popcount32 = 0x69;

/** Loads that zero-extend to i64, and the i32 loads, by number of bytes: opcode and alignment. */
export const loads64 = { 1: [0x31, 0], 2: [0x33, 1], 4: [0x35, 2], 8: [0x29, 3] } as const;
export const stores64 = { 1: [0x3c, 0], 2: [0x3d, 1], 4: [0x3e, 2], 8: [0x37, 3] } as const;
export const load32 = { byte: 0x2d, half: 0x2f, word: 0x28 } as const;
export const store32 = 0x36;
/** i64.load32_s. */
export const load64FromSigned32 = 0x34;
