/**
 * Floating-point micro-operations (DDI 0487, shared/functions/float): exact results in the format's bits, by the rounding mode,
 * flushing and NaN rules of FPCR, with the exceptions gathered in FPSR. Values are the numbers' bits, of 64 bits width.
 */
import type { Expr } from './micro_ops.js';

/** Half, single and double precision. */
export type FloatFormat = 16 | 32 | 64;

export type FloatRounding = 'nearestEven' | 'up' | 'down' | 'zero' | 'nearestAway' | 'odd' | 'current';

/** Named as the manual's functions (FPAdd is `add`); inputs in the manual's order. */
export type FloatOperation =
  | {
      readonly kind:
        | 'add'
        | 'sub'
        | 'mul'
        /** 0 times infinity is 2. */
        | 'mulExtended'
        | 'div'
        | 'min'
        | 'max'
        /** One quiet NaN gives way to the number. */
        | 'minNumber'
        | 'maxNumber'
        | 'sqrt'
        /** First input plus the product of the others, rounded once. */
        | 'mulAdd'
        | 'reciprocalEstimate'
        | 'reciprocalStep'
        | 'reciprocalExponent'
        | 'reciprocalSqrtEstimate'
        | 'reciprocalSqrtStep'
        /** 1 or 0. `eq` signals for signalling NaNs only. */
        | 'eq'
        | 'ge'
        | 'gt'
        /** NZCV of a comparison, as four bits; the second signals for every NaN. */
        | 'compare'
        | 'compareSignalling';
      readonly format: FloatFormat;
    }
  /** To a whole number in the same format; `exact` raises Inexact where that changes the value. */
  | {
      readonly kind: 'roundToInteger';
      readonly format: FloatFormat;
      readonly rounding: FloatRounding;
      readonly exact: boolean;
    }
  | {
      readonly kind: 'convert';
      readonly format: FloatFormat;
      readonly to: FloatFormat;
      readonly rounding: 'current' | 'odd';
    }
  /** To a fixed-point number of `bits` bits, saturating; the second input says how many are behind the point. */
  | {
      readonly kind: 'toFixed';
      readonly format: FloatFormat;
      readonly bits: 32 | 64;
      readonly signed: boolean;
      readonly rounding: FloatRounding;
    }
  /** From a fixed-point number; the second input as above. */
  | {
      readonly kind: 'fromFixed';
      readonly format: FloatFormat;
      readonly bits: 32 | 64;
      readonly signed: boolean;
    }
  /** Estimates of fixed-point numbers of 32 bits (URECPE, URSQRTE). */
  | { readonly kind: 'unsignedReciprocalEstimate' | 'unsignedReciprocalSqrtEstimate' };

export interface FloatStatement {
  readonly op: 'float';
  /** The local that takes the result, zeroes above its format. */
  readonly index: number;
  readonly operation: FloatOperation;
  /** Up to three. */
  readonly inputs: readonly Expr[];
}
