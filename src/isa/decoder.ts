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

/** A decoder of `instructions`; of several that match a word, the one whose pattern fixes most bits is meant. */
export function makeDecoder(instructions: readonly Instruction[]): Decoder {
  const bySpecificity = [...instructions].sort((a, b) => fixedBits(b.pattern) - fixedBits(a.pattern));
  const candidates = Array.from({ length: keys }, (_, key) =>
    bySpecificity.filter(({ pattern }) => {
      const fixed = pattern.mask >>> keyShift;
      return (key & fixed) === pattern.value >>> keyShift;
    }),
  );
  return {
    decode: (word, mode = 'EL1h') =>
      candidates[word >>> keyShift]?.find((candidate) => candidate.decodes(word, mode)) ?? null,
  };
}
