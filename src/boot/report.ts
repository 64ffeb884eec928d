/** The JSON report of a boot, schema version 1 (the same as schemas/boot-report.schema.json). */
import type { EndEvent } from '../audit/index.js';
import type { Introspection } from './kernel_view.js';
import type { BootCommand, BootOptions, WhatIf } from './options.js';
import type { BootCpu, BootFinding, BootOutcome, BootResult } from './run.js';
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

export interface ReportedFinding {
  readonly rule: string;
  /** `EVTCHNOP_init_control` and the like; null for rules over the whole run. */
  readonly hypercall: string | null;
  readonly linuxCpu: number | null;
  readonly callingVcpu: number | null;
  /** The id in the call, unsigned. */
  readonly passed: number | null;
  /** The id that was meant; null where none can be right. */
  readonly meant: number | null;
  /** The answer as a signed number, e.g. -2. */
  readonly returned: number | null;
  readonly guestTimeNs: number;
  /** The caller within the kernel; null if it is not known. */
  readonly where: string | null;
  readonly why: string;
}

export interface BootReport {
  readonly schemaVersion: 1;
  readonly verdict: Verdict;
  readonly outcome: {
    readonly what: BootOutcome;
    readonly why: string;
    /** Of a guest that hangs or was stopped: an instruction that the CPU refused, and that the guest did not get over. */
    readonly refused?: {
      readonly vcpu: number;
      /** Its address, in hexadecimal with `0x`. */
      readonly pc: string;
      /** As objdump writes it; null where it could not be read. */
      readonly instruction: string | null;
      /** The exception level that it needs; null where none would help. */
      readonly needs: 'EL2' | 'EL3' | null;
    };
  };
  readonly kernel: {
    readonly name: string;
    readonly version: string | null;
    /** Null if the run was stopped before the kernel was loaded. */
    readonly sha256: string | null;
    /** How each thing was read from the running kernel; null if the run was stopped before the kernel was loaded. */
    readonly introspection: Introspection | null;
  } & KernelOrigin;
  readonly machine: {
    readonly arch: 'arm64';
    readonly vcpus: number;
    readonly memoryMiB: number;
    readonly gic: 'v3';
    /** Null if the guest set up none. */
    readonly events: 'fifo' | '2l' | null;
    readonly xen: string;
    readonly seed: number;
    readonly xenstore: boolean;
    readonly entryVcpu: number;
    readonly whatIf: WhatIf | null;
  };
  /**
   * The command of the guest, and how it ended: with an exit code, or killed by a signal; neither if the
   * guest ended before it. Null without a command.
   */
  readonly command:
    (BootCommand & { readonly exitCode: number | null; readonly signal: number | null }) | null;
  readonly cpus: readonly {
    readonly linuxCpu: number;
    readonly vcpu: number;
    readonly mpidr: number;
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
  }[];
  readonly hypercalls: CallCounts;
  /** Calls that Xen has and the hypervisor does not model, by name, and how often each was made. */
  readonly notModelled: Readonly<Record<string, number>>;
  /** The number of findings that are not listed: the same finding is listed at most 16 times, and 2000 are listed in all. */
  readonly findings: readonly ReportedFinding[];
  readonly omittedFindings: number;
  /** Calls with a vCPU id whose meaning is not known, by name and reason. They break no rule, but are not known to be right. */
  readonly notJudged: readonly { readonly hypercall: string; readonly calls: number; readonly why: string }[];
  readonly instructions: number;
  readonly guestTimeNs: number;
  /** SHA-256 of what the guest could see: its calls and their answers, in order, each with its time. */
  readonly traceSha256: string;
  /** How much of the trace was kept for the audit; the other figures cover the whole trace. */
  readonly trace: TraceFolding;
  readonly kernelLogTail: readonly string[];
  /**
   * The host: duration of the run in milliseconds, millions of instructions a second, and Node's version. Null in the output of
   * `--json`, so that two runs with the same seed print the same bytes.
   */
  readonly host: { readonly wallMs: number; readonly mips: number; readonly node: string } | null;
}

/** The options of a boot, without its kernel and initrd. */
type MachineOptions = Omit<BootOptions, 'kernel' | 'initrd'>;

/** `fail` takes precedence: a broken rule often leads to a panic. */
export function verdictOf({ findings, reached }: BootResult): Verdict {
  if (findings.length > 0) return 'fail';
  return reached ? 'pass' : 'incomplete';
}

function commandOf({ command = null }: MachineOptions, end: BootResult['commandEnd']): BootReport['command'] {
  return command === null ? null : { ...command, ...(end ?? { exitCode: null, signal: null }) };
}

function outcomeOf({ outcome, ending, refused }: BootResult): BootReport['outcome'] {
  const said = { what: outcome, why: ending };
  return refused === null ? said : { ...said, refused: { ...refused, pc: `0x${refused.pc.toString(16)}` } };
}

function machineOf(options: MachineOptions, { counts }: Pick<BootResult, 'counts'>): BootReport['machine'] {
  const { vcpus, memoryMiB, release, seed, xenstore, entryVcpu, whatIf } = options;
  return {
    arch: 'arm64',
    vcpus,
    memoryMiB,
    gic: 'v3',
    events: counts.eventAbi,
    xen: release,
    seed,
    xenstore,
    entryVcpu,
    whatIf,
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

function reportedCpu({ hardwareId, hardwareIdKind, ...cpu }: BootCpu): BootReport['cpus'][number] {
  const { recordedVcpuId, vcpu } = cpu;
  return {
    ...cpu,
    [hardwareIdKind as 'mpidr']: hardwareId,
    agrees: recordedVcpuId === null ? null : recordedVcpuId === vcpu,
  };
}

interface Host {
  readonly wallMs: number;
  readonly node: string;
}

function hostOf(host: Host, instructions: number): NonNullable<BootReport['host']> {
  return { ...host, mips: Math.round(instructions / 1000 / Math.max(host.wallMs, 1)) };
}

/** The report. Only `host`, which describes the host, differs from run to run. */
export function bootReport(
  options: BootOptions,
  result: BootResult,
  origin: KernelOrigin,
  host: Host,
): BootReport {
  const { name, version, sha256 } = options.kernel;
  const { counts, folding, instructions, guestNs, notModelled } = result;
  return {
    schemaVersion: 1,
    verdict: verdictOf(result),
    outcome: outcomeOf(result),
    kernel: {
      name,
      version,
      sha256,
      introspection: result.introspection,
      package: origin.package,
      suites: origin.suites,
    },
    machine: machineOf(options, result),
    command: commandOf(options, result.commandEnd),
    cpus: result.cpus.map(reportedCpu),
    hypercalls: counts.calls,
    notModelled,
    findings: result.findings.map(reportedFinding),
    omittedFindings: result.omittedFindings,
    notJudged: result.notJudged.map(({ op, calls, why }) => ({ hypercall: op, calls, why })),
    instructions,
    guestTimeNs: Number(guestNs),
    traceSha256: counts.sha256,
    trace: folding,
    kernelLogTail: result.kernelLog.map(logLine),
    host: hostOf(host, instructions),
  };
}

/** The whole trace of a run that was stopped before the guest existed. */
export function unstartedEnd(why: string): EndEvent {
  return { kind: 'end', kernel: 0, step: 0, timeNs: 0n, outcome: 'hang', online: [], why };
}

/** The report of a run that was stopped before the guest existed: only the name of the kernel is known. */
export function unstartedReport(
  options: MachineOptions,
  kernelName: string,
  why: string,
  host: Host,
): BootReport {
  const { counts, folding } = new TraceStore();
  return {
    schemaVersion: 1,
    verdict: 'incomplete',
    outcome: { what: 'stopped', why: `${why} before the kernel was loaded` },
    kernel: {
      name: kernelName,
      version: null,
      sha256: null,
      introspection: null,
      package: null,
      suites: [],
    },
    machine: machineOf(options, { counts }),
    command: commandOf(options, null),
    cpus: [],
    hypercalls: counts.calls,
    notModelled: {},
    notJudged: [],
    findings: [],
    omittedFindings: 0,
    instructions: 0,
    guestTimeNs: 0,
    traceSha256: counts.sha256,
    trace: folding,
    kernelLogTail: [],
    host: hostOf(host, 0),
  };
}
