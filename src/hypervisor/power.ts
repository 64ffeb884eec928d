/** Whether vCPUs run: up and down, blocked, paused for a shutdown of the domain, and its end. */
import type { Domain, StartContext, VcpuState } from './domain.js';
import { present } from '../base/index.js';
import type { XenVcpuId } from '../identity/index.js';

/** The state of vCPU `id`, which by construction exists. */
export function vcpuOf({ state }: Domain, id: XenVcpuId): VcpuState {
  return present(state.vcpus[id], 'a vCPU');
}

/** Whether the vCPU may execute now: up, not paused for a shutdown, not blocked. */
export function isRunnable(domain: Domain, id: XenVcpuId): boolean {
  const vcpu = vcpuOf(domain, id);
  return vcpu.up && !vcpu.pausedForShutdown && vcpu.blocked === null;
}

/** Where the vCPU enters the guest, once after each start; null when it was not started since. */
export function takeStart(domain: Domain, id: XenVcpuId): StartContext | null {
  const vcpu = vcpuOf(domain, id);
  const { start } = vcpu;
  vcpu.start = null;
  return start;
}

/**
 * The domain shuts down: every vCPU is paused where it is, and the toolstack is told. A reason that
 * SCHEDOP_shutdown_code fixed before stands in place of `reason`. A second shutdown before the domain was
 * resumed changes nothing, its reason included (Xen 4.17 common/domain.c, domain_shutdown).
 */
export function domainShutdown({ state }: Domain, reason: number, by: XenVcpuId): void {
  state.shutdownCode ??= reason;
  if (state.shutdown !== null) return;
  state.shutdown = { reason: state.shutdownCode, by };
  for (const vcpu of state.vcpus) vcpu.pausedForShutdown = true;
}

/** The domain goes on where each vCPU was paused (Xen 4.17 common/domain.c, domain_resume). */
export function domainResume({ state }: Domain): void {
  state.shutdown = null;
  state.shutdownCode = null;
  for (const vcpu of state.vcpus) vcpu.pausedForShutdown = false;
}
