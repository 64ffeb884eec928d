/** Vector operands: encoding, printing and parsing (Arm DDI 0487, C1.2.4). */
import type { ImmediateOperand, Parsed, TextOperand, VectorOperand } from '../../instruction.js';
import type { FieldValues } from '../../instruction.js';
import type { VectorRef } from '../../semantics.js';
import type { Arrangement } from './arrangements.js';

/** Parses a register name at the start of `text`: `letter`, a number below 32, `suffix`. */
function parseName(text: string, letter: string, suffix: string): { number: number; rest: string } | null {
  const found = /^([a-z])(\d+)/.exec(text);
  if (found?.[1] !== letter || Number(found[2]) > 31) return null;
  const rest = text.slice(found[0].length);
  return rest.startsWith(suffix) ? { number: Number(found[2]), rest: rest.slice(suffix.length) } : null;
}

function vectorOperand(field: string, letter: string, suffix: string): VectorOperand {
  return {
    kind: 'vector',
    place: (fields) => fields[field] ?? 0,
    print: (fields) => `${letter}${fields[field] ?? 0}${suffix}`,
    parse: (text) => {
      const found = parseName(text, letter, suffix);
      return found === null ? null : { fields: { [field]: found.number }, rest: found.rest };
    },
  };
}

/** A register with an arrangement: `v1.4s`, or `s1` for a scalar. */
export function vector(field: string, { name, scalar }: Pick<Arrangement, 'name' | 'scalar'>): VectorOperand {
  return scalar ? scalarRegister(field, name) : vectorOperand(field, 'v', `.${name}`);
}

/** A register named by its size letter: b, h, s, d or q. */
export function scalarRegister(field: string, letter: string): VectorOperand {
  return vectorOperand(field, letter, '');
}

/** A register of which one lane is used; the lane index follows in the text: `v1.s`. */
export function laneRegister(field: string, letter: string): VectorOperand {
  return vectorOperand(field, 'v', `.${letter}`);
}

/** A register without text of its own: a member of a list, or a destination that is also read. */
export function hiddenVector(field: string, after = 0): VectorOperand {
  return {
    kind: 'vector',
    place: (fields) => ((fields[field] ?? 0) + after) % 32,
    print: () => '',
    parse: (rest) => ({ fields: {}, rest }),
  };
}

/** The text of `count` consecutive registers: `{v0.4s, v1.4s}`, `{v0.4s-v3.4s}`. */
function listText(first: number, count: number, suffix: string): string {
  const names = Array.from({ length: count }, (_, index) => `v${(first + index) % 32}.${suffix}`);
  const range = count > 2 && first + count <= 32;
  return `{${range ? `${names[0] ?? ''}-${names.at(-1) ?? ''}` : names.join(', ')}}`;
}

/** The text of a register list. Its members are separate hidden operands. */
export function registerList(field: string, count: number, suffix: string): TextOperand {
  return {
    kind: 'text',
    print: (fields) => listText(fields[field] ?? 0, count, suffix),
    parse: (text): Parsed | null => {
      const end = text.indexOf('}') + 1;
      const first = Number(/^\{v(\d+)/.exec(text)?.[1] ?? 32);
      if (first > 31 || text.slice(0, end) !== listText(first, count, suffix)) return null;
      return { fields: { [field]: first }, rest: text.slice(end) };
    },
  };
}

const memberNames = ['t', 't2', 't3', 't4'] as const;

/** The members of a list: the first `count` of the operands t, t2, t3 and t4. */
export function listMembers(field: string, count: number): Readonly<Record<string, VectorOperand>> {
  const names = memberNames.slice(0, count);
  return Object.fromEntries(names.map((name, index) => [name, hiddenVector(field, index)]));
}

/** References to the members of a list, for the semantics. */
export function memberReferences(count: number): VectorRef[] {
  return memberNames.slice(0, count).map((operand) => ({ operand, vector: true }));
}

/** A lane index in brackets, assembled from fields, highest first. */
export function laneIndex(
  ...parts: readonly { readonly field: string; readonly bits: number }[]
): ImmediateOperand {
  const bits = parts.reduce((sum, part) => sum + part.bits, 0);
  const value = (fields: FieldValues): number =>
    parts.reduce((sum, part) => sum * 2 ** part.bits + (fields[part.field] ?? 0), 0);
  const encode = (number: number): FieldValues => {
    let rest = number;
    const entries = parts.toReversed().map((part) => {
      const low = rest % 2 ** part.bits;
      rest = (rest - low) / 2 ** part.bits;
      return [part.field, low] as const;
    });
    return Object.fromEntries(entries);
  };
  return {
    kind: 'immediate',
    width: 32,
    bits: 8,
    value: (fields) => BigInt(value(fields)),
    print: (fields) => `[${value(fields)}]`,
    parse: (text) => {
      const found = /^\[(\d+)\]/.exec(text);
      const number = Number(found?.[1] ?? 2 ** bits);
      if (found === null || number >= 2 ** bits) return null;
      return { fields: encode(number), rest: text.slice(found[0].length) };
    },
  };
}
