/** Finds the instruction at the start of some bytes. */
import { formIn, matches, specificity } from './encoding.js';
import type { Encoding, Form, X86Instruction } from './encoding.js';
import { parse } from './parser.js';
import type { Fields } from './parser.js';
import type { Mode } from './registers.js';

export type Decoded =
  | { readonly kind: 'instruction'; readonly instruction: X86Instruction; readonly fields: Fields }
  /** No instruction is defined: #UD. `fields` are what was parsed of it; null if not even its length is known. */
  | { readonly kind: 'undefined'; readonly fields: Fields | null }
  /** The bytes end within the instruction. */
  | { readonly kind: 'truncated' }
  /** It has more than 15 bytes: #GP. */
  | { readonly kind: 'tooLong' };

export interface Decoder {
  decode(bytes: Uint8Array, mode: Mode): Decoded;
}

/** A form as a number. */
function keyOf({ bits, memory, flat, repeat }: Form): number {
  return bits + (memory ? 1 : 0) + (flat ? 2 : 0) + (repeat === 0 ? 0 : repeat === 0xf3 ? 4 : 8);
}

interface Candidate {
  readonly encoding: Encoding;
  readonly forms: Map<number, X86Instruction>;
}

/** The indexes in the table of opcodes: all maps' 256 bytes one after the other. */
function opcodesOf({ opcode: { map, byte, hasRegister } }: Encoding): number[] {
  return Array.from({ length: hasRegister ? 8 : 1 }, (_, register) => 256 * map + byte + register);
}

/** A decoder for `instructions`. If several match, the one that fixes most of its bytes wins. */
export function makeDecoder(instructions: readonly X86Instruction[]): Decoder {
  const byEncoding = new Map<Encoding, Candidate>();
  for (const instruction of instructions) {
    const { encoding, form } = instruction;
    const candidate = byEncoding.get(encoding) ?? { encoding, forms: new Map<number, X86Instruction>() };
    candidate.forms.set(keyOf(form), instruction);
    byEncoding.set(encoding, candidate);
  }
  const table = Array.from({ length: 1024 }, (): Candidate[] => []);
  const all = [...byEncoding.values()].sort((a, b) => specificity(b.encoding) - specificity(a.encoding));
  for (const candidate of all) {
    for (const index of opcodesOf(candidate.encoding)) table[index]?.push(candidate);
  }
  return {
    decode: (bytes, mode) => {
      const parsed = parse(bytes, mode);
      if (parsed.kind === 'unknown') return { kind: 'undefined', fields: null };
      if (parsed.kind !== 'parsed') return parsed;
      const { fields } = parsed;
      const found = table[256 * fields.map + fields.opcode]?.find(({ encoding }) =>
        matches(encoding, fields),
      );
      const instruction = found?.forms.get(keyOf(formIn(found.encoding, fields)));
      return instruction === undefined
        ? { kind: 'undefined', fields }
        : { kind: 'instruction', instruction, fields };
    },
  };
}
