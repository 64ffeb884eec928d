/** Bit-mask immediates: a rotated run of ones in a repeating element (DDI 0487, DecodeBitMasks). */

/** The fields of a bit-mask immediate. */
export interface BitMaskFields {
  readonly N: number;
  readonly immr: number;
  readonly imms: number;
}

/** Size in bits of the repeating element (2 to 64), or 0 where the encoding is reserved. */
function elementSize(N: number, imms: number): number {
  const pattern = (N << 6) | (~imms & 0x3f);
  const length = 31 - Math.clz32(pattern);
  return length < 1 ? 0 : 1 << length;
}

/** The mask, repeated over `width` bits; null where the encoding is reserved. */
export function decodeBitMask({ N, immr, imms }: BitMaskFields, width: 32 | 64): bigint | null {
  const size = elementSize(N, imms);
  if (size === 0 || size > width) return null;
  const ones = (imms & (size - 1)) + 1;
  if (ones === size) return null;
  const rotation = BigInt(immr & (size - 1));
  const run = (1n << BigInt(ones)) - 1n;
  const element = BigInt.asUintN(size, (run >> rotation) | (run << (BigInt(size) - rotation)));
  let mask = 0n;
  for (let at = 0; at < width; at += size) mask |= element << BigInt(at);
  return mask;
}

/** All encodable masks with their fields, by text. The first encoding found is the canonical one. */
function allEncodings(): Map<string, BitMaskFields> {
  const encodings = new Map<string, BitMaskFields>();
  for (const width of [32, 64] as const) {
    for (let size = 2; size <= width; size *= 2) {
      for (let ones = 1; ones < size; ones += 1) {
        for (let immr = 0; immr < size; immr += 1) {
          const imms = (~(size * 2 - 1) & 0x3f) | (ones - 1);
          const fields = { N: size === 64 ? 1 : 0, immr, imms };
          const mask = decodeBitMask(fields, width);
          if (mask !== null) encodings.set(`${width}:${mask}`, fields);
        }
      }
    }
  }
  return encodings;
}

/** Made when an assembler first needs them. */
let encodings: ReadonlyMap<string, BitMaskFields> | null = null;

/** The fields that encode `mask`; null if it cannot be encoded. */
export function encodeBitMask(mask: bigint, width: 32 | 64): BitMaskFields | null {
  encodings ??= allEncodings();
  return encodings.get(`${width}:${BigInt.asUintN(width, mask)}`) ?? null;
}
