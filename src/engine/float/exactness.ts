/** Tests whether a result of the host's arithmetic is exact. Used by the fast paths. */
import { not } from './float_code.js';
import type { FloatCode, Format, Value } from './float_code.js';

export interface FastInputs {
  /** Up to three bit patterns. */
  readonly a: Value;
  readonly b: Value;
  readonly c: Value;
  /** Whether Inexact was raised before. */
  readonly inexactRaised: Value;
}

/** Requires an exact result, unless Inexact was raised before. */
export function requireExact(w: FloatCode, { inexactRaised }: FastInputs, isExact: () => Value): void {
  w.when(not(inexactRaised), () => w.require(isExact()));
}

/** The exact rounding error of `a + b` (Knuth). `sum` is their rounded sum. */
export function sumError(f: Format, w: FloatCode, a: Value, b: Value, sum: Value): Value {
  const part = w.let(f.type, f.do('sub', sum, a));
  const rest = f.do('sub', a, f.do('sub', sum, part));
  return f.do('add', rest, f.do('sub', b, part));
}
