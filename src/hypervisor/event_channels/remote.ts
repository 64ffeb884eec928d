/** The other end of interdomain channels: the toolstack's domain. Nothing else of that domain is modelled. */
import type { XenVcpuId } from '../../identity/index.js';
import type { Domain } from '../domain.js';
import { channelAt } from './channel.js';
import { notify } from './pending.js';
import { bindPort, getFreePort } from './ports.js';

/** The domain of the toolstack, xenstored and the console daemon. */
export const toolstackDomid = 0;

/**
 * The toolstack makes a channel of this domain for itself, as for xenstore and the console: it allocates an
 * unbound port on the domain's behalf, to which the daemon binds an end of its own. That end's port number, of
 * which the guest learns by EVTCHNOP_status alone, is taken to be the same. Events go to vCPU `notifyVcpu`, in
 * Xen always 0 at first. The port, or -XEN_ENOSPC.
 */
export function createRemoteChannel(domain: Domain, notifyVcpu: XenVcpuId): number {
  const port = getFreePort(domain);
  if (port < 0) return port;
  bindPort(domain, port, { kind: 'interdomain', remoteDomid: toolstackDomid, remotePort: port }, notifyVcpu);
  return port;
}

/** The other domain sends through its end of the channel at `port`; false if there is no such channel. */
export function sendFromRemote(domain: Domain, port: number): boolean {
  const binding = channelAt(domain, port)?.binding;
  if (binding?.kind !== 'interdomain' || binding.remoteDomid === domain.state.config.domid) return false;
  notify(domain, port);
  return true;
}

/** The guest sends through its end: a daemon that listens there receives the event when it is served. */
export function sendToRemote({ state }: Domain, port: number): void {
  const isHeard = port === state.xenstore?.port || port === state.pvConsole?.port;
  if (isHeard && !state.remoteEvents.includes(port)) state.remoteEvents.push(port);
}
