/** The output of `--json`. */

/** Bigints (times in ns, addresses) become strings of digits, because JSON readers may not represent them exactly. */
function plain(_key: string, node: unknown): unknown {
  if (typeof node === 'bigint') return node.toString();
  if (node instanceof Uint8Array) return Buffer.from(node).toString('hex');
  return node;
}

/** `value` as JSON, two spaces a level. Bigints become strings of decimal digits, bytes hex digits. */
export function jsonText(value: unknown): string {
  return JSON.stringify(value, plain, 2);
}

/** The same on one line. */
export function jsonLine(value: unknown): string {
  return JSON.stringify(value, plain);
}
