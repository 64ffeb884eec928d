/**
 * Floating-point micro-operations. Results are exact and follow the rounding mode, flushing and NaN rules of the control
 * register; exceptions accumulate in the status register. Values are bit patterns in 64 bits.
 */
import type { Expr } from './micro_ops.js';

/** Half, single and double precision. */
export type FloatFormat = 16 | 32 | 64;

export type FloatRounding = 'nearestEven' | 'up' | 'down' | 'zero' | 'nearestAway' | 'odd' | 'current';

/** Named after the manual's functions (`add` is FPAdd). Inputs are in the manual's order. */
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
        /** A number is preferred to a quiet NaN. */
        | 'minNumber'
        | 'maxNumber'
        | 'sqrt'
        /** The first input plus the product of the others, rounded once. */
        | 'mulAdd'
        | 'reciprocalEstimate'
        | 'reciprocalStep'
        | 'reciprocalExponent'
        | 'reciprocalSqrtEstimate'
        | 'reciprocalSqrtStep'
        /** 1 or 0. `eq` raises Invalid for signalling NaNs only. */
        | 'eq'
        | 'ge'
        | 'gt'
        /** 0110 equal, 1000 less, 0010 greater, 0011 unordered. The second kind raises Invalid for every NaN. */
        | 'compare'
        | 'compareSignalling';
      readonly format: FloatFormat;
    }
  /** To an integer in the same format. `exact` raises Inexact if the value changes. */
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
  /** To a fixed-point number of `bits` bits. The second input is the number of fraction bits. */
  | {
      readonly kind: 'toFixed';
      readonly format: FloatFormat;
      readonly bits: 32 | 64;
      readonly signed: boolean;
      readonly rounding: FloatRounding;
      /** A NaN, and a value that does not fit, becomes the smallest number (default: they saturate, and a NaN becomes 0). */
      readonly outside?: 'smallest';
    }
  /** From a fixed-point number. The second input is the number of fraction bits. */
  | {
      readonly kind: 'fromFixed';
      readonly format: FloatFormat;
      readonly bits: 32 | 64;
      readonly signed: boolean;
    }
  /** Estimates for 32-bit fixed-point numbers (URECPE, URSQRTE). */
  | { readonly kind: 'unsignedReciprocalEstimate' | 'unsignedReciprocalSqrtEstimate' };

export interface FloatStatement {
  readonly op: 'float';
  /** The local for the result, zero-extended. */
  readonly index: number;
  readonly operation: FloatOperation;
  /** Up to three. */
  readonly inputs: readonly Expr[];
}
