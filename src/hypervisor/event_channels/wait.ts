/** How a vCPU waits for events, or continues because one is pending. */
import { evtchn_port_t, viewOf, XEN_EFAULT, XEN_EINVAL } from '../../abi/index.js';
import { s64 } from '../../base/index.js';
import type { Domain, VcpuState } from '../domain.js';
import { isPvAddress } from '../guest_area.js';
import type { HypercallContext } from '../hypercall.js';
import { copyFromGuest } from '../physmap.js';
import { makeChannel } from './channel.js';
import { pollPort } from './pending.js';
import { eventsNeedDelivery } from './upcall.js';

/** The vCPU waits for an event, unless one is pending (Xen 4.17 common/sched/core.c, vcpu_block). */
export function blockVcpu(domain: Domain, vcpu: VcpuState, interruptsOn: boolean): void {
  vcpu.blocked = eventsNeedDelivery(domain, vcpu, interruptsOn) ? null : { why: 'block' };
}

/** Xen's own limit, which its source calls fairly arbitrary. */
const maxPollPorts = 128;

export interface Poll {
  /** Guest virtual address of the port numbers. */
  readonly address: bigint;
  readonly count: number;
  /** System time in ns, unsigned 64-bit as passed; 0 for no time-out. */
  readonly timeoutNs: bigint;
}

/** The calling vCPU waits for an event at any of the ports. 0 or minus an error (Xen 4.17 common/sched/core.c, do_poll). */
export function pollPorts(context: HypercallContext, poll: Poll): number {
  const { domain, caller, cpu } = context;
  if (poll.count > maxPollPorts) return -XEN_EINVAL;
  if (domain.state.config.kind === 'pv' && !isPvAddress(poll.address)) return -XEN_EFAULT;
  if (eventsNeedDelivery(domain, caller, cpu.interruptsOn?.(caller.id) ?? true)) return 0;
  const ports = quietPorts(context, poll);
  if (typeof ports === 'number') return ports;
  const deadlineNs = poll.timeoutNs === 0n ? null : s64(poll.timeoutNs);
  const expired = deadlineNs !== null && deadlineNs <= domain.state.nowNs;
  caller.blocked = expired ? null : { why: 'poll', ports, deadlineNs };
  return 0;
}

/** Notes that the guest polls these ports itself. A refused call changes nothing. */
function notePolled(domain: Domain, ports: readonly number[]): void {
  for (const port of ports) makeChannel(domain, port).polled = true;
}

/** The ports, if none is pending; else the call's answer: 0 if a port is pending, or an error found before that. */
function quietPorts({ domain, caller, cpu }: HypercallContext, { address, count }: Poll): number[] | number {
  const ports: number[] = [];
  for (let i = 0; i < count; i += 1) {
    const bytes = copyFromGuest(
      domain,
      cpu,
      caller.id,
      address + BigInt(i * evtchn_port_t.size),
      evtchn_port_t.size,
    );
    if (bytes === null) return -XEN_EFAULT;
    const port = evtchn_port_t.read(viewOf(bytes), 0);
    const pending = pollPort(domain, port);
    if (typeof pending === 'number') return pending;
    ports.push(port);
    if (!pending) continue;
    notePolled(domain, ports);
    return 0;
  }
  notePolled(domain, ports);
  return ports;
}
