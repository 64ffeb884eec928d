/**
 * The registers that an arm64 Linux saves on the kernel stack for a system call: struct pt_regs, which begins with
 * uapi/asm/ptrace.h's user_pt_regs (X0 to X30, SP, PC, PSTATE).
 */
import type { SavedRegisters } from '../architecture.js';

const pstate = 33;
/** PSTATE.M: EL0 in AArch64 state. */
const modeMask = 0x1fn;

/** X0 is not among them, because the answer of the call is written there. X6 has the complement. */
export const savedRegisters: SavedRegisters = {
  words: 34,
  magic2: 1,
  command: 2,
  tag: 4,
  status: 5,
  complement: 6,
  number: 8,
  pc: 32,
  isUser: (word) => (word(pstate) & modeMask) === 0n,
};
