/** What the compiler needs to know of an architecture, beyond what its code model says for the interpreter. */
import type { Expr } from '../../isa/index.js';

export interface RegionModel {
  /** Whether a condition holds, as the definitions say it. */
  condition(number: number): Expr;
  /** The register that always reads 0, and the one whose writes are discarded, by their indexes in the register file; null for none. */
  readonly zero: number | null;
  readonly sink: number | null;
  /** The record to which a near jump leads, by the distance in its operand. */
  nearTarget(record: number, distance: number): number;
  /** The record for the low half of an address, from the value of its page's entry in the code TLB. */
  recordAt(value: number, low: number): number;
}
