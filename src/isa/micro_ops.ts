/**
 * The closed set of micro-operations that define the semantics of instructions. A back end walks them; they know no
 * back end. Arithmetic wraps at the width. Shift and rotate amounts are taken modulo the width. Comparisons, flags and
 * conditions are 32-bit values, 0 or 1.
 */

import type { FloatStatement } from './float_micro_ops.js';
import type { LaneExpr, VectorStatement } from './vector_micro_ops.js';

export type Width = 32 | 64;

export type BinaryKind =
  | 'add'
  | 'sub'
  | 'mul'
  | 'and'
  | 'or'
  | 'xor'
  | 'shl'
  | 'shrUnsigned'
  | 'shrSigned'
  | 'rotr'
  /** The divisor must not be 0 and the quotient must not overflow (see `safeDivide`). */
  | 'divSigned'
  | 'divUnsigned';

export type CompareKind = 'eq' | 'ne' | 'ltSigned' | 'ltUnsigned' | 'leUnsigned';

export type UnaryKind = 'clz' | 'signExtend8' | 'signExtend16' | 'signExtend32';

/**
 * How a flag follows from its source, which is what a back end keeps. 64-bit sources: `sign` is bit 63, `zero` says whether all
 * bits are 0. 32-bit sources: `bit` is 0 or 1, `evenParity` says whether the low byte has an even number of ones, `bit4` is bit 4.
 */
export type FlagForm = 'sign' | 'zero' | 'bit' | 'evenParity' | 'bit4';

/** The flags of an architecture, by name. */
export type FlagSet = Readonly<Record<string, FlagForm>>;

export type Expr = { readonly width: Width } & (
  | { readonly op: 'const'; readonly value: bigint }
  /** An immediate operand of the instruction. */
  | { readonly op: 'immediate'; readonly operand: string }
  /** The low bits of the register that an operand names. */
  | { readonly op: 'register'; readonly operand: string }
  /** The address of this instruction. */
  | { readonly op: 'pc' }
  /** How many instructions the vCPU has executed before this one since its time slice began. */
  | { readonly op: 'executed' }
  | { readonly op: 'flag'; readonly flag: string }
  /** Whether a condition holds for the flags. An immediate operand gives its number (0 to 15). */
  | { readonly op: 'condition'; readonly operand: string }
  | { readonly op: 'local'; readonly index: number }
  /** A 64-bit slot of the vCPU's remaining state, by index or by an immediate operand. */
  | { readonly op: 'state'; readonly place: number }
  | { readonly op: 'stateAt'; readonly operand: string }
  | { readonly op: 'unary'; readonly kind: UnaryKind; readonly a: Expr }
  | { readonly op: 'binary'; readonly kind: BinaryKind; readonly a: Expr; readonly b: Expr }
  | { readonly op: 'compare'; readonly kind: CompareKind; readonly a: Expr; readonly b: Expr }
  | { readonly op: 'select'; readonly condition: Expr; readonly a: Expr; readonly b: Expr }
  /** To 32 bits: the low half. To 64 bits: zero-extended. */
  | { readonly op: 'resize'; readonly a: Expr }
  | LaneExpr
);

/** The sources of the flags to set, by name and in the form that the architecture's flag set says. Other flags stay. */
export type FlagSources = Readonly<Record<string, Expr>>;

export type AccessBytes = 1 | 2 | 4 | 8;

/**
 * How an access is ordered and checked (default: plain). A load of kind `modify` is followed by a store to the same place: it faults
 * as that store would.
 */
export type AccessKind = 'plain' | 'ordered' | 'unprivileged' | 'exclusive' | 'modify';

export type Statement =
  | VectorStatement
  | FloatStatement
  | { readonly op: 'let'; readonly index: number; readonly value: Expr }
  | { readonly op: 'setRegister'; readonly operand: string; readonly value: Expr }
  /** A register given by number instead of an operand (x30 of BL). */
  | { readonly op: 'setFixedRegister'; readonly register: number; readonly value: Expr }
  | { readonly op: 'setFlags'; readonly flags: FlagSources }
  /** Loads into a local, zero-extended to 64 bits. Leaves the instruction if the access faults. */
  | {
      readonly op: 'load';
      readonly index: number;
      readonly bytes: AccessBytes;
      readonly address: Expr;
      readonly kind: AccessKind;
    }
  | {
      readonly op: 'store';
      readonly bytes: AccessBytes;
      readonly address: Expr;
      readonly value: Expr;
      readonly kind: AccessKind;
    }
  /** Two loads of adjacent elements, lower address first, as if by two statements. */
  | {
      readonly op: 'loadPair';
      readonly indexes: readonly [number, number];
      readonly bytes: 4 | 8;
      readonly address: Expr;
    }
  | {
      readonly op: 'storePair';
      readonly bytes: 4 | 8;
      readonly address: Expr;
      readonly values: readonly [Expr, Expr];
    }
  /** Jumps to `target`, a 64-bit address. If `near` is set, the target is pc plus that immediate operand. */
  | {
      readonly op: 'jump';
      readonly target: Expr;
      readonly near: string | null;
      /** Whether a time slice may end here, as it may at every taken branch. */
      readonly isSchedulingPoint: boolean;
    }
  | {
      readonly op: 'if';
      readonly condition: Expr;
      readonly then: readonly Statement[];
      readonly otherwise: readonly Statement[];
    }
  | { readonly op: 'setState'; readonly place: number; readonly value: Expr }
  | { readonly op: 'setStateAt'; readonly operand: string; readonly value: Expr }
  /** Faults if the operand is the stack pointer and is not aligned, where the architecture checks that. */
  | { readonly op: 'checkStack'; readonly operand: string }
  /**
   * Clears the naturally aligned block of `bytes` bytes that contains `address`. Leaves the instruction if that faults.
   */
  | { readonly op: 'clearBlock'; readonly bytes: 64; readonly address: Expr }
  /**
   * Calls the host for anything outside this set (system registers, exceptions, waiting): by name, with up to two
   * inputs and an optional result. The host may leave the instruction.
   */
  | {
      readonly op: 'system';
      /** One of the architecture's system calls (system_calls.ts). */
      readonly name: string;
      readonly inputs: readonly Expr[];
      readonly index: number | null;
    };
