/** How Xen ends an x86 domain whose vCPU cannot go on. */
import { HVM_PARAM_TRIPLE_FAULT_REASON, SHUTDOWN_crash, SHUTDOWN_reboot } from '../abi/index.js';
import type { XenVcpuId } from '../identity/index.js';
import type { Domain } from './domain.js';
import { domainShutdown } from './power.js';

/** The domain did what Xen does not let it survive (Xen 4.17 common/domain.c, __domain_crash). */
export function crashDomain(domain: Domain, by: XenVcpuId): void {
  domainShutdown(domain, SHUTDOWN_crash, by);
}

/**
 * A vCPU of an HVM or PVH guest had a triple fault: the domain shuts down with the reason that the toolstack set, which is a reboot
 * unless it set another (Xen 4.17 arch/x86/hvm/hvm.c, hvm_triple_fault and hvm_domain_initialise).
 */
export function tripleFault(domain: Domain, by: XenVcpuId): void {
  const reason = domain.state.hvmParams[HVM_PARAM_TRIPLE_FAULT_REASON];
  // Xen takes the low 8 bits.
  domainShutdown(domain, reason === undefined ? SHUTDOWN_reboot : Number(reason & 0xffn), by);
}
