/** The VCPUOPs by which a guest names memory for Xen to write: vcpu_info, runstate and time. */
import {
  vcpu_info,
  vcpu_register_runstate_memory_area,
  vcpu_register_time_memory_area,
  vcpu_register_vcpu_info,
  vcpu_runstate_info,
  vcpu_time_info,
  VCPUOP_get_runstate_info,
  VCPUOP_register_runstate_memory_area,
  VCPUOP_register_runstate_phys_area,
  VCPUOP_register_vcpu_info,
  VCPUOP_register_vcpu_time_memory_area,
  VCPUOP_register_vcpu_time_phys_area,
  XEN_EBUSY,
  XEN_EFAULT,
  XEN_EINVAL,
  XEN_ENOSYS,
  XEN_ENXIO,
} from '../../abi/index.js';
import type { ValueOf } from '../../abi/index.js';
import { frameBytes } from '../../base/index.js';
import { archOf } from '../arch.js';
import { fillTimeArea, refreshTimeArea, updateVcpuTime } from '../clock.js';
import type { Domain, FrameLocation, GuestArea, VcpuState } from '../domain.js';
import { markEventsPending } from '../event_channels/index.js';
import { areaAlignment, findLocation, isPvAddress, locationWriter, virtualWriter } from '../guest_area.js';
import { copyOut } from '../hypercall.js';
import type { ErrorRow, SubOperation } from '../hypercall.js';
import { mfnOfGfn } from '../physmap.js';
import { runstateNow, runstateOf, updateRunstates } from '../runstate.js';
import { vcpuInfoView } from '../vcpu_info.js';
import { vcpuOperation } from './vcpu_operation.js';
import type { VcpuCall } from './vcpu_operation.js';

const fault: ErrorRow = { error: 'XEN_EFAULT', when: 'the argument cannot be read' };
const notInRelease: ErrorRow = {
  error: 'XEN_ENOSYS',
  when: 'the operation is newer than the release',
  releases: ['4.17'],
};

type Registration = ValueOf<typeof vcpu_register_vcpu_info>;

/** 4.17's checks (common/domain.c, map_vcpu_info): the offset, then the vCPU's state, then the page. */
function findVcpuInfo417(
  domain: Domain,
  vcpu: VcpuState,
  caller: VcpuState,
  info: Registration,
): FrameLocation | number {
  if (info.offset > frameBytes - vcpu_info[archOf(domain)].size) return -XEN_ENXIO;
  if (info.offset % areaAlignment !== 0) return -XEN_ENXIO;
  if (vcpu.vcpuInfo !== null) return -XEN_EINVAL;
  if (vcpu.id !== caller.id && vcpu.up) return -XEN_EINVAL;
  const mfn = mfnOfGfn(domain, Number(info.mfn));
  return mfn === null ? -XEN_EINVAL : { mfn, offset: info.offset };
}

/** 4.18's checks (common_vcpu_op, then map_guest_area): the whole address, the vCPU's state, the page. */
function findVcpuInfo418(domain: Domain, vcpu: VcpuState, info: Registration): FrameLocation | number {
  const address = BigInt.asUintN(64, (info.mfn << 12n) + BigInt(info.offset));
  if (address === allOnes || address >> 12n !== info.mfn) return -XEN_EINVAL;
  if (vcpu.vcpuInfo !== null) return -XEN_EBUSY;
  return findLocation(domain, address, vcpu_info[archOf(domain)].size);
}

const allOnes = (1n << 64n) - 1n;

/**
 * From now on Xen uses this location. The contents of the old one are copied; if that was Xen's dummy, the new one starts
 * empty, and on x86 masked. All events are marked as pending, so that none is lost.
 */
function moveVcpuInfo(domain: Domain, vcpu: VcpuState, location: FrameLocation): void {
  const { size, offsets } = vcpu_info[archOf(domain)];
  const old = vcpuInfoView(domain, vcpu, false);
  const contents = new Uint8Array(size);
  if (old !== null) contents.set(new Uint8Array(old.buffer, old.byteOffset, size));
  else if (archOf(domain) === 'x86_64') contents[vcpu_info.x86_64.offsets.evtchn_upcall_mask] = 1;
  contents.fill(0xff, offsets.evtchn_pending_sel, offsets.evtchn_pending_sel + 8);
  locationWriter(domain, location)(0, contents);
  vcpu.vcpuInfo = location;
  markEventsPending(domain, vcpu);
}

const registerVcpuInfo = vcpuOperation({
  name: 'VCPUOP_register_vcpu_info',
  command: VCPUOP_register_vcpu_info,
  source: 'Xen 4.17 common/domain.c, map_vcpu_info; 4.18 common/domain.c, common_vcpu_op and map_guest_area',
  argument: vcpu_register_vcpu_info,
  onArm: true,
  errors: [
    fault,
    { error: 'XEN_ENXIO', when: 'the structure would cross the end of the page', releases: ['4.17'] },
    { error: 'XEN_ENXIO', when: 'the offset is not a multiple of 8', releases: ['4.17'] },
    { error: 'XEN_EINVAL', when: 'the vCPU has registered one before', releases: ['4.17'] },
    { error: 'XEN_EINVAL', when: 'the vCPU is up, and not the one that makes the call', releases: ['4.17'] },
    { error: 'XEN_EINVAL', when: 'the offset is 4096 or more, or the address overflows', releases: ['4.18'] },
    { error: 'XEN_EBUSY', when: 'the vCPU has registered one before', releases: ['4.18'] },
    { error: 'XEN_ENXIO', when: 'the structure would cross the end of the page', releases: ['4.18'] },
    { error: 'XEN_ENXIO', when: 'the offset is not a multiple of 8', releases: ['4.18'] },
    { error: 'XEN_EINVAL', when: 'there is no page at that frame number' },
  ],
  body: ({ domain, vcpu, caller, argument }) => {
    const info = argument();
    if (info === null) return -XEN_EFAULT;
    const old = domain.state.config.release === '4.17';
    const location = old ? findVcpuInfo417(domain, vcpu, caller, info) : findVcpuInfo418(domain, vcpu, info);
    if (typeof location !== 'number') moveVcpuInfo(domain, vcpu, location);
    // 4.17 does so even if the registration failed.
    if (typeof location !== 'number' || old) updateVcpuTime(domain, vcpu, true);
    return typeof location === 'number' ? location : 0;
  },
});

const getRunstateInfo = vcpuOperation({
  name: 'VCPUOP_get_runstate_info',
  command: VCPUOP_get_runstate_info,
  source: 'Xen 4.17 common/domain.c, common_vcpu_op',
  argument: null,
  errors: [{ error: 'XEN_EFAULT', when: 'the answer cannot be written' }],
  body: ({ context, domain, vcpu, address }) => {
    updateRunstates(domain);
    const written = copyOut(context, vcpu_runstate_info, address, runstateNow(domain, vcpu));
    return written ? 0 : -XEN_EFAULT;
  },
});

/** Only a PV guest shares its address space with Xen (asm/guest_access.h, guest_handle_okay). */
function isHandleOkay({ state }: Domain, address: bigint): boolean {
  return state.config.kind !== 'pv' || isPvAddress(address);
}

const badHandle: ErrorRow = {
  error: 'XEN_EFAULT',
  when: "PV: the area lies in the part of the address space that is Xen's",
};

/** Registers an area by virtual address; a null address removes the registration. */
function registerVirtual(area: GuestArea, address: bigint): void {
  area.virtual = address === 0n ? null : address;
}

/** Any vCPU may be named. The initial contents are written through the caller's page tables; a fault is ignored. */
const registerRunstateArea = vcpuOperation({
  name: 'VCPUOP_register_runstate_memory_area',
  command: VCPUOP_register_runstate_memory_area,
  source: 'Xen 4.17 common/domain.c, common_vcpu_op',
  argument: vcpu_register_runstate_memory_area,
  onArm: true,
  errors: [fault, badHandle],
  body: ({ context, domain, vcpu, caller, argument }) => {
    const address = argument()?.addr.v;
    if (address === undefined || !isHandleOkay(domain, address)) return -XEN_EFAULT;
    updateRunstates(domain);
    registerVirtual(vcpu.runstateArea, address);
    const own = vcpu.id === caller.id;
    copyOut(context, vcpu_runstate_info, address, own ? runstateOf(vcpu) : runstateNow(domain, vcpu));
    return 0;
  },
});

const registerTimeArea = vcpuOperation({
  name: 'VCPUOP_register_vcpu_time_memory_area',
  command: VCPUOP_register_vcpu_time_memory_area,
  source: 'Xen 4.17 arch/x86/domain.c, do_vcpu_op',
  argument: vcpu_register_time_memory_area,
  errors: [fault, badHandle],
  body: ({ context, domain, vcpu, caller, argument }) => {
    const address = argument()?.addr.v;
    if (address === undefined || !isHandleOkay(domain, address)) return -XEN_EFAULT;
    registerVirtual(vcpu.timeArea, address);
    updateVcpuTime(domain, vcpu, true);
    if (vcpu.timeArea.virtual !== null && vcpu.timeArea.location === null) {
      refreshTimeArea(domain, vcpu, virtualWriter(domain, context.cpu, caller.id, address));
    }
    return 0;
  },
});

const physErrors: readonly ErrorRow[] = [
  notInRelease,
  fault,
  { error: 'XEN_ENXIO', when: 'the area would cross the end of a page' },
  { error: 'XEN_ENXIO', when: 'the address is not a multiple of 8' },
  { error: 'XEN_EINVAL', when: 'there is no page at that address' },
];

/**
 * Registers an area by guest physical address; all ones removes the registration. A second registration replaces
 * the first (Xen 4.18 common/domain.c, map_guest_area).
 */
function registerPhysical(
  { domain, argument }: VcpuCall<{ addr: { p?: bigint | undefined } }>,
  area: GuestArea,
  size: number,
  fill: (location: FrameLocation) => void,
): number {
  if (domain.state.config.release === '4.17') return -XEN_ENOSYS;
  const address = argument()?.addr.p;
  if (address === undefined) return -XEN_EFAULT;
  const location = address === allOnes ? null : findLocation(domain, address, size);
  if (typeof location === 'number') return location;
  if (location !== null) fill(location);
  area.location = location;
  return 0;
}

/** Only the vCPU's own call fills the area immediately. */
const registerRunstatePhysArea = vcpuOperation({
  name: 'VCPUOP_register_runstate_phys_area',
  command: VCPUOP_register_runstate_phys_area,
  source: 'Xen 4.18 common/domain.c, common_vcpu_op',
  argument: vcpu_register_runstate_memory_area,
  errors: physErrors,
  body: (call) => {
    const { domain, vcpu, caller } = call;
    updateRunstates(domain);
    return registerPhysical(call, vcpu.runstateArea, vcpu_runstate_info.size, (location) => {
      if (vcpu.id !== caller.id) return;
      locationWriter(domain, location)(0, vcpu_runstate_info.encode(runstateOf(vcpu)));
    });
  },
});

const registerTimePhysArea = vcpuOperation({
  name: 'VCPUOP_register_vcpu_time_phys_area',
  command: VCPUOP_register_vcpu_time_phys_area,
  source: 'Xen 4.18 arch/x86/domain.c, do_vcpu_op',
  argument: vcpu_register_time_memory_area,
  errors: physErrors,
  body: (call) =>
    registerPhysical(call, call.vcpu.timeArea, vcpu_time_info.size, (location) => {
      fillTimeArea(call.domain, location);
    }),
});

export const areaOperations: readonly SubOperation[] = [
  getRunstateInfo,
  registerRunstateArea,
  registerVcpuInfo,
  registerTimeArea,
  registerRunstatePhysArea,
  registerTimePhysArea,
];
