/**
 * The definition of an instruction: its encoding, operands, text and semantics. The decoder, disassembler, assembler,
 * interpreter and conformance tests are all derived from it.
 */
import { extractFields, insertFields, matches, parsePattern } from './pattern.js';
import type { FieldValues, Pattern } from './pattern.js';
import type { Expr, Width } from './micro_ops.js';
import { Semantics } from './semantics.js';
import type { RegisterRef, VectorRef } from './semantics.js';

/** Exception level and selected stack pointer (DDI 0487, PSTATE.M). They determine which instructions are allocated. */
export const modes = ['EL0t', 'EL1t', 'EL1h'] as const;
export type Mode = (typeof modes)[number];

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
 * `registerFile`).
 */
export interface RegisterOperand extends OperandText {
  readonly kind: 'register';
  readonly width: Width;
  /** Its index in the register file. */
  readonly place: (fields: FieldValues) => number;
}

/** A vector register, V0 to V31. The instruction decides how many bits and which lanes it uses. */
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

/** The indexes of the register file after X0 to X30. */
export const registerFile = { zero: 31, sink: 32, stackPointer: 33, places: 34 } as const;

type Reference<O> = O extends RegisterOperand
  ? RegisterRef
  : O extends VectorOperand
    ? VectorRef
    : O extends ImmediateOperand
      ? Expr & { readonly op: 'immediate' }
      : never;

export type References<Operands> = { readonly [K in keyof Operands]: Reference<Operands[K]> };

export interface Definition<Operands> {
  /** The encoding's name in the manual, such as `ADD_64_addsub_imm`. Must be unique. */
  readonly name: string;
  /** See pattern.ts. */
  readonly pattern: string;
  /** The architecture feature that it requires, such as FEAT_CRC32 (default: none). */
  readonly feature?: string;
  /** Whether it is rare or large, so that an engine should keep it out of its innermost code (default: false). */
  readonly cold?: boolean;
  /** Whether a word that matches the pattern is allocated in a mode (default: always). */
  readonly allocated?: (fields: FieldValues, mode: Mode) => boolean;
  /** Whether it belongs to floating point and SIMD and traps with them (default: whether an operand is a vector). */
  readonly vector?: boolean;
  readonly operands: Operands;
  /** Assembler text, with operands in braces: `add {d}, {n}, {imm}`. */
  readonly text: string;
  semantics(m: Semantics, operands: References<Operands>): void;
}

/** A defined instruction. */
export interface Instruction {
  readonly name: string;
  readonly pattern: Pattern;
  readonly feature: string | null;
  readonly cold: boolean;
  readonly operands: Readonly<Record<string, Operand>>;
  readonly text: string;
  /** Its semantics. */
  readonly semantics: Semantics;
  /** Whether it belongs to floating point and SIMD. */
  readonly vector: boolean;
  /** Whether `word` is this instruction in `mode`. */
  decodes(word: number, mode: Mode): boolean;
}

export function instruction<const Operands extends Readonly<Record<string, Operand>>>(
  definition: Definition<Operands>,
): Instruction {
  const { name, text, operands, feature = null, cold = false, allocated } = definition;
  const pattern = parsePattern(definition.pattern);
  let semantics: Semantics | null = null;
  const { vector = Object.values(operands).some(({ kind }) => kind === 'vector') } = definition;
  const decodes = (word: number, mode: Mode): boolean =>
    matches(pattern, word) && (allocated?.(extractFields(pattern, word), mode) ?? true);
  return {
    name,
    pattern,
    feature,
    cold,
    vector,
    operands,
    text,
    decodes,
    // Built on first use, because most guests use few of the instructions.
    get semantics() {
      semantics ??= writeDown(definition);
      return semantics;
    },
  };
}

function writeDown<const Operands extends Readonly<Record<string, Operand>>>(
  definition: Definition<Operands>,
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

/** The text of `word`, an encoding of this instruction at address `pc`. */
export function printInstruction({ text, operands, pattern }: Instruction, word: number, pc: bigint): string {
  const fields = extractFields(pattern, word);
  return text.replace(/\{(\w+)\}/g, (_, key: string) => operands[key]?.print(fields, pc) ?? '');
}

/** Assembles `source` as this instruction at address `pc`; null if the text does not match. */
export function parseInstruction(definition: Instruction, source: string, pc: bigint): number | null {
  let rest = source;
  let fields: FieldValues = {};
  for (const piece of definition.text.split(/(\{\w+\})/)) {
    const operand = piece.startsWith('{') ? definition.operands[piece.slice(1, -1)] : undefined;
    if (operand === undefined) {
      if (!rest.startsWith(piece)) return null;
      rest = rest.slice(piece.length);
      continue;
    }
    const parsed = operand.parse(rest, pc);
    if (parsed === null) return null;
    fields = { ...fields, ...parsed.fields };
    rest = parsed.rest;
  }
  if (rest !== '') return null;
  const word = insertFields(definition.pattern, fields);
  return modes.some((mode) => definition.decodes(word, mode)) ? word : null;
}
