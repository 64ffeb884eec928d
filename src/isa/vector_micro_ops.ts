/**
 * Micro-operations on 128-bit values, seen as lanes of 8, 16, 32 or 64 bits; lane 0 is the lowest. Lanes wrap. A
 * comparison makes a lane all ones or all zeros. Shift amounts are taken modulo the lane width. Not every kind supports
 * every lane width (see each kind); `lanes` in vector_expr.ts composes the others.
 */
import type { AccessKind, Expr } from './micro_ops.js';

export type LaneBits = 8 | 16 | 32 | 64;

export type VectorUnaryKind =
  | 'abs'
  | 'negate'
  /** 8-bit lanes only. */
  | 'popcount'
  /** Extends the lanes of the low or high half to twice the width. `lane` is the width of the result: 16, 32 or 64. */
  | 'extendLowSigned'
  | 'extendLowUnsigned'
  | 'extendHighSigned'
  | 'extendHighUnsigned'
  /** Sums of adjacent lanes, at twice the width. `lane` is the width of the result: 16 or 32. */
  | 'addPairsSigned'
  | 'addPairsUnsigned';

export type VectorBinaryKind =
  | 'add'
  | 'sub'
  /** Not for 8-bit lanes. */
  | 'mul'
  | 'eq'
  | 'gtSigned'
  | 'geSigned'
  /** Not for 64-bit lanes; the same holds for the kinds below. */
  | 'gtUnsigned'
  | 'geUnsigned'
  | 'minSigned'
  | 'minUnsigned'
  | 'maxSigned'
  | 'maxUnsigned'
  /** 8-bit and 16-bit lanes only; the same holds for the kinds below. */
  | 'addSaturateSigned'
  | 'addSaturateUnsigned'
  | 'subSaturateSigned'
  | 'subSaturateUnsigned'
  /** (a + b + 1) / 2 without overflow. */
  | 'averageUnsigned'
  /** Saturates signed lanes of twice the width to signed or unsigned lanes. Those of `a` come below those of `b`. */
  | 'narrowSigned'
  | 'narrowUnsigned'
  /** Products of the lanes of the low or high half. `lane` is the width of the result: 16, 32 or 64. */
  | 'mulLowSigned'
  | 'mulLowUnsigned'
  | 'mulHighSigned'
  | 'mulHighUnsigned';

export type VectorBitsKind = 'and' | 'or' | 'xor' /** a and not b */ | 'andNot';

export type VectorShiftKind = 'shl' | 'shrSigned' | 'shrUnsigned';

export type VectorExpr =
  | { readonly op: 'vectorConst'; readonly value: bigint }
  /** All 128 bits of the register named by an operand. */
  | { readonly op: 'vectorRegister'; readonly operand: string }
  | { readonly op: 'vectorLocal'; readonly index: number }
  /** Repeats the low bits of `a` in every lane. `a` has 64 bits for lanes of 64, else 32. */
  | { readonly op: 'splat'; readonly lane: LaneBits; readonly a: Expr }
  /** A 32-bit or 64-bit value, zero-extended. */
  | { readonly op: 'fromLow'; readonly a: Expr }
  | {
      readonly op: 'replaceLane';
      readonly lane: LaneBits;
      readonly index: number;
      readonly a: VectorExpr;
      readonly value: Expr;
    }
  | {
      readonly op: 'vectorUnary';
      readonly kind: VectorUnaryKind;
      readonly lane: LaneBits;
      readonly a: VectorExpr;
    }
  | {
      readonly op: 'vectorBinary';
      readonly kind: VectorBinaryKind;
      readonly lane: LaneBits;
      readonly a: VectorExpr;
      readonly b: VectorExpr;
    }
  | {
      readonly op: 'vectorBits';
      readonly kind: VectorBitsKind;
      readonly a: VectorExpr;
      readonly b: VectorExpr;
    }
  | {
      readonly op: 'vectorShift';
      readonly kind: VectorShiftKind;
      readonly lane: LaneBits;
      readonly a: VectorExpr;
      /** 32 bits. */
      readonly amount: Expr;
    }
  /** Sixteen bytes selected from `a` (0 to 15) and `b` (16 to 31). */
  | {
      readonly op: 'shuffle';
      readonly bytes: readonly number[];
      readonly a: VectorExpr;
      readonly b: VectorExpr;
    }
  /** For each byte of `indexes`, the byte of `a` with that index, or 0 if the index is above 15. */
  | { readonly op: 'swizzle'; readonly a: VectorExpr; readonly indexes: VectorExpr }
  /** The bits of `a` where `mask` is 1, else those of `b`. */
  | { readonly op: 'bitSelect'; readonly mask: VectorExpr; readonly a: VectorExpr; readonly b: VectorExpr };

/** 32-bit or 64-bit values taken from vectors. */
export type LaneExpr =
  /** One lane, zero-extended or sign-extended. The result has 64 bits for lanes of 64, else 32. */
  | {
      readonly op: 'lane';
      readonly lane: LaneBits;
      readonly index: number;
      readonly signed: boolean;
      readonly a: VectorExpr;
    }
  /** One lane of a register, by a 32-bit index that is known at decode time. Zero-extended. */
  | { readonly op: 'element'; readonly operand: string; readonly lane: LaneBits; readonly index: Expr }
  /** Whether any bit is 1. */
  | { readonly op: 'anyTrue'; readonly a: VectorExpr }
  /** The sign bits of all lanes as a 32-bit number, that of lane 0 lowest. */
  | { readonly op: 'signBits'; readonly lane: LaneBits; readonly a: VectorExpr };

export type VectorStatement =
  | { readonly op: 'letVector'; readonly index: number; readonly value: VectorExpr }
  | { readonly op: 'setVector'; readonly operand: string; readonly value: VectorExpr }
  /** Sets one lane of a register and keeps the others. */
  | {
      readonly op: 'setElement';
      readonly operand: string;
      readonly lane: LaneBits;
      readonly index: Expr;
      readonly value: Expr;
    }
  /** Loads 16 bytes into a local. Leaves the instruction if the access faults. */
  | { readonly op: 'loadVector'; readonly index: number; readonly address: Expr; readonly kind: AccessKind }
  | {
      readonly op: 'storeVector';
      readonly address: Expr;
      readonly value: VectorExpr;
      readonly kind: AccessKind;
    }
  /** Sets the cumulative saturation flag if the condition is not 0. */
  | { readonly op: 'setSaturated'; readonly condition: Expr };
