/** `value` as an unsigned 32-bit number. */
export function u32(value: number): number {
  return value >>> 0;
}

/** Bits `high` down to `low` (inclusive) of a non-negative integer below 2^53. */
export function bitField(value: number, high: number, low: number): number {
  return Math.floor(value / 2 ** low) % 2 ** (high - low + 1);
}

/** Whether bit `index` of a 32-bit number is set. */
export function hasBit(value: number, index: number): boolean {
  return ((value >>> index) & 1) === 1;
}

/** The smallest multiple of `alignment` (a power of two) that is at least `value`. */
export function alignUp(value: number, alignment: number): number {
  return Math.ceil(value / alignment) * alignment;
}

/** The low 64 bits of `value` as a signed number. */
export function s64(value: bigint): bigint {
  return BigInt.asIntN(64, value);
}

/** The low 64 bits of `value` as an unsigned number. */
export function u64(value: bigint): bigint {
  return BigInt.asUintN(64, value);
}
