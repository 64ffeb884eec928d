/** What a boot is asked for. */
import { InputError } from '../base/index.js';

/** What to do to the kernel's records, to see what would be if they were filled as the patch of 2016 once filled them. */
export type WhatIf = 'as-posted' | 'as-tested';

/** How far the guest is asked to get. */
export type Until =
  | { readonly kind: 'userspace' }
  | { readonly kind: 'poweroff' }
  /** A line of its console that matches. */
  | { readonly kind: 'line'; readonly pattern: RegExp };

/** A kernel, ready to be loaded. */
export interface BootKernel {
  /** What the user calls it: `debian:bookworm`, a file's name. */
  readonly name: string;
  /** What it calls itself, as `6.1.0-56-arm64`; null when it does not say. */
  readonly version: string | null;
  /** SHA-256 of the kernel as it was given, 64 hex digits. */
  readonly sha256: string;
  /** The unpacked arm64 Image. */
  readonly image: Uint8Array;
  /** How far from a 2 MiB boundary it is loaded, and what it takes from there on, in bytes. */
  readonly textOffset: number;
  readonly memoryBytes: number;
}

/** What a guest's user space is asked to run; one of the two is null. */
export interface BootCommand {
  /** The command and its arguments. */
  readonly argv: readonly string[] | null;
  /** The name of a script's file. */
  readonly script: string | null;
}

export interface BootOptions {
  readonly kernel: BootKernel;
  readonly initrd: Uint8Array | null;
  /** The kernel's command line. */
  readonly commandLine: string;
  readonly vcpus: number;
  readonly memoryMiB: number;
  readonly release: '4.17' | '4.18';
  /** Decides in which order vCPUs take turns, and nothing else. */
  readonly seed: number;
  readonly xenstore: boolean;
  readonly whatIf: WhatIf | null;
  /** The vCPU on which the kernel is entered, the others being off. */
  readonly entryVcpu: number;
  readonly until: Until;
  /** Run by a first process of our own, which the initrd holds (guest_init). None: the initrd does as it likes. */
  readonly command?: BootCommand | null;
  /** When to give up. */
  readonly limits: { readonly instructions: number; readonly guestNs: bigint };
}

/**
 * The most bytes of a command line that arm64 Linux reads: COMMAND_LINE_SIZE less the 0 at its end (Linux
 * arch/arm64/include/uapi/asm/setup.h). It drops what is beyond them without a word.
 */
export const mostCommandLineBytes = 2047;

/** Throws {@link InputError} when a kernel would not get all of `commandLine`. */
export function checkCommandLine(commandLine: string): void {
  // A character is one byte: others are refused when the device tree is made.
  const bytes = commandLine.length;
  if (bytes <= mostCommandLineBytes) return;
  throw new InputError(
    `the command line has ${bytes} bytes; arm64 Linux reads ${mostCommandLineBytes} and silently drops the rest`,
  );
}

/** Instructions that every guest is given, and those for each of its vCPUs. */
const usualInstructions = { each: 3_000_000_000, perVcpu: 500_000_000 } as const;
/** Guest time in which nobody runs, beside that in which somebody does: an instruction takes 1 ns. */
const idleNs = 30_000_000_000n;

/** The limits that a guest of so many vCPUs is given unless it is said otherwise: ample for a stock kernel's boot. */
export function defaultLimits(vcpus: number): BootOptions['limits'] {
  const instructions = usualInstructions.each + usualInstructions.perVcpu * vcpus;
  return { instructions, guestNs: BigInt(instructions) + idleNs };
}
