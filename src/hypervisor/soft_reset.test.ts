import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as abi from '../abi/index.js';
import { xenVcpuId } from '../identity/index.js';
import type { Domain } from './domain.js';
import { createRemoteChannel, pendingUpcall } from './event_channels/index.js';
import { hvmParam, setHvmParam } from './hvm_params.js';
import { mapGfn, mfnOfGfn } from './physmap.js';
import { isRunnable } from './power.js';
import { populatedFrames } from './ram.js';
import { softReset } from './soft_reset.js';
import { call, makeTestDomain, poke, scratch } from './test_domain.js';
import { toolstackAfterShutdown } from './toolstack.js';

const vcpu0 = xenVcpuId(0);

function shutDown(domain: Domain, reason = abi.SHUTDOWN_soft_reset): void {
  poke(domain, abi.sched_shutdown, { reason });
  const { returned } = call(domain, 0, abi.__HYPERVISOR_sched_op, abi.SCHEDOP_shutdown, scratch);
  assert.equal(returned, 0);
}

/** A domain that has registered what there is to register. */
function busyDomain(kind: 'pv' | 'pvhvm' | 'arm', overrides = {}): Domain {
  const domain = makeTestDomain(kind, 4, overrides);
  const operation = (number: number, command: number, ...rest: (number | bigint)[]): void => {
    assert.equal(call(domain, 0, number, command, ...rest, scratch).returned, 0);
  };
  poke(domain, abi.vcpu_register_vcpu_info, { mfn: 7n, offset: 0, rsvd: 0 });
  operation(abi.__HYPERVISOR_vcpu_op, abi.VCPUOP_register_vcpu_info, 0);
  poke(domain, abi.vcpu_register_runstate_memory_area, { addr: { v: 0x3000n } });
  operation(abi.__HYPERVISOR_vcpu_op, abi.VCPUOP_register_runstate_memory_area, 0);
  poke(domain, abi.evtchn_init_control, {
    control_gfn: 8n,
    offset: 0,
    vcpu: 0,
    link_bits: 0,
    _pad: [0, 0, 0, 0, 0, 0, 0],
  });
  operation(abi.__HYPERVISOR_event_channel_op, abi.EVTCHNOP_init_control);
  for (const [space, gpfn] of [
    [abi.XENMAPSPACE_shared_info, 9n],
    [abi.XENMAPSPACE_grant_table, 0x900n],
  ] as const) {
    if (kind === 'pv') break;
    poke(domain, abi.xen_add_to_physmap, { domid: abi.DOMID_SELF, size: 0, space, idx: 0n, gpfn });
    operation(abi.__HYPERVISOR_memory_op, abi.XENMEM_add_to_physmap);
  }
  domain.state.vcpus[0]!.timeArea.virtual = kind === 'pvhvm' ? 0x4000n : null;
  domain.state.vcpus[0]!.upcallVector = 0xf3;
  setHvmParam(domain, abi.HVM_PARAM_STORE_EVTCHN, BigInt(createRemoteChannel(domain, vcpu0)));
  return domain;
}

test('a soft reset forgets what was registered and lets the vCPUs go on (domain_soft_reset)', () => {
  const domain = busyDomain('pvhvm');
  domain.state.vcpus[1]!.up = true;
  shutDown(domain);
  assert.ok(!isRunnable(domain, vcpu0));
  assert.equal(softReset(domain), 0);
  const [first, second, third] = domain.state.vcpus;
  assert.deepEqual(
    [first!.vcpuInfo, first!.fifo, first!.runstateArea.virtual, first!.timeArea.virtual],
    [null, null, null, null],
  );
  assert.deepEqual([domain.state.events.abi, domain.state.shutdown, domain.state.resets], ['2l', null, 1]);
  assert.ok(isRunnable(domain, vcpu0) && second!.up && !third!.up);
  assert.equal(first!.upcallVector, 0xf3, 'upcall vectors stay');
});

test("the page at shared_info's place is fresh RAM afterwards, and shared_info itself can be mapped anew", () => {
  for (const kind of ['pvhvm', 'arm'] as const) {
    const domain = busyDomain(kind, { softReset: true });
    domain.memory.writable(9)![0] = 0x5a;
    shutDown(domain);
    assert.equal(softReset(domain), 0);
    assert.deepEqual([mfnOfGfn(domain, 9), domain.memory.readable(9)![0]], [9, 0]);
    assert.equal(populatedFrames(domain), 256);
    const change = { space: abi.XENMAPSPACE_shared_info, idx: 0n, gpfn: 20n };
    poke(domain, abi.xen_add_to_physmap, { domid: abi.DOMID_SELF, size: 0, ...change });
    assert.equal(call(domain, 0, 12, abi.XENMEM_add_to_physmap, scratch).returned, 0);
    assert.equal(mfnOfGfn(domain, 20), domain.state.sharedInfoMfn);
  }
});

test('grant frames stay where they are on x86; the reset that Arm might have takes them away', () => {
  const x86 = busyDomain('pvhvm');
  shutDown(x86);
  softReset(x86);
  assert.equal(mfnOfGfn(x86, 0x900), x86.state.grants.frames[0]);
  const arm = busyDomain('arm', { softReset: true });
  shutDown(arm);
  softReset(arm);
  assert.equal(mfnOfGfn(arm, 0x900), null);
});

test('what a kernel wrote over shared_info does not come into the vcpu_info of the next one; on x86 it stays, as Xen has it', () => {
  for (const [kind, byte] of [
    ['arm', 0],
    ['pvhvm', 0xfd],
  ] as const) {
    const domain = busyDomain(kind, { softReset: true });
    domain.memory.writable(domain.state.sharedInfoMfn)!.fill(0xfd);
    shutDown(domain);
    assert.equal(toolstackAfterShutdown(domain), 'soft-reset');
    poke(domain, abi.vcpu_register_vcpu_info, { mfn: 30n, offset: 64, rsvd: 0 });
    const operation = [abi.__HYPERVISOR_vcpu_op, abi.VCPUOP_register_vcpu_info] as const;
    assert.equal(call(domain, 0, ...operation, 0, scratch).returned, 0);
    const info = domain.memory.readable(30)!.subarray(64);
    const at = abi.vcpu_info.x86_64.offsets;
    assert.equal(info[at.evtchn_upcall_mask], byte, 'copied from the slot in shared_info');
    assert.equal(info[at.evtchn_upcall_pending], byte | 1, 'and something is pending');
    if (kind === 'arm') assert.notEqual(pendingUpcall(domain, vcpu0), null, 'of which the vCPU is told');
  }
});

test('time areas are only forgotten where shared_info was mapped (arch_domain_soft_reset)', () => {
  const domain = makeTestDomain('pvhvm');
  domain.state.vcpus[0]!.timeArea.virtual = 0x4000n;
  shutDown(domain);
  assert.equal(softReset(domain), 0);
  assert.equal(domain.state.vcpus[0]!.timeArea.virtual, 0x4000n);
});

test("a shared_info that lay outside RAM is replaced by RAM too, from Xen's own frames if the domain has all of its", () => {
  const domain = makeTestDomain('pvh', 1);
  mapGfn(domain, 0x800, domain.state.sharedInfoMfn);
  shutDown(domain);
  assert.equal(softReset(domain), 0);
  const fresh = mfnOfGfn(domain, 0x800);
  assert.ok(fresh !== null && fresh !== domain.state.sharedInfoMfn);
  mapGfn(domain, 0x800, domain.state.sharedInfoMfn);
  domain.state.nextXenFrame = domain.state.config.xenFrames.count;
  shutDown(domain);
  assert.equal(softReset(domain), -abi.XEN_ENOMEM);
});

test('every vCPU must be paused for a shutdown', () => {
  const domain = makeTestDomain('pvhvm');
  assert.equal(softReset(domain), -abi.XEN_EINVAL);
  shutDown(domain);
  domain.state.vcpus[2]!.pausedForShutdown = false;
  assert.equal(softReset(domain), -abi.XEN_EINVAL);
});

test('PV and Arm cannot be soft-reset, but have lost their registrations when Xen finds out', () => {
  for (const [kind, error] of [
    ['pv', abi.XEN_EINVAL],
    ['arm', abi.XEN_ENOSYS],
  ] as const) {
    const domain = busyDomain(kind);
    shutDown(domain);
    assert.equal(softReset(domain), -error);
    const { vcpuInfo, fifo, pausedForShutdown } = domain.state.vcpus[0]!;
    assert.deepEqual([vcpuInfo, fifo, pausedForShutdown], [null, null, true]);
    assert.deepEqual([domain.state.resets, domain.state.shutdown?.reason], [0, abi.SHUTDOWN_soft_reset]);
  }
});

test('the toolstack answers a shutdown for a soft reset where it can, and connects the domain again', () => {
  const domain = busyDomain('pvhvm');
  assert.equal(toolstackAfterShutdown(domain), null);
  shutDown(domain);
  assert.equal(toolstackAfterShutdown(domain), 'soft-reset');
  const port = Number(hvmParam(domain, abi.HVM_PARAM_STORE_EVTCHN));
  assert.equal(domain.state.events.channels[port]!.binding.kind, 'interdomain');
  assert.equal(hvmParam(domain, abi.HVM_PARAM_CONSOLE_EVTCHN), 0n, 'it had no console');
  assert.equal(toolstackAfterShutdown(domain), null);
});

test('any other shutdown, and a soft reset that nobody offers or that fails, is the end of the domain', () => {
  for (let reason = 0; reason < abi.SHUTDOWN_soft_reset; reason += 1) {
    const domain = makeTestDomain('pvhvm');
    shutDown(domain, reason);
    assert.equal(toolstackAfterShutdown(domain), 'destroyed');
  }
  for (const [kind, softReset] of [
    ['pvhvm', false],
    ['arm', false],
    ['pv', true],
  ] as const) {
    const domain = makeTestDomain(kind, 2, { softReset });
    shutDown(domain);
    assert.equal(toolstackAfterShutdown(domain), 'destroyed');
  }
});
