/**
 * The closed set of micro-operations in which every instruction says what it does. A back end (interpreter,
 * compiler, evaluator) walks these; none of them is known here. Arithmetic wraps at the width; shift and rotate
 * amounts count modulo the width; comparisons, flags and conditions are 32-bit values, 0 or 1.
 */

import type { FloatStatement } from './float_micro_ops.js';
import type { SystemCall } from './system_calls.js';
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
  /** Both operands must be ones that can be divided: not by 0, and no overflow (see `safeDivide`). */
  | 'divSigned'
  | 'divUnsigned';

export type CompareKind = 'eq' | 'ne' | 'ltSigned' | 'ltUnsigned' | 'leUnsigned';

export type UnaryKind = 'clz' | 'signExtend8' | 'signExtend16' | 'signExtend32';

/** The flags N, Z, C and V, each 0 or 1. */
export type FlagName = 'n' | 'z' | 'c' | 'v';

export type Expr = { readonly width: Width } & (
  | { readonly op: 'const'; readonly value: bigint }
  /** A number that stands in the instruction itself. */
  | { readonly op: 'immediate'; readonly operand: string }
  /** The low bits of the register that an operand names. */
  | { readonly op: 'register'; readonly operand: string }
  /** The address of this instruction. */
  | { readonly op: 'pc' }
  | { readonly op: 'flag'; readonly flag: FlagName }
  /** Whether the condition whose number (0 to 15) an immediate operand holds is true of the flags. */
  | { readonly op: 'condition'; readonly operand: string }
  | { readonly op: 'local'; readonly index: number }
  /** One of the places of 64 bits that hold the rest of a vCPU's state: by number, or by an immediate operand. */
  | { readonly op: 'state'; readonly place: number }
  | { readonly op: 'stateAt'; readonly operand: string }
  | { readonly op: 'unary'; readonly kind: UnaryKind; readonly a: Expr }
  | { readonly op: 'binary'; readonly kind: BinaryKind; readonly a: Expr; readonly b: Expr }
  | { readonly op: 'compare'; readonly kind: CompareKind; readonly a: Expr; readonly b: Expr }
  | { readonly op: 'select'; readonly condition: Expr; readonly a: Expr; readonly b: Expr }
  /** To 32 bits: the low half. To 64 bits: zeroes above. */
  | { readonly op: 'resize'; readonly a: Expr }
  | LaneExpr
);

/** What the flags become: N is bit 63 of `n`, Z whether all 64 bits of `z` are 0, C is `c` (0 or 1), V is bit 63 of `v`. */
export interface FlagSources {
  readonly n: Expr;
  readonly z: Expr;
  readonly c: Expr;
  readonly v: Expr;
}

export type AccessBytes = 1 | 2 | 4 | 8;

/** How an access is ordered and checked; plain unless said. */
export type AccessKind = 'plain' | 'ordered' | 'unprivileged' | 'exclusive';

export type Statement =
  | VectorStatement
  | FloatStatement
  | { readonly op: 'let'; readonly index: number; readonly value: Expr }
  | { readonly op: 'setRegister'; readonly operand: string; readonly value: Expr }
  /** A register by its number rather than by an operand (BL's x30). */
  | { readonly op: 'setFixedRegister'; readonly register: number; readonly value: Expr }
  | { readonly op: 'setFlags'; readonly flags: FlagSources }
  /** Reads memory, zero-extended to 64 bits, into a local; leaves the instruction when the access faults. */
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
  /** Two loads of neighbours, as two statements would do them, the lower one first. */
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
  /** Goes on at `target`, a 64-bit address; `near` when it is the pc plus an immediate operand. */
  | { readonly op: 'jump'; readonly target: Expr; readonly near: string | null }
  | {
      readonly op: 'if';
      readonly condition: Expr;
      readonly then: readonly Statement[];
      readonly otherwise: readonly Statement[];
    }
  | { readonly op: 'setState'; readonly place: number; readonly value: Expr }
  | { readonly op: 'setStateAt'; readonly operand: string; readonly value: Expr }
  /** Where the operand names the stack pointer, that must be aligned as the architecture asks; else the instruction faults. */
  | { readonly op: 'checkStack'; readonly operand: string }
  /** Clears the naturally aligned block of so many bytes that `address` lies in; leaves the instruction when that faults. */
  | { readonly op: 'clearBlock'; readonly bytes: 64; readonly address: Expr }
  /**
   * Asks what lies outside the set (system registers, exceptions, waiting): by name, with up to two values, perhaps for an
   * answer. Whoever is asked may leave the instruction.
   */
  | {
      readonly op: 'system';
      readonly name: SystemCall;
      readonly inputs: readonly Expr[];
      readonly index: number | null;
    };
