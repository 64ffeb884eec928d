/** What a program may ask of a boot, and the same with everything that was left open filled in. */
import type { TraceEvent } from '../audit/index.js';
import { InputError } from '../base/index.js';
import { defaultLimits, maxVcpus } from '../boot/index.js';
import type { BootOptions, Until, WhatIf } from '../boot/index.js';

/** Guest memory in MiB, at the least and at the most, and if nothing is said. */
export const memoryMiB = { least: 16, most: 3072, usual: 512 } as const;

/** The kernel of a boot that asks for none. */
export const defaultKernel = 'debian:bookworm';

/** What to boot, and how. Everything may be left out. */
export interface BootRequest {
  /**
   * `debian:RELEASE`, `builtin`, the path of a file (an Image, packed or not, or a Debian package), or such a file's
   * bytes; `debian:bookworm` if not given.
   */
  readonly kernel?: string | Uint8Array;
  /** The path of an initial file system, or its bytes; one that looks at its CPUs and powers off if not given. */
  readonly initrd?: string | Uint8Array;
  /** The kernel's command line; `console=ttyAMA0` if not given. */
  readonly commandLine?: string;
  /** 1 to 128; 4 if not given. */
  readonly vcpus?: number;
  /** 16 to 3072; 512 if not given. */
  readonly memoryMiB?: number;
  /** Whose answers hypercalls get; 4.17 if not given. */
  readonly xen?: '4.17' | '4.18';
  /** A whole number that decides the order in which vCPUs take turns, and nothing else; 1 if not given. */
  readonly seed?: number;
  /** Whether there are a xenstore and a PV console; true if not given. */
  readonly xenstore?: boolean;
  /** Fills the kernel's records as the patch of 2016 did. */
  readonly whatIf?: WhatIf;
  /** The vCPU on which the kernel is entered, the others being off, as a crash kernel is; 0 if not given. */
  readonly entryVcpu?: number;
  /** How far the guest is to get. If not given: to power off, or with an `initrd` of the caller's to user space. */
  readonly until?: 'userspace' | 'poweroff' | RegExp;
  /** When to give up: guest time in seconds, and instructions of all vCPUs. */
  readonly limits?: { readonly guestSeconds?: number; readonly instructions?: number };
  /** The address of the Debian mirror to fetch from; DOMULATOR_MIRROR or the machine's own if not given. */
  readonly mirror?: string;
  /** Lets guest time pass no faster than the caller's, as a guest that somebody types into needs. */
  readonly realTime?: boolean;
  /**
   * Called with what the guest writes to its console, as it comes: the last that its command line names. With xenstore it has
   * two, and Linux may write the same to both.
   */
  readonly console?: (bytes: Uint8Array) => void;
  /** Called with each event that the audit will read, as it comes. */
  readonly event?: (event: TraceEvent) => void;
  /** Called with a line on what is not as it should be with an archive or the cache. */
  readonly warn?: (line: string) => void;
}

/** Everything of a boot but the bytes of its kernel and its initrd. */
export type Settled = Omit<BootOptions, 'kernel' | 'initrd'>;

function whole(what: string, value: number, low: number, high: number): number {
  if (Number.isInteger(value) && value >= low && value <= high) return value;
  throw new InputError(`${what} is a whole number from ${low} to ${high}, not ${value}`);
}

function untilOf({ until, initrd }: BootRequest): Until {
  if (until instanceof RegExp) return { kind: 'line', pattern: until };
  return { kind: until ?? (initrd === undefined ? 'poweroff' : 'userspace') };
}

const most = { guestSeconds: 1_000_000, instructions: 1e15 } as const;

function limitsOf({ limits = {} }: BootRequest, vcpus: number): BootOptions['limits'] {
  const { guestSeconds, instructions } = limits;
  const usual = defaultLimits(vcpus);
  return {
    guestNs:
      guestSeconds === undefined
        ? usual.guestNs
        : BigInt(whole('the limit of guest seconds', guestSeconds, 1, most.guestSeconds)) * 1_000_000_000n,
    instructions:
      instructions === undefined
        ? usual.instructions
        : whole('the limit of instructions', instructions, 1, most.instructions),
  };
}

/** `request` with everything filled in. Throws InputError when it asks for what there cannot be. */
export function settle(request: BootRequest): Settled {
  const vcpus = whole('the number of vCPUs', request.vcpus ?? 4, 1, maxVcpus);
  const { least, usual } = memoryMiB;
  return {
    commandLine: request.commandLine ?? 'console=ttyAMA0',
    vcpus,
    memoryMiB: whole('the guest’s memory in MiB', request.memoryMiB ?? usual, least, memoryMiB.most),
    release: request.xen ?? '4.17',
    seed: whole('the seed', request.seed ?? 1, 0, Number.MAX_SAFE_INTEGER),
    xenstore: request.xenstore ?? true,
    whatIf: request.whatIf ?? null,
    entryVcpu: whole('the vCPU to enter on', request.entryVcpu ?? 0, 0, vcpus - 1),
    until: untilOf(request),
    limits: limitsOf(request, vcpus),
  };
}
