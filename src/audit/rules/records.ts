/** Rules over the kernel's map from its CPUs to vCPU ids. */
import { invalidVcpuNr } from '../../identity/index.js';
import type { LinuxCpu } from '../../identity/index.js';
import type { Finding, Rule, Run } from '../finding.js';
import { readHistory, recordsAt, reignOf, trueVcpu } from '../history.js';
import type { History } from '../history.js';
import { intentionOf } from '../operations.js';
import type { RecordEvent, TraceEvent, UseEvent } from '../trace.js';
import { findingAt, idName } from './report.js';

const patch = 'Linux 88e957d6e47f, which brings xen_vcpu_id and xen_vcpu_nr()';

export const recordSetBeforeUse: Rule = {
  name: 'record-set-before-use',
  reason: 'A record that was never set still reads as a number, and since 4.8-rc4 as the id of a real vCPU.',
  source: patch,
  check({ events }) {
    return events
      .filter((event): event is UseEvent => event.kind === 'use')
      .filter((event) => !event.recorded || event.value === invalidVcpuNr)
      .map((event) => {
        const why = `CPU ${event.by} reads the record of CPU ${event.linuxCpu} before it is set: ${idName(event.value)}`;
        return findingAt(event, 'record-set-before-use', why, { linuxCpu: event.by, passed: event.value });
      });
  },
};

/** Whether `event` shows a CPU's recorded vCPU id: by writing the record, or by reading one that was written. */
function isClaim(event: TraceEvent): event is RecordEvent | UseEvent {
  if (event.kind === 'record') return event.value !== invalidVcpuNr;
  return event.kind === 'use' && event.recorded;
}

export const recordTrue: Rule = {
  name: 'record-true',
  reason: 'The record of a possible CPU holds the id of the vCPU that the CPU really is.',
  source: `${patch}; on Arm the CPU number stands for the id (arch/arm/xen/enlighten.c)`,
  check(run) {
    const history = readHistory(run);
    // One finding for each wrong number, at its first occurrence; a kernel may read it a hundred times.
    const said = new Set<string>();
    return run.events.filter(isClaim).flatMap((event): Finding[] => {
      const truth = trueVcpu(history, event.kernel, event.linuxCpu, event.step);
      const claim = `${event.kernel}/${event.linuxCpu}/${event.value}/${truth ?? '-'}`;
      // A CPU that is no vCPU is not judged: one beyond the possible CPUs (an array of NR_CPUS).
      if (truth === null || truth === event.value || said.has(claim)) return [];
      said.add(claim);
      const verb = event.kind === 'record' ? 'is recorded as' : 'is taken for';
      const why = `CPU ${event.linuxCpu} ${verb} vCPU ${idName(event.value)}, but is vCPU ${truth}`;
      const place = { linuxCpu: event.linuxCpu, passed: event.value, meant: truth };
      return [findingAt(event, 'record-true', why, place)];
    });
  },
};

/** Whether `event` shows that the kernel uses its records: it reads one, or makes a call with an id. */
function usesMap(run: Run, event: TraceEvent): boolean {
  if (event.kind === 'use') return true;
  if (event.kind !== 'hypercall' || event.call.vcpuId === null) return false;
  return intentionOf(run.platform.kind, event.call.op) !== 'question';
}

/** The possible CPUs that share a record with another, at `step`, as `value -> CPUs`. */
function shared(history: History, kernel: number, step: number): Map<number, LinuxCpu[]> {
  const possible = new Set(reignOf(history, kernel).possible.map(({ linuxCpu }) => linuxCpu));
  const holders = new Map<number, LinuxCpu[]>();
  for (const [cpu, value] of recordsAt(history, kernel, step)) {
    if (possible.has(cpu)) holders.set(value, [...(holders.get(value) ?? []), cpu]);
  }
  return new Map([...holders].filter(([, cpus]) => cpus.length > 1));
}

function sharedFindings(history: History, event: TraceEvent & { kernel: number }): Finding[] {
  return [...shared(history, event.kernel, event.step + 1)].map(([value, cpus]) => {
    const names = `${cpus.slice(0, -1).join(', ')} and ${cpus.at(-1)}`;
    const why = `CPUs ${names} have the same record: vCPU ${idName(value)}`;
    return findingAt(event, 'records-distinct', why, { linuxCpu: cpus.at(-1) ?? null, passed: value });
  });
}

export const recordsDistinct: Rule = {
  name: 'records-distinct',
  reason:
    'Once the map is in use, no two possible CPUs have the same record, because two CPUs are two vCPUs.',
  source: `${patch}; a record that was not set is not counted, whatever it reads`,
  check(run) {
    const history = readHistory(run);
    const used = new Set<number>();
    const said = new Set<string>();
    return run.events.flatMap((event): Finding[] => {
      if (!('kernel' in event)) return [];
      const isFirstUse = !used.has(event.kernel) && usesMap(run, event);
      if (isFirstUse) used.add(event.kernel);
      if (!isFirstUse && !(event.kind === 'record' && used.has(event.kernel))) return [];
      return sharedFindings(history, event).filter(({ why }) => {
        const key = `${event.kernel}: ${why}`;
        return !said.has(key) && said.add(key).size > 0;
      });
    });
  },
};
