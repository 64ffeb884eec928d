/** The groups of the manual's first encoding table (DDI 0487, C4.1: by bits 28:25), and draws from each. */
import type { A64Instruction, Mode } from '../../src/isa/index.js';
import { drawWord } from './a64_draw.js';
import type { Dice } from './a64_draw.js';

export interface EncodingGroup {
  readonly name: string;
  /** Bits 28:25 of its words. */
  readonly selectors: readonly number[];
}

export const encodingGroups: readonly EncodingGroup[] = [
  // On an Armv8.0 CPU, this group has only UDF. The other words are SME, SVE or unallocated.
  { name: 'reserved', selectors: [0b0000, 0b0001, 0b0010, 0b0011] },
  { name: 'data processing, immediate', selectors: [0b1000, 0b1001] },
  { name: 'branches, exceptions, system', selectors: [0b1010, 0b1011] },
  { name: 'loads and stores', selectors: [0b0100, 0b0110, 0b1100, 0b1110] },
  { name: 'data processing, register', selectors: [0b0101, 0b1101] },
  { name: 'floating point and SIMD', selectors: [0b0111, 0b1111] },
];

function isOf({ selectors }: EncodingGroup, word: number): boolean {
  return selectors.includes((word >>> 25) & 15);
}

/**
 * Draws words of a group, half of them uniformly and half by definition. Some groups are almost empty, and others
 * consist almost entirely of a few instructions.
 */
export function groupDraw(
  group: EncodingGroup,
  definitions: readonly A64Instruction[],
  mode: Mode,
): (dice: Dice) => number | null {
  const defined = definitions.filter(({ pattern }) => isOf(group, pattern.value));
  return (dice) => {
    if (defined.length > 0 && dice.below(2) === 0) return drawWord(dice.pick(defined), dice, mode);
    return ((dice.word() & ~(15 << 25)) | (dice.pick(group.selectors) << 25)) >>> 0;
  };
}
