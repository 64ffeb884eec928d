/**
 * Instructions without their encoding: operands, text and semantics. Each architecture adds the encoding
 * (arm64/encoding.ts). The decoder, disassembler, assembler, interpreter and conformance tests are all derived from the
 * definitions.
 */
import type { Expr, Width } from './micro_ops.js';
import { Semantics } from './semantics.js';
import type { RegisterRef, VectorRef } from './semantics.js';

/** The values of the fields of one encoded instruction, unsigned. */
export type FieldValues = Readonly<Record<string, number>>;

/** A parsed prefix of a text: the fields that it sets, and the rest of the text. */
export interface Parsed {
  readonly fields: FieldValues;
  readonly rest: string;
}

interface OperandText {
  readonly print: (fields: FieldValues, pc: bigint) => string;
  /** Null if `text` does not start with such an operand. */
  readonly parse: (text: string, pc: bigint) => Parsed | null;
}

/**
 * A general register. The register file has a slot that always reads 0, one that ignores writes, and one for SP (see
 * `registerFile` of the architecture).
 */
export interface RegisterOperand extends OperandText {
  readonly kind: 'register';
  readonly width: Width;
  /** Its index in the register file. */
  readonly place: (fields: FieldValues) => number;
}

/** A vector register. The instruction decides how many bits and which lanes it uses. */
export interface VectorOperand extends OperandText {
  readonly kind: 'vector';
  readonly place: (fields: FieldValues) => number;
}

/** A number encoded in the instruction. */
export interface ImmediateOperand extends OperandText {
  readonly kind: 'immediate';
  readonly width: Width;
  /** How a decoded instruction must store it: as an unsigned byte, or as a signed number of 32 or 64 bits. */
  readonly bits: 8 | 32 | 64;
  /** Its value in the semantics. */
  readonly value: (fields: FieldValues) => bigint;
}

/** Text without an effect on the semantics (the hint of a prefetch, the domain of a barrier). */
export interface TextOperand extends OperandText {
  readonly kind: 'text';
}

export type Operand = RegisterOperand | VectorOperand | ImmediateOperand | TextOperand;

type Reference<O> = O extends RegisterOperand
  ? RegisterRef
  : O extends VectorOperand
    ? VectorRef
    : O extends ImmediateOperand
      ? Expr & { readonly op: 'immediate' }
      : never;

export type References<Operands> = { readonly [K in keyof Operands]: Reference<Operands[K]> };

/** The part of an instruction's definition that does not depend on its encoding. */
export interface Meaning<Operands> {
  /** The encoding's name in the manual. Must be unique. */
  readonly name: string;
  /** The architecture feature that it requires (default: none). */
  readonly feature?: string;
  /** Whether it is rare or large, so that an engine should keep it out of its innermost code (default: false). */
  readonly cold?: boolean;
  /** Whether it belongs to floating point and SIMD and traps with them (default: whether an operand is a vector). */
  readonly vector?: boolean;
  readonly operands: Operands;
  /** Assembler text, with operands in braces: `add {d}, {n}, {imm}`. */
  readonly text: string;
  semantics(m: Semantics, operands: References<Operands>): void;
}

/** A defined instruction, without its encoding. */
export interface Instruction {
  readonly name: string;
  readonly feature: string | null;
  readonly cold: boolean;
  readonly operands: Readonly<Record<string, Operand>>;
  readonly text: string;
  /** Its semantics. */
  readonly semantics: Semantics;
  /** Whether it belongs to floating point and SIMD. */
  readonly vector: boolean;
}

/** Creates an instruction from its definition and `encoding`, the part that its architecture adds. */
export function withMeaning<
  const Operands extends Readonly<Record<string, Operand>>,
  Encoding extends object,
>(definition: Meaning<Operands>, encoding: Encoding): Instruction & Encoding {
  const { name, text, operands, feature = null, cold = false } = definition;
  const { vector = Object.values(operands).some(({ kind }) => kind === 'vector') } = definition;
  let semantics: Semantics | null = null;
  const meaning = {
    name,
    feature,
    cold,
    vector,
    operands,
    text,
    // Built on first use, because most guests use few of the instructions.
    get semantics() {
      semantics ??= writeDown(definition);
      return semantics;
    },
  };
  return Object.assign(meaning, encoding);
}

function writeDown<const Operands extends Readonly<Record<string, Operand>>>(
  definition: Meaning<Operands>,
): Semantics {
  const semantics = new Semantics();
  definition.semantics(semantics, references(definition.operands));
  return semantics;
}

function references<Operands extends Readonly<Record<string, Operand>>>(
  operands: Operands,
): References<Operands> {
  const entries = Object.entries(operands).map(([operand, { kind, ...rest }]) => {
    const width = 'width' in rest ? rest.width : 64;
    if (kind === 'vector') return [operand, { operand, vector: true }];
    return [operand, kind === 'immediate' ? { op: kind, operand, width } : { operand, width }];
  });
  return Object.fromEntries(entries) as References<Operands>;
}
