/** Whether vCPUs run: up or down, blocked, paused for a shutdown; and the shutdown of the domain. */
import type { Domain, StartContext, VcpuState } from './domain.js';
import { present } from '../base/index.js';
import type { XenVcpuId } from '../identity/index.js';

/** The state of vCPU `id`, which must exist. */
export function vcpuOf({ state }: Domain, id: XenVcpuId): VcpuState {
  return present(state.vcpus[id], 'a vCPU');
}

/** Whether the vCPU may execute now: up, not paused for a shutdown, not blocked. */
export function isRunnable(domain: Domain, id: XenVcpuId): boolean {
  const vcpu = vcpuOf(domain, id);
  return vcpu.up && !vcpu.pausedForShutdown && vcpu.blocked === null;
}

/** Where the vCPU enters the guest, once after each start; null if it was not started since the last call. */
export function takeStart(domain: Domain, id: XenVcpuId): StartContext | null {
  const vcpu = vcpuOf(domain, id);
  const { start } = vcpu;
  vcpu.start = null;
  return start;
}

/**
 * The domain shuts down: every vCPU is paused, and the toolstack is notified. A reason that
 * SCHEDOP_shutdown_code set before replaces `reason`. A second shutdown before the domain is
 * resumed changes nothing, not even the reason (Xen 4.17 common/domain.c, domain_shutdown).
 */
export function domainShutdown({ state }: Domain, reason: number, by: XenVcpuId): void {
  state.shutdownCode ??= reason;
  if (state.shutdown !== null) return;
  state.shutdown = { reason: state.shutdownCode, by };
  for (const vcpu of state.vcpus) vcpu.pausedForShutdown = true;
}

/** The domain continues; each vCPU resumes where it was paused (Xen 4.17 common/domain.c, domain_resume). */
export function domainResume({ state }: Domain): void {
  state.shutdown = null;
  state.shutdownCode = null;
  for (const vcpu of state.vcpus) vcpu.pausedForShutdown = false;
}
