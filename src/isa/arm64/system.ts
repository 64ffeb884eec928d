/** System instructions (DDI 0487, C4.1.93): hints. */
import { instruction } from '../instruction.js';
import type { Instruction } from '../instruction.js';
import { immediate, unsigned } from './operands.js';

/** Hints that mean nothing beyond themselves here; every unallocated hint is a NOP too. */
export const system: readonly Instruction[] = [
  instruction({
    name: 'HINT_HM_hints',
    pattern: '1101010100 0 00 011 0010 imm7:7 11111',
    operands: { hint: immediate(unsigned('imm7', 7, 32)) },
    text: 'hint {hint}',
    semantics: () => undefined,
  }),
];
