/** The modes of an x86-64 CPU, the layout of its register file, and its state slots. */
import { floatState } from '../state.js';

/** The size of code in bits: CS.L and CS.D. It decides how bytes are decoded; the privilege level does not. */
export const modes = [16, 32, 64] as const;
export type Mode = (typeof modes)[number];

/** The general registers, by number. */
export const registerNames = [
  'rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi',
  'r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15',
] as const; // prettier-ignore

export type RegisterName = (typeof registerNames)[number];

export function registerNumber(name: RegisterName): number {
  return registerNames.indexOf(name);
}

export const [low8, high8] = [
  ['al', 'cl', 'dl', 'bl', 'ah', 'ch', 'dh', 'bh'],
  ['spl', 'bpl', 'sil', 'dil'],
];

/** The name of a register, as AT&T syntax has it. `hasRex` tells SPL from AH. */
export function registerName(number: number, bits: number, hasRex = true): string {
  const name = registerNames[number] ?? '?';
  if (bits === 64) return name;
  if (number >= 8) return `${name}${{ 8: 'b', 16: 'w', 32: 'd' }[bits] ?? ''}`;
  if (bits === 32) return `e${name.slice(1)}`;
  if (bits === 16) return name.slice(1);
  return (hasRex && number >= 4 ? high8[number - 4] : low8[number]) ?? '?';
}

/**
 * The indexes of the register file after RAX to R15. `zero` reads as 0. `nextInstruction` reads as the address of the next
 * instruction: it is the base of RIP-relative addresses. Nothing writes these.
 */
export const registerFile = { zero: 16, nextInstruction: 17, fsBase: 18, gsBase: 19, places: 20 } as const;

/** The segment registers, by number. */
export const segmentNames = ['es', 'cs', 'ss', 'ds', 'fs', 'gs'] as const;
export const segments = { es: 0, cs: 1, ss: 2, ds: 3, fs: 4, gs: 5 } as const;

/** The bits of RFLAGS that the state slot `flags` holds: all but the six arithmetic flags. */
export const systemFlags = {
  trap: 1n << 8n,
  interrupt: 1n << 9n,
  direction: 1n << 10n,
  alignmentCheck: 1n << 18n,
} as const;

/** State slots. */
export const x86State = {
  ...floatState,
  /** RFLAGS without the arithmetic flags. */
  flags: 2,
  /** CPL. */
  privilege: 3,
  /** The bits of RSP that are the stack pointer: 16, 32 or 64 ones, by the mode and SS.B. */
  stackMask: 4,
  /** Not 0 while an interrupt or the like waits for RFLAGS.IF. */
  pendingInterrupt: 5,
  /** The selectors of ES, CS, SS, DS, FS and GS: six slots. */
  selectors: 6,
  /**
   * How the time-stamp counter goes on within a time slice, in millionths of a tick for each instruction; 0 if RDTSC is to ask the
   * host.
   */
  timestampRate: 12,
  /** The counter when the slice began: ticks, and millionths of a tick. */
  timestampTicks: 13,
  timestampPart: 14,
  /** Not 0 while an exception of x87 that is not masked is pending. */
  x87Pending: 15,
  /** Which x87 instruction runs, as `x87Opcode` says, and the address of its operand in memory, which may include a base. */
  x87Opcode: 16,
  x87Operand: 17,
  places: 18,
} as const;
