/** Rules over CPUs: who starts whom, who runs where, and whether all come up. */
import { rangesText } from '../../base/index.js';
import { xenVcpuId } from '../../identity/index.js';
import type { XenVcpuId } from '../../identity/index.js';
import type { Finding, Rule, Run } from '../finding.js';
import { hardwareVcpu, readHistory } from '../history.js';
import type { KernelEvent, LeftOut, StartEvent, TraceEvent } from '../trace.js';
import { findingAt } from './report.js';

export const startNamesItsCpu: Rule = {
  name: 'start-names-its-cpu',
  reason: 'A request to start a CPU carries the hardware id of that CPU, and of no other.',
  source: 'Arm DEN0022 (CPU_ON, target_cpu); Intel SDM vol. 3, 8.4.4 (INIT-SIPI by APIC id)',
  check(run) {
    const history = readHistory(run);
    return run.events
      .filter((event): event is StartEvent => event.kind === 'start')
      .flatMap((event): Finding[] => {
        const { by, how, kernel, linuxCpu, meant, target } = event;
        const truth = meant === null ? null : hardwareVcpu(history, kernel, meant);
        const place = {
          op: how,
          linuxCpu,
          callingVcpu: by,
          passed: target,
          meant: truth,
          returned: event.returned,
        };
        if (target === null) {
          const why = `vCPU ${by} asks for CPU ${meant ?? '-'} to be started by an id that no vCPU has`;
          return [findingAt(event, 'start-names-its-cpu', why, place)];
        }
        if (truth === null || truth === target) return [];
        const why = `vCPU ${by} asks for vCPU ${target} to be started as CPU ${meant ?? '-'}, which is vCPU ${truth}`;
        return [findingAt(event, 'start-names-its-cpu', why, place)];
      });
  },
};

/** The vCPUs that may run kernel code, kept up to date by `event`. */
function allow(allowed: Set<XenVcpuId>, event: TraceEvent): void {
  if (event.kind === 'kernel') {
    allowed.clear();
    allowed.add(event.entryVcpu);
  }
  if (event.kind === 'start' && event.target !== null && event.returned === 0) allowed.add(event.target);
  if (event.kind === 'stop') allowed.delete(event.vcpu);
}

export const runsOnlyWhenStarted: Rule = {
  name: 'runs-only-when-started',
  reason: 'A vCPU runs only because a kernel was entered on it or a kernel asked Xen to start it.',
  source: 'Xen 4.17 arch/arm/vpsci.c, do_common_cpu_on; arch/x86/hvm/vlapic.c, vlapic_init_sipi_one',
  check({ events }) {
    const allowed = new Set<XenVcpuId>();
    return events.flatMap((event): Finding[] => {
      allow(allowed, event);
      if (event.kind !== 'running' || allowed.has(event.vcpu)) return [];
      const why = `vCPU ${event.vcpu} runs as CPU ${event.linuxCpu}, though nobody asked for it to be started`;
      const place = { linuxCpu: event.linuxCpu, callingVcpu: event.vcpu };
      return [findingAt(event, 'runs-only-when-started', why, place)];
    });
  },
};

export const cpuIsItsHardware: Rule = {
  name: 'cpu-is-its-hardware',
  reason:
    'A CPU runs on the vCPU that has its hardware id; otherwise tables, start and calls mean different CPUs.',
  source: 'Xen 4.17 arch/x86/cpuid.c (APIC id of each vCPU) and arch/arm/domain.c (vMPIDR)',
  check(run) {
    const history = readHistory(run);
    return run.events.flatMap((event): Finding[] => {
      if (event.kind !== 'running') return [];
      const truth = hardwareVcpu(history, event.kernel, event.linuxCpu);
      if (truth === null || truth === event.vcpu) return [];
      const why = `CPU ${event.linuxCpu} runs on vCPU ${event.vcpu}, but its hardware id is that of vCPU ${truth}`;
      const place = { linuxCpu: event.linuxCpu, callingVcpu: event.vcpu, meant: truth };
      return [findingAt(event, 'cpu-is-its-hardware', why, place)];
    });
  },
};

/** One kernel, from its entry to the next one's or to the end. */
interface Span {
  readonly kernel: KernelEvent;
  readonly cameUp: Set<XenVcpuId>;
  readonly started: Set<XenVcpuId>;
  leftOut: readonly LeftOut[];
  online: KernelEvent['online'] | undefined;
  last: TraceEvent;
}

function follow(span: Span, event: TraceEvent): void {
  if (event.kind === 'online') span.cameUp.add(event.vcpu);
  else if (event.kind === 'start' && event.target !== null && event.returned === 0) {
    span.started.add(event.target);
  } else if (event.kind === 'limits') {
    span.leftOut = event.leftOut;
    span.online = event.online;
  }
}

function spans({ events }: Run): Span[] {
  const found: Span[] = [];
  for (const event of events) {
    if (event.kind === 'kernel') {
      const { entryVcpu, leftOut, online } = event;
      const cameUp = new Set([entryVcpu]);
      found.push({ kernel: event, cameUp, started: new Set(), leftOut, online, last: event });
    }
    const span = found.at(-1);
    if (span === undefined) continue;
    span.last = event;
    follow(span, event);
  }
  return found;
}

export const allVcpusUp: Rule = {
  name: 'all-vcpus-up',
  reason: "Every vCPU that the platform offers comes online, unless the guest's own limit excludes it.",
  source: 'Linux smp_init: a CPU whose bring-up fails is left out with one line in the log',
  check(run) {
    const all = run.platform.hardwareIds.map((_, vcpu) => xenVcpuId(vcpu));
    return spans(run).flatMap(({ kernel, cameUp, started, leftOut, online, last }): Finding[] => {
      // Where online CPUs cannot be read, a CPU that was started may be online.
      const unseen = online === 'unreadable' ? started : [];
      const excused = new Set([...cameUp, ...unseen, ...leftOut.map(({ vcpu }) => vcpu)]);
      const missing = all.filter((vcpu) => !excused.has(vcpu));
      if (missing.length === 0) return [];
      const which = `vCPU${missing.length > 1 ? 's' : ''} ${rangesText(missing)}`;
      return [findingAt(last, 'all-vcpus-up', `the ${kernel.name} never brings up ${which}`)];
    });
  },
};
