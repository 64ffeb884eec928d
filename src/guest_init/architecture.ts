/** What an architecture adds to the first process: its code, and how the kernel keeps the registers of a system call. */
import type { Assembled } from '../isa/index.js';

/** Reads a word of 8 bytes of what may be saved registers, by its index. */
export type Word = (index: number) => bigint;

/**
 * Where Linux keeps the registers of the power-off call (struct pt_regs), as indexes of words of 8 bytes. A register of a call that
 * the kernel changes is not among them.
 */
export interface SavedRegisters {
  /** Size of what is looked at. */
  readonly words: number;
  /** The second and the third argument: a magic number and the command. */
  readonly magic2: number;
  readonly command: number;
  /** The fifth and the sixth argument: a tag, and the command's wait status. */
  readonly tag: number;
  readonly status: number;
  /** Another register, with the complement of the status. */
  readonly complement: number;
  /** The number of the call. */
  readonly number: number;
  /** The address behind the call. */
  readonly pc: number;
  /** Whether the registers are those of a user program. */
  readonly isUser: (word: Word) => boolean;
}

export interface InitArchitecture {
  /** ELF's e_machine. */
  readonly elfMachine: number;
  /**
   * The code at its address, with space for the file's headers before it and the parameters after it. Its label
   * `power_off_return` is behind the power-off call.
   */
  readonly assembledCode: () => Assembled;
  /** The number of the system call reboot. */
  readonly powerOffNumber: number;
  readonly savedRegisters: SavedRegisters;
}

/** How the first process of each architecture is loaded, so that a guest of one does not load what is for another. */
const loaders = {
  arm64: async () => (await import('./arm64/index.js')).arm64,
  amd64: async () => (await import('./x86_64/index.js')).x86_64,
} as const satisfies Readonly<Record<string, () => Promise<InitArchitecture>>>;

/** The first process for an architecture, by Debian's name of it. */
export async function loadInitArchitecture(name: keyof typeof loaders): Promise<InitArchitecture> {
  return await loaders[name]();
}
