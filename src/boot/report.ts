/** The JSON report of a boot, schema version 2 (the same as schemas/boot-report.schema.json). */
import type { EndEvent } from '../audit/index.js';
import { domulatorVersion } from '../base/index.js';
import { xenVcpuId } from '../identity/index.js';
import type { HardwareId, HardwareIdKind, LinuxCpu, XenVcpuId } from '../identity/index.js';
import { machineKindOf } from './guest.js';
import type { Architecture } from '../firmware/index.js';
import type { MachineKind } from './guest.js';
import type { RefusedInstruction } from './hung_guest.js';
import type { KernelEntry } from './kernel_run.js';
import type { Introspection } from './kernel_view.js';
import type { BootCommand, BootOptions, Toolstack, Until, WhatIf } from './options.js';
import type { BootCpu, BootFinding, BootKernelResult, BootOutcome, BootResult } from './run.js';
import type { CallCounts } from './trace_counts.js';
import { TraceStore } from './trace_store.js';
import type { TraceFolding } from './trace_store.js';

/** `incomplete`: no rule is broken, but the guest did not reach its goal. */
export type Verdict = 'pass' | 'fail' | 'incomplete';

/** The origin of a kernel; null and no suites for one that is not from an archive. */
export interface KernelOrigin {
  /** The Debian package that contained it. */
  readonly package: { readonly name: string; readonly version: string } | null;
  /** For a mirror: each suite's Release file, and what was checked. Times are in seconds since 1970. */
  readonly suites: readonly {
    readonly suite: string;
    readonly date: number | null;
    readonly validUntil: number | null;
    readonly expired: boolean;
    readonly signature:
      | { readonly state: 'good'; readonly keys: readonly string[] }
      | { readonly state: 'unchecked' | 'bad'; readonly reason: string };
  }[];
}

/** One broken rule, at one point of the run. */
export interface ReportedFinding {
  /** The name of the rule, e.g. `id-is-meant`. */
  readonly rule: string;
  /** `EVTCHNOP_init_control` and the like; null for rules over the whole run. */
  readonly hypercall: string | null;
  /** The CPU on which the kernel believed it was running. */
  readonly linuxCpu: LinuxCpu | null;
  /** The vCPU that really made the call. */
  readonly callingVcpu: XenVcpuId | null;
  /** The id in the call, unsigned. */
  readonly passed: number | null;
  /** The id that was meant; null where none can be right. */
  readonly meant: XenVcpuId | null;
  /** The answer as a signed number, e.g. -2. */
  readonly returned: number | null;
  readonly guestTimeNs: number;
  /** The caller within the kernel; null if it is not known. */
  readonly where: string | null;
  /** One sentence. */
  readonly why: string;
}

/** One of a kernel's CPUs. */
export interface ReportedCpu {
  /** The kernel's own number. */
  readonly linuxCpu: LinuxCpu;
  /** The vCPU that it really is. */
  readonly vcpu: XenVcpuId;
  readonly hardwareId: HardwareId;
  /** What `hardwareId` is; the kinds are in identity. */
  readonly hardwareIdKind: HardwareIdKind;
  /** The kernel's own record, unsigned; null if there is none, or if it could not be read. */
  readonly recordedVcpuId: number | null;
  /** The ids in this CPU's calls; unsigned, each once, in ascending order. */
  readonly usedVcpuIds: readonly number[];
  /** Whether the kernel ever counted it as online; null if it was started and this is not known. */
  readonly online: boolean | null;
  /**
   * The guest's own limit because of which it was left out, e.g. `nr_cpus=3`; null if there is none, or if it came up
   * later.
   */
  readonly leftOut: string | null;
  /** Whether the record is the true vCPU id; null if there is no record. */
  readonly agrees: boolean | null;
}

/** What one kernel did, from its entry on. */
export interface ReportedKernel {
  /** What it calls itself, e.g. `6.1.0-57-arm64`; null if it does not. */
  readonly version: string | null;
  /**
   * How it came to run, if it is not the first one: `crash`, after the one before crashed; `kexec`, from that one in order; `reboot`, in
   * a new domain, after that one asked for a reboot.
   */
  readonly entry?: Exclude<KernelEntry, 'boot'>;
  /** The vCPU on which it was entered. */
  readonly entryVcpu: XenVcpuId;
  /** `fifo` as soon as it registered one control block, else the two-level ABI; null if it set up no events. */
  readonly events: 'fifo' | '2l' | null;
  /** How each thing was read from it while it ran. */
  readonly introspection: Introspection;
  /** Its CPUs, in the order of its own numbers. */
  readonly cpus: readonly ReportedCpu[];
  readonly hypercalls: CallCounts;
  /**
   * Events that Xen dropped, by the vCPU that they were for: it had no FIFO control block. Those between a reset of the domain and the
   * entry of the next kernel count to that one. Xen's log has a line for each, `has no FIFO event channel control block`.
   */
  readonly droppedEvents: readonly { readonly vcpu: XenVcpuId; readonly events: number }[];
  /**
   * Calls that Xen has and the hypervisor does not model, and what the emulated CPU and devices do not implement, by name, and how
   * often each was asked for.
   */
  readonly notModelled: Readonly<Record<string, number>>;
  /** The same finding is listed at most 16 times, and 2000 are listed in all. */
  readonly findings: readonly ReportedFinding[];
  /** The number of findings that are not listed. */
  readonly omittedFindings: number;
  /** Calls with a vCPU id whose meaning is not known, by name and reason. They break no rule, but are not known to be right. */
  readonly notJudged: readonly { readonly hypercall: string; readonly calls: number; readonly why: string }[];
  /** The end of its own log, read from its memory; empty if it was not found. */
  readonly logTail: readonly string[];
}

/** What was done with the guest in a run. */
export type RunAction =
  /** It was booted and left alone. */
  | { readonly kind: 'boot' }
  /** It was booted, and then its kernel was left for its crash kernel, by that vCPU in that way. */
  | { readonly kind: 'crash'; readonly vcpu: XenVcpuId; readonly by: 'sysrq' | 'oops' | 'nmi' | 'kexec' };

/** What became of the guest of a run. */
export interface ReportedOutcome {
  readonly what: BootOutcome;
  /** The outcome in one line. */
  readonly why: string;
  /** Of a guest that hangs or was stopped: an instruction that the CPU refused, and that the guest did not get over. */
  readonly refused?: {
    readonly vcpu: XenVcpuId;
    /** Its address, in hexadecimal with `0x`. */
    readonly pc: string;
    /** As objdump writes it, or its word in hexadecimal; null where it could not be read. */
    readonly instruction: string | null;
    /** The privilege level that it needs; null where none would help. */
    readonly needs: RefusedInstruction['needs'];
  };
}

/** One run of the guest, from its start to its end. */
export interface ReportedRun {
  readonly action: RunAction;
  /** The verdict on this run alone. */
  readonly verdict: Verdict;
  readonly outcome: ReportedOutcome;
  /** How the guest's command ended: with an exit code, or killed by a signal. Null without a command, or if the guest ended before it. */
  readonly commandStatus: { readonly exitCode: number | null; readonly signal: number | null } | null;
  /** In the order in which they ran; `kernel` in a trace is the index. Empty if the run was stopped before there was a kernel. */
  readonly kernels: readonly ReportedKernel[];
  /** Of all its kernels. */
  readonly hypercalls: CallTotals;
  /** Of all vCPUs. */
  readonly instructions: number;
  readonly guestTimeNs: number;
  /** SHA-256 of what the guest could see: its calls and their answers, in order, each with its time. */
  readonly traceSha256: string;
  /** How much of the trace was kept for the audit; the other figures cover the whole trace. */
  readonly trace: TraceFolding;
}

/** What follows where a guest is made to crash. */
export interface CrashOptions {
  /** What the toolstack does at the jump into the next kernel. */
  readonly toolstack: Toolstack;
  /** The next kernel: the file that was given; null for the same kernel again, or for bytes. */
  readonly kernel: string | null;
  /** Of the next kernel. */
  readonly commandLine: string;
}

/** The number of calls. */
export type CallTotals = Omit<CallCounts, 'byName'>;

/**
 * What `domulator boot --report` writes and `report()` returns: what was asked for, and for each run what the guest did and what
 * the audit found. A boot is one run. Field names end in their units; ids are unsigned, answers signed.
 */
export interface BootReport {
  readonly schemaVersion: 2;
  /** The version of domulator. */
  readonly domulator: string;
  /** The worst of the runs' verdicts: `fail`, else `incomplete`, else `pass`. */
  readonly verdict: Verdict;
  /** The kernel that was asked for. */
  readonly kernel: {
    /** The user's name for it: `debian:bookworm`, or a file's name. */
    readonly name: string;
    /** The version in its image; null if there is none, or if the run was stopped before the kernel was loaded. */
    readonly version: string | null;
    /** SHA-256 of its file as it was given, or as it is in its package. Null if the run was stopped before the kernel was loaded. */
    readonly sha256: string | null;
  } & KernelOrigin;
  readonly machine: {
    readonly vcpus: number;
    readonly memoryMiB: number;
    /** Release of Xen. */
    readonly xen: BootOptions['release'];
    readonly xenstore: boolean;
  } & MachineKind;
  readonly options: {
    /** Of the kernel. */
    readonly commandLine: string;
    /** Of the vCPU schedule. */
    readonly seed: number;
    readonly entryVcpu: number;
    readonly whatIf: WhatIf | null;
    /** `userspace`, `poweroff`, or `line:` and a regular expression, without its flags. */
    readonly until: string;
    /** The command or script for the guest's user space. */
    readonly command: BootCommand | null;
    readonly limits: { readonly instructions: number; readonly guestTimeNs: number };
    /** What the toolstack does when the guest asks for a reboot; absent where the run then ends. */
    readonly onReboot?: 'restart';
    /** What it does when the guest asks for a soft reset; absent where it does as xl does by default. */
    readonly onSoftReset?: 'destroy';
    /** Who unpacks the kernel; absent where the host did. */
    readonly unpack?: 'guest';
    /** Of guests that were made to crash: what follows there. */
    readonly crash?: CrashOptions;
  };
  readonly runs: readonly [ReportedRun, ...ReportedRun[]];
  /**
   * The host: duration of the runs in milliseconds, millions of instructions a second, and Node's version. Null in the output of
   * `--json`, so that two runs with the same seed print the same bytes.
   */
  readonly host: { readonly wallMs: number; readonly mips: number; readonly node: string } | null;
}

/** The options of a boot whose initrd is loaded. */
type LoadedOptions = Omit<BootOptions, 'initrd'>;

/** The options of a boot, without its kernel and initrd. */
type MachineOptions = Omit<BootOptions, 'kernel' | 'initrd'>;

/** `fail` takes precedence: a broken rule often leads to a panic. */
function verdictOf({ findings, reached }: BootResult): Verdict {
  if (findings.length > 0) return 'fail';
  return reached ? 'pass' : 'incomplete';
}

const worstFirst: readonly Verdict[] = ['fail', 'incomplete', 'pass'];

/** The worst of the verdicts of `runs`. */
function worstVerdict(runs: BootReport['runs']): Verdict {
  return worstFirst.find((one) => runs.some(({ verdict }) => verdict === one)) ?? 'pass';
}

function outcomeOf({ outcome, ending, refused }: BootResult): ReportedOutcome {
  const said = { what: outcome, why: ending };
  return refused === null ? said : { ...said, refused: { ...refused, pc: `0x${refused.pc.toString(16)}` } };
}

function machineOf(
  { vcpus, memoryMiB, release, xenstore }: MachineOptions,
  kind: MachineKind,
): BootReport['machine'] {
  return { ...kind, vcpus, memoryMiB, xen: release, xenstore };
}

function untilText(until: Until): string {
  return until.kind === 'line' ? `line:${until.pattern.source}` : until.kind;
}

function optionsOf({
  command = null,
  until,
  limits,
  onReboot,
  onSoftReset,
  unpack,
  ...options
}: MachineOptions): BootReport['options'] {
  const { commandLine, seed, entryVcpu, whatIf } = options;
  return {
    commandLine,
    seed,
    entryVcpu,
    whatIf,
    until: untilText(until),
    command,
    limits: { instructions: limits.instructions, guestTimeNs: Number(limits.guestNs) },
    ...(onReboot === 'restart' ? { onReboot } : {}),
    ...(onSoftReset === 'destroy' ? { onSoftReset } : {}),
    ...(unpack === 'guest' ? { unpack } : {}),
  };
}

function logLine({ timeNs, text }: BootResult['kernelLog'][number]): string {
  const microseconds = timeNs / 1000n;
  const seconds = String(microseconds / 1_000_000n).padStart(5);
  return `[${seconds}.${String(microseconds % 1_000_000n).padStart(6, '0')}] ${text}`;
}

function reportedFinding(finding: BootFinding): ReportedFinding {
  const { rule, op, linuxCpu, callingVcpu, passed, meant, returned, timeNs, where, why } = finding;
  const call = { hypercall: op, linuxCpu, callingVcpu, passed, meant, returned };
  return { rule, ...call, guestTimeNs: Number(timeNs), where, why };
}

function reportedCpu(cpu: BootCpu): ReportedCpu {
  return { ...cpu, agrees: cpu.recordedVcpuId === null ? null : cpu.recordedVcpuId === cpu.vcpu };
}

interface Host {
  readonly wallMs: number;
  readonly node: string;
}

function hostOf(host: Host, instructions: number): NonNullable<BootReport['host']> {
  return { ...host, mips: Math.round(instructions / 1000 / Math.max(host.wallMs, 1)) };
}

function kernelOf(kernel: BootKernelResult): ReportedKernel {
  const { version, entry, entryVcpu, eventAbi, introspection, calls, notModelled, omittedFindings } = kernel;
  return {
    version,
    ...(entry === 'boot' ? {} : { entry }),
    entryVcpu,
    events: eventAbi,
    introspection,
    cpus: kernel.cpus.map(reportedCpu),
    hypercalls: calls,
    droppedEvents: kernel.droppedEvents.flatMap((events, vcpu) =>
      events === 0 ? [] : [{ vcpu: xenVcpuId(vcpu), events }],
    ),
    notModelled,
    findings: kernel.findings.map(reportedFinding),
    omittedFindings,
    notJudged: kernel.notJudged.map(({ op, calls: count, why }) => ({ hypercall: op, calls: count, why })),
    logTail: kernel.kernelLog.map(logLine),
  };
}

function totalsOf({ total, carryingVcpuId, refused }: CallCounts): CallTotals {
  return { total, carryingVcpuId, refused };
}

/** A run that has ended, and what was done in it. */
export interface EndedRun {
  readonly action: RunAction;
  readonly result: BootResult;
}

/** What a report says of a run that has ended. */
export function reportedRun({ action, result }: EndedRun): ReportedRun {
  const { counts, folding, instructions, guestNs, commandEnd } = result;
  return {
    action,
    verdict: verdictOf(result),
    outcome: outcomeOf(result),
    commandStatus: commandEnd,
    kernels: result.kernels.map(kernelOf),
    hypercalls: totalsOf(counts.calls),
    instructions,
    guestTimeNs: Number(guestNs),
    traceSha256: counts.sha256,
    trace: folding,
  };
}

/** The report. Only `host`, which describes the host, differs from run to run. */
export function runsReport(
  options: LoadedOptions,
  runs: BootReport['runs'],
  origin: KernelOrigin,
  host: Host,
  crash: CrashOptions | null = null,
): BootReport {
  const { name, version, sha256 } = options.kernel;
  const instructions = runs.reduce((sum, run) => sum + run.instructions, 0);
  return {
    schemaVersion: 2,
    domulator: domulatorVersion,
    verdict: worstVerdict(runs),
    kernel: { name, version, sha256, package: origin.package, suites: origin.suites },
    machine: machineOf(options, machineKindOf(options.kernel.placement.architecture, options)),
    options: crash === null ? optionsOf(options) : { ...optionsOf(options), crash },
    runs,
    host: hostOf(host, instructions),
  };
}

/** The report of a boot. */
export function bootReport(
  options: LoadedOptions,
  result: BootResult,
  origin: KernelOrigin,
  host: Host,
): BootReport {
  return runsReport(options, [reportedRun({ action: { kind: 'boot' }, result })], origin, host);
}

/** The whole trace of a run that was stopped before the guest existed. */
export function unstartedEnd(why: string): EndEvent {
  return { kind: 'end', kernel: 0, step: 0, timeNs: 0n, outcome: 'hang', online: [], why };
}

/** The report of a run that was stopped before the guest existed: only the name of the kernel is known. */
export function unstartedReport(
  options: MachineOptions,
  { name, architecture }: { readonly name: string; readonly architecture: Architecture },
  why: string,
  host: Host,
): BootReport {
  const { counts, folding } = new TraceStore();
  return {
    schemaVersion: 2,
    domulator: domulatorVersion,
    verdict: 'incomplete',
    kernel: { name, version: null, sha256: null, package: null, suites: [] },
    machine: machineOf(options, machineKindOf(architecture, options)),
    options: optionsOf(options),
    runs: [
      {
        action: { kind: 'boot' },
        verdict: 'incomplete',
        outcome: { what: 'stopped', why: `${why} before the kernel was loaded` },
        commandStatus: null,
        kernels: [],
        hypercalls: totalsOf(counts.calls),
        instructions: 0,
        guestTimeNs: 0,
        traceSha256: counts.sha256,
        trace: folding,
      },
    ],
    host: hostOf(host, 0),
  };
}
