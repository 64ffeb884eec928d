/**
 * Encoding patterns in the manual's notation: `sf:1 00100010 sh:1 imm12:12 Rn:5 Rd:5`, most significant bit first.
 * Digits are fixed bits; `x` is an ignored bit; `y` is an ignored bit that should be 1; NAME:N is a field of N bits. A
 * pattern has 32 bits.
 */
import { InvariantError } from '../../base/index.js';
import type { FieldValues } from '../instruction.js';

export interface BitFieldPlace {
  readonly name: string;
  /** Position of the lowest bit. */
  readonly shift: number;
  readonly width: number;
  /** All ones, as wide as the field. */
  readonly ones: number;
}

export interface Pattern {
  /** 1 where the encoding fixes a bit. */
  readonly mask: number;
  /** The values of the fixed bits. */
  readonly value: number;
  /** The values of the fixed bits, plus the bits that should be 1. This is the word with all fields 0. */
  readonly written: number;
  readonly fields: readonly BitFieldPlace[];
}

const fieldForm = /^[A-Za-z]\w*:\d+$/;
const bitsForm = /^[01xy]+$/;

/** Parses a pattern. Throws InvariantError if it does not have 32 bits or has a field twice. */
export function parsePattern(text: string): Pattern {
  let position = 32;
  let mask = 0;
  let value = 0;
  let written = 0;
  const fields: BitFieldPlace[] = [];
  // A start parses hundreds of patterns, so messages are made only for errors.
  for (const piece of text.split(' ')) {
    if (bitsForm.test(piece)) {
      for (const bit of piece) {
        position -= 1;
        if (bit === '0' || bit === '1') mask |= 1 << position;
        if (bit === '1') value |= 1 << position;
        if (bit === '1' || bit === 'y') written |= 1 << position;
      }
    } else if (fieldForm.test(piece)) {
      const colon = piece.indexOf(':');
      const name = piece.slice(0, colon);
      const width = Number(piece.slice(colon + 1));
      position -= width;
      if (fields.some((other) => other.name === name))
        throw new InvariantError(`${text}: field ${name} stands twice`);
      fields.push({ name, shift: position, width, ones: 2 ** width - 1 });
    } else if (piece !== '') {
      throw new InvariantError(`${text}: ${piece} is neither bits nor NAME:WIDTH`);
    }
  }
  if (position !== 0) throw new InvariantError(`${text}: draws ${32 - position} bits, not 32`);
  return { mask: mask >>> 0, value: value >>> 0, written: written >>> 0, fields };
}

/** Whether `word` has the pattern's fixed bits. */
export function matches({ mask, value }: Pattern, word: number): boolean {
  return (word & mask) >>> 0 === value;
}

/** The fields of a matching `word`. */
export function extractFields({ fields }: Pattern, word: number): FieldValues {
  const found: Record<string, number> = {};
  for (const { name, shift, ones } of fields) found[name] = (word >>> shift) & ones;
  return found;
}

/** The word with the given field values. Missing fields are 0. */
export function insertFields({ written, fields }: Pattern, values: FieldValues): number {
  let word = written;
  for (const { name, shift, ones } of fields) {
    word |= ((values[name] ?? 0) & ones) << shift;
  }
  return word >>> 0;
}

/** The number of fixed bits. If two patterns match a word, the one with more fixed bits wins. */
export function fixedBits({ mask }: Pattern): number {
  let count = 0;
  for (let rest = mask; rest !== 0; rest &= rest - 1) count += 1;
  return count;
}
