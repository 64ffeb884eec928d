/** The options of a boot. */
import type { XenRelease } from '../abi/index.js';
import { InputError } from '../base/index.js';
import type { KernelPlacement } from '../firmware/index.js';
import type { CpuModel } from '../machine/index.js';
import type { KernelImage } from './kernel_image.js';

/** How to change the kernel's records, to show what happens if they are filled in another way than with the vCPU's id. */
export type WhatIf = (typeof whatIfs)[number];
/**
 * The ways in which the records can be changed: those of the posted patch and of the tested one, which did not set all of them in
 * time on Arm; that of kernels before the patch, which passed CPU numbers as vCPU ids; and x86's APIC ids, or their halves, for vCPU ids:
 * Xen 4.17 gives each vCPU twice its id.
 */
export const whatIfs = ['as-posted', 'as-tested', 'before-the-patch', 'apic-id', 'apic-id-half'] as const;

/**
 * What the toolstack does when a kernel hands over to the next one. `xl`: as xl with Xen 4.17 and 4.18. On Arm, where Linux does not ask
 * for a soft reset and Xen has none, that is nothing; on x86 it resets an HVM guest and destroys a PVH guest. `ideal`: it resets an
 * Arm or PVH guest as well, which no toolstack does.
 */
export type Toolstack = (typeof toolstacks)[number];
/** The toolstacks that can be chosen. */
export const toolstacks = ['xl', 'ideal'] as const;

/**
 * The kind of an x86 guest. `pvh`: libxl enters its kernel, and it has no devices but those of Xen. `hvm`: it is a PC with firmware and a
 * device model, whose kernel uses Xen's interfaces (PVHVM).
 */
export type GuestType = (typeof guestTypes)[number];
/** The kinds that can be chosen. */
export const guestTypes = ['pvh', 'hvm'] as const;

export type { CpuModel };

/** The models that can be chosen. */
export const cpuModels = ['minimal', 'v2'] as const satisfies readonly CpuModel[];

/** The model of CPUs for which none is chosen. */
export const defaultCpuModel: CpuModel = 'minimal';

/**
 * What the toolstack does when an amd64 guest asks for a soft reset, to go on in another kernel. `soft-reset`: as it is asked, as xl does
 * by default (`on_soft_reset="soft-reset"`), for HVM guests only. `destroy`: it destroys the domain.
 */
export type OnSoftReset = (typeof onSoftResets)[number];
/** What can be chosen for a guest that asks for a soft reset. */
export const onSoftResets = ['soft-reset', 'destroy'] as const;

/**
 * What the toolstack does when the guest asks for a reboot. `end`: the run ends. `restart`: it destroys the domain and creates another
 * one with the same configuration, as xl does by default (`on_reboot="restart"`); the run goes on in its kernel.
 */
export type OnReboot = (typeof onReboots)[number];
/** What can be chosen for a guest that asks for a reboot. */
export const onReboots = ['end', 'restart'] as const;

/** Who unpacks the bzImage of an HVM guest: the host, or its own code, which may move the kernel (KASLR). */
export const unpacks = ['host', 'guest'] as const;
/** One of {@link unpacks}. */
export type Unpack = (typeof unpacks)[number];

/** The goal of the run. */
export type Until =
  | { readonly kind: 'userspace' }
  | { readonly kind: 'poweroff' }
  /** A line of its console that matches. */
  | { readonly kind: 'line'; readonly pattern: RegExp };

/** A kernel, ready to be loaded. */
export interface BootKernel {
  /** The user's name for it: `debian:bookworm`, or a file's name. */
  readonly name: string;
  /** The version that it contains, such as `6.1.0-56-arm64`; null if there is none. */
  readonly version: string | null;
  /** SHA-256 of the kernel as it was given, 64 hex digits. */
  readonly sha256: string;
  /** The unpacked image. */
  readonly image: Uint8Array | KernelImage;
  /** Its size in memory from its first byte on, in bytes. */
  readonly memoryBytes: number;
  /** Its architecture, and where it must lie in memory. */
  readonly placement: KernelPlacement;
  /** The bzImage, where the guest is to unpack it and is yet to be built. */
  readonly packed?: Uint8Array;
}

/** The command or script for the guest's user space; one of the two is null. */
export interface BootCommand {
  /** The command and its arguments. */
  readonly argv: readonly string[] | null;
  /** The name of a script's file. */
  readonly script: string | null;
}

/** Everything on which a run depends. The same options give the same run. */
export interface BootOptions {
  readonly kernel: BootKernel;
  /** The file that the bootloader would load beside the kernel; null for none. */
  readonly initrd: Uint8Array | null;
  /** The kernel's command line. */
  readonly commandLine: string;
  readonly vcpus: number;
  readonly memoryMiB: number;
  readonly release: XenRelease;
  /** Seed of the lengths of the vCPUs' time slices; nothing else depends on it. */
  readonly seed: number;
  readonly xenstore: boolean;
  /** Of an x86 guest (default: `pvh`). */
  readonly type?: GuestType;
  /** Of an x86 guest (default: `minimal`). */
  readonly cpu?: CpuModel;
  /** Default: `xl`. */
  readonly toolstack?: Toolstack;
  /** Of an x86 guest (default: `soft-reset`). */
  readonly onSoftReset?: OnSoftReset;
  /** Default: `host`. With `guest`, the kernel has the packed file when the guest is built. */
  readonly unpack?: Unpack;
  /** Default: `end`. */
  readonly onReboot?: OnReboot;
  readonly whatIf: WhatIf | null;
  /** The vCPU on which the kernel is entered; the others are off. */
  readonly entryVcpu: number;
  readonly until: Until;
  /** Run by our own first process, which is in the initrd (guest_init). Without it, the initrd runs its own first process. */
  readonly command?: BootCommand | null;
  /** When to stop the run. */
  readonly limits: { readonly instructions: number; readonly guestNs: bigint };
}

/** Those of a boot that has begun, whose guest has its initrd in memory: it is among them only where it is needed again, for a restart. */
export type BegunOptions = Omit<BootOptions, 'initrd'> & Partial<Pick<BootOptions, 'initrd'>>;

/**
 * The most bytes of a command line that Linux reads: COMMAND_LINE_SIZE less the 0 at its end (Linux
 * arch/arm64/include/uapi/asm/setup.h; the same in arch/x86/include/asm/setup.h). It silently drops the rest.
 */
export const mostCommandLineBytes = 2047;

/** Throws {@link InputError} if a kernel would not receive all of `commandLine`. */
export function checkCommandLine(commandLine: string): void {
  // Each character is one byte: others are rejected when the guest is built.
  const bytes = commandLine.length;
  if (bytes <= mostCommandLineBytes) return;
  throw new InputError(
    `the command line has ${bytes} bytes; Linux reads ${mostCommandLineBytes} and silently drops the rest`,
  );
}

/**
 * The default limits: instructions, a fixed number and a number for each vCPU; and the guest time for waiting, in addition to the
 * time for running (an instruction takes 1 ns).
 */
export const usualLimits = { instructions: 3_000_000_000, perVcpu: 500_000_000, idleSeconds: 30 } as const;

/** The default limits for a guest with that many vCPUs: more than enough to boot a stock kernel. */
export function defaultLimits(vcpus: number): BootOptions['limits'] {
  const instructions = usualLimits.instructions + usualLimits.perVcpu * vcpus;
  return { instructions, guestNs: BigInt(instructions) + BigInt(usualLimits.idleSeconds) * 1_000_000_000n };
}
