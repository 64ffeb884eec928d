/** Events of which no vCPU was ever told, because the port notifies a vCPU that is down. */
import type { XenVcpuId } from '../../identity/index.js';
import type { Channel, Domain } from '../domain.js';
import { isMovable } from './bind.js';
import { isMasked, pollPort } from './pending.js';

/** A port that has lost an event, and the vCPU that it notifies. */
export interface UnheardEvent {
  readonly port: number;
  readonly vcpu: XenVcpuId;
  /** System time of the last event that was lost, ns. */
  readonly sinceNs: bigint;
}

/**
 * Whether the port's event is still to be handled. The two-level ABI keeps it in the pending bitmap, which the guest clears.
 * Under FIFO a vCPU without a control block takes no event at all (Xen 4.17 common/event_fifo.c, evtchn_fifo_set_pending).
 */
function isOutstanding(domain: Domain, port: number, { notifyVcpu }: Channel): boolean {
  const { events, vcpus } = domain.state;
  const isDropped = events.abi === 'fifo' && vcpus[notifyVcpu]?.fifo === null;
  return isDropped || pollPort(domain, port) === true;
}

/**
 * The events that are lost for as long as their vCPU stays down, by port. Only ports that EVTCHNOP_bind_vcpu can move are
 * considered, because their vCPU is 0 until the guest says otherwise; an IPI or a timer is bound for the vCPU that is down.
 * Ports that the guest has masked, polled or bound to another vCPU since the event are left out.
 */
export function unheardEvents(domain: Domain): UnheardEvent[] {
  const { events, vcpus } = domain.state;
  return events.channels.flatMap((channel, port): UnheardEvent[] => {
    const { binding, lostNs, notifyVcpu, polled } = channel;
    if (lostNs === null || polled || !isMovable(binding) || vcpus[notifyVcpu]?.up !== false) return [];
    if (isMasked(domain, port) || !isOutstanding(domain, port, channel)) return [];
    return [{ port, vcpu: notifyVcpu, sinceNs: lostNs }];
  });
}
