/**
 * The encoding of A64 instructions: 32-bit words with a pattern. Printing and parsing use the pattern and the operands.
 */
import { withMeaning } from '../instruction.js';
import type { FieldValues, Instruction, Meaning, Operand } from '../instruction.js';
import { extractFields, insertFields, matches, parsePattern } from './pattern.js';
import type { Pattern } from './pattern.js';
import { modes } from './registers.js';
import type { Mode } from './registers.js';

export interface Definition<Operands> extends Meaning<Operands> {
  /** See pattern.ts. */
  readonly pattern: string;
  /** Whether a word that matches the pattern is allocated in a mode (default: always). */
  readonly allocated?: (fields: FieldValues, mode: Mode) => boolean;
}

export interface A64Instruction extends Instruction {
  readonly pattern: Pattern;
  /** Whether `word` is this instruction in `mode`. */
  decodes(word: number, mode: Mode): boolean;
}

export function instruction<const Operands extends Readonly<Record<string, Operand>>>(
  definition: Definition<Operands>,
): A64Instruction {
  const pattern = parsePattern(definition.pattern);
  const { allocated } = definition;
  const decodes = (word: number, mode: Mode): boolean =>
    matches(pattern, word) && (allocated?.(extractFields(pattern, word), mode) ?? true);
  return withMeaning(definition, { pattern, decodes });
}

/** The text of `word`, an encoding of this instruction at address `pc`. */
export function printInstruction(
  { text, operands, pattern }: A64Instruction,
  word: number,
  pc: bigint,
): string {
  const fields = extractFields(pattern, word);
  return text.replace(/\{(\w+)\}/g, (_, key: string) => operands[key]?.print(fields, pc) ?? '');
}

/** Assembles `source` as this instruction at address `pc`; null if the text does not match. */
export function parseInstruction(definition: A64Instruction, source: string, pc: bigint): number | null {
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
