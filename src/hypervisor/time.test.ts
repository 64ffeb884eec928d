import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as abi from '../abi/index.js';
import { xenVcpuId } from '../identity/index.js';
import type { XenVcpuId } from '../identity/index.js';
import { clockOf, tscAt, tscScale } from './clock.js';
import type { Domain } from './domain.js';
import { call, identityPort, makeTestDomain, peek, poke, scratch } from './test_domain.js';
import { refreshAreas } from './runstate.js';
import { advanceTo, nextDeadline } from './time.js';
import { sharedInfoView, vcpuInfoView } from './vcpu_info.js';

const msNs = 1_000_000n;

function bindTimer(domain: Domain, vcpu: number): void {
  poke(domain, abi.evtchn_bind_virq, { virq: abi.VIRQ_TIMER, vcpu, port: 0 });
  const { returned } = call(domain, 0, abi.__HYPERVISOR_event_channel_op, abi.EVTCHNOP_bind_virq, scratch);
  assert.equal(returned, 0);
}

/** Whether events are pending for the vCPU; they are no longer afterwards. */
function takePending(domain: Domain, vcpu: number): boolean {
  const info = vcpuInfoView(domain, domain.state.vcpus[vcpu]!, true)!;
  const pending = info.getUint8(0) !== 0;
  info.setUint8(0, 0);
  info.setBigUint64(8, 0n, true);
  sharedInfoView(domain, true).setBigUint64(abi.shared_info.x86_64.offsets.evtchn_pending, 0n, true);
  return pending;
}

function vcpuOp(domain: Domain, vcpu: number, command: number): number {
  return call(domain, vcpu, abi.__HYPERVISOR_vcpu_op, command, vcpu, scratch).returned;
}

function setSingleshot(domain: Domain, vcpu: number, timeout_abs_ns: bigint): void {
  poke(domain, abi.vcpu_set_singleshot_timer, { timeout_abs_ns, flags: 0 });
  assert.equal(vcpuOp(domain, vcpu, abi.VCPUOP_set_singleshot_timer), 0);
}

function setPeriodic(domain: Domain, vcpu: number, period_ns: bigint): void {
  poke(domain, abi.vcpu_set_periodic_timer, { period_ns });
  assert.equal(vcpuOp(domain, vcpu, abi.VCPUOP_set_periodic_timer), 0);
}

test('a one-shot timer raises VIRQ_TIMER on its own vCPU, once, at its time', () => {
  const domain = makeTestDomain('pvhvm');
  domain.state.vcpus[1]!.up = true;
  bindTimer(domain, 0);
  bindTimer(domain, 1);
  setSingleshot(domain, 1, 500n);
  assert.equal(nextDeadline(domain), 500n);
  advanceTo(domain, 499n);
  assert.ok(!takePending(domain, 1));
  advanceTo(domain, 500n);
  assert.deepEqual([takePending(domain, 0), takePending(domain, 1)], [false, true]);
  assert.equal(nextDeadline(domain), null);
});

test('a stopped one-shot timer does not fire; one set anew fires at the new time alone', () => {
  const domain = makeTestDomain('pvhvm');
  bindTimer(domain, 0);
  setSingleshot(domain, 0, 500n);
  assert.equal(vcpuOp(domain, 0, abi.VCPUOP_stop_singleshot_timer), 0);
  advanceTo(domain, 600n);
  assert.ok(!takePending(domain, 0));
  setSingleshot(domain, 0, 700n);
  setSingleshot(domain, 0, 900n);
  advanceTo(domain, 800n);
  assert.ok(!takePending(domain, 0));
  advanceTo(domain, 900n);
  assert.ok(takePending(domain, 0));
});

test('a one-shot timer for the present moment is no past one: it fires with the next step of time', () => {
  const domain = makeTestDomain('pvhvm');
  bindTimer(domain, 0);
  advanceTo(domain, 10n);
  setSingleshot(domain, 0, 10n);
  assert.ok(!takePending(domain, 0));
  assert.equal(nextDeadline(domain), 10n);
  advanceTo(domain, 10n);
  assert.ok(takePending(domain, 0));
});

test("a one-shot time of 2^63 ns or more is past to Xen's signed timers", () => {
  const domain = makeTestDomain('pvhvm');
  bindTimer(domain, 0);
  advanceTo(domain, 10n);
  setSingleshot(domain, 0, 1n << 63n);
  assert.equal(nextDeadline(domain), 10n);
  advanceTo(domain, 10n);
  assert.ok(takePending(domain, 0));
});

test('the periodic timer counts from when it last fired, first from time 0 (vcpu_periodic_timer_work)', () => {
  const domain = makeTestDomain('pvhvm');
  bindTimer(domain, 0);
  advanceTo(domain, 5n * msNs);
  setPeriodic(domain, 0, 2n * msNs);
  assert.ok(takePending(domain, 0), 'the first is overdue');
  assert.equal(nextDeadline(domain), 7n * msNs);
  advanceTo(domain, 7n * msNs);
  assert.ok(takePending(domain, 0));
  assert.equal(vcpuOp(domain, 0, abi.VCPUOP_stop_periodic_timer), 0);
  assert.equal(nextDeadline(domain), null);
});

test('the periodic timer of a vCPU that does not run neither fires nor wakes it; it fires when it runs again', () => {
  const domain = makeTestDomain('pvhvm');
  bindTimer(domain, 0);
  setPeriodic(domain, 0, msNs);
  domain.state.vcpus[0]!.blocked = { why: 'block' };
  assert.equal(nextDeadline(domain), null);
  advanceTo(domain, 10n * msNs);
  assert.ok(!takePending(domain, 0));
  domain.state.vcpus[0]!.blocked = null;
  assert.equal(nextDeadline(domain), 10n * msNs);
  advanceTo(domain, 10n * msNs);
  assert.ok(takePending(domain, 0));
  assert.equal(nextDeadline(domain), 11n * msNs);
});

test('what is due at different times happens in that order; a timer wakes who blocks', () => {
  const domain = makeTestDomain('pvhvm');
  bindTimer(domain, 0);
  domain.state.vcpus[0]!.upcallVector = 0xf3;
  domain.state.vcpus[0]!.singleshotNs = 300n;
  domain.state.vcpus[0]!.blocked = { why: 'poll', ports: [], deadlineNs: 200n };
  domain.state.watchdogs[1] = { inUse: true, deadlineNs: 400n };
  assert.equal(nextDeadline(domain), 200n);
  advanceTo(domain, 250n);
  assert.equal(domain.state.vcpus[0]!.blocked, null);
  domain.state.vcpus[0]!.blocked = { why: 'block' };
  advanceTo(domain, 350n);
  assert.equal(domain.state.vcpus[0]!.blocked, null);
  assert.equal(domain.state.shutdown, null);
  advanceTo(domain, 400n);
  assert.equal(domain.state.shutdown!.reason, abi.SHUTDOWN_watchdog);
  assert.equal(nextDeadline(domain), null);
});

test('time never goes back', () => {
  const domain = makeTestDomain('arm');
  advanceTo(domain, 10n);
  assert.throws(() => {
    advanceTo(domain, 9n);
  }, /cannot go back/);
});

test('advancing in many small steps leaves the state that one step leaves', () => {
  const run = (step: bigint): Domain => {
    const domain = makeTestDomain('pvhvm');
    bindTimer(domain, 0);
    setPeriodic(domain, 0, 7n * msNs);
    setSingleshot(domain, 0, 1_234_567_890n);
    for (let ns = step; ns <= 2_400_000_000n; ns += step) advanceTo(domain, ns);
    return domain;
  };
  const [fine, coarse] = [run(100n * msNs), run(2_400n * msNs)];
  assert.deepEqual(fine.state, coarse.state);
});

test('a vCPU extrapolates from its time information to within a tick, at any TSC frequency (public xen.h)', () => {
  for (const tscKHz of [1000, 999_999, 1_000_000, 2_400_000, 3_999_999]) {
    const clock = { tscKHz, tscStable: true, wallclockSec: 0 };
    const domain = makeTestDomain('pvh', 1, { clock });
    advanceTo(domain, 3_700_000_000n);
    const info = abi.vcpu_info.x86_64.read(vcpuInfoView(domain, domain.state.vcpus[0]!, false)!, 0).time;
    assert.deepEqual([info.version % 2, info.flags], [0, abi.XEN_PVCLOCK_TSC_STABLE_BIT]);
    const ticks = tscAt(domain, domain.state.nowNs) - info.tsc_timestamp;
    const shifted = info.tsc_shift < 0 ? ticks >> BigInt(-info.tsc_shift) : ticks << BigInt(info.tsc_shift);
    const ns = info.system_time + ((shifted * BigInt(info.tsc_to_system_mul)) >> 32n);
    const off = domain.state.nowNs - ns;
    assert.ok(off >= 0n && off <= BigInt(Math.ceil(1e6 / tscKHz)) + 1n, `${tscKHz} kHz: ${off} ns off`);
    assert.ok(info.tsc_to_system_mul >= 2 ** 31, 'the multiplier uses its upper half');
  }
  assert.deepEqual(tscScale(1_000_000), { mul: 2 ** 31, shift: 1 });
});

test('the time information is written once a second, with an even version; not on Arm, which has none', () => {
  const domain = makeTestDomain('pvh');
  const versionOf = (vcpu: number): number =>
    abi.vcpu_info.x86_64.read(vcpuInfoView(domain, domain.state.vcpus[vcpu]!, false)!, 0).time.version;
  assert.deepEqual([versionOf(0), versionOf(3)], [2, 2], 'in every slot, used or not');
  advanceTo(domain, 999_999_999n);
  assert.equal(versionOf(0), 2);
  advanceTo(domain, 1_000_000_000n);
  assert.deepEqual([versionOf(0), versionOf(3)], [4, 2], 'of vCPUs that are up');
  const arm = makeTestDomain('arm');
  advanceTo(arm, 5_000_000_000n);
  const { time } = abi.vcpu_info.arm64.read(vcpuInfoView(arm, arm.state.vcpus[0]!, false)!, 0);
  assert.equal(time.version, 0);
});

test('shared_info says when system time 0 was', () => {
  for (const kind of ['pv', 'arm'] as const) {
    const clock = { tscKHz: 1_000_000, tscStable: false, wallclockSec: 2 ** 33 + 5 };
    const domain = makeTestDomain(kind, 1, { clock });
    const info = abi.shared_info[kind === 'pv' ? 'x86_64' : 'arm64'].read(sharedInfoView(domain, false), 0);
    assert.deepEqual([info.wc_version, info.wc_sec, info.wc_sec_hi, info.wc_nsec], [2, 5, 2, 0]);
    assert.equal(clockOf(makeTestDomain(kind)).wallclockSec, 1_467_158_400);
  }
});

function registerArea(domain: Domain, command: number, address: bigint): void {
  poke(domain, abi.vcpu_register_time_memory_area, { addr: { v: address } });
  assert.equal(call(domain, 0, abi.__HYPERVISOR_vcpu_op, command, 0, scratch).returned, 0);
}

test('a secondary time area shows what the vcpu_info shows, after the vCPU was entered', () => {
  const domain = makeTestDomain('pvh');
  registerArea(domain, abi.VCPUOP_register_vcpu_time_memory_area, 0x3000n);
  const area = (): abi.ValueOf<typeof abi.vcpu_time_info> => peek(domain, abi.vcpu_time_info, 0x3000n);
  const own = (): abi.ValueOf<typeof abi.vcpu_time_info> =>
    abi.vcpu_info.x86_64.read(vcpuInfoView(domain, domain.state.vcpus[0]!, false)!, 0).time;
  assert.deepEqual(area(), own());
  advanceTo(domain, 2_000_000_000n);
  assert.notDeepEqual(area(), own());
  refreshAreas(domain, xenVcpuId(0), identityPort);
  assert.deepEqual(area(), own());
});

test('a secondary time area by physical address follows at once (4.18)', () => {
  const domain = makeTestDomain('pvh', 2, { release: '4.18' });
  registerArea(domain, abi.VCPUOP_register_vcpu_time_phys_area, 0x3008n);
  assert.equal(peek(domain, abi.vcpu_time_info, 0x3008n).version, 0);
  advanceTo(domain, 2_000_000_000n);
  const { version, system_time } = peek(domain, abi.vcpu_time_info, 0x3008n);
  assert.deepEqual([version, system_time], [4, 2_000_000_000n]);
});

function runstateOf(domain: Domain, vcpu: number): [number, bigint, bigint[]] {
  const { returned } = call(domain, 0, abi.__HYPERVISOR_vcpu_op, abi.VCPUOP_get_runstate_info, vcpu, scratch);
  assert.equal(returned, 0);
  const { state, state_entry_time, time } = peek(domain, abi.vcpu_runstate_info);
  return [state, state_entry_time, time];
}

test('time is accounted to what each vCPU did: run, wait, be down or paused', () => {
  const domain = makeTestDomain('pvhvm');
  advanceTo(domain, 10n);
  domain.state.vcpus[1]!.up = true;
  domain.state.vcpus[0]!.blocked = { why: 'block' };
  advanceTo(domain, 30n);
  domain.state.vcpus[0]!.blocked = null;
  advanceTo(domain, 60n);
  assert.deepEqual(runstateOf(domain, 0), [abi.RUNSTATE_running, 30n, [40n, 0n, 20n, 0n]]);
  assert.deepEqual(runstateOf(domain, 1), [abi.RUNSTATE_running, 10n, [50n, 0n, 0n, 10n]]);
  domain.state.vcpus[1]!.pausedForShutdown = true;
  advanceTo(domain, 100n);
  assert.deepEqual(runstateOf(domain, 1), [abi.RUNSTATE_offline, 60n, [50n, 0n, 0n, 50n]]);
});

test('a runstate area is filled when registered, and brought up to date when the vCPU is entered', () => {
  for (const kind of ['pvhvm', 'arm'] as const) {
    const domain = makeTestDomain(kind);
    registerArea(domain, abi.VCPUOP_register_runstate_memory_area, 0x3000n);
    assert.equal(peek(domain, abi.vcpu_runstate_info, 0x3000n).state, abi.RUNSTATE_running);
    domain.state.vcpus[0]!.blocked = { why: 'block' };
    advanceTo(domain, 10n);
    domain.state.vcpus[0]!.blocked = null;
    advanceTo(domain, 30n);
    assert.deepEqual(peek(domain, abi.vcpu_runstate_info, 0x3000n).time, [0n, 0n, 0n, 0n]);
    refreshAreas(domain, xenVcpuId(0), identityPort);
    const { state, state_entry_time, time } = peek(domain, abi.vcpu_runstate_info, 0x3000n);
    assert.deepEqual([state, state_entry_time, time], [abi.RUNSTATE_running, 10n, [0n, 0n, 10n, 0n]]);
  }
});

test("another vCPU's runstate area is filled through the caller's page tables, with the time so far", () => {
  const domain = makeTestDomain('arm');
  advanceTo(domain, 70n);
  poke(domain, abi.vcpu_register_runstate_memory_area, { addr: { v: 0x3000n } });
  const args = [abi.VCPUOP_register_runstate_memory_area, 2, scratch] as const;
  assert.equal(call(domain, 0, abi.__HYPERVISOR_vcpu_op, ...args).returned, 0);
  assert.deepEqual(peek(domain, abi.vcpu_runstate_info, 0x3000n).time, [0n, 0n, 0n, 70n]);
  assert.equal(domain.state.vcpus[2]!.runstateArea.virtual, 0x3000n);
});

test("under the assist an area's entry time carries the update flag while it is written, and not after", () => {
  const domain = makeTestDomain('arm');
  domain.state.vmAssist[abi.VMASST_TYPE_runstate_update_flag] = true;
  registerArea(domain, abi.VCPUOP_register_runstate_memory_area, 0x3000n);
  domain.state.vcpus[0]!.blocked = { why: 'block' };
  advanceTo(domain, 10n);
  domain.state.vcpus[0]!.blocked = null;
  const written: bigint[] = [];
  const port = {
    translate: (_vcpu: XenVcpuId, address: bigint): bigint => {
      written.push(peek(domain, abi.vcpu_runstate_info, 0x3000n).state_entry_time);
      return address;
    },
  };
  refreshAreas(domain, xenVcpuId(0), port);
  const flagged = abi.XEN_RUNSTATE_UPDATE | 10n;
  assert.deepEqual(written, [0n, flagged, flagged], 'before each of the three writes');
  refreshAreas(domain, xenVcpuId(0), port);
  assert.equal(written.length, 3, 'there is no news');
  assert.equal(peek(domain, abi.vcpu_runstate_info, 0x3000n).state_entry_time, 10n);
});
