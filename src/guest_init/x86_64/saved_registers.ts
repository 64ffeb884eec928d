/**
 * The registers that an x86-64 Linux saves on the kernel stack for a system call: struct pt_regs (arch/x86/include/asm/ptrace.h),
 * from R15 to SS.
 */
import type { SavedRegisters } from '../architecture.js';

/** The selector of the code that made the call. Its lowest two bits are the privilege level. */
const cs = 17;

/** RBP has the complement. RAX is not among them, because the answer of the call is written there; orig_ax has the number. */
export const savedRegisters: SavedRegisters = {
  words: 21,
  magic2: 13,
  command: 12,
  tag: 9,
  status: 8,
  complement: 4,
  number: 15,
  pc: 16,
  isUser: (word) => (word(cs) & 3n) === 3n,
};
