/**
 * Reads the command's wait status when the guest powers off. The first process passes it in registers of its last
 * system call, reboot(2). Linux saves the registers of a system call at the top of the calling process's kernel stack
 * (struct pt_regs), and makes the power-off call to the hypervisor on the same stack. Text that a program prints cannot get there. A program that is
 * permitted to call reboot(2) can imitate the report, if it makes exactly this call from the same address.
 */
import { architectures } from './architecture.js';
import type { ArchitectureName } from './architecture.js';

/** How a process ended: with an exit code, or killed by a signal. */
export type CommandEnd =
  { readonly exitCode: number; readonly signal: null } | { readonly exitCode: null; readonly signal: number };

/**
 * Maximum size of a kernel stack. A stack does not cross a multiple of it (Linux arch/arm64/include/asm/memory.h,
 * THREAD_SIZE).
 */
export const stackSearchBytes = 0x1_0000;

/** Decodes a wait status (wait(2)). */
function endOf(status: number): CommandEnd {
  const signal = status & 0x7f;
  return signal === 0 ? { exitCode: (status >>> 8) & 0xff, signal: null } : { exitCode: null, signal };
}

/**
 * How the command ended, read from the kernel stack of a guest of `architecture`, starting at its stack pointer; null when it
 * was not the first process that powered off.
 */
export function commandEndOf(stack: Uint8Array, architecture: ArchitectureName): CommandEnd | null {
  const { savedWords, statusIn } = architectures[architecture];
  const view = new DataView(stack.buffer, stack.byteOffset, stack.length);
  for (let at = 0; at + 8 * savedWords <= stack.length; at += 8) {
    const word = (index: number): bigint => view.getBigUint64(at + 8 * index, true);
    const status = statusIn(word);
    if (status !== null) return endOf(status);
  }
  return null;
}
