/** The request for a boot, and the same request with all defaults filled in. */
import type { TraceEvent } from '../audit/index.js';
import { InputError } from '../base/index.js';
import { checkCommandLine, defaultArchitecture, defaultLimits } from '../boot/index.js';
import type {
  Architecture,
  BootCommand,
  BootOptions,
  CpuModel,
  EngineKind,
  GuestType,
  OnReboot,
  OnSoftReset,
  Unpack,
  Until,
  WhatIf,
} from '../boot/index.js';
import { checkMirror } from '../kernel_source/index.js';
import type { KernelSpec } from '../kernel_source/index.js';
import type { Checkpoint } from './checkpoint.js';
import { commandLineOf, commandOf } from './guest_command.js';
import {
  architectureNames,
  defaultXenRelease,
  memoryMiB,
  runLimits,
  seeds,
  vcpuCount,
  whatIfsOf,
} from './limits.js';
import type { Range, XenRelease } from './limits.js';
import { checkKinds } from './request_types.js';

/** What to boot, and how. All fields are optional. */
export interface BootRequest {
  /**
   * A checkpoint to go on from, instead of a kernel: what `run.checkpoint()` gave, or the path or the bytes of a file with it. Only
   * `seed`, `engine`, `until`, `limits`, `command`, `script`, `realTime` and the listeners can be given with it; without them, those of the checkpoint's
   * run hold. Limits count from the guest's start. Another seed draws the lengths of time slices from then on. A command
   * or a script can be given if the guest was booted with one that has not begun.
   */
  readonly from?: string | Uint8Array | Checkpoint;
  /**
   * Kernel to boot: `debian:RELEASE[/FLAVOUR][=VERSION]`, `builtin`, the path of a file (an Image, packed or not, a bzImage, or a
   * Debian package), such a file's bytes, or what `parseKernelSpec` gives (default: `debian:bookworm`).
   */
  readonly kernel?: string | Uint8Array | KernelSpec;
  /**
   * Architecture of the guest: `arm64` or `aarch64`, `amd64` or `x86_64` (default: that of the kernel's file; arm64 for a kernel
   * that is named).
   */
  readonly arch?: keyof typeof architectureNames;
  /** Kind of an amd64 guest: `pvh` or `hvm`, a PC whose kernel uses Xen's interfaces (default: `pvh`). */
  readonly type?: GuestType;
  /**
   * Model of an amd64 guest's CPUs: `minimal`, the least that Debian's kernels need, or `v2`, which has the instructions of the level
   * x86-64-v2 and what kernels of today expect beside them (default: `minimal`).
   */
  readonly cpu?: CpuModel;
  /** Initial file system: its path or its bytes (default: a busybox that shows its CPUs and powers off). */
  readonly initrd?: string | Uint8Array;
  /** Kernel command line, 2047 bytes at most (default: `console=ttyAMA0`; on amd64 `console=hvc0`). */
  readonly commandLine?: string;
  /** Number of vCPUs, 1-128 (default: 4). */
  readonly vcpus?: number;
  /** Guest memory in MiB, 16-3072 (default: 512). */
  readonly memoryMiB?: number;
  /** Xen release to emulate (default: 4.17). */
  readonly xen?: XenRelease;
  /**
   * What runs the guest's instructions: `interpreter` (the default); `compiler`, which is for arm64 guests and faster where they run long;
   * or `check`, which holds what is compiled against the interpreter and throws where they differ. The run is the same either way.
   */
  readonly engine?: EngineKind;
  /** Seed of the vCPU schedule, a whole number (default: 1). It decides the length of time slices and nothing else. */
  readonly seed?: number;
  /** Whether the guest has a xenstore and a PV console (default: true). */
  readonly xenstore?: boolean;
  /**
   * What becomes of a guest that asks for a reboot (default: `end`): the run ends, or it goes on in a new domain with the same
   * configuration, as xl restarts it. A run is followed into eight kernels at most; its limits count over all of them.
   */
  readonly onReboot?: OnReboot;
  /**
   * What the toolstack does when an amd64 guest asks for a soft reset, to go on in another kernel (default: `soft-reset`): it tries to
   * do that, as xl does for HVM guests only, or it destroys the domain.
   */
  readonly onSoftReset?: OnSoftReset;
  /**
   * Who unpacks the bzImage of a guest of type hvm (default: `host`). A `guest` runs the code with which the file begins, which moves the
   * kernel to a random address if it is built for that (KASLR); it takes thousands of millions of instructions.
   */
  readonly unpack?: Unpack;
  /**
   * Fills the kernel's vCPU id records in another way (default: does not change them). On arm64 `as-posted` and `as-tested`, as the
   * 2016 patch did; on amd64 `before-the-patch`, with CPU numbers, or `apic-id` and `apic-id-half`, with those ids.
   */
  readonly whatIf?: WhatIf;
  /** The vCPU on which the kernel is entered while the others are off, as a crash kernel is (default: 0). */
  readonly entryVcpu?: number;
  /** Goal of the run (default: `poweroff`; with an `initrd`, `userspace`). A RegExp matches a line of its console. */
  readonly until?: 'userspace' | 'poweroff' | RegExp;
  /**
   * A command and its arguments, which the guest's user space runs before it powers off. Its standard input is empty, and its
   * output goes to the console. Processes that it leaves running are killed.
   */
  readonly command?: readonly string[];
  /** A script to run in the same way: a file's path or its bytes. Its #! line names the interpreter (default: a shell). */
  readonly script?: string | Uint8Array;
  /** Limits of the run: seconds of guest time, and instructions of all vCPUs. */
  readonly limits?: { readonly guestSeconds?: number; readonly instructions?: number };
  /** URL of the Debian mirror (default: DOMULATOR_MIRROR, else the one in this machine's apt sources). */
  readonly mirror?: string;
  /** Paces guest time by the host's clock, for interactive use (default: false). */
  readonly realTime?: boolean;
  /**
   * Called with the output of the guest's console (the last one that its command line names), as it comes. With xenstore the guest
   * has two consoles, and Linux may write the same to both.
   */
  readonly console?: (bytes: Uint8Array) => void;
  /** Called with each event that the audit will read, as it comes. */
  readonly event?: (event: TraceEvent) => void;
  /** Called with a one-line warning about an archive or the cache. */
  readonly warn?: (line: string) => void;
}

/** All settings of a boot except the bytes of its kernel and its initrd. */
export type Settled = Omit<BootOptions, 'kernel' | 'initrd'>;

function whole(what: string, value: number, { least, most }: Omit<Range, 'usual'>): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new InputError(`${what} must be a whole number from ${least} to ${most}, not ${value}`);
}

/** What the builtin kernel has no use for is refused, because it was probably meant for another kernel. */
function checkBuiltin({ initrd, mirror }: BootRequest, { kind }: KernelSpec): void {
  if (kind !== 'builtin') return;
  if (initrd !== undefined) throw new InputError('the builtin guest takes no initrd; leave it out');
  if (mirror !== undefined) throw new InputError('the builtin guest needs no mirror; leave it out');
}

/** The architecture that `request` asks for; null if it leaves that to the kernel. */
export function architectureAsked({ arch }: Pick<BootRequest, 'arch'>): Architecture | null {
  return arch === undefined ? null : architectureNames[arch];
}

/** Throws InputError unless guests of that architecture have a type or a model of CPU, or ask for a soft reset, if that was asked for. */
export function checkType(architecture: Architecture, { type, cpu, onSoftReset }: BootRequest): void {
  if (architecture === 'amd64') return;
  if (type !== undefined)
    throw new InputError(
      `an ${architecture} guest of Xen has no type; leave out the type, or give the architecture amd64`,
    );
  if (cpu !== undefined)
    throw new InputError(
      `an ${architecture} guest has one model of CPU, a Cortex-A57; leave out the model, or give the architecture amd64`,
    );
  if (onSoftReset !== undefined)
    throw new InputError(
      `an ${architecture} guest asks for no soft reset; leave out what to do then, or give the architecture amd64`,
    );
}

/** Throws InputError if no such engine runs guests of that architecture. */
export function checkEngine(architecture: Architecture, { engine }: BootRequest): void {
  if (engine === undefined || engine === 'interpreter' || architecture === 'arm64') return;
  throw new InputError(
    `the engine ${engine} runs arm64 guests only; leave the engine out for an ${architecture} guest`,
  );
}

function whyNoWhatIf(architecture: Architecture, whatIf: WhatIf): string {
  const possible = whatIfsOf[architecture].join(' or ');
  if (whatIf === 'before-the-patch')
    return `changes nothing on ${architecture}, whose kernels record CPU numbers anyway; enter the kernel on another vCPU instead`;
  return architecture === 'arm64'
    ? `is for amd64 guests, which have APIC ids; give ${possible}`
    : `is about records that the patch of 2016 set too late on Arm; ${architecture} kernels set each before its first use, so give ${possible}`;
}

/** Throws InputError if the records of such a guest cannot be filled as asked. */
export function checkWhatIf(architecture: Architecture, { whatIf }: BootRequest): void {
  if (whatIf === undefined || whatIfsOf[architecture].includes(whatIf)) return;
  throw new InputError(`what-if ${whatIf} ${whyNoWhatIf(architecture, whatIf)}`);
}

/** Throws InputError if `seed` is none. */
export function seedOf(seed: number): number {
  return whole('the seed', seed, seeds);
}

function untilOf({ until, initrd }: BootRequest, command: BootCommand | null): Until {
  if (command !== null) return { kind: 'poweroff' };
  if (until instanceof RegExp) return { kind: 'line', pattern: until };
  return { kind: until ?? (initrd === undefined ? 'poweroff' : 'userspace') };
}

/** The limits that were asked for, with those of `usual` where none were. */
export function limitsOf(
  { guestSeconds, instructions }: NonNullable<BootRequest['limits']>,
  usual: BootOptions['limits'],
): BootOptions['limits'] {
  return {
    guestNs:
      guestSeconds === undefined
        ? usual.guestNs
        : BigInt(whole('the limit of guest seconds', guestSeconds, runLimits.guestSeconds)) * 1_000_000_000n,
    instructions:
      instructions === undefined
        ? usual.instructions
        : whole('the limit of instructions', instructions, runLimits.instructions),
  };
}

/** What a limit leaves to a bzImage for unpacking itself: twice the instructions that Debian's takes (decision 23). */
export const unpackingInstructions = 10_000_000_000;

/** Limits of a run in which a bzImage unpacks itself. */
export function withUnpacking({ instructions, guestNs }: BootOptions['limits']): BootOptions['limits'] {
  return {
    instructions: instructions + unpackingInstructions,
    guestNs: guestNs + BigInt(unpackingInstructions),
  };
}

function usualLimits({ unpack }: BootRequest, vcpus: number): BootOptions['limits'] {
  const usual = defaultLimits(vcpus);
  return unpack === 'guest' ? withUnpacking(usual) : usual;
}

function checkRestart({ onReboot, whatIf }: BootRequest): void {
  if (onReboot !== 'restart' || whatIf === undefined) return;
  throw new InputError(
    'what-if is not carried on into the domain after a reboot; leave it out, or let the run end at a reboot',
  );
}

/** The type and the CPUs' model of an amd64 guest, if they were asked for. */
function typeOf({ type, cpu }: BootRequest): Pick<Settled, 'type' | 'cpu'> {
  return { ...(type === undefined ? {} : { type }), ...(cpu === undefined ? {} : { cpu }) };
}

/** Throws InputError for a guest that cannot unpack its kernel. The kernel's file is looked at when it is read. */
function unpackOf({ unpack, type, onReboot }: BootRequest): Pick<Settled, 'unpack'> {
  if (unpack !== 'guest') return {};
  if (type !== 'hvm')
    throw new InputError(
      'only a guest of type hvm unpacks its kernel; give that type, or let the host do it',
    );
  if (onReboot === 'restart')
    throw new InputError(
      'a guest that is to restart after a reboot does not unpack its kernel; let the host do it, or let the run end there',
    );
  return { unpack };
}

function softResetOf({ onSoftReset }: BootRequest): Pick<Settled, 'onSoftReset'> {
  return onSoftReset === undefined ? {} : { onSoftReset };
}

/** `request` for `kernel`, with all defaults filled in. Throws InputError if it is invalid. */
export function settle(request: BootRequest, kernel: KernelSpec): Settled {
  checkKinds(request);
  checkBuiltin(request, kernel);
  const architecture = architectureAsked(request) ?? defaultArchitecture;
  // The architecture of a file is known when it is read.
  if (request.arch !== undefined || kernel.kind === 'builtin' || kernel.kind === 'debian') {
    checkType(architecture, request);
    checkEngine(architecture, request);
    checkWhatIf(architecture, request);
  }
  checkRestart(request);
  const vcpus = whole('the number of vCPUs', request.vcpus ?? vcpuCount.usual, vcpuCount);
  const command = commandOf(request, kernel);
  const commandLine = commandLineOf(request, architecture);
  checkCommandLine(commandLine);
  if (request.mirror !== undefined) checkMirror(request.mirror);
  return {
    commandLine,
    vcpus,
    memoryMiB: whole('the guest’s memory in MiB', request.memoryMiB ?? memoryMiB.usual, memoryMiB),
    release: request.xen ?? defaultXenRelease,
    seed: seedOf(request.seed ?? seeds.usual),
    xenstore: request.xenstore ?? true,
    ...typeOf(request),
    ...softResetOf(request),
    ...unpackOf(request),
    onReboot: request.onReboot ?? 'end',
    whatIf: request.whatIf ?? null,
    entryVcpu: whole('the vCPU to enter on', request.entryVcpu ?? 0, { least: 0, most: vcpus - 1 }),
    until: untilOf(request, command),
    command,
    limits: limitsOf(request.limits ?? {}, usualLimits(request, vcpus)),
  };
}
