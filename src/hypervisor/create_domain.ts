/** A new domain, as Xen and its toolstack leave it before the first instruction of the guest. */
import { RUNSTATE_offline, RUNSTATE_running, shared_info, vcpu_info } from '../abi/index.js';
import { InputError, present } from '../base/index.js';
import type { FrameMemory, FrameRange } from '../base/index.js';
import { armMaxVcpus, hvmMaxVcpus, xenVcpuId } from '../identity/index.js';
import type { XenVcpuId } from '../identity/index.js';
import { defaultClock, updateVcpuTime, writeWallclock } from './clock.js';
import { freeChannel } from './event_channels/index.js';
import type { Domain, DomainConfig, DomainState, VcpuState } from './domain.js';
import { growGrantTable } from './grant_frames.js';
import { allocateXenFrame, mapGfn } from './physmap.js';
import { isUuid } from './uuid.js';
import { sharedInfoView } from './vcpu_info.js';

/**
 * How many vCPUs Xen gives a guest at most: MAX_VIRT_CPUS for PV, HVM_MAX_VCPUS for PVHVM and PVH, and 128 on
 * arm64 with a GICv3 (Xen 4.17 arch/x86/include/asm/domain.h and config.h, arch/arm/include/asm/domain.h).
 */
export const mostVcpusOfKind = { pv: 8192, pvhvm: hvmMaxVcpus, pvh: hvmMaxVcpus, arm: armMaxVcpus } as const;

/**
 * A domain as the toolstack hands it to the guest: vCPU `config.entryVcpu` is up and starts at address 0 unless
 * the builder says otherwise (takeStart), the others are down and have no registers; shared_info is allocated and
 * on PV visible at the guest frame of its own number, elsewhere not visible until the guest maps it. `memory` must have the frames of
 * `config.ram` and `config.xenFrames`. `nowNs` is the system time then. Throws InputError when the configuration contradicts itself.
 */
export function createDomain(config: DomainConfig, memory: FrameMemory, nowNs = 0n): Domain {
  checkConfig(config, memory);
  const domain: Domain = { state: newState(config, nowNs), memory };
  domain.state.sharedInfoMfn = present(allocateXenFrame(domain), 'the frame of shared_info');
  growGrantTable(domain, 1);
  if (config.kind === 'pv') preparePv(domain);
  writeWallclock(domain);
  for (const vcpu of domain.state.vcpus) updateVcpuTime(domain, vcpu, true);
  return domain;
}

function refuse(problem: string | false): void {
  if (problem !== false) throw new InputError(problem);
}

function checkConfig(config: DomainConfig, memory: FrameMemory): void {
  const { kind, hardwareIds, entryVcpu, xenFrames, ram, maxGrantFrames, uuid } = config;
  const count = hardwareIds.length;
  refuse(uuid !== undefined && !isUuid(uuid) && `${JSON.stringify(uuid)} is no UUID in small letters`);
  const most = mostVcpusOfKind[kind];
  refuse((count < 1 || count > most) && `a ${kind} domain has 1 to ${most} vCPUs, not ${count}`);
  refuse(entryVcpu >= count && `entry vCPU ${entryVcpu} is not among the ${count} vCPUs`);
  refuse(
    xenFrames.count < 2 &&
      'a domain needs two frames of Xen, for shared_info and the first of its grant table',
  );
  refuse(maxGrantFrames < 1 && 'a domain may map at least one frame of its grant table');
  refuse(ram.some((range) => overlap(range, xenFrames)) && "Xen's frames lie in the guest's RAM");
  refuse(![...ram, xenFrames].every((range) => isThere(range, memory)) && 'a frame has no memory behind it');
  checkClock(config);
}

function overlap(a: FrameRange, b: FrameRange): boolean {
  return a.start < b.start + b.count && b.start < a.start + a.count;
}

/** Looks at the ends alone. */
function isThere({ start, count }: FrameRange, memory: FrameMemory): boolean {
  return count === 0 || [start, start + count - 1].every((mfn) => memory.readable(mfn) !== undefined);
}

function checkClock({ clock = defaultClock }: DomainConfig): void {
  const { tscKHz, wallclockSec } = clock;
  const valid =
    Number.isInteger(tscKHz) && tscKHz >= 1000 && Number.isInteger(wallclockSec) && wallclockSec >= 0;
  refuse(!valid && 'the clock needs a TSC frequency of 1000 kHz or more, and whole seconds since 1970');
}

function newState(config: DomainConfig, nowNs: bigint): DomainState {
  return {
    config,
    nowNs,
    vcpus: config.hardwareIds.map((_, id) => newVcpu(xenVcpuId(id), id === config.entryVcpu, nowNs)),
    events: { abi: '2l', channels: [{ ...freeChannel(), binding: { kind: 'reserved' } }], arrayMfns: [] },
    grants: { version: 1, frames: [], statusFrames: [] },
    sharedInfoMfn: 0,
    nextXenFrame: 0,
    freeXenFrames: [],
    physmap: {},
    shownAt: {},
    hvmParams: {},
    vmAssist: {},
    callbackVector: null,
    shutdown: null,
    shutdownCode: null,
    watchdogs: [
      { inUse: false, deadlineNs: null },
      { inUse: false, deadlineNs: null },
    ],
    remoteEvents: [],
    xenstore: null,
    pvConsole: null,
    xenConsole: { line: '', lines: [] },
    pirqs: {},
    reservedPirqs: [],
    assertedGsis: [],
    resets: 0,
  };
}

function newVcpu(id: XenVcpuId, entry: boolean, nowNs: bigint): VcpuState {
  return {
    id,
    up: entry,
    initialised: entry,
    pausedForShutdown: false,
    blocked: null,
    start: entry ? { how: 'built', entry: 0n, contextId: 0n } : null,
    vcpuInfo: null,
    runstateArea: { virtual: null, location: null },
    timeArea: { virtual: null, location: null },
    areasStale: false,
    runstate: {
      state: entry ? RUNSTATE_running : RUNSTATE_offline,
      entryNs: nowNs,
      timesNs: [0n, 0n, 0n, 0n],
    },
    upcallVector: 0,
    upcallInjected: false,
    upcallPort: null,
    lostUpcallPort: null,
    nmiPending: false,
    singleshotNs: null,
    periodNs: null,
    lastPeriodicNs: 0n,
    virqPorts: {},
    fifo: null,
    droppedEvents: 0,
  };
}

/**
 * A PV guest works with machine frames, and is told shared_info's address in its start_info. Its event upcalls
 * start masked, in each slot (Xen 4.17 tools/libs/guest/xg_dom_x86.c, shared_info_x86_64).
 */
function preparePv(domain: Domain): void {
  mapGfn(domain, domain.state.sharedInfoMfn, domain.state.sharedInfoMfn);
  const view = sharedInfoView(domain, true);
  const slots = shared_info.x86_64.offsets.vcpu_info;
  const slot = vcpu_info.x86_64;
  for (let at = slots; at < shared_info.x86_64.offsets.evtchn_pending; at += slot.size) {
    view.setUint8(at + slot.offsets.evtchn_upcall_mask, 1);
  }
}
