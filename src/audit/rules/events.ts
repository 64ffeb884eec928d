/** Rules over events: that each is handled on the CPU for which it was bound. */
import { isMovable, replay } from '../domain_view.js';
import type { Finding, Rule } from '../finding.js';
import { findingAt } from './report.js';

export const eventReachesItsCpu: Rule = {
  name: 'event-reaches-its-cpu',
  reason: 'An IPI or a timer that was bound for a CPU is handled on that CPU.',
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

export const upcallReachesItsVcpu: Rule = {
  name: 'upcall-reaches-its-vcpu',
  reason: 'Xen tells of an event on the vCPU that its port is bound to.',
  source: 'Xen 4.17 common/event_channel.c, evtchn_send: notify_vcpu_id decides',
  check(run) {
    const findings: Finding[] = [];
    replay(run, (event, view) => {
      if (event.kind !== 'event') return;
      const port = view.ports.get(event.port);
      // An event of a port that moves may have been pending on the vCPU that it has since left.
      if (port === undefined || isMovable(port) || port.vcpu === event.vcpu) return;
      const why = `port ${event.port} (${event.purpose}) is bound to vCPU ${port.vcpu}, its upcall comes on vCPU ${event.vcpu}`;
      const place = { linuxCpu: event.linuxCpu, callingVcpu: event.vcpu };
      findings.push(findingAt(event, 'upcall-reaches-its-vcpu', why, place));
    });
    return findings;
  },
};
