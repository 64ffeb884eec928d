/** The time that Xen gives a guest: the wall clock in shared_info, and each x86 vCPU's vcpu_time_info (pvclock). */
import { shared_info, vcpu_info, vcpu_time_info, XEN_PVCLOCK_TSC_STABLE_BIT } from '../abi/index.js';
import type { ValueOf } from '../abi/index.js';
import { u32 } from '../base/index.js';
import { archOf } from './arch.js';
import type { ClockConfig, Domain, FrameLocation, VcpuState } from './domain.js';
import { locationWriter } from './guest_area.js';
import type { AreaWriter } from './guest_area.js';
import { sharedInfoView, vcpuInfoView } from './vcpu_info.js';

/** A TSC of one tick a nanosecond, from a host whose clock source is not the TSC; UTC 2016-06-29 00:00:00. */
export const defaultClock: ClockConfig = { tscKHz: 1_000_000, tscStable: false, wallclockSec: 1_467_158_400 };

/** Interval between Xen's calibrations, from which a guest extrapolates (arch/x86/time.c, EPOCH). */
const epochNs = 1_000_000_000n;

export function clockOf({ state }: Domain): ClockConfig {
  return state.config.clock ?? defaultClock;
}

/** The TSC at system time `ns`, the same on every vCPU. */
export function tscAt(domain: Domain, ns: bigint): bigint {
  return (ns * BigInt(clockOf(domain).tscKHz)) / 1_000_000n;
}

/** A multiplier and a shift that convert ticks to ns: (ticks << shift) * mul >> 32; shift may be negative. */
export interface TscScale {
  readonly mul: number;
  readonly shift: number;
}

/** The scale of a TSC of that frequency, with the multiplier in its upper half (arch/x86/time.c, set_time_scale). */
export function tscScale(tscKHz: number): TscScale {
  let ticks = tscKHz * 1000;
  let shift = 0;
  for (; ticks > 2e9; shift -= 1) ticks = Math.floor(ticks / 2);
  for (; ticks <= 1e9; shift += 1) ticks *= 2;
  return { mul: Number((1_000_000_000n << 32n) / BigInt(ticks)), shift };
}

/** The calibration from which vCPUs currently extrapolate. */
function epochOf({ state }: Domain): bigint {
  return state.nowNs - (state.nowNs % epochNs);
}

/** Xen makes a version odd before it writes (xen/include/xen/lib.h, version_update_begin) ... */
function writingVersion(version: number): number {
  return u32((version + 1) | 1);
}

/** ... and even after it has written. */
function writtenVersion(version: number): number {
  return u32(version + 1);
}

type TimeInfo = ValueOf<typeof vcpu_time_info>;

function timeInfo(domain: Domain, version: number): TimeInfo {
  const clock = clockOf(domain);
  const { mul, shift } = tscScale(clock.tscKHz);
  const stamp = epochOf(domain);
  return {
    version,
    pad0: 0,
    tsc_timestamp: tscAt(domain, stamp),
    system_time: stamp,
    tsc_to_system_mul: mul,
    tsc_shift: shift,
    flags: clock.tscStable ? XEN_PVCLOCK_TSC_STABLE_BIT : 0,
    pad1: [0, 0],
  };
}

/** The three steps of the protocol: write an odd version, the whole struct, an even version. */
function writeTime(write: AreaWriter, info: TimeInfo): void {
  const at = vcpu_time_info.offsets.version;
  const versionBytes = (version: number): Uint8Array =>
    vcpu_time_info.encode({ ...info, version }).subarray(at, at + 4);
  write(at, versionBytes(info.version));
  write(0, vcpu_time_info.encode(info));
  write(at, versionBytes(writtenVersion(info.version)));
}

function viewWriter(view: DataView, at: number): AreaWriter {
  return (offset, bytes) => {
    new Uint8Array(view.buffer, view.byteOffset + at + offset, bytes.length).set(bytes);
  };
}

/**
 * Updates an x86 vCPU's time to the last calibration: in its vcpu_info and in its secondary
 * area (Xen 4.17 arch/x86/time.c, __update_vcpu_system_time). Without `force`, nothing is written when nothing
 * changed. An area registered by virtual address is written when the vCPU is next entered. Nothing on Arm.
 */
export function updateVcpuTime(domain: Domain, vcpu: VcpuState, force: boolean): void {
  if (archOf(domain) === 'arm64') return;
  if (!force && isCurrent(domain, vcpu)) return;
  const info = timeInfo(domain, writingVersion(vcpuTime(domain, vcpu).version));
  const view = vcpuInfoView(domain, vcpu, true);
  if (view !== null) writeTime(viewWriter(view, vcpu_info.x86_64.offsets.time), info);
  if (vcpu.timeArea.location !== null) writeTime(locationWriter(domain, vcpu.timeArea.location), info);
  else if (vcpu.timeArea.virtual !== null) vcpu.areasStale = true;
}

/** The time in the vCPU's vcpu_info; the current time with version 0 if it has no vcpu_info. */
function vcpuTime(domain: Domain, vcpu: VcpuState): TimeInfo {
  const view = vcpuInfoView(domain, vcpu, false);
  return view === null ? timeInfo(domain, 0) : vcpu_time_info.read(view, vcpu_info.x86_64.offsets.time);
}

/**
 * Whether a vCPU's vcpu_info has the current time, if it has a vcpu_info at all. This is asked for each vCPU whenever time advances,
 * so it reads the fields where they are.
 */
function isCurrent(domain: Domain, vcpu: VcpuState): boolean {
  const view = vcpuInfoView(domain, vcpu, false);
  if (view === null) return true;
  const at = vcpu_info.x86_64.offsets.time;
  const { offsets } = vcpu_time_info;
  const info = timeInfo(domain, 0);
  return (
    view.getBigUint64(at + offsets.system_time, true) === info.system_time &&
    view.getBigUint64(at + offsets.tsc_timestamp, true) === BigInt.asUintN(64, info.tsc_timestamp) &&
    view.getUint32(at + offsets.tsc_to_system_mul, true) === info.tsc_to_system_mul &&
    view.getInt8(at + offsets.tsc_shift) === info.tsc_shift &&
    view.getUint8(at + offsets.flags) === info.flags &&
    view.getUint32(at + offsets.pad0, true) === 0 &&
    view.getUint16(at + offsets.pad1, true) === 0
  );
}

/** Writes a secondary area that was just registered (Xen 4.18 arch/x86/time.c, force_update_secondary_system_time). */
export function fillTimeArea(domain: Domain, location: FrameLocation): void {
  writeTime(locationWriter(domain, location), timeInfo(domain, 0xffff_ffff));
}

/** Writes the secondary area that the vCPU registered by virtual address, through its own page tables. */
export function refreshTimeArea(domain: Domain, vcpu: VcpuState, write: AreaWriter): void {
  const info = vcpuTime(domain, vcpu);
  writeTime(write, { ...info, version: u32(info.version - 1) });
}

/** Tells the guest when system time 0 was (Xen 4.17 common/time.c, update_domain_wallclock_time). */
export function writeWallclock(domain: Domain): void {
  const { offsets } = shared_info[archOf(domain)];
  const view = sharedInfoView(domain, true);
  const version = writingVersion(view.getUint32(offsets.wc_version, true));
  const { wallclockSec } = clockOf(domain);
  view.setUint32(offsets.wc_version, version, true);
  view.setUint32(offsets.wc_sec, u32(wallclockSec), true);
  view.setUint32(offsets.wc_nsec, 0, true);
  view.setUint32(offsets.wc_sec_hi, u32(Math.floor(wallclockSec / 2 ** 32)), true);
  view.setUint32(offsets.wc_version, writtenVersion(version), true);
}
