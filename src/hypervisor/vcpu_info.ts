/** The locations of a vCPU's vcpu_info and of shared_info. */
import { shared_info, vcpu_info, viewOf } from '../abi/index.js';
import { present } from '../base/index.js';
import { archOf, legacyMaxVcpus } from './arch.js';
import type { Domain, FrameLocation, VcpuState } from './domain.js';

/** The bytes of shared_info, whether or not it is mapped in the guest. */
export function sharedInfoView({ state, memory }: Domain, write: boolean): DataView {
  const mfn = state.sharedInfoMfn;
  return viewOf(present(write ? memory.writable(mfn) : memory.readable(mfn), `shared_info's frame ${mfn}`));
}

/**
 * The location of this vCPU's vcpu_info: the registered one, else the slot in shared_info that the
 * first XEN_LEGACY_MAX_VCPUS vCPUs have, else null: Xen then writes to its own dummy page, and the data are
 * lost (Xen 4.17 common/domain.c, vcpu_info_reset).
 */
export function vcpuInfoLocation(domain: Domain, vcpu: VcpuState): FrameLocation | null {
  if (vcpu.vcpuInfo !== null) return vcpu.vcpuInfo;
  if (vcpu.id >= legacyMaxVcpus(domain)) return null;
  const arch = archOf(domain);
  const offset = shared_info[arch].offsets.vcpu_info + vcpu.id * vcpu_info[arch].size;
  return { mfn: domain.state.sharedInfoMfn, offset };
}

/** The bytes of this vCPU's vcpu_info, for reading or (`write`) for writing now; null if Xen uses its dummy page. */
export function vcpuInfoView(domain: Domain, vcpu: VcpuState, write: boolean): DataView | null {
  const location = vcpuInfoLocation(domain, vcpu);
  if (location === null) return null;
  const { size } = vcpu_info[archOf(domain)];
  const { mfn, offset } = location;
  const frame = write ? domain.memory.writable(mfn, offset, size) : domain.memory.readable(mfn);
  return viewOf(present(frame, `frame ${location.mfn}`).subarray(location.offset, location.offset + size));
}
