/** What a boot results in. */
import type { Finding, NotJudged, Outcome, TraceEvent } from '../audit/index.js';
import type { CommandEnd } from '../guest_init/index.js';
import type { XenVcpuId } from '../identity/index.js';
import type { LogRecord } from '../introspect/index.js';
import type { RefusedInstruction } from './hung_guest.js';
import type { KernelEntry } from './kernel_run.js';
import type { Introspection } from './kernel_view.js';
import type { ReportedCpu } from './report.js';
import type { CallCounts, TraceCounts } from './trace_counts.js';
import type { TraceFolding } from './trace_store.js';

/** A broken rule, and the place in the kernel that made the call; null if there is no call or the place is not known. */
export interface BootFinding extends Finding {
  readonly where: string | null;
}

/** The state of a boot; `waiting`: it has reached the time up to which it may run; `paused`: the place where it was to pause. */
export type BootProgress = 'running' | 'waiting' | 'paused' | 'ended';

/** The final state of one Linux CPU, as a report tells it but for the comparison. */
export type BootCpu = Omit<ReportedCpu, 'agrees'>;

/** What one kernel of a boot did, from its entry on. */
export interface BootKernelResult {
  /** What it calls itself; null if it does not. */
  readonly version: string | null;
  readonly entry: KernelEntry;
  readonly entryVcpu: XenVcpuId;
  readonly eventAbi: 'fifo' | '2l' | null;
  readonly calls: CallCounts;
  readonly introspection: Introspection;
  readonly cpus: readonly BootCpu[];
  /** By vCPU: the events for it that Xen dropped, because it had no FIFO control block. */
  readonly droppedEvents: readonly number[];
  readonly notModelled: Readonly<Record<string, number>>;
  readonly findings: readonly BootFinding[];
  readonly omittedFindings: number;
  readonly notJudged: readonly NotJudged[];
  readonly kernelLog: readonly LogRecord[];
}

/** The outcome of a guest; `stopped`: it was stopped from outside. */
export type BootOutcome = Outcome | 'stopped';

/** The result of a boot that has ended: how it ended, what the audit found, and the figures of the run. */
export interface BootResult {
  readonly outcome: BootOutcome;
  /** The outcome in one line. */
  readonly ending: string;
  /** Of a guest that hangs or was stopped: an instruction that the CPU refused, and that the guest did not get over. */
  readonly refused: RefusedInstruction | null;
  /** Whether the guest reached its goal. */
  readonly reached: boolean;
  readonly findings: readonly BootFinding[];
  /** Calls with a vCPU id whose meaning is not known; no rule judges these ids. */
  readonly notJudged: readonly NotJudged[];
  /** The number of findings that are not listed: the same finding is listed at most 16 times, and 2000 are listed in all. */
  readonly omittedFindings: number;
  /** The events that were kept, which the audit has read. */
  readonly events: readonly TraceEvent[];
  /** What was left out of the trace. */
  readonly folding: TraceFolding;
  /** Counts over the whole trace, including events that were not kept. */
  readonly counts: TraceCounts;
  readonly cpus: readonly BootCpu[];
  readonly instructions: number;
  readonly guestNs: bigint;
  /** How the command ended; null if there is none, or if the guest ended before it. */
  readonly commandEnd: CommandEnd | null;
  /** Calls that Xen has and the hypervisor does not model, by name, and how often each was made. */
  readonly notModelled: Readonly<Record<string, number>>;
  /** How each thing was read from the kernel. */
  readonly introspection: Introspection;
  /** The end of the kernel's own log, from its memory; empty if the log was not found. */
  readonly kernelLog: readonly LogRecord[];
  /** The kernels in the order in which they were entered. CPUs, introspection and log above are those of the last one. */
  readonly kernels: readonly BootKernelResult[];
}
