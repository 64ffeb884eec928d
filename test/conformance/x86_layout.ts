/** What the programs that run random x86-64 instructions have in common: the runner on the host, the definitions, and the engine. */
import type * as x86_64 from '../../src/isa/x86_64/index.js';

/** See x86_runner.c. */
export const codeStart = 0x10000000n;
export const start = codeStart + 0xfc0n;
export const memoryStart = 0x20000000n;
export const memoryBytes = 0x10000;
export const gsBase = 0x40n;
/** How many bytes from the first changed one on are compared. */
export const diffBytes = 96;
/** The offset in memory from which it is read-only, where it is. */
export const readOnlyFrom = memoryBytes / 2;

/** The contents of memory before each case. */
export const pattern = Uint8Array.from({ length: memoryBytes }, (_, at) => at * 7 + (at >> 8) * 13);

export const flagPlaces = { c: 0, p: 2, a: 4, z: 6, s: 7, o: 11 } as const;
export const flagNames = Object.keys(flagPlaces) as (keyof typeof flagPlaces)[];
export const directionFlag = 0x400n;
/** RFLAGS.IF, which is set outside the kernel. */
export const interruptFlag = 0x200n;

/** The state of x87 as FXSAVE has it. */
export interface X87State {
  /** ST(0) to ST(7). */
  readonly registers: readonly (readonly [mantissa: bigint, exponent: number])[];
  readonly control: number;
  readonly status: number;
  /** A bit for each physical register: whether it is not empty. */
  readonly tags: number;
  /** 11 bits of the last opcode; where it is, and its operand. 0 where no exception is pending. */
  readonly opcode: number;
  readonly instruction: bigint;
  readonly operand: bigint;
}

/** An instruction and the state that it runs from, in user code. */
export interface Case {
  readonly mode: 64 | 32;
  readonly bytes: Uint8Array;
  readonly instruction: x86_64.X86Instruction;
  readonly fields: x86_64.Fields;
  readonly registers: readonly bigint[];
  readonly flags: bigint;
  readonly vectors: readonly bigint[];
  readonly mxcsr: number;
  readonly x87: X87State;
  /** Whether the upper half of memory is read-only. */
  readonly readOnly: boolean;
}

/** The exception that ended a case; its error code and CR2 where it has them. */
export interface Fault {
  readonly vector: number;
  readonly errorCode: number | null;
  readonly address: bigint | null;
}

/** What a case led to. */
export interface Outcome {
  /** Null where the instruction was done, or the clock ended it. */
  readonly fault: Fault | null;
  readonly registers: readonly bigint[];
  readonly flags: bigint;
  readonly pc: bigint;
  readonly vectors: readonly bigint[];
  readonly mxcsr: number;
  /** Null where nothing is known of it. */
  readonly x87: X87State | null;
  /** Offsets of the first and the last changed byte of memory; `first` is greater where there is none. */
  readonly first: number;
  readonly last: number;
  /** The changed bytes and those between them, `diffBytes` at most. */
  readonly changed: readonly number[];
  /** Whether it is an instruction that jumps to itself without end. */
  readonly endless: boolean;
}

export const vectors = {
  divideError: 0,
  breakpoint: 3,
  stack: 12,
  protection: 13,
  page: 14,
  simd: 19,
} as const;

/** Vectors that have an error code (Intel SDM, volume 3, table 6-1). */
export const withErrorCode: ReadonlySet<number> = new Set([8, 10, 11, 12, 13, 14, 17]);

/** The parts of an outcome that describe changed memory, which is `memory` now. */
export function changesOf(memory: Uint8Array): Pick<Outcome, 'first' | 'last' | 'changed'> {
  if (Buffer.compare(memory, pattern) === 0) return { first: 1, last: 0, changed: [] };
  let [first, last] = [0, memory.length - 1];
  while (memory[first] === pattern[first]) first += 1;
  while (memory[last] === pattern[last]) last -= 1;
  return { first, last, changed: [...memory.subarray(first, Math.min(last + 1, first + diffBytes))] };
}
