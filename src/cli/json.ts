/** What `--json` prints. */

/**
 * `value` as JSON, two spaces a level. Bigints (times in ns, addresses) become strings of decimal digits, since they
 * may lie beyond what a JSON reader takes for exact; bytes become hex digits.
 */
export function jsonText(value: unknown): string {
  return JSON.stringify(
    value,
    (_key, node: unknown) => {
      if (typeof node === 'bigint') return node.toString();
      if (node instanceof Uint8Array) return Buffer.from(node).toString('hex');
      return node;
    },
    2,
  );
}
