/** What firmware's tables are made of. */

/** Bytes and where they are in guest memory. */
export interface Loaded {
  readonly at: bigint;
  readonly bytes: Uint8Array;
}

export function characters(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/** The byte that makes the sum of `bytes` 0 modulo 256. */
export function checksumOf(bytes: Uint8Array): number {
  return -bytes.reduce((sum, byte) => sum + byte, 0) & 0xff;
}

/** Those parts, one behind the other. */
export function joined(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
