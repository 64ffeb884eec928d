/** What a boot came to, as the JSON report says it (`--json`, `--report`), schema version 1. */
import type { BootOptions, BootResult, WhatIf } from '../../boot/index.js';
import type { TraceEvent } from '../../audit/index.js';
import { hashValue } from '../../base/index.js';

export type Verdict = 'pass' | 'fail' | 'incomplete';

export interface BootReport {
  readonly schemaVersion: 1;
  readonly verdict: Verdict;
  readonly outcome: { readonly what: string; readonly why: string };
  readonly kernel: { readonly name: string; readonly version: string | null; readonly sha256: string };
  readonly machine: {
    readonly arch: 'arm64';
    readonly vcpus: number;
    readonly memoryMiB: number;
    readonly gic: 'v3';
    readonly events: 'fifo' | '2l';
    readonly xen: string;
    readonly seed: number;
    readonly xenstore: boolean;
    readonly entryVcpu: number;
    readonly whatIf: WhatIf | null;
  };
  readonly cpus: readonly {
    readonly linuxCpu: number;
    readonly vcpu: number;
    readonly mpidr: number;
    readonly recordedVcpuId: number | null;
    readonly usedVcpuIds: readonly number[];
    readonly online: boolean;
    /** Whether the record says which vCPU it is; null where there is none. */
    readonly agrees: boolean | null;
  }[];
  readonly hypercalls: {
    readonly total: number;
    readonly byName: Readonly<Record<string, number>>;
    readonly carryingVcpuId: number;
    readonly refused: number;
  };
  readonly findings: readonly {
    readonly rule: string;
    readonly hypercall: string | null;
    readonly linuxCpu: number | null;
    readonly callingVcpu: number | null;
    readonly passed: number | null;
    readonly meant: number | null;
    readonly returned: number | null;
    readonly guestTimeNs: number;
    readonly why: string;
  }[];
  readonly instructions: number;
  readonly guestTimeNs: number;
  /** Of the events that the guest could see, in order; not of the seed. */
  readonly traceSha256: string;
  readonly kernelLogTail: readonly string[];
  readonly host: { readonly wallMs: number; readonly mips: number; readonly node: string };
}

/** `fail` outranks everything: a panic often follows from a broken rule. */
export function verdictOf({ findings, reached }: BootResult): Verdict {
  if (findings.length > 0) return 'fail';
  return reached ? 'pass' : 'incomplete';
}

function countCalls(events: readonly TraceEvent[]): BootReport['hypercalls'] {
  const byName: Record<string, number> = {};
  let [total, carryingVcpuId, refused] = [0, 0, 0];
  for (const event of events) {
    if (event.kind !== 'hypercall') continue;
    const { op, vcpuId, returned } = event.call;
    byName[op] = (byName[op] ?? 0) + 1;
    total += 1;
    if (vcpuId !== null) carryingVcpuId += 1;
    if (returned < 0) refused += 1;
  }
  return { total, byName, carryingVcpuId, refused };
}

function machineOf(options: BootOptions, { events }: BootResult): BootReport['machine'] {
  const { vcpus, memoryMiB, release, seed, xenstore, entryVcpu, whatIf } = options;
  const usesFifo = events.some(
    (event) =>
      event.kind === 'hypercall' && event.call.op === 'EVTCHNOP_init_control' && event.call.returned === 0,
  );
  return {
    arch: 'arm64',
    vcpus,
    memoryMiB,
    gic: 'v3',
    events: usesFifo ? 'fifo' : '2l',
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

/** The report. `wallMs` and `node` say what it ran on, and are the only things in it that differ from run to run. */
export function bootReport(
  options: BootOptions,
  result: BootResult,
  host: { readonly wallMs: number; readonly node: string },
): BootReport {
  const { kernel } = options;
  const { events, instructions, guestNs } = result;
  return {
    schemaVersion: 1,
    verdict: verdictOf(result),
    outcome: { what: result.outcome, why: result.ending },
    kernel: { name: kernel.name, version: kernel.version, sha256: kernel.sha256 },
    machine: machineOf(options, result),
    cpus: result.cpus.map((cpu) => ({
      ...cpu,
      agrees: cpu.recordedVcpuId === null ? null : cpu.recordedVcpuId === cpu.vcpu,
    })),
    hypercalls: countCalls(events),
    findings: result.findings.map(
      ({ rule, op, linuxCpu, callingVcpu, passed, meant, returned, timeNs, why }) => {
        const call = { hypercall: op, linuxCpu, callingVcpu, passed, meant, returned };
        return { rule, ...call, guestTimeNs: Number(timeNs), why };
      },
    ),
    instructions,
    guestTimeNs: Number(guestNs),
    traceSha256: hashValue(events),
    kernelLogTail: result.kernelLog.map(logLine),
    host: { ...host, mips: Math.round(instructions / 1000 / Math.max(host.wallMs, 1)) },
  };
}
