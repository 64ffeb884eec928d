/**
 * Reads the command's wait status when the guest powers off. The first process passes it in registers of its last
 * system call, reboot(2). Linux saves the registers of a system call at the top of the calling process's kernel stack
 * (struct pt_regs, which begins with uapi/asm/ptrace.h's user_pt_regs: X0 to X30, SP, PC, PSTATE), and makes the
 * power-off call to the hypervisor on the same stack. Text that a program prints cannot get there. A program that is
 * permitted to call reboot(2) can imitate the report, if it makes exactly this call from the same address.
 */
import { powerOffCall } from './arm64_code.js';
import { assembledCode } from './init_program.js';

/** How a process ended: with an exit code, or killed by a signal. */
export type CommandEnd =
  { readonly exitCode: number; readonly signal: null } | { readonly exitCode: null; readonly signal: number };

/**
 * Maximum size of a kernel stack. A stack does not cross a multiple of it (Linux arch/arm64/include/asm/memory.h,
 * THREAD_SIZE).
 */
export const stackSearchBytes = 0x1_0000;

/** Indexes in user_pt_regs, in units of 8 bytes. */
const place = { pc: 32, pstate: 33, end: 34 } as const;
/** PSTATE.M: EL0 in AArch64 state. */
const modeMask = 0x1fn;
const mask32 = 0xffff_ffffn;

let knownReturn: bigint | undefined;

/** The PC saved by the power-off call. */
function returnAddress(): bigint {
  knownReturn ??= BigInt(assembledCode().symbols.get('power_off_return') ?? 0);
  return knownReturn;
}

function isPowerOff(word: (index: number) => bigint): boolean {
  return (
    word(4) === powerOffCall.tag &&
    word(1) === BigInt(powerOffCall.magic2) &&
    word(2) === BigInt(powerOffCall.command) &&
    word(8) === BigInt(powerOffCall.number) &&
    word(6) === BigInt.asUintN(64, ~word(5)) &&
    (word(place.pstate) & modeMask) === 0n &&
    word(place.pc) === returnAddress()
  );
}

/** Decodes a wait status (wait(2)). */
function endOf(status: number): CommandEnd {
  const signal = status & 0x7f;
  return signal === 0 ? { exitCode: (status >>> 8) & 0xff, signal: null } : { exitCode: null, signal };
}

/**
 * How the command ended, read from the kernel stack, starting at its stack pointer; null when it was not the first
 * process that powered off.
 */
export function commandEndOf(stack: Uint8Array): CommandEnd | null {
  const view = new DataView(stack.buffer, stack.byteOffset, stack.length);
  for (let at = 0; at + 8 * place.end <= stack.length; at += 8) {
    const word = (index: number): bigint => view.getBigUint64(at + 8 * index, true);
    if (isPowerOff(word)) return endOf(Number(word(5) & mask32));
  }
  return null;
}
