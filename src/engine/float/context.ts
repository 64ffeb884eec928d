/** The modes of floating-point arithmetic, and the exceptions that operations raise. */
import type { FloatRounding } from '../../isa/index.js';

/** A set of exceptions as bits. */
export const exceptions = {
  invalid: 1,
  divideByZero: 2,
  overflow: 4,
  underflow: 8,
  inexact: 16,
  inputDenormal: 128,
} as const;

export interface FloatModes {
  readonly rounding: Extract<FloatRounding, 'nearestEven' | 'up' | 'down' | 'zero'>;
  /** Subnormal results are flushed to 0. */
  readonly flushToZero: boolean;
  /** Subnormal inputs are taken as 0. */
  readonly flushInputs: boolean;
  /**
   * Which of Overflow and Underflow are trapped, as bits of `exceptions` (default: none). A tiny result then raises Underflow also
   * where it is exact, and both raise Inexact only if the result would be inexact without bounds of its exponent (IEEE 754-1985, 7).
   */
  readonly trapped?: number;
  /** Every NaN result is the default NaN. */
  readonly defaultNan: boolean;
  /** In conversions, half precision has no infinities and no NaNs. */
  readonly alternativeHalf: boolean;
}

/** What IEEE 754 leaves to the architecture, or an architecture does otherwise. */
export interface FloatRules {
  /** Whether the default NaN is negative. */
  readonly negativeDefaultNan: boolean;
  /** Whether an operation on NaNs returns the first signalling one, if there is one. Else it returns the first. */
  readonly prefersSignalling: boolean;
  /** Whether a result is tiny by its value before it is rounded, or as if it were rounded without bounds of its exponent. */
  readonly tinyBeforeRounding: boolean;
  /** Whether a result that is flushed to 0 raises Inexact too. */
  readonly flushedIsInexact: boolean;
  /**
   * Which subnormal inputs raise Input Denormal: those that are flushed to 0, or those that are computed with, if the operation has
   * a number as its result, raises neither Invalid nor Divide by Zero, and is no conversion to an integer.
   */
  readonly inputDenormal: 'flushed' | 'used';
}

/** How an architecture's control and status registers of floating point are laid out. */
export interface FloatRegisters {
  readonly rules: FloatRules;
  /** The modes that a value of the control register selects. */
  modesOf(control: number): FloatModes;
  /** The control bits for rounding and flushing. The host's arithmetic is correct only while all of them are 0. */
  readonly hostModes: number;
  /** The cumulative bits of the status register for a set of exceptions. */
  statusOf(raised: number): number;
  /** Bit number of the cumulative saturation flag in the status register; null if the architecture has none. */
  readonly saturation: number | null;
}

export class FloatContext implements FloatModes {
  readonly rounding: FloatModes['rounding'];
  readonly flushToZero: boolean;
  readonly flushInputs: boolean;
  readonly trapped: number;
  readonly defaultNan: boolean;
  readonly alternativeHalf: boolean;
  readonly rules: FloatRules;
  #raised = 0;
  #usedSubnormal = false;
  #sawNan = false;

  constructor(modes: FloatModes, rules: FloatRules) {
    this.rules = rules;
    this.rounding = modes.rounding;
    this.flushToZero = modes.flushToZero;
    this.flushInputs = modes.flushInputs;
    this.trapped = modes.trapped ?? 0;
    this.defaultNan = modes.defaultNan;
    this.alternativeHalf = modes.alternativeHalf;
  }

  /** The exceptions that were raised. */
  get raised(): number {
    return this.#raised;
  }

  raise(bits: number): void {
    this.#raised |= bits;
  }

  /** Notes an input that is subnormal, and not flushed, or a NaN. */
  note(input: 'subnormal' | 'nan'): void {
    if (input === 'nan') this.#sawNan = true;
    else this.#usedSubnormal = true;
  }

  /** Raises Input Denormal at the end of an operation, where the rules want that. */
  finish(): void {
    const isPreempted = this.#sawNan || (this.#raised & (exceptions.invalid | exceptions.divideByZero)) !== 0;
    if (this.rules.inputDenormal === 'used' && this.#usedSubnormal && !isPreempted)
      this.raise(exceptions.inputDenormal);
  }
}
