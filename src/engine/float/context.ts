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
  /** Subnormal inputs and results are flushed to 0. */
  readonly flushToZero: boolean;
  /** Every NaN result is the default NaN. */
  readonly defaultNan: boolean;
  /** In conversions, half precision has no infinities and no NaNs. */
  readonly alternativeHalf: boolean;
}

/** How an architecture's control and status registers of floating point are laid out. */
export interface FloatRegisters {
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
  readonly defaultNan: boolean;
  readonly alternativeHalf: boolean;
  #raised = 0;

  constructor(modes: FloatModes) {
    this.rounding = modes.rounding;
    this.flushToZero = modes.flushToZero;
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
}
