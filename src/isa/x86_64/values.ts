/**
 * What operands and semantics of x86-64 instructions have in common. A value of 8 or 16 bits is a 32-bit expression,
 * zero-extended. A write of 32 bits clears the upper half of its register; one of 8 or 16 bits keeps the rest.
 */
import type { FieldValues, ImmediateOperand } from '../instruction.js';
import type { Expr, Width } from '../micro_ops.js';
import type { Form } from './encoding.js';

export type Bits = 8 | 16 | 32 | 64;

/** A value that an instruction reads. */
export interface Value {
  readonly bits: Bits;
  /** Reads it here, once. */
  get(): Expr;
}

/** A value that an instruction writes too. */
export interface Place extends Value {
  set(value: Expr): void;
}

/** A memory operand. */
export interface Memory extends Place {
  /** Its effective address, 64 bits wide, without its segment. */
  effective(): Expr;
  /** The linear address of `bytes` bytes behind `offset` bytes of it. */
  linear(bytes: number, offset?: Expr): Expr;
}

export function widthOf(bits: Bits): Width {
  return bits === 64 ? 64 : 32;
}

/** The operand's own size, or that of the form. */
export function sizeIn({ bits }: Form, size: Bits | null): Bits {
  return size ?? (bits === 0 ? 32 : bits);
}

export const hex = (value: bigint): string => `0x${value.toString(16)}`;

export const immediateRef = (operand: string, width: Width): Expr & { op: 'immediate' } => ({
  op: 'immediate',
  operand,
  width,
});

/** A number of the instruction that has no text. */
export function derived(
  width: Width,
  bits: 8 | 32 | 64,
  value: (fields: FieldValues) => number | bigint,
): ImmediateOperand {
  const parse = (rest: string) => ({ fields: {}, rest });
  return { kind: 'immediate', width, bits, value: (fields) => BigInt(value(fields)), print: () => '', parse };
}

/** What a form without an operand size is like, for operands that depend on none. */
export const noForm: Form = { bits: 0, memory: false, flat: true, repeat: 0 };
