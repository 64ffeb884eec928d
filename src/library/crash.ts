/**
 * A crash of a guest on one vCPU after the other: one boot loads a crash kernel and is saved, and for each vCPU a copy of it goes on,
 * crashes there, and runs on in its crash kernel.
 */
import type { TraceEvent } from '../audit/index.js';
import { InputError, present } from '../base/index.js';
import {
  Boot,
  defaultArchitecture,
  defaultLimits,
  KernelImage,
  loadArchitecture,
  runsReport,
  toolstacks,
} from '../boot/index.js';
import type {
  Architecture,
  BootOptions,
  BootReport,
  ReportedRun,
  SavedBoot,
  Toolstack,
} from '../boot/index.js';
import { crashMarkers, kexecSyscalls } from '../firmware/index.js';
import type { CrashWay, KexecSyscall } from '../firmware/index.js';
import { kernelSpecOf } from '../kernel_source/index.js';
import { checkFrom, checkpointOf, errorOfRun, openCheckpoint } from './checkpoint.js';
import type { Checkpoint, CrashFacts, StartedBoot } from './checkpoint.js';
import { crashSideBySide, jobsThatFit } from './crash_pool.js';
import type { RunsHost } from './crash_pool.js';
import { crashOn, reach, watcherOf } from './crash_run.js';
import type { Crash, RunHost, WaitingGuest } from './crash_run.js';
import { commandOf, usualCommandLine } from './guest_command.js';
import { defaultKernel, jobCount, whatIfsOf } from './limits.js';
import { architectureAsked, limitsOf, settle, withUnpacking } from './request.js';
import type { BootRequest } from './request.js';
import { loadCrashSources } from './sources.js';

export type { CrashWay, KexecSyscall } from '../firmware/index.js';
export { kexecSyscalls } from '../firmware/index.js';

/** The ways in which a kernel is left for the next one. */
export const crashWays = ['sysrq', 'oops', 'nmi', 'kexec'] as const satisfies readonly CrashWay[];

/** Memory that the default command line reserves for the crash kernel. */
export const crashMemory = '192M';
/** Memory of a guest that is to crash, in MiB, unless another size is asked for. */
export const crashMemoryMiB = 768;

/**
 * What to boot, and where to crash it. All fields are optional. `command` and `script` are run in the crash kernel, where there is
 * makedumpfile beside the commands of busybox.
 */
export interface CrashRequest extends Pick<
  BootRequest,
  | 'from'
  | 'kernel'
  | 'arch'
  | 'type'
  | 'cpu'
  | 'commandLine'
  | 'vcpus'
  | 'memoryMiB'
  | 'xen'
  | 'seed'
  | 'xenstore'
  | 'onSoftReset'
  | 'unpack'
  | 'whatIf'
  | 'limits'
  | 'mirror'
  | 'warn'
  | 'command'
  | 'script'
> {
  /** The vCPUs to crash on, each in a run of its own (default: all). */
  readonly on?: readonly number[] | 'all';
  /**
   * How to leave the kernel (default: `sysrq`). `sysrq`: a panic. `oops`: an exception in the kernel that it does not expect. `nmi`: an
   * NMI from the toolstack, at which the kernel was told to panic; for amd64 guests. `kexec`: in order; Linux then moves to its first CPU, so this is one run whatever `on` says.
   */
  readonly by?: CrashWay;
  /** The kernel to go on in: a file's path or its bytes (default: the same kernel). */
  readonly crashKernel?: string | Uint8Array;
  /** Its command line (default: that of the first kernel, without crashkernel=). */
  readonly crashCommandLine?: string;
  /**
   * The system call by which kexec-tools load it (default: `kexec_load`). Of Debian's kernels those for amd64 have `kexec_file_load`, too;
   * what they load is checked when it is entered.
   */
  readonly kexecSyscall?: KexecSyscall;
  /** What the toolstack does at the jump into it (default: `xl`). */
  readonly toolstack?: Toolstack;
  /**
   * How many runs are side by side, each in a thread of its own, 1-128 (default: as many as processors and memory allow). All else is
   * the same: the report, and the calls of the functions below but for `progress`, which come run by run.
   */
  readonly jobs?: number;
  /** Called with the output of the guest's console and the number of the run; null in the boot before them. */
  readonly console?: (bytes: Uint8Array, run: number | null) => void;
  /** Called with each event that the audit will read, and the number of the run; null in the boot before them. */
  readonly event?: (event: TraceEvent, run: number | null) => void;
  /** Called now and then with how far the guest is. */
  readonly progress?: (run: number | null, instructions: number, guestTimeNs: bigint) => void;
  /** Called when a run has ended, with its number. */
  readonly ended?: (run: ReportedRun, number: number) => void;
  /** Called with the checkpoint from which all runs go on. */
  readonly checkpoint?: (checkpoint: Checkpoint) => void;
  /** Looked at between slices of the run: one line that says why to stop; null to go on. */
  readonly stopped?: () => string | null;
}

function crashCommandLineOf(
  { commandLine, crashCommandLine }: CrashRequest,
  architecture: Architecture,
): string {
  if (crashCommandLine !== undefined) return crashCommandLine;
  const words = commandLine?.split(/\s+/).filter((word) => !word.startsWith('crashkernel='));
  return words?.join(' ') ?? usualCommandLine[architecture];
}

function checkName(what: string, name: string | undefined, names: readonly string[]): void {
  if (name !== undefined && !names.includes(name))
    throw new InputError(`${what} ${names.join(' or ')}, not ${name}`);
}

function checkWords({ by, toolstack, on, crashCommandLine, kexecSyscall, jobs }: CrashRequest): void {
  if (jobs !== undefined && !(Number.isInteger(jobs) && jobs >= jobCount.least && jobs <= jobCount.most))
    throw new InputError(
      `the number of jobs must be a whole number from ${jobCount.least} to ${jobCount.most}`,
    );
  if (by !== undefined && !crashWays.includes(by))
    throw new InputError(`a crash is by ${crashWays.join(', ')}, not ${by}`);
  checkName('the toolstack is', toolstack, toolstacks);
  checkName('a kernel is loaded by', kexecSyscall, kexecSyscalls);
  if (on !== undefined && on !== 'all' && on.length === 0)
    throw new InputError('name at least one vCPU to crash on, or all');
  if (crashCommandLine !== undefined && /[^\x20-\x7e]/.test(crashCommandLine))
    throw new InputError('the command line of the crash kernel may have only printable ASCII characters');
}

/**
 * The default limits of a run: those of a boot, and on amd64, where the crash kernel unpacks itself, what that takes of a stock kernel at
 * most; twice that where the first kernel does, too.
 */
function crashLimits(
  { unpack }: CrashRequest,
  architecture: Architecture,
  vcpus: number,
): BootOptions['limits'] {
  const usual = defaultLimits(vcpus);
  if (architecture === 'arm64') return usual;
  return unpack === 'guest' ? withUnpacking(withUnpacking(usual)) : withUnpacking(usual);
}

/** Throws InputError if one of the vCPUs does not exist. */
function checkVcpus({ on = 'all' }: CrashRequest, vcpus: number): readonly number[] {
  if (on === 'all') return [...Array(vcpus).keys()];
  const wrong = on.find((vcpu) => !Number.isInteger(vcpu) || vcpu < 0 || vcpu >= vcpus);
  if (wrong !== undefined)
    throw new InputError(`the guest has no vCPU ${wrong}; it has vCPUs 0 to ${vcpus - 1}`);
  return [...new Set(on)];
}

/** Throws InputError for a way that guests of that architecture do not have. */
function checkWay({ by }: CrashRequest, architecture: Architecture): void {
  if (by === 'nmi' && architecture === 'arm64')
    throw new InputError(
      'a crash by nmi is for amd64 guests (--arch amd64): Xen on Arm sends a guest no NMI, and xl trigger is refused there',
    );
}

/** Throws InputError for a guest whose crash would tell nothing, or nothing else. */
function checkPlatform(
  { arch, type, toolstack, xenstore, onSoftReset, whatIf }: CrashRequest,
  architecture: Architecture,
): void {
  if (arch === undefined && whatIf !== undefined && whatIfsOf.amd64.includes(whatIf))
    throw new InputError(
      `what-if ${whatIf} is for crashes of amd64 guests; give the architecture (--arch amd64)`,
    );
  if (whatIf !== undefined && architecture === 'arm64')
    throw new InputError(
      'what-if is for crashes of amd64 guests: an arm64 kernel records CPU numbers anyway, and those of the patch of 2016 fail before they crash',
    );
  if (type === 'hvm' && toolstack === 'ideal')
    throw new InputError('xl resets an hvm guest already; leave out the toolstack ideal');
  if (toolstack === 'ideal' && onSoftReset === 'destroy')
    throw new InputError('the toolstack ideal resets the domain; leave it out, or the order to destroy it');
  if (architecture !== 'arm64' && xenstore === false)
    throw new InputError(
      'an amd64 guest without xenstore has no console here; let it have one, or crash an arm64 guest',
    );
}

/** A guest whose crash kernel is loaded. */
interface Loaded {
  readonly started: Pick<StartedBoot, 'options' | 'origin'>;
  readonly saved: SavedBoot;
  readonly facts: CrashFacts;
}

const isSaid = new RegExp(`^(${crashMarkers.loaded}|${crashMarkers.failed})`);

/** Boots the guest until its crash kernel is loaded. Throws InputError if that comes to nothing. */
async function load(request: CrashRequest): Promise<Loaded> {
  const spec = kernelSpecOf(request.kernel ?? defaultKernel);
  if (spec.kind === 'builtin')
    throw new InputError(
      'the builtin guest has no user space that could load a crash kernel; give another kernel',
    );
  const architecture = architectureAsked(request) ?? defaultArchitecture;
  const { commandLine = `${usualCommandLine[architecture]} crashkernel=${crashMemory}`, toolstack = 'xl' } =
    request;
  if (!/(^|\s)crashkernel=/.test(commandLine))
    throw new InputError(
      `the command line reserves no memory for a crash kernel; add crashkernel=${crashMemory} to it`,
    );
  checkWay(request, architecture);
  checkPlatform(request, architecture);
  const { memoryMiB = crashMemoryMiB } = request;
  const asked = settle({ ...bootPart(request), commandLine, memoryMiB, until: 'poweroff' }, spec);
  const limits = limitsOf(request.limits ?? {}, crashLimits(request, architecture, asked.vcpus));
  checkVcpus(request, asked.vcpus);
  const { crashKernel } = request;
  const facts: CrashFacts = {
    kernel: typeof crashKernel === 'string' ? crashKernel : null,
    commandLine: crashCommandLineOf(request, architecture),
  };
  const settled = { ...asked, limits, command: commandOf(crashPart(request, facts.commandLine), spec) };
  const { kernel, initrd, origin } = await loadCrashSources(request, spec, facts.commandLine);
  await loadArchitecture(kernel.placement.architecture);
  // One image, so that all runs share what is found in it.
  const image = KernelImage.of(kernel.image);
  const { packed, ...known } = kernel;
  const options = { ...settled, toolstack, kernel: { ...known, image } };
  const host = hostOfBoot(request);
  const loaded = packed === undefined ? options.kernel : { ...options.kernel, packed };
  const boot = new Boot({ ...options, kernel: loaded, initrd }, watcherOf(host, commandLine));
  const line = await reach(boot, isSaid, host);
  if (line === null) {
    const { outcome, ending } = boot.result();
    throw new InputError(`the guest did not come to load a crash kernel: ${outcome}: ${ending}`);
  }
  if (!line.startsWith(crashMarkers.loaded))
    throw new InputError(
      `the guest could not load the crash kernel: ${line.slice(crashMarkers.failed.length)}`,
    );
  // Without the boot, whose memory is as large as the guest's.
  const started = { options, origin };
  const saved = boot.save();
  request.checkpoint?.(checkpointOf({ ...started, script: null }, saved, facts));
  return { started, saved, facts };
}

/** The part of a request that a boot takes too. */
function bootPart({
  arch,
  type,
  cpu,
  vcpus,
  memoryMiB,
  xen,
  seed,
  xenstore,
  onSoftReset,
  unpack,
  whatIf,
  limits,
  mirror,
  warn,
}: CrashRequest): BootRequest {
  const machine = { arch, type, cpu, vcpus, memoryMiB, xen, seed, xenstore, onSoftReset, unpack };
  const given = { ...machine, whatIf, limits, mirror, warn };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

/** What the crash kernel gets to run, as a request for a boot of it would have it. */
function crashPart({ command, script }: CrashRequest, commandLine: string): BootRequest {
  return {
    commandLine,
    ...(command === undefined ? {} : { command }),
    ...(script === undefined ? {} : { script }),
  };
}

/** The guest of a checkpoint that was written when its crash kernel was loaded. */
async function reopen(from: NonNullable<CrashRequest['from']>, request: CrashRequest): Promise<Loaded> {
  const settledBefore = [
    'crashKernel',
    'crashCommandLine',
    'kexecSyscall',
    'toolstack',
    'command',
    'script',
  ] as const;
  const asked = settledBefore.find((name) => request[name] !== undefined);
  if (asked !== undefined)
    throw new InputError(
      `a crash from a checkpoint takes no ${asked}: it was settled when the guest was booted`,
    );
  const { kernel, commandLine } = request;
  checkFrom({
    ...bootPart(request),
    ...(kernel === undefined ? {} : { kernel }),
    ...(commandLine === undefined ? {} : { commandLine }),
  });
  const { options, origin, saved, crash } = await openCheckpoint(from, bootPart(request));
  if (crash === null)
    throw new InputError(
      'the guest of the checkpoint waits for no crash; write one when a crash kernel is loaded (domulator crash --checkpoint)',
    );
  return { started: { options, origin }, saved, facts: crash };
}

/** Lets the crashes run one after the other in this thread. */
async function crashInTurn(
  guest: WaitingGuest,
  crashes: readonly Crash[],
  host: RunsHost,
): Promise<ReportedRun[]> {
  const runs: ReportedRun[] = [];
  for (const [number, one] of crashes.entries()) {
    const run = await crashOn(guest, one, hostOfRun(host, number));
    runs.push(run);
    host.ended?.(run, number);
    if (host.stopped?.() != null) break;
  }
  return runs;
}

function hostOfRun({ console: show, event, progress, stopped }: RunsHost, number: number): RunHost {
  return {
    ...(event === undefined ? {} : { event: (one) => event(one, number) }),
    ...(show === undefined ? {} : { console: (bytes) => show(bytes, number) }),
    ...(progress === undefined
      ? {}
      : { progress: (instructions, timeNs) => progress(number, instructions, timeNs) }),
    ...(stopped === undefined ? {} : { stopped }),
  };
}

/** Those of the boot before the runs. */
function hostOfBoot({ console: show, event, progress, stopped }: CrashRequest): RunHost {
  return {
    ...(event === undefined ? {} : { event: (one) => event(one, null) }),
    ...(show === undefined ? {} : { console: (bytes) => show(bytes, null) }),
    ...(progress === undefined
      ? {}
      : { progress: (instructions, timeNs) => progress(null, instructions, timeNs) }),
    ...(stopped === undefined ? {} : { stopped }),
  };
}

/** What a function of the caller threw. */
interface Thrown {
  error?: { readonly value: unknown };
}

/** `call`, which keeps in `thrown` what it throws: that is no fault of the run. */
function kept<A extends unknown[], R>(thrown: Thrown, call: (...args: A) => R): (...args: A) => R {
  return (...args) => {
    try {
      return call(...args);
    } catch (error) {
      thrown.error ??= { value: error };
      throw error;
    }
  };
}

function hostOfRuns(
  { console: show, event, progress, ended, stopped }: CrashRequest,
  thrown: Thrown,
): RunsHost {
  return {
    ...(event === undefined ? {} : { event: kept(thrown, event) }),
    ...(show === undefined ? {} : { console: kept(thrown, show) }),
    ...(progress === undefined ? {} : { progress: kept(thrown, progress) }),
    ...(ended === undefined ? {} : { ended: kept(thrown, ended) }),
    ...(stopped === undefined ? {} : { stopped: kept(thrown, stopped) }),
  };
}

/**
 * Boots a guest, loads a crash kernel in it, and for each vCPU lets a copy of it crash there; the report has a run for each. Throws
 * InputError if the request is invalid, or if no crash kernel can be loaded; and what a function of the request throws.
 */
export async function crash(request: CrashRequest = {}): Promise<BootReport> {
  checkWords(request);
  const began = performance.now();
  const { started, saved, facts } =
    request.from === undefined ? await load(request) : await reopen(request.from, request);
  const { options, origin } = started;
  const { architecture } = options.kernel.placement;
  checkWay(request, architecture);
  await loadArchitecture(architecture);
  const { by = 'sysrq' } = request;
  const vcpus = by === 'kexec' ? [0] : checkVcpus(request, options.vcpus);
  const crashes = vcpus.map((vcpu): Crash => ({ vcpu, by }));
  const jobs = Math.min(request.jobs ?? jobsThatFit(options.memoryMiB), crashes.length);
  const guest: WaitingGuest = { options, saved };
  const thrown: Thrown = {};
  const host = hostOfRuns(request, thrown);
  const runs = await (
    jobs === 1 ? crashInTurn(guest, crashes, host) : crashSideBySide(guest, crashes, jobs, host)
  ).catch((error: unknown) => {
    throw thrown.error?.value === error ? error : errorOfRun(request.from, error);
  });
  const [first, ...others] = runs;
  const figures = { wallMs: Math.round(performance.now() - began), node: process.version };
  const crashed = { toolstack: options.toolstack ?? 'xl', ...facts };
  return runsReport(options, [present(first, 'a run'), ...others], origin, figures, crashed);
}
