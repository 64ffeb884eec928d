/** What an architecture adds to the first process: its code, and how the kernel keeps the registers of a system call. */
import type { Assembled } from '../isa/index.js';
import { assembledCode } from './arm64/code.js';
import { savedWords, statusIn } from './arm64/saved_registers.js';

export interface InitArchitecture {
  /** ELF's e_machine. */
  readonly elfMachine: number;
  /** The code at its address, with space for the file's headers before it and the parameters after it. */
  assembledCode(): Assembled;
  /** Size of the saved registers that are looked at, in words of 8 bytes. */
  readonly savedWords: number;
  /**
   * The command's wait status, if the words are the saved registers of the first process's power-off call; null if they are
   * something else.
   */
  statusIn(word: (index: number) => bigint): number | null;
}

/** By Debian's name of the architecture. */
export const architectures = {
  arm64: { elfMachine: 183, assembledCode, savedWords, statusIn },
} as const satisfies Readonly<Record<string, InitArchitecture>>;

export type ArchitectureName = keyof typeof architectures;

/** Whether the first process can be built for an architecture. */
export function isInitArchitecture(name: string): name is ArchitectureName {
  return Object.hasOwn(architectures, name);
}
