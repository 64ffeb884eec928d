/** Operands of A64 instructions: encoding, printing and parsing (Arm DDI 0487, C1.2 and C6). */
import type { ImmediateOperand, Parsed, RegisterOperand, TextOperand } from '../instruction.js';
import { registerFile } from './registers.js';
import type { Width } from '../micro_ops.js';
import type { FieldValues } from '../instruction.js';

type Fields = FieldValues;

/** The two widths of general registers, with the value of the `sf` bit. */
export const bothWidths = [
  { width: 32, sf: '0', prefix: 'W' },
  { width: 64, sf: '1', prefix: 'X' },
] as const;

function fieldOf(fields: Fields, name: string): number {
  return fields[name] ?? 0;
}

/** Parses one word of letters and digits at the start of `text`. */
function word(text: string): { word: string; rest: string } {
  const found = /^[a-z0-9]+/.exec(text)?.[0] ?? '';
  return { word: found, rest: text.slice(found.length) };
}

function registerName(number: number, width: Width, thirtyOne: 'zr' | 'sp'): string {
  if (number !== 31) return `${width === 64 ? 'x' : 'w'}${number}`;
  if (thirtyOne === 'zr') return width === 64 ? 'xzr' : 'wzr';
  return width === 64 ? 'sp' : 'wsp';
}

function register(field: string, width: Width, thirtyOne: 'zr' | 'sp', place31: number): RegisterOperand {
  const names = Array.from({ length: 32 }, (_, number) => registerName(number, width, thirtyOne));
  return {
    kind: 'register',
    width,
    place: (fields) => (fieldOf(fields, field) === 31 ? place31 : fieldOf(fields, field)),
    print: (fields) => names[fieldOf(fields, field)] ?? '?',
    parse: (text) => {
      const { word: name, rest } = word(text);
      const number = names.indexOf(name);
      return number < 0 ? null : { fields: { [field]: number }, rest };
    },
  };
}

/** A general register to read. Number 31 is the zero register. */
export function source(field: string, width: Width): RegisterOperand {
  return register(field, width, 'zr', registerFile.zero);
}

/** A general register to write. Writes to number 31 are discarded. */
export function destination(field: string, width: Width): RegisterOperand {
  return register(field, width, 'zr', registerFile.sink);
}

/** A general register, or the stack pointer for number 31. */
export function orStackPointer(field: string, width: Width): RegisterOperand {
  return register(field, width, 'sp', registerFile.stackPointer);
}

/** Parses a number at the start of a text: decimal or hexadecimal, with an optional sign. */
function number(text: string): { value: bigint; rest: string } | null {
  const found = /^(-?)(0x[0-9a-f]+|\d+)/.exec(text);
  if (found === null) return null;
  const magnitude = BigInt(found[2] ?? '0');
  return { value: found[1] === '-' ? -magnitude : magnitude, rest: text.slice(found[0].length) };
}

/** Encoding of a number: from fields to value, from value to fields (null if it cannot be encoded), and its text. */
export interface NumberEncoding {
  readonly width: Width;
  /** See ImmediateOperand. */
  readonly bits: 8 | 32 | 64;
  readonly value: (fields: Fields) => bigint;
  readonly encode: (value: bigint) => Fields | null;
  /** The text without `#` (default: decimal). */
  readonly format?: (value: bigint) => string;
}

/** `#N`. */
export function immediate({ width, bits, value, encode, format = String }: NumberEncoding): ImmediateOperand {
  return {
    kind: 'immediate',
    width,
    bits,
    value,
    print: (fields) => `#${format(value(fields))}`,
    parse: (text) => {
      if (!text.startsWith('#')) return null;
      const found = number(text.slice(1));
      if (found === null) return null;
      const fields = encode(found.value);
      return fields === null ? null : { fields, rest: found.rest };
    },
  };
}

export function hex(value: bigint): string {
  return `0x${value.toString(16)}`;
}

/** An unsigned field, times `scale`. */
export function unsigned(field: string, bits: number, width: Width, scale = 1): NumberEncoding {
  return {
    width,
    bits: (2 ** bits - 1) * scale < 256 ? 8 : 32,
    value: (fields) => BigInt(fieldOf(fields, field)) * BigInt(scale),
    encode: (value) => {
      const units = value / BigInt(scale);
      const fits = units >= 0n && units < 2n ** BigInt(bits) && units * BigInt(scale) === value;
      return fits ? { [field]: Number(units) } : null;
    },
  };
}

/** A signed field, times `scale`. */
export function signed(field: string, bits: number, scale = 1): NumberEncoding {
  return {
    width: 64,
    bits: 32,
    value: (fields) => BigInt.asIntN(bits, BigInt(fieldOf(fields, field))) * BigInt(scale),
    encode: (value) => {
      const units = value / BigInt(scale);
      const fits = BigInt.asIntN(bits, units) === units && units * BigInt(scale) === value;
      return fits ? { [field]: Number(BigInt.asUintN(bits, units)) } : null;
    },
  };
}

/** `prefix` and a number. The text omits both if the value is the default. */
export function optionalNumber(prefix: string, encoding: NumberEncoding, absent: bigint): ImmediateOperand {
  const plain = immediate(encoding);
  const absentFields = encoding.encode(absent) ?? {};
  return {
    ...plain,
    print: (fields, pc) => (encoding.value(fields) === absent ? '' : `${prefix}${plain.print(fields, pc)}`),
    parse: (text, pc) =>
      text.startsWith(prefix)
        ? plain.parse(text.slice(prefix.length), pc)
        : { fields: absentFields, rest: text },
  };
}

/** One word of a list. Its value in the semantics is its index. */
export function choice(field: string, words: readonly string[], width: Width = 32): ImmediateOperand {
  return {
    kind: 'immediate',
    width,
    bits: 8,
    value: (fields) => BigInt(fieldOf(fields, field)),
    print: (fields) => words[fieldOf(fields, field)] ?? '?',
    parse: (text) => {
      const { word: name, rest } = word(text);
      const index = words.indexOf(name);
      return index < 0 ? null : { fields: { [field]: index }, rest };
    },
  };
}

/** The condition codes, by number (DDI 0487, C1.2.4). */
export const conditionNames = [
  'eq', 'ne', 'cs', 'cc', 'mi', 'pl', 'vs', 'vc', 'hi', 'ls', 'ge', 'lt', 'gt', 'le', 'al', 'nv',
] as const; // prettier-ignore

/** A byte offset from this instruction, printed as the target address. */
export function label(
  value: (fields: Fields) => bigint,
  encode: (offset: bigint) => Fields | null,
): ImmediateOperand {
  return {
    kind: 'immediate',
    width: 64,
    bits: 64,
    value,
    print: (fields, pc) => hex(BigInt.asUintN(64, pc + value(fields))),
    parse: (text, pc): Parsed | null => {
      const found = number(text);
      if (found === null) return null;
      const fields = encode(BigInt.asIntN(64, found.value - pc));
      return fields === null ? null : { fields, rest: found.rest };
    },
  };
}

/** A branch offset, encoded in instructions. */
export function branchLabel(field: string, bits: number): ImmediateOperand {
  const { value, encode } = signed(field, bits, 4);
  return label(value, encode);
}

function twoDigits(value: number): string {
  return value.toString(16).padStart(2, '0');
}

/** A field that appears in the text only. */
export function hint(words: readonly (string | null)[], field: string): TextOperand {
  return {
    kind: 'text',
    print: (fields) => words[fieldOf(fields, field)] ?? `#0x${twoDigits(fieldOf(fields, field))}`,
    parse: (text) => {
      const { word: name, rest } = word(text);
      const index = words.indexOf(name);
      if (name !== '' && index >= 0) return { fields: { [field]: index }, rest };
      const found = text.startsWith('#') ? number(text.slice(1)) : null;
      return found === null ? null : { fields: { [field]: Number(found.value) }, rest: found.rest };
    },
  };
}

/** `, lsl #N` after a register. Omitted for a left shift by 0. */
export function shiftAmount(shift: string, width: Width): ImmediateOperand {
  const encoding = unsigned('imm6', 6, width);
  const prefix = `, ${shift} `;
  if (shift === 'lsl') return optionalNumber(prefix, encoding, 0n);
  const plain = immediate(encoding);
  return {
    ...plain,
    print: (fields, pc) => `${prefix}${plain.print(fields, pc)}`,
    parse: (text, pc) => (text.startsWith(prefix) ? plain.parse(text.slice(prefix.length), pc) : null),
  };
}

/**
 * `, uxtw #N` after a register: an extension and a left shift (omitted if 0). If the other operand is the stack
 * pointer, an extension of the operation's own width is written as `lsl`.
 */
export function extendedIndex(
  extension: string,
  width: Width,
  stackPointers: readonly string[],
): ImmediateOperand {
  const plain = optionalNumber(' ', unsigned('imm3', 3, width), 0n);
  const shift = optionalNumber(', lsl ', unsigned('imm3', 3, width), 0n);
  const prefix = `, ${extension}`;
  const isWhole = extension === (width === 64 ? 'uxtx' : 'uxtw');
  const isShift = (fields: Fields): boolean =>
    isWhole && stackPointers.some((field) => fieldOf(fields, field) === 31);
  return {
    ...plain,
    print: (fields, pc) =>
      isShift(fields) ? shift.print(fields, pc) : `${prefix}${plain.print(fields, pc)}`,
    parse: (text, pc) => {
      if (text.startsWith(prefix)) return plain.parse(text.slice(prefix.length), pc);
      return isWhole ? shift.parse(text, pc) : null;
    },
  };
}

/** A number computed from the fields, used by the semantics only. It has no text. */
export function derived(
  width: Width,
  bits: 8 | 32 | 64,
  value: (fields: FieldValues) => number | bigint,
): ImmediateOperand {
  return {
    kind: 'immediate',
    width,
    bits,
    value: (fields) => BigInt(value(fields)),
    print: () => '',
    parse: (rest) => ({ fields: {}, rest }),
  };
}
