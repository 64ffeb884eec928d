/**
 * How long each vCPU was running, blocked or offline, and the memory areas that contain these times. There is no scheduler
 * here: a vCPU that may run counts as running, as if each vCPU had its own physical CPU.
 */
import {
  RUNSTATE_blocked,
  RUNSTATE_offline,
  RUNSTATE_running,
  vcpu_runstate_info,
  VMASST_TYPE_runstate_update_flag,
  XEN_RUNSTATE_UPDATE,
} from '../abi/index.js';
import type { ValueOf } from '../abi/index.js';
import type { XenVcpuId } from '../identity/index.js';
import { refreshTimeArea } from './clock.js';
import type { CallerPort, Domain, VcpuState } from './domain.js';
import { locationWriter, virtualWriter } from './guest_area.js';
import type { AreaWriter } from './guest_area.js';
import { vcpuOf } from './power.js';

export type Runstate = ValueOf<typeof vcpu_runstate_info>;

/** VPF_blocked takes precedence over everything else (Xen 4.17 common/sched/core.c, sched_unit_runstate_change's callers). */
function presentState(vcpu: VcpuState): number {
  if (vcpu.blocked !== null) return RUNSTATE_blocked;
  return vcpu.up && !vcpu.pausedForShutdown ? RUNSTATE_running : RUNSTATE_offline;
}

/** Accounts for every vCPU's change of state since the last call, at the current time. */
export function updateRunstates(domain: Domain): void {
  for (const vcpu of domain.state.vcpus) updateRunstate(domain, vcpu);
}

function updateRunstate(domain: Domain, vcpu: VcpuState): void {
  const { runstate } = vcpu;
  const state = presentState(vcpu);
  if (runstate.state === state) return;
  runstate.timesNs = timesNow(domain, vcpu);
  runstate.entryNs = domain.state.nowNs;
  runstate.state = state;
  const { location, virtual } = vcpu.runstateArea;
  if (location !== null) writeRunstate(runstateOf(vcpu), true, locationWriter(domain, location));
  else if (virtual !== null) vcpu.areasStale = true;
}

function timesNow({ state: { nowNs } }: Domain, { runstate }: VcpuState): bigint[] {
  return runstate.timesNs.map((ns, state) => (state === runstate.state ? ns + nowNs - runstate.entryNs : ns));
}

/** The runstate as of its last change (Xen's v->runstate). */
export function runstateOf({ runstate }: VcpuState): Runstate {
  return { state: runstate.state, state_entry_time: runstate.entryNs, time: runstate.timesNs };
}

/** The runstate including the time since its last change (Xen's vcpu_runstate_get). */
export function runstateNow(domain: Domain, vcpu: VcpuState): Runstate {
  return { ...runstateOf(vcpu), time: timesNow(domain, vcpu) };
}

/**
 * Writes a runstate area. With `flagged`, XEN_RUNSTATE_UPDATE is set in the entry time before and cleared after, so
 * that a reader on another vCPU can tell (Xen 4.17 arch/x86/domain.c, update_runstate_area).
 */
function writeRunstate(runstate: Runstate, flagged: boolean, write: AreaWriter): void {
  const at = vcpu_runstate_info.offsets.state_entry_time;
  const flag = flagged ? XEN_RUNSTATE_UPDATE : 0n;
  const writing = vcpu_runstate_info.encode({
    ...runstate,
    state_entry_time: runstate.state_entry_time | flag,
  });
  if (flagged) write(at, writing.subarray(at, at + 8));
  write(0, writing);
  if (flagged) write(at, vcpu_runstate_info.encode(runstate).subarray(at, at + 8));
}

/**
 * Writes the areas that the vCPU registered by virtual address, if they have changed. The machine must call this when the
 * vCPU enters the guest: Xen writes them at that time too, through the vCPU's own page tables.
 */
export function refreshAreas(domain: Domain, id: XenVcpuId, cpu: CallerPort): void {
  updateRunstates(domain);
  const vcpu = vcpuOf(domain, id);
  if (!vcpu.areasStale) return;
  vcpu.areasStale = false;
  refreshRunstateArea(domain, vcpu, cpu);
  const { location, virtual } = vcpu.timeArea;
  if (location === null && virtual !== null) {
    refreshTimeArea(domain, vcpu, virtualWriter(domain, cpu, id, virtual));
  }
}

function refreshRunstateArea(domain: Domain, vcpu: VcpuState, cpu: CallerPort): void {
  const { location, virtual } = vcpu.runstateArea;
  if (location !== null || virtual === null) return;
  const flagged = domain.state.vmAssist[VMASST_TYPE_runstate_update_flag] ?? false;
  writeRunstate(runstateOf(vcpu), flagged, virtualWriter(domain, cpu, vcpu.id, virtual));
}
