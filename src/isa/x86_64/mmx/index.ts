/** MMX, and what SSE and SSE2 add for its registers (Intel SDM, volume 1, chapter 9). */
import type { X86Instruction } from '../encoding.js';
import { mmxConversions } from './conversions.js';
import { mmxIntegers } from './integers.js';
import { mmxMoves } from './moves.js';

export const mmxInstructions: readonly X86Instruction[] = [...mmxMoves, ...mmxIntegers, ...mmxConversions];
