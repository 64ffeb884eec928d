/**
 * The registers that an arm64 Linux saves on the kernel stack for a system call: struct pt_regs, which begins with
 * uapi/asm/ptrace.h's user_pt_regs (X0 to X30, SP, PC, PSTATE).
 */
import { assembledCode, powerOffCall } from './code.js';

/** Indexes in user_pt_regs, in units of 8 bytes. */
const place = { pc: 32, pstate: 33, end: 34 } as const;
/** Number of 8-byte words that {@link statusIn} reads. */
export const savedWords = place.end;
/** PSTATE.M: EL0 in AArch64 state. */
const modeMask = 0x1fn;
const mask32 = 0xffff_ffffn;

let knownReturn: bigint | undefined;

/** The PC saved by the power-off call. */
function returnAddress(): bigint {
  knownReturn ??= BigInt(assembledCode().symbols.get('power_off_return') ?? 0);
  return knownReturn;
}

/** The wait status in the registers of the first process's power-off call; null if the words are something else. */
export function statusIn(word: (index: number) => bigint): number | null {
  const isPowerOff =
    word(4) === powerOffCall.tag &&
    word(1) === BigInt(powerOffCall.magic2) &&
    word(2) === BigInt(powerOffCall.command) &&
    word(8) === BigInt(powerOffCall.number) &&
    word(6) === BigInt.asUintN(64, ~word(5)) &&
    (word(place.pstate) & modeMask) === 0n &&
    word(place.pc) === returnAddress();
  return isPowerOff ? Number(word(5) & mask32) : null;
}
