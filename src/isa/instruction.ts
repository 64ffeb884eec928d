/**
 * An instruction, defined once: its bits, its operands, its text and its meaning. Decoder, disassembler,
 * assembler, interpreter, compiler and conformance tests all come from this.
 */
import { extractFields, insertFields, matches, parsePattern } from './pattern.js';
import type { FieldValues, Pattern } from './pattern.js';
import type { Expr, Width } from './micro_ops.js';
import { Semantics } from './semantics.js';
import type { RegisterRef, VectorRef } from './semantics.js';

/** Exception level and stack pointer in use (DDI 0487, PSTATE.M): which instructions there are depends on them. */
export const modes = ['EL0t', 'EL1t', 'EL1h'] as const;
export type Mode = (typeof modes)[number];

/** What was read at the front of a text: the fields that it sets, and what is left of the text. */
export interface Parsed {
  readonly fields: FieldValues;
  readonly rest: string;
}

interface OperandText {
  readonly print: (fields: FieldValues, pc: bigint) => string;
  /** Null when `text` does not begin with such an operand. */
  readonly parse: (text: string, pc: bigint) => Parsed | null;
}

/** A register. The file has a place that always reads 0, one that swallows writes, and one for SP (see `registerFile`). */
export interface RegisterOperand extends OperandText {
  readonly kind: 'register';
  readonly width: Width;
  /** Its place in the register file. */
  readonly place: (fields: FieldValues) => number;
}

/** A vector register, V0 to V31; how much of it is meant, and seen as what lanes, is the instruction's affair. */
export interface VectorOperand extends OperandText {
  readonly kind: 'vector';
  readonly place: (fields: FieldValues) => number;
}

/** A number in the instruction. */
export interface ImmediateOperand extends OperandText {
  readonly kind: 'immediate';
  readonly width: Width;
  /** What a decoded instruction must keep of it: an unsigned byte, or 32 or 64 bits with a sign. */
  readonly bits: 8 | 32 | 64;
  /** Its value as the semantics see it. */
  readonly value: (fields: FieldValues) => bigint;
}

/** Text without a part in the meaning (a prefetch's hint, a barrier's domain). */
export interface TextOperand extends OperandText {
  readonly kind: 'text';
}

export type Operand = RegisterOperand | VectorOperand | ImmediateOperand | TextOperand;

/** The places of the register file beside X0 to X30. */
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
  /** The manual's name of the encoding, e.g. `ADD_64_addsub_imm`; unique. */
  readonly name: string;
  /** See pattern.ts. */
  readonly pattern: string;
  /** The architecture's feature without which this is unallocated, e.g. FEAT_CRC32; absent for the base set. */
  readonly feature?: string;
  /** Whether it is rare or large, so that an engine should keep it out of its innermost code; absent means not. */
  readonly cold?: boolean;
  /** Whether a word that matches the pattern is allocated in that mode; absent means always. */
  readonly allocated?: (fields: FieldValues, mode: Mode) => boolean;
  /** Whether it belongs to floating point and SIMD, and traps with them; absent means: if an operand is a vector. */
  readonly vector?: boolean;
  readonly operands: Operands;
  /** Assembler text with operands in braces: `add {d}, {n}, {imm}`. */
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
  /** What it does, written down once. */
  readonly semantics: Semantics;
  /** Whether it belongs to floating point and SIMD. */
  readonly vector: boolean;
  /** Whether `word` is this instruction where the CPU is in `mode`. */
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
    // Written down when somebody asks: most guests use few of the instructions.
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

/** The text of `word`, which is this instruction and stands at address `pc`. */
export function printInstruction({ text, operands, pattern }: Instruction, word: number, pc: bigint): string {
  const fields = extractFields(pattern, word);
  return text.replace(/\{(\w+)\}/g, (_, key: string) => operands[key]?.print(fields, pc) ?? '');
}

/** The word that `source` writes as this instruction at address `pc`; null when it is not written so. */
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
