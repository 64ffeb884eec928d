/** What the audit is told of a guest, and which of its findings are listed: a guest may break one rule a hundred thousand times. */
import { audit } from '../audit/index.js';
import type { Finding, Platform, Run, TraceEvent } from '../audit/index.js';
import type { DomainConfig } from '../hypervisor/index.js';
import type { TraceFolding } from './trace_store.js';

const findingBounds = { same: 16, all: 2000 } as const;

/** The first findings of each kind, in order. Findings with the same text about the same call are of one kind. */
export function listedFindings(findings: readonly Finding[]): Finding[] {
  const told = new Map<string, number>();
  const listed: Finding[] = [];
  for (const finding of findings) {
    if (listed.length === findingBounds.all) break;
    const { rule, op, linuxCpu, callingVcpu, passed, meant, returned, why } = finding;
    const kind = JSON.stringify([rule, op, linuxCpu, callingVcpu, passed, meant, returned, why]);
    const times = (told.get(kind) ?? 0) + 1;
    told.set(kind, times);
    if (times <= findingBounds.same) listed.push(finding);
  }
  return listed;
}

/** One line about a trace whose end was not kept. */
export function cutText({ events, auditedUpToStep }: TraceFolding): string {
  return `the audit read the first ${auditedUpToStep ?? events} of ${events} events, which is as many as are kept`;
}

/** What the audit is told of a guest's configuration. */
export function platformOf({ kind, release, hardwareIds, fifo, softReset }: DomainConfig): Platform {
  return { kind, release, hardwareIds, fifo, softReset };
}

/** The number of the kernel that ran at a step of the trace: the last one that was entered by then. */
export function kernelAtStep(events: readonly TraceEvent[], step: number): number {
  const entered = events.findLast((event) => event.kind === 'kernel' && event.step <= step);
  return entered?.kind === 'kernel' ? entered.kernel : 0;
}

/** What the audit finds in a run. `early`: the kernels that may not have had time to start their vCPUs, by number. */
export function findingsOf(run: Run, early: readonly boolean[]): Finding[] {
  return audit(run).filter(
    ({ rule, step }) => rule !== 'all-vcpus-up' || early[kernelAtStep(run.events, step)] !== true,
  );
}
