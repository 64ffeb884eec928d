/** What FPCR asks for, and what FPSR is told. */
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
  /** FPCR.FZ: subnormal numbers are 0, read or made. */
  readonly flushToZero: boolean;
  /** FPCR.DN: every NaN that is made is the default one. */
  readonly defaultNan: boolean;
  /** FPCR.AHP: half precision without infinities and NaNs, in conversions. */
  readonly alternativeHalf: boolean;
  #raised = 0;

  /** By FPCR's value. */
  constructor(fpcr: number) {
    this.rounding = roundings[(fpcr >>> 22) & 3] ?? 'nearestEven';
    this.flushToZero = (fpcr & (1 << 24)) !== 0;
    this.defaultNan = (fpcr & (1 << 25)) !== 0;
    this.alternativeHalf = (fpcr & (1 << 26)) !== 0;
  }

  /** The bits of FPSR that were raised. */
  get raised(): number {
    return this.#raised;
  }

  raise(bits: number): void {
    this.#raised |= bits;
  }
}
