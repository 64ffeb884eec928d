/** Finds the instruction of a word. */
import { fixedBits } from './pattern.js';
import type { A64Instruction } from './encoding.js';
import type { Mode } from './registers.js';

/** Words are indexed by bits 31 to 21 before patterns are compared. These bits separate most groups. */
const keyShift = 21;
const keys = 2 ** (32 - keyShift);

export interface Decoder {
  /** The instruction of `word` in `mode` (default: EL1h); null if the word is unallocated. */
  decode(word: number, mode?: Mode): A64Instruction | null;
}

/** All keys with the given fixed bits. The other bits count down to 0. */
function* keysOf(mask: number, value: number): Generator<number> {
  const free = ~mask & (keys - 1);
  for (let rest = free; ; rest = (rest - 1) & free) {
    yield value | rest;
    if (rest === 0) return;
  }
}

/** A decoder for `instructions`. If several match a word, the pattern with the most fixed bits wins. */
export function makeDecoder(instructions: readonly A64Instruction[]): Decoder {
  const bySpecificity = [...instructions].sort((a, b) => fixedBits(b.pattern) - fixedBits(a.pattern));
  const candidates = Array.from({ length: keys }, (): A64Instruction[] => []);
  for (const instruction of bySpecificity) {
    const { mask, value } = instruction.pattern;
    for (const key of keysOf(mask >>> keyShift, value >>> keyShift)) candidates[key]?.push(instruction);
  }
  return {
    decode: (word, mode = 'EL1h') =>
      candidates[word >>> keyShift]?.find((candidate) => candidate.decodes(word, mode)) ?? null,
  };
}
