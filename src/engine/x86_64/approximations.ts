/**
 * RCPSS and RSQRTSS. A CPU gives 12 bits or more by tables of its own; here results are rounded correctly, which is within the error bound
 * of 1.5 * 2^-12 (Intel SDM, volume 2, RCPSS and RSQRTSS). They depend on no control bit, and raise no exception.
 */

const view = new DataView(new ArrayBuffer(4));

function numberOf(bits: number): number {
  view.setUint32(0, bits);
  return view.getFloat32(0);
}

function bitsOf(value: number): bigint {
  view.setFloat32(0, value);
  return BigInt(view.getUint32(0));
}

const sign = 0x8000_0000;
const quietBit = 0x40_0000;
/** The NaN of an invalid operation. */
const indefinite = 0xffc0_0000n;
const leastNormal = 2 ** -126;

const isNan = (bits: number): boolean => (bits & 0x7fff_ffff) > 0x7f80_0000;

/** The operand: a subnormal number is a zero. */
function operandOf(bits: number): number {
  const value = numberOf(bits);
  return Math.abs(value) < leastNormal ? ((bits & sign) !== 0 ? -0 : 0) : value;
}

/** A tiny result is a zero. */
export function approximateReciprocal(operand: bigint): bigint {
  const bits = Number(operand);
  if (isNan(bits)) return BigInt((bits | quietBit) >>> 0);
  const result = Math.fround(1 / operandOf(bits));
  return Math.abs(result) < leastNormal ? BigInt((bits & sign) >>> 0) : bitsOf(result);
}

export function approximateInverseRoot(operand: bigint): bigint {
  const bits = Number(operand);
  if (isNan(bits)) return BigInt((bits | quietBit) >>> 0);
  const value = operandOf(bits);
  // The square root of -0 is -0.
  return value < 0 ? indefinite : bitsOf(Math.fround(1 / Math.sqrt(value)));
}
