/** Rules over events: each is handled on the CPU for which it was bound, and each is heard. */
import { isMovable, replay } from '../domain_view.js';
import type { XenVcpuId } from '../../identity/index.js';
import type { Finding, Rule, Run } from '../finding.js';
import type { LostUpcallEvent, TraceEvent, UnheardEvent } from '../trace.js';
import { findingAt } from './report.js';

export const eventReachesItsCpu: Rule = {
  name: 'event-reaches-its-cpu',
  reason: 'An IPI or timer event that was bound for a CPU is handled on that CPU.',
  source: 'public/event_channel.h: EVTCHNOP_bind_ipi and bind_virq bind to one vCPU and cannot be moved',
  check({ events }) {
    return events.flatMap((event): Finding[] => {
      if (event.kind !== 'event' || event.boundFor === null || event.boundFor === event.linuxCpu) return [];
      const why = `port ${event.port} (${event.purpose}), bound for CPU ${event.boundFor}, is handled on CPU ${event.linuxCpu}`;
      const place = { linuxCpu: event.linuxCpu, callingVcpu: event.vcpu };
      return [findingAt(event, 'event-reaches-its-cpu', why, place)];
    });
  },
};

/** An event that was lost, and what its vCPU has done since. */
interface Lost {
  readonly event: LostUpcallEvent;
  /** The kernel that the vCPU runs, and since when; null if it is down. */
  up: Up | null;
  wasReported: boolean;
}

/** A vCPU that runs: of which kernel, since when, and whether that kernel has counted it as online. */
interface Up {
  readonly kernel: number;
  readonly sinceNs: bigint;
  wasOnline: boolean;
}

/** A vCPU that was started so soon before the end of its kernel, or before a limit, may still have got to its events. */
export const patienceNs = 1_000_000_000n;

/**
 * Whether that kernel registered a vcpu_info for this vCPU, or for any if that is null: it shows that the vCPU is to take events. What
 * an earlier kernel of the run registered says nothing of this one.
 */
function takesEvents({ events }: Run, kernel: number, vcpu: XenVcpuId | null): boolean {
  return events.some(
    (event) =>
      event.kind === 'hypercall' &&
      event.kernel === kernel &&
      event.call.op === 'VCPUOP_register_vcpu_info' &&
      (vcpu === null || event.call.vcpuId === vcpu) &&
      event.call.returned >= 0,
  );
}

/** Follows the vCPUs that have lost an event and were told of none since, and finds those that run all the same. */
class DeafVcpus {
  readonly findings: Finding[] = [];
  readonly #run: Run;
  readonly #lost = new Map<XenVcpuId, Lost>();
  /** Those that run, by what started them. A vCPU may lose an event when it is started. */
  readonly #up = new Map<XenVcpuId, Up>();

  constructor(run: Run) {
    this.#run = run;
  }

  note(event: TraceEvent): void {
    if (event.kind === 'lost-upcall') this.#noteLost(event);
    else if (event.kind === 'upcall-heard') this.#lost.delete(event.vcpu);
    else if (event.kind === 'start' && event.returned === 0 && event.target !== null)
      this.#comesUp(event.target, event.kernel, event);
    else if (event.kind === 'online') this.#wentOnline(event.vcpu);
    else if (event.kind === 'offline' || event.kind === 'stop') this.#goesDown(event.vcpu);
    else if (event.kind === 'kernel') {
      this.#leaveKernel(event.timeNs);
      this.#comesUp(event.entryVcpu, event.kernel, event);
      this.#wentOnline(event.entryVcpu);
    } else if (event.kind === 'reset') {
      this.#leaveKernel(event.timeNs);
      this.#lost.clear();
    }
  }

  /** Judges the vCPUs that still run, unless they were started less than {@link patienceNs} before `cutNs`. */
  judgeAll(cutNs: bigint | null = null): void {
    for (const lost of this.#lost.values()) {
      if (cutNs === null || lost.up === null || cutNs - lost.up.sinceNs >= patienceNs) this.#judge(lost);
    }
  }

  /** Judges at `endNs`, where the kernel ends, those that were ready for events: online, or up for {@link patienceNs}. */
  judgeReady(endNs: bigint): void {
    for (const lost of this.#lost.values()) {
      const { up } = lost;
      if (up !== null && (up.wasOnline || endNs - up.sinceNs >= patienceNs)) this.#judge(lost);
    }
  }

  #noteLost(event: LostUpcallEvent): void {
    if (this.#lost.has(event.vcpu)) return;
    this.#lost.set(event.vcpu, { event, up: this.#up.get(event.vcpu) ?? null, wasReported: false });
  }

  #comesUp(vcpu: XenVcpuId, kernel: number, { timeNs }: TraceEvent): void {
    const up = { kernel, sinceNs: timeNs, wasOnline: false };
    this.#up.set(vcpu, up);
    const lost = this.#lost.get(vcpu);
    if (lost !== undefined) lost.up = up;
  }

  #wentOnline(vcpu: XenVcpuId): void {
    const up = this.#up.get(vcpu);
    if (up !== undefined) up.wasOnline = true;
  }

  /** A CPU that goes before it was online need never have been ready for events. */
  #goesDown(vcpu: XenVcpuId): void {
    this.#up.delete(vcpu);
    const lost = this.#lost.get(vcpu);
    if (lost === undefined) return;
    if (lost.up?.wasOnline === true) this.#judge(lost);
    lost.up = null;
  }

  #leaveKernel(timeNs: bigint): void {
    this.judgeReady(timeNs);
    this.#up.clear();
    for (const lost of this.#lost.values()) lost.up = null;
  }

  #judge(lost: Lost): void {
    const { event, up } = lost;
    const { vcpu, port } = event;
    if (up === null || lost.wasReported || !takesEvents(this.#run, up.kernel, vcpu)) return;
    lost.wasReported = true;
    const why =
      `port ${port} notified vCPU ${vcpu} while it was down or before it went down, and Xen dropped the interrupt; ` +
      `vCPU ${vcpu} has run since, and has heard of no event`;
    this.findings.push(findingAt(event, 'event-is-heard', why, { meant: vcpu }));
  }
}

/**
 * vCPUs that ran after they had lost an event: Xen told them of no event from then on, until their kernel ended or they went down. They
 * must have been ready for events: online, or up for {@link patienceNs}. At a limit only the latter counts; in a hang neither matters.
 */
function deafVcpus(run: Run): Finding[] {
  const vcpus = new DeafVcpus(run);
  for (const event of run.events) vcpus.note(event);
  const end = run.events.at(-1);
  if (end?.kind === 'end' && end.isCut === true) vcpus.judgeAll(end.timeNs);
  else if (end?.kind === 'end' && end.outcome !== 'hang') vcpus.judgeReady(end.timeNs);
  else vcpus.judgeAll();
  return vcpus.findings;
}

function wasStartedSince({ events }: Run, { vcpu, sinceNs }: UnheardEvent): boolean {
  return events.some(
    (event) =>
      event.kind === 'start' && event.target === vcpu && event.returned === 0 && event.timeNs >= sinceNs,
  );
}

/** Events that a guest which hangs can never hear of: their vCPU was down when they came, and was not started after that. */
function unheardAtHang(run: Run): Finding[] {
  const end = run.events.at(-1);
  // Before a kernel has set up any vCPU to take events, it has no reason to mask a port.
  if (end?.kind !== 'end' || end.outcome !== 'hang' || !takesEvents(run, end.kernel, null)) return [];
  return (end.unheard ?? []).flatMap((unheard): Finding[] => {
    const { port, vcpu, sinceNs } = unheard;
    if (wasStartedSince(run, unheard)) return [];
    const why =
      `port ${port} notified vCPU ${vcpu} while it was down; vCPU ${vcpu} was never started after that, ` +
      `and the port still notifies it when the guest hangs`;
    return [findingAt({ ...end, timeNs: sinceNs }, 'event-is-heard', why, { meant: vcpu })];
  });
}

export const eventIsHeard: Rule = {
  name: 'event-is-heard',
  reason:
    'A vCPU that takes events hears of them. A new port notifies vCPU 0, which may be down until it is started.',
  source:
    'Xen 4.17 arch/arm/vgic.c, vgic_inject_irq; arch/arm/domain.c, vcpu_mark_events_pending; common/event_fifo.c, ' +
    'evtchn_fifo_set_pending',
  check: (run) => [...deafVcpus(run), ...unheardAtHang(run)],
};

export const upcallReachesItsVcpu: Rule = {
  name: 'upcall-reaches-its-vcpu',
  reason: 'Xen delivers an event to the vCPU that its port is bound to.',
  source: 'Xen 4.17 common/event_channel.c, evtchn_send: notify_vcpu_id decides',
  check(run) {
    const findings: Finding[] = [];
    replay(run, (event, view) => {
      if (event.kind !== 'event') return;
      const port = view.ports.get(event.port);
      // An event of a movable port may have been pending on the vCPU that the port notified before.
      if (port === undefined || isMovable(port) || port.vcpu === event.vcpu) return;
      const why = `port ${event.port} (${event.purpose}) is bound to vCPU ${port.vcpu}, its upcall comes on vCPU ${event.vcpu}`;
      const place = { linuxCpu: event.linuxCpu, callingVcpu: event.vcpu };
      findings.push(findingAt(event, 'upcall-reaches-its-vcpu', why, place));
    });
    return findings;
  },
};
