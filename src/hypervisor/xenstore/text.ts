/** The strings and numbers in xenstore's messages, read as the C library reads them. */

/** A byte a character, so that any bytes survive. */
export function textOf(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

/** The bytes of a text whose characters are below 256; a higher character is truncated to its low byte. */
export function bytesOf(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i += 1) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** The nul-terminated strings of a payload, in order; bytes after the last nul are ignored. */
export function stringsOf(payload: Uint8Array): string[] {
  const parts = textOf(payload).split('\0');
  return parts.slice(0, -1);
}

/** The payload as one string, if its only nul is its last byte; else null. */
export function onlyString(payload: Uint8Array): string | null {
  const [first, ...rest] = textOf(payload).split('\0');
  return rest.length === 1 && rest[0] === '' ? (first ?? null) : null;
}

/** Strings, each followed by a nul. */
export function payloadOf(...strings: string[]): Uint8Array {
  return bytesOf(strings.map((string) => `${string}\0`).join(''));
}

const longMost = (1n << 63n) - 1n;
const longLeast = -(1n << 63n);

function clampToLong(value: bigint): bigint {
  if (value > longMost) return longMost;
  return value < longLeast ? longLeast : value;
}

/** The result of atoi for a text, as an unsigned 32-bit number; 0 if it does not start with a number. */
export function atoi(text: string): number {
  const [, sign = '', digits = '0'] = /^[ \t\n\v\f\r]*([+-]?)(\d+)/.exec(text) ?? [];
  return Number(BigInt.asUintN(32, clampToLong(sign === '-' ? -BigInt(digits) : BigInt(digits))));
}

/**
 * What strtol of base 0 makes of a whole text, as an unsigned 32-bit number: decimal, or octal with a leading 0, or
 * hexadecimal with a leading 0x. Null unless the text is a number to its end.
 */
export function strtol(text: string): number | null {
  const match = /^[ \t\n\v\f\r]*([+-]?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9]\d*)$/.exec(text);
  if (match === null) return null;
  const [, sign, digits = ''] = match;
  const isOctal = /^0[0-7]/.test(digits);
  const value = BigInt(isOctal ? `0o${digits.slice(1)}` : digits);
  return Number(BigInt.asUintN(32, clampToLong(sign === '-' ? -value : value)));
}

/** An unsigned 32-bit number as C's %i prints it. */
export function asInt(value: number): string {
  return BigInt.asIntN(32, BigInt(value)).toString();
}
