/** The earlier of two times; null means never. */
export function earlier(a: bigint | null, b: bigint | null): bigint | null {
  if (a === null || b === null) return a ?? b;
  return b < a ? b : a;
}
