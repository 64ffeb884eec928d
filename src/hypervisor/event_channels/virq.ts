/** Virtual interrupts: from Xen itself, for one vCPU or for the domain. */
import { VIRQ_DEBUG, VIRQ_TIMER, VIRQ_XENOPROF, VIRQ_XENPMU } from '../../abi/index.js';
import { present } from '../../base/index.js';
import type { XenVcpuId } from '../../identity/index.js';
import type { Domain, VcpuState } from '../domain.js';
import { notify, setPending } from './pending.js';

const perVcpu: readonly number[] = [VIRQ_TIMER, VIRQ_DEBUG, VIRQ_XENOPROF, VIRQ_XENPMU];

/** Whether the virq is for the whole domain and can be bound only on vCPU 0 (Xen 4.17 common/event_channel.c, virq_is_global). */
export function virqIsGlobal(virq: number): boolean {
  return !perVcpu.includes(virq);
}

function vcpuOf({ state }: Domain, id: number): VcpuState {
  return present(state.vcpus[id], `vCPU ${id}`);
}

/** The port to which the virq is bound; 0 for none. */
export function virqPort(vcpu: VcpuState, virq: number): number {
  return vcpu.virqPorts[virq] ?? 0;
}

export function rememberVirq(vcpu: VcpuState, virq: number, port: number): void {
  vcpu.virqPorts[virq] = port;
}

/** The virq's port, which notified `notifyVcpu`, was closed. A global virq is stored for vCPU 0, even if it was moved. */
export function forgetVirq(domain: Domain, virq: number, notifyVcpu: XenVcpuId): void {
  const vcpu = vcpuOf(domain, virqIsGlobal(virq) ? 0 : notifyVcpu);
  const rest = Object.entries(vcpu.virqPorts).filter(([bound]) => Number(bound) !== virq);
  vcpu.virqPorts = Object.fromEntries(rest);
}

/**
 * Xen raises `virq`: on `vcpu` if it is a per-vCPU virq, else on the domain, whatever `vcpu` is. Nothing
 * happens if the guest has not bound it (Xen 4.17 common/event_channel.c, send_guest_vcpu_virq and
 * send_guest_global_virq).
 */
export function raiseVirq(domain: Domain, vcpu: XenVcpuId, virq: number): void {
  const isGlobal = virqIsGlobal(virq);
  const port = virqPort(vcpuOf(domain, isGlobal ? 0 : vcpu), virq);
  if (port === 0) return;
  if (isGlobal) notify(domain, port);
  else setPending(domain, vcpu, port);
}
