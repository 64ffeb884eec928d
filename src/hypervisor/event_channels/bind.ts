/** Binding ports to what raises their events: the bodies of EVTCHNOP_bind_* and alloc_unbound. */
import { DOMID_SELF, NR_VIRQS, XEN_EEXIST, XEN_EINVAL, XEN_ENOENT } from '../../abi/index.js';
import { XEN_ENOMEM, XEN_EPERM, XEN_ESRCH } from '../../abi/index.js';
import { firstXenVcpu } from '../../identity/index.js';
import type { XenVcpuId } from '../../identity/index.js';
import type { Binding, Domain, VcpuState } from '../domain.js';
import { domainVcpu } from '../hypercall.js';
import { pirqCount, portOfPirq } from '../pirqs.js';
import { channelAt, makeChannel } from './channel.js';
import { notify } from './pending.js';
import { bindPort, getFreePort } from './ports.js';
import { toolstackDomid } from './remote.js';
import { rememberVirq, virqIsGlobal, virqPort } from './virq.js';

/** Which domain a domid names, of the two that there are; null for no domain. */
export function domainNamed({ state }: Domain, domid: number): 'self' | 'toolstack' | null {
  if (domid === DOMID_SELF || domid === state.config.domid) return 'self';
  return domid === toolstackDomid ? 'toolstack' : null;
}

/** Binds the lowest free port; the port, or minus an error. */
function bindFreePort(domain: Domain, binding: Binding, vcpu: XenVcpuId): number {
  const port = getFreePort(domain);
  if (port >= 0) bindPort(domain, port, binding, vcpu);
  return port;
}

/** The new port, or minus an error (Xen 4.17 common/event_channel.c, evtchn_alloc_unbound). */
export function allocUnbound(domain: Domain, dom: number, remoteDom: number): number {
  const named = domainNamed(domain, dom);
  if (named === null) return -XEN_ESRCH;
  if (named === 'toolstack') return -XEN_EPERM;
  const remoteDomid = remoteDom === DOMID_SELF ? domain.state.config.domid : remoteDom;
  return bindFreePort(domain, { kind: 'unbound', remoteDomid }, firstXenVcpu);
}

/**
 * The new port, or minus an error (Xen 4.17 common/event_channel.c, evtchn_bind_interdomain). The toolstack's
 * domain is not modelled beyond {@link createRemoteChannel}'s ends: it has no port unbound for this domain.
 */
export function bindInterdomain(domain: Domain, remoteDom: number, remotePort: number): number {
  const named = domainNamed(domain, remoteDom);
  if (named === null) return -XEN_ESRCH;
  const port = getFreePort(domain);
  if (port < 0) return port;
  const { domid } = domain.state.config;
  const other = named === 'self' ? channelAt(domain, remotePort)?.binding : undefined;
  if (other?.kind !== 'unbound' || other.remoteDomid !== domid) return -XEN_EINVAL;
  bindPort(domain, port, { kind: 'interdomain', remoteDomid: domid, remotePort }, firstXenVcpu);
  makeChannel(domain, remotePort).binding = { kind: 'interdomain', remoteDomid: domid, remotePort: port };
  // A notification may have been lost while the other end was unbound.
  notify(domain, port);
  return port;
}

/** The new port, or minus an error (Xen 4.17 common/event_channel.c, evtchn_bind_virq). */
export function bindVirq(domain: Domain, virq: number, vcpuId: number): number {
  if (virq >= NR_VIRQS) return -XEN_EINVAL;
  if (virqIsGlobal(virq) && vcpuId !== 0) return -XEN_EINVAL;
  const vcpu = domainVcpu(domain, vcpuId);
  if (vcpu === null) return -XEN_ENOENT;
  if (virqPort(vcpu, virq) !== 0) return -XEN_EEXIST;
  const port = bindFreePort(domain, { kind: 'virq', virq }, vcpu.id);
  if (port >= 0) rememberVirq(vcpu, virq, port);
  return port;
}

/** The new port, or minus an error (Xen 4.17 common/event_channel.c, evtchn_bind_ipi). */
export function bindIpi(domain: Domain, vcpuId: number): number {
  const vcpu = domainVcpu(domain, vcpuId);
  return vcpu === null ? -XEN_ENOENT : bindFreePort(domain, { kind: 'ipi' }, vcpu.id);
}

/**
 * The new port, or minus an error (Xen 4.17 common/event_channel.c, evtchn_bind_pirq).
 * PV is refused, since this domain owns no device; Arm has no records of pirqs to allocate. x86 HVM gets its port
 * whether or not the domain has XENFEAT_hvm_pirqs.
 */
export function bindPirq(domain: Domain, pirq: number): number {
  if (pirq >= pirqCount(domain)) return -XEN_EINVAL;
  if (domain.state.config.kind === 'pv') return -XEN_EPERM;
  if (portOfPirq(domain, pirq) !== null) return -XEN_EEXIST;
  const port = getFreePort(domain);
  if (port < 0) return port;
  if (domain.state.config.kind === 'arm') return -XEN_ENOMEM;
  bindPort(domain, port, { kind: 'pirq', pirq }, firstXenVcpu);
  return port;
}

/** Whether EVTCHNOP_bind_vcpu may move a channel of this kind: not an IPI, nor a virq of one vCPU's own. */
export function isMovable(binding: Binding): boolean {
  if (binding.kind === 'virq') return virqIsGlobal(binding.virq);
  return binding.kind === 'unbound' || binding.kind === 'interdomain' || binding.kind === 'pirq';
}

/** 0, -XEN_ENOENT for the vCPU, or -XEN_EINVAL for the port, in this order (evtchn_bind_vcpu). */
export function bindVcpu(domain: Domain, port: number, vcpuId: number): number {
  const vcpu: VcpuState | null = domainVcpu(domain, vcpuId);
  if (vcpu === null) return -XEN_ENOENT;
  const channel = channelAt(domain, port);
  if (channel === null || !isMovable(channel.binding)) return -XEN_EINVAL;
  if (channel.notifyVcpu !== vcpu.id) channel.lostNs = null;
  channel.notifyVcpu = vcpu.id;
  return 0;
}
