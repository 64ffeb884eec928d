/** What Xen keeps for the device model of a PVHVM guest, as far as the guest can see it. */
import type { Domain } from './domain.js';
import { firstXenVcpu } from '../identity/index.js';
import { bindPort, getFreePort } from './event_channels/ports.js';

/**
 * The device model's server of I/O requests is made: Xen binds a port for each vCPU and one for buffered requests, which the guest
 * can neither use nor close, and which a reset leaves (Xen 4.17 common/ioreq.c, ioreq_server_alloc; seen as the gap between the
 * console's port and the guest's first one). A domain whose ports do not suffice gets as many as there are.
 */
export function connectDeviceModel(domain: Domain): void {
  for (let made = 0; made <= domain.state.vcpus.length; made += 1) {
    const port = getFreePort(domain);
    if (port < 0) return;
    bindPort(domain, port, { kind: 'reserved' }, firstXenVcpu);
  }
}
