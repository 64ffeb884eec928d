/** SSE to SSE4.2, by group (Intel SDM, volume 1, chapters 10 to 12). What uses MMX registers is in mmx/. */
import type { X86Instruction } from '../encoding.js';
import { sseFloats } from './floats.js';
import { sseIntegers } from './integers.js';
import { sseMoves } from './moves.js';
import { sseShifts } from './shifts.js';
import { sseShuffles } from './shuffles.js';
import { sse3Instructions } from './sse3.js';
import { sse41Instructions } from './sse41.js';
import { sse41Floats } from './sse41_floats.js';
import { sse42Instructions } from './sse42.js';
import { ssse3Instructions } from './ssse3.js';

export const sseInstructions: readonly X86Instruction[] = [
  ...sseMoves,
  ...sseIntegers,
  ...sseShuffles,
  ...sseShifts,
  ...sseFloats,
  ...sse3Instructions,
  ...ssse3Instructions,
  ...sse41Instructions,
  ...sse41Floats,
  ...sse42Instructions,
];
