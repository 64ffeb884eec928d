/** The modes that FPCR selects and the exceptions that FPSR collects. */
import type { FloatRounding } from '../../isa/index.js';

/** FPSR's cumulative exception bits. */
export const exceptions = {
  invalid: 1,
  divideByZero: 2,
  overflow: 4,
  underflow: 8,
  inexact: 16,
  inputDenormal: 128,
} as const;

const roundings = ['nearestEven', 'up', 'down', 'zero'] as const satisfies FloatRounding[];

export class FloatContext {
  readonly rounding: (typeof roundings)[number];
  /** FPCR.FZ: subnormal inputs and results are flushed to 0. */
  readonly flushToZero: boolean;
  /** FPCR.DN: every NaN result is the default NaN. */
  readonly defaultNan: boolean;
  /** FPCR.AHP: in conversions, half precision has no infinities and no NaNs. */
  readonly alternativeHalf: boolean;
  #raised = 0;

  /** Decodes a value of FPCR. */
  constructor(fpcr: number) {
    this.rounding = roundings[(fpcr >>> 22) & 3] ?? 'nearestEven';
    this.flushToZero = (fpcr & (1 << 24)) !== 0;
    this.defaultNan = (fpcr & (1 << 25)) !== 0;
    this.alternativeHalf = (fpcr & (1 << 26)) !== 0;
  }

  /** The FPSR exception bits that were raised. */
  get raised(): number {
    return this.#raised;
  }

  raise(bits: number): void {
    this.#raised |= bits;
  }
}
