/** Finds the instruction that a word is. */
import { fixedBits } from './pattern.js';
import type { Instruction, Mode } from './instruction.js';

/** The bits by which words are sorted before any pattern is tried: 31 to 21, which tell most groups apart. */
const keyShift = 21;
const keys = 2 ** (32 - keyShift);

export interface Decoder {
  /** The instruction that `word` is where the CPU is in `mode` (EL1h unless said); null where it is unallocated. */
  decode(word: number, mode?: Mode): Instruction | null;
}

/** All keys that have the fixed bits: their other bits count down to 0. */
function* keysOf(mask: number, value: number): Generator<number> {
  const free = ~mask & (keys - 1);
  for (let rest = free; ; rest = (rest - 1) & free) {
    yield value | rest;
    if (rest === 0) return;
  }
}

/** A decoder of `instructions`; of several that match a word, the one whose pattern fixes most bits is meant. */
export function makeDecoder(instructions: readonly Instruction[]): Decoder {
  const bySpecificity = [...instructions].sort((a, b) => fixedBits(b.pattern) - fixedBits(a.pattern));
  const candidates = Array.from({ length: keys }, (): Instruction[] => []);
  for (const instruction of bySpecificity) {
    const { mask, value } = instruction.pattern;
    for (const key of keysOf(mask >>> keyShift, value >>> keyShift)) candidates[key]?.push(instruction);
  }
  return {
    decode: (word, mode = 'EL1h') =>
      candidates[word >>> keyShift]?.find((candidate) => candidate.decodes(word, mode)) ?? null,
  };
}
