/**
 * Reads the command's wait status when the guest powers off. The first process passes it in registers of its last
 * system call, reboot(2). Linux saves the registers of a system call at the top of the calling process's kernel stack
 * (struct pt_regs), and makes the power-off call to the hypervisor on the same stack. Text that a program prints cannot get there. A program that is
 * permitted to call reboot(2) can imitate the report, if it makes exactly this call from the same address.
 */
import type { InitArchitecture, Word } from './architecture.js';
import { powerOff } from './calls.js';

/** How a process ended: with an exit code, or killed by a signal. */
export type CommandEnd =
  { readonly exitCode: number; readonly signal: null } | { readonly exitCode: null; readonly signal: number };

/**
 * Maximum size of a kernel stack. A stack does not cross a multiple of it (THREAD_SIZE in Linux arch/arm64/include/asm/memory.h and
 * arch/x86/include/asm/page_64_types.h).
 */
export const stackSearchBytes = 0x1_0000;

/** Decodes a wait status (wait(2)). */
function endOf(status: number): CommandEnd {
  const signal = status & 0x7f;
  return signal === 0 ? { exitCode: (status >>> 8) & 0xff, signal: null } : { exitCode: null, signal };
}

/** The address behind the power-off call, by architecture. */
const returnAddresses = new Map<InitArchitecture, bigint>();

function returnAddressOf(architecture: InitArchitecture): bigint {
  const known = returnAddresses.get(architecture);
  if (known !== undefined) return known;
  const address = BigInt(architecture.assembledCode().symbols.get('power_off_return') ?? 0);
  returnAddresses.set(architecture, address);
  return address;
}

/** The wait status in the saved registers of the first process's power-off call; null if the words are something else. */
function statusIn(word: Word, architecture: InitArchitecture): number | null {
  const { savedRegisters: at, powerOffNumber } = architecture;
  const isPowerOff =
    word(at.tag) === powerOff.tag &&
    word(at.magic2) === BigInt(powerOff.magic2) &&
    word(at.command) === BigInt(powerOff.command) &&
    word(at.number) === BigInt(powerOffNumber) &&
    word(at.complement) === BigInt.asUintN(64, ~word(at.status)) &&
    at.isUser(word) &&
    word(at.pc) === returnAddressOf(architecture);
  return isPowerOff ? Number(BigInt.asUintN(32, word(at.status))) : null;
}

/**
 * How the command ended, read from the kernel stack of a guest of `architecture`, starting at its stack pointer; null when it
 * was not the first process that powered off.
 */
export function commandEndOf(stack: Uint8Array, architecture: InitArchitecture): CommandEnd | null {
  const { words } = architecture.savedRegisters;
  const view = new DataView(stack.buffer, stack.byteOffset, stack.length);
  for (let at = 0; at + 8 * words <= stack.length; at += 8) {
    const status = statusIn((index) => view.getBigUint64(at + 8 * index, true), architecture);
    if (status !== null) return endOf(status);
  }
  return null;
}
