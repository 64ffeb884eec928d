/** Properties of a guest's kind. */
import { XEN_LEGACY_MAX_VCPUS } from '../abi/index.js';
import type { Arch } from '../abi/index.js';
import type { Domain } from './domain.js';

/** The architecture whose layouts the guest and Xen use. */
export function archOf({ state }: Domain): Arch {
  return state.config.kind === 'arm' ? 'arm64' : 'x86_64';
}

/** Whether the guest's physical memory is translated by Xen: every kind but PV. */
export function isTranslated({ state }: Domain): boolean {
  return state.config.kind !== 'pv';
}

/** Whether the guest is an x86 HVM guest in Xen's sense: PVHVM and PVH. */
export function isX86Hvm({ state }: Domain): boolean {
  return state.config.kind === 'pvhvm' || state.config.kind === 'pvh';
}

/** How many vCPUs have a vcpu_info in shared_info: 32 on x86, one on Arm (public xen.h). */
export function legacyMaxVcpus(domain: Domain): number {
  return XEN_LEGACY_MAX_VCPUS[archOf(domain)];
}
