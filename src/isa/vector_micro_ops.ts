/**
 * Micro-operations on 128-bit values, seen as lanes of 8, 16, 32 or 64 bits, lane 0 lowest. Lanes wrap; a comparison
 * makes a lane all ones or all zeroes; shifts count modulo the lane. Not every kind has every lane width: what
 * is missing (see each kind) is composed of others by `lanes` in vector_expr.ts.
 */
import type { AccessKind, Expr } from './micro_ops.js';

export type LaneBits = 8 | 16 | 32 | 64;

export type VectorUnaryKind =
  | 'abs'
  | 'negate'
  /** Lanes of 8 bits only. */
  | 'popcount'
  /** The low or high half's lanes, to lanes of twice the width; `lane` is the result's: 16, 32 or 64. */
  | 'extendLowSigned'
  | 'extendLowUnsigned'
  | 'extendHighSigned'
  | 'extendHighUnsigned'
  /** Sums of neighbours, in lanes of twice the width; `lane` is the result's: 16 or 32. */
  | 'addPairsSigned'
  | 'addPairsUnsigned';

export type VectorBinaryKind =
  | 'add'
  | 'sub'
  /** Not for 8 bits. */
  | 'mul'
  | 'eq'
  | 'gtSigned'
  | 'geSigned'
  /** Not for 64 bits, as those that follow. */
  | 'gtUnsigned'
  | 'geUnsigned'
  | 'minSigned'
  | 'minUnsigned'
  | 'maxSigned'
  | 'maxUnsigned'
  /** 8 and 16 bits only, as those that follow. */
  | 'addSaturateSigned'
  | 'addSaturateUnsigned'
  | 'subSaturateSigned'
  | 'subSaturateUnsigned'
  /** (a + b + 1) / 2 without overflow. */
  | 'averageUnsigned'
  /** Signed lanes of twice the width, those of `a` below those of `b`, brought into the range of signed or unsigned ones. */
  | 'narrowSigned'
  | 'narrowUnsigned'
  /** Products of the low or high half's lanes; `lane` is the result's: 16, 32 or 64. */
  | 'mulLowSigned'
  | 'mulLowUnsigned'
  | 'mulHighSigned'
  | 'mulHighUnsigned';

export type VectorBitsKind = 'and' | 'or' | 'xor' /** a and not b */ | 'andNot';

export type VectorShiftKind = 'shl' | 'shrSigned' | 'shrUnsigned';

export type VectorExpr =
  | { readonly op: 'vectorConst'; readonly value: bigint }
  /** All 128 bits of the register that an operand names. */
  | { readonly op: 'vectorRegister'; readonly operand: string }
  | { readonly op: 'vectorLocal'; readonly index: number }
  /** The low bits of `a` in every lane; `a` has 64 bits for lanes of 64, else 32. */
  | { readonly op: 'splat'; readonly lane: LaneBits; readonly a: Expr }
  /** A value of 32 or 64 bits with zeroes above. */
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
  /** Sixteen bytes out of those of `a` (0 to 15) and `b` (16 to 31). */
  | {
      readonly op: 'shuffle';
      readonly bytes: readonly number[];
      readonly a: VectorExpr;
      readonly b: VectorExpr;
    }
  /** For each byte of `indexes` that byte of `a`, or 0 where it is above 15. */
  | { readonly op: 'swizzle'; readonly a: VectorExpr; readonly indexes: VectorExpr }
  /** The bits of `a` where `mask` is 1, else those of `b`. */
  | { readonly op: 'bitSelect'; readonly mask: VectorExpr; readonly a: VectorExpr; readonly b: VectorExpr };

/** Values of 32 or 64 bits that come from vectors. */
export type LaneExpr =
  /** One lane, with zeroes or its sign above; 64 bits for lanes of 64, else 32. */
  | {
      readonly op: 'lane';
      readonly lane: LaneBits;
      readonly index: number;
      readonly signed: boolean;
      readonly a: VectorExpr;
    }
  /** One lane of a register, by a number (32 bits) that the instruction knows only when it is decoded; zeroes above. */
  | { readonly op: 'element'; readonly operand: string; readonly lane: LaneBits; readonly index: Expr }
  /** Whether any bit of it is 1. */
  | { readonly op: 'anyTrue'; readonly a: VectorExpr };

export type VectorStatement =
  | { readonly op: 'letVector'; readonly index: number; readonly value: VectorExpr }
  | { readonly op: 'setVector'; readonly operand: string; readonly value: VectorExpr }
  /** Sets one lane of a register; the others stay. */
  | {
      readonly op: 'setElement';
      readonly operand: string;
      readonly lane: LaneBits;
      readonly index: Expr;
      readonly value: Expr;
    }
  /** Reads 16 bytes of memory into a local; leaves the instruction when the access faults. */
  | { readonly op: 'loadVector'; readonly index: number; readonly address: Expr; readonly kind: AccessKind }
  | {
      readonly op: 'storeVector';
      readonly address: Expr;
      readonly value: VectorExpr;
      readonly kind: AccessKind;
    }
  /** Sets FPSR.QC where the condition is not 0. */
  | { readonly op: 'setSaturated'; readonly condition: Expr };
