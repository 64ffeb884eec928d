/** XEN_DOMCTL_soft_reset: drops the guest's registrations and keeps its memory; the guest continues where it was. */
import { XEN_EINVAL, XEN_ENOMEM, XEN_ENOSYS } from '../abi/index.js';
import { isX86Hvm } from './arch.js';
import { writeWallclock } from './clock.js';
import type { Domain } from './domain.js';
import { resetEvents } from './event_channels/index.js';
import { allocateXenFrame, clearFrame, gfnOfMfn, mapGfn } from './physmap.js';
import { domainResume } from './power.js';
import { freeRam, takeRam } from './ram.js';

/**
 * Resets the domain, whose vCPUs must all be paused for a shutdown, and resumes it: each vCPU continues from where it was
 * paused, and those that are down stay down. In this order: every port is closed and the two-level ABI is restored; the
 * registrations of runstate areas and vcpu_infos are dropped, and on PVHVM pirqs stand for nothing; the page at shared_info's guest frame becomes fresh RAM, and
 * the registrations of time areas are dropped. Upcall vectors, timers, HVM parameters, assists and grant frames stay (Xen
 * 4.17 common/domain.c, domain_soft_reset; arch/x86/domain.c, arch_domain_soft_reset).
 *
 * 0, or minus an error: -XEN_EINVAL when a vCPU is not paused, or on PV; -XEN_ENOSYS on Arm; -XEN_ENOMEM. On PV and Arm the
 * ports and the areas are gone all the same, and the domain stays as it was shut down: Xen crashes it.
 *
 * No Xen has a soft reset on Arm. `config.softReset` enables a hypothetical one: it does the same as on x86, and it also
 * removes the grant frames from the guest's physical map, because on Arm they could not be mapped a second time otherwise, and makes
 * shared_info anew. On x86 Linux asks for the reset before it copies the next kernel, so that shared_info still holds what Xen and the
 * guest wrote to it; on Arm nobody asks, and that copy may have gone through the page. What stood there, Xen would take for vCPU 0's
 * vcpu_info, and copy it to the one that the next kernel registers.
 */
export function softReset(domain: Domain): number {
  const { vcpus } = domain.state;
  if (vcpus.some(({ pausedForShutdown }) => !pausedForShutdown)) return -XEN_EINVAL;
  const busy = resetEvents(domain);
  if (busy !== 0) return busy;
  for (const vcpu of vcpus) {
    vcpu.runstateArea = { virtual: null, location: null };
    vcpu.vcpuInfo = null;
  }
  Object.assign(domain.state, { pirqs: {}, reservedPirqs: [] });
  const failed = resetArch(domain);
  if (failed !== 0) return failed;
  domain.state.resets += 1;
  domainResume(domain);
  return 0;
}

function resetArch(domain: Domain): number {
  const { kind, softReset: offered } = domain.state.config;
  if (kind === 'pv') return -XEN_EINVAL;
  if (!isX86Hvm(domain)) return offered ? resetArm(domain) : -XEN_ENOSYS;
  return replaceSharedInfo(domain);
}

/** A domain that never mapped its shared_info is not changed; its time areas stay too. */
function replaceSharedInfo(domain: Domain): number {
  const gfn = gfnOfMfn(domain, domain.state.sharedInfoMfn);
  if (gfn === null) return 0;
  const fresh = takeRam(domain, freeRam(domain), 1, gfn)?.[0] ?? allocateXenFrame(domain);
  if (fresh === null) return -XEN_ENOMEM;
  mapGfn(domain, gfn, fresh);
  for (const vcpu of domain.state.vcpus) vcpu.timeArea = { virtual: null, location: null };
  return 0;
}

function resetArm(domain: Domain): number {
  for (const mfn of domain.state.grants.frames) {
    const gfn = gfnOfMfn(domain, mfn);
    if (gfn !== null) mapGfn(domain, gfn, null);
  }
  const failed = replaceSharedInfo(domain);
  if (failed !== 0) return failed;
  clearFrame(domain, domain.state.sharedInfoMfn);
  writeWallclock(domain);
  return 0;
}
