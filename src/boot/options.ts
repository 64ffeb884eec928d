/** What a boot is asked for. */

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
  /** When to give up. */
  readonly limits: { readonly instructions: number; readonly guestNs: bigint };
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
