/** SSE and SSE2, by group (Intel SDM, volume 1, chapters 10 and 11). What uses MMX registers is in mmx/. */
import type { X86Instruction } from '../encoding.js';
import { sseFloats } from './floats.js';
import { sseIntegers } from './integers.js';
import { sseMoves } from './moves.js';
import { sseShifts } from './shifts.js';
import { sseShuffles } from './shuffles.js';

export const sseInstructions: readonly X86Instruction[] = [
  ...sseMoves,
  ...sseIntegers,
  ...sseShuffles,
  ...sseShifts,
  ...sseFloats,
];
