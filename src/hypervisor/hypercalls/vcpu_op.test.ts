import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as abi from '../../abi/index.js';
import { apicId, xenVcpuId } from '../../identity/index.js';
import type { Domain } from '../domain.js';
import { isRunnable, takeStart } from '../power.js';
import { complaints, unreadable } from '../test_check_order.js';
import type { CheckOrder, Fault } from '../test_check_order.js';
import { call, makeTestDomain, nowhere, peek, poke, scratch } from '../test_domain.js';
import { advanceTo } from '../time.js';
import { vcpuInfoView } from '../vcpu_info.js';
import { vcpu_op } from './vcpu_op.js';

const { __HYPERVISOR_vcpu_op } = abi;

/** Makes a vcpu_op as vCPU 0 without an argument. */
function plain(domain: Domain, command: number, vcpu: number, address = 0n): number {
  return call(domain, 0, __HYPERVISOR_vcpu_op, command, vcpu, address).returned;
}

function checkOrder<A>(order: Omit<CheckOrder<A>, 'family'>, mayChange = false): void {
  const whole: CheckOrder<A> = {
    other: 1n,
    registers: (command, { other, address }) => [command, other, address],
    ...order,
    family: vcpu_op,
  };
  const { source } = vcpu_op.operations.find(({ name }) => name === order.op)!;
  test(`${order.op}: errors, and their order as in ${source}`, () => {
    assert.deepEqual(complaints(whole, mayChange), []);
  });
}

const noVcpu: Fault<unknown> = { error: 'XEN_ENOENT', spoil: (attempt) => (attempt.other = 0xffff_ffffn) };
const onArm: Fault<unknown> = { error: 'XEN_EINVAL', config: { kind: 'arm' } };
/** The calls that take no argument are given any. */
const nothing = abi.vcpu_set_periodic_timer;
const noArgument = () => ({ period_ns: 0n });

const registers64 = {
  ...{ rax: 0n, rcx: 0n, rdx: 0n, rbx: 0n, rsp: 0n, rbp: 0n, rsi: 0n, rdi: 0n, rip: 0x1000n, rflags: 2n },
  ...{ cr0: 0x8000_0001n, cr3: 0n, cr4: 0x20n, efer: 0x100n },
};
const hvmContext = { mode: abi.VCPU_HVM_MODE_64B, pad: 0, cpu_regs: { x86_64: registers64 } };

checkOrder({
  op: 'VCPUOP_initialise',
  type: abi.vcpu_hvm_context,
  config: { hardwareIds: Array.from({ length: 40 }, (_, id) => apicId(2 * id)) },
  good: () => ({ ...hvmContext }),
  faults: [
    noVcpu,
    onArm,
    { error: 'XEN_EINVAL', spoil: (attempt) => (attempt.other = 35n) },
    unreadable,
    { error: 'XEN_EEXIST', spoil: ({ domain }) => (domain.state.vcpus[1]!.initialised = true) },
    { error: 'XEN_EINVAL', spoil: ({ argument }) => Object.assign(argument, { pad: 1 }) },
  ],
  apart: [[0, 2]],
});

checkOrder({
  op: 'VCPUOP_up',
  type: nothing,
  prepare: (domain) => void (domain.state.vcpus[1]!.initialised = true),
  good: noArgument,
  faults: [
    noVcpu,
    onArm,
    { error: 'XEN_EINVAL', spoil: ({ domain }) => (domain.state.vcpus[1]!.initialised = false) },
  ],
});

for (const op of ['VCPUOP_down', 'VCPUOP_is_up', 'VCPUOP_stop_periodic_timer']) {
  checkOrder({ op, type: nothing, good: noArgument, faults: [noVcpu, onArm] });
}

checkOrder({
  op: 'VCPUOP_set_periodic_timer',
  type: abi.vcpu_set_periodic_timer,
  good: () => ({ period_ns: 1_000_000n }),
  faults: [
    noVcpu,
    onArm,
    unreadable,
    { error: 'XEN_EINVAL', spoil: ({ argument }) => (argument.period_ns = 999_999n) },
  ],
});

checkOrder({
  op: 'VCPUOP_set_singleshot_timer',
  type: abi.vcpu_set_singleshot_timer,
  other: 0n,
  prepare: (domain) => {
    advanceTo(domain, 1000n);
  },
  good: () => ({ timeout_abs_ns: 5000n, flags: abi.VCPU_SSHOTTMR_future }),
  faults: [
    noVcpu,
    onArm,
    { error: 'XEN_EINVAL', spoil: (attempt) => (attempt.other = 1n) },
    unreadable,
    {
      error: 'XEN_ETIME',
      config: { release: '4.17' },
      spoil: ({ argument }) => (argument.timeout_abs_ns = 999n),
    },
  ],
  apart: [[0, 2]],
});

checkOrder({
  op: 'VCPUOP_stop_singleshot_timer',
  type: nothing,
  other: 0n,
  good: noArgument,
  faults: [noVcpu, onArm, { error: 'XEN_EINVAL', spoil: (attempt) => (attempt.other = 1n) }],
  apart: [[0, 2]],
});

checkOrder({
  op: 'VCPUOP_send_nmi',
  type: nothing,
  registers: (command, { other, address }) => [command, other, address === scratch ? 0n : address],
  good: noArgument,
  faults: [noVcpu, onArm, { error: 'XEN_EINVAL', spoil: (attempt) => (attempt.address = nowhere) }],
});

checkOrder({
  op: 'VCPUOP_get_runstate_info',
  type: nothing,
  good: noArgument,
  faults: [noVcpu, onArm, unreadable],
});

const inXen = { addr: { v: 0xffff_8000_0000_0000n } };

checkOrder({
  op: 'VCPUOP_register_runstate_memory_area',
  type: abi.vcpu_register_runstate_memory_area,
  good: () => ({ addr: { v: 0x3000n } }),
  faults: [
    noVcpu,
    unreadable,
    { error: 'XEN_EFAULT', config: { kind: 'pv' }, spoil: ({ argument }) => Object.assign(argument, inXen) },
  ],
});

checkOrder({
  op: 'VCPUOP_register_vcpu_time_memory_area',
  type: abi.vcpu_register_time_memory_area,
  good: () => ({ addr: { v: 0x3000n } }),
  faults: [
    noVcpu,
    onArm,
    unreadable,
    { error: 'XEN_EFAULT', config: { kind: 'pv' }, spoil: ({ argument }) => Object.assign(argument, inXen) },
  ],
});

for (const op of ['VCPUOP_register_runstate_phys_area', 'VCPUOP_register_vcpu_time_phys_area']) {
  checkOrder({
    op,
    type: abi.vcpu_register_runstate_memory_area,
    config: { release: '4.18' },
    good: () => ({ addr: { p: 0x3000n } }),
    faults: [
      noVcpu,
      onArm,
      { error: 'XEN_ENOSYS', config: { release: '4.17' } },
      unreadable,
      { error: 'XEN_ENXIO', spoil: ({ argument }) => (argument.addr = { p: 0x500_0ffcn }) },
      { error: 'XEN_ENXIO', spoil: ({ argument }) => (argument.addr = { p: 0x500_0004n }) },
      { error: 'XEN_EINVAL', spoil: ({ argument }) => (argument.addr = { p: 0x500_0000n }) },
    ],
    // One address; the first two lie where there is no page either.
    apart: [
      [4, 5],
      [4, 6],
      [5, 6],
    ],
  });
}

type Registration = abi.ValueOf<typeof abi.vcpu_register_vcpu_info>;
type Spoil = Required<Fault<Registration>>['spoil'];
const at =
  (offset: number): Spoil =>
  ({ argument }) =>
    (argument.offset = offset);
const registered: Spoil = ({ domain }) => (domain.state.vcpus[1]!.vcpuInfo = { mfn: 1, offset: 0 });

checkOrder(
  {
    op: 'VCPUOP_register_vcpu_info',
    type: abi.vcpu_register_vcpu_info,
    good: () => ({ mfn: 5n, offset: 64, rsvd: 0 }),
    faults: [
      noVcpu,
      unreadable,
      { error: 'XEN_ENXIO', config: { release: '4.17' }, spoil: at(4040) },
      { error: 'XEN_ENXIO', config: { release: '4.17' }, spoil: at(4) },
      { error: 'XEN_EINVAL', config: { release: '4.17' }, spoil: registered },
      {
        error: 'XEN_EINVAL',
        config: { release: '4.17' },
        spoil: ({ domain }) => (domain.state.vcpus[1]!.up = true),
      },
      { error: 'XEN_EINVAL', config: { release: '4.18' }, spoil: at(4096) },
      { error: 'XEN_EBUSY', config: { release: '4.18' }, spoil: registered },
      { error: 'XEN_ENXIO', config: { release: '4.18' }, spoil: at(4040) },
      { error: 'XEN_ENXIO', config: { release: '4.18' }, spoil: at(4) },
      { error: 'XEN_EINVAL', spoil: ({ argument }) => (argument.mfn = 0x5000n) },
    ],
    // One offset.
    apart: [
      [2, 3],
      [6, 8],
      [6, 9],
      [8, 9],
    ],
  },
  true, // 4.17 brings the vCPU's time up to date even when it refuses
);

test('every operation is checked above, but for VCPUOP_get_physid, which always fails', () => {
  const domain = makeTestDomain('pvhvm');
  assert.equal(plain(domain, abi.VCPUOP_get_physid, 9), -abi.XEN_ENOENT);
  assert.equal(plain(domain, abi.VCPUOP_get_physid, 1), -abi.XEN_EINVAL);
  assert.equal(vcpu_op.operations.length, 16);
});

test('an unknown operation: the vCPU first, then ENOSYS on x86 and EINVAL on Arm (do_vcpu_op)', () => {
  for (const [kind, error] of [
    ['pvh', abi.XEN_ENOSYS],
    ['arm', abi.XEN_EINVAL],
  ] as const) {
    const domain = makeTestDomain(kind);
    assert.equal(plain(domain, 77, 9), -abi.XEN_ENOENT);
    assert.equal(plain(domain, 77, 1), -error);
  }
});

test('the call records the vCPU id as passed, whatever comes of it', () => {
  const domain = makeTestDomain('pvhvm');
  const record = call(domain, 0, __HYPERVISOR_vcpu_op, abi.VCPUOP_is_up, (1n << 40n) | 0xffff_ffffn, 0);
  assert.deepEqual(record, {
    ...{ hypercall: 'vcpu_op', op: 'VCPUOP_is_up', vcpuId: 0xffff_ffff, detail: {} },
    returned: -abi.XEN_ENOENT,
  });
});

test('VCPUOP_initialise, up, down: an HVM vCPU starts where its context says, once up', () => {
  const domain = makeTestDomain('pvh');
  poke(domain, abi.vcpu_hvm_context, hvmContext);
  assert.equal(plain(domain, abi.VCPUOP_initialise, 2, scratch), 0);
  assert.equal(plain(domain, abi.VCPUOP_is_up, 2), 0);
  assert.equal(plain(domain, abi.VCPUOP_up, 2), 0);
  assert.equal(plain(domain, abi.VCPUOP_up, 2), 0);
  assert.equal(plain(domain, abi.VCPUOP_is_up, 2), 1);
  assert.ok(isRunnable(domain, xenVcpuId(2)));
  const { registers, ...start } = takeStart(domain, xenVcpuId(2)) ?? {};
  assert.deepEqual(start, { how: 'initialise', entry: 0x1000n, contextId: 0n });
  assert.deepEqual([registers?.mode, registers?.cpu_regs.x86_64], [abi.VCPU_HVM_MODE_64B, registers64]);
  assert.equal(takeStart(domain, xenVcpuId(2)), null);
  assert.equal(plain(domain, abi.VCPUOP_down, 2), 0);
  assert.equal(plain(domain, abi.VCPUOP_is_up, 2), 0);
});

test('VCPUOP_down of the last vCPU that is up: the domain shuts down, the vCPU stays up (common_vcpu_op)', () => {
  const domain = makeTestDomain('pv');
  assert.equal(plain(domain, abi.VCPUOP_down, 1), 0);
  assert.equal(domain.state.shutdown, null);
  assert.equal(plain(domain, abi.VCPUOP_down, 0), 0);
  assert.deepEqual(domain.state.shutdown, { reason: abi.SHUTDOWN_poweroff, by: 0 });
  assert.ok(domain.state.vcpus[0]!.up);
});

test('VCPUOP_register_vcpu_info moves what the slot held, and marks everything pending (map_vcpu_info)', () => {
  const domain = makeTestDomain('pvhvm');
  vcpuInfoView(domain, domain.state.vcpus[1]!, true)!.setBigUint64(16, 0x1234n, true);
  poke(domain, abi.vcpu_register_vcpu_info, { mfn: 5n, offset: 64, rsvd: 0 });
  assert.equal(plain(domain, abi.VCPUOP_register_vcpu_info, 1, scratch), 0);
  const info = peek(domain, abi.vcpu_info.x86_64, 5n * 4096n + 64n);
  assert.deepEqual(
    [info.evtchn_upcall_pending, info.evtchn_upcall_mask, info.evtchn_pending_sel, info.arch.cr2],
    [1, 0, 0xffff_ffff_ffff_ffffn, 0x1234n],
  );
  assert.equal(info.time.version, 4, 'the time was brought up to date');
});

test('VCPUOP_register_vcpu_info of a vCPU without a slot starts empty, masked on x86 (map_vcpu_info)', () => {
  for (const [kind, mask] of [
    ['pvhvm', 1],
    ['arm', 0],
  ] as const) {
    const hardwareIds = Array.from({ length: 40 }, (_, id) => apicId(2 * id));
    const domain = makeTestDomain(kind, 40, { hardwareIds });
    assert.equal(vcpuInfoView(domain, domain.state.vcpus[33]!, false), null);
    poke(domain, abi.vcpu_register_vcpu_info, { mfn: 5n, offset: 0, rsvd: 0 });
    assert.equal(plain(domain, abi.VCPUOP_register_vcpu_info, 33, scratch), 0);
    const view = vcpuInfoView(domain, domain.state.vcpus[33]!, false)!;
    assert.deepEqual([view.getUint8(0), view.getUint8(1)], [1, mask]);
    assert.equal(view.byteLength, abi.vcpu_info[kind === 'arm' ? 'arm64' : 'x86_64'].size);
  }
});

test('a vcpu_info stays in its page whatever the guest maps over it', () => {
  const domain = makeTestDomain('pvhvm');
  poke(domain, abi.vcpu_register_vcpu_info, { mfn: 5n, offset: 0, rsvd: 0 });
  plain(domain, abi.VCPUOP_register_vcpu_info, 0, scratch);
  domain.state.physmap[5] = null;
  vcpuInfoView(domain, domain.state.vcpus[0]!, true)!.setUint8(0, 0x5a);
  assert.equal(domain.memory.readable(5)![0], 0x5a);
});

test('4.18 registers the vcpu_info of another vCPU that runs, which 4.17 refuses', () => {
  for (const [release, returned] of [
    ['4.17', -abi.XEN_EINVAL],
    ['4.18', 0],
  ] as const) {
    const domain = makeTestDomain('arm', 4, { release });
    domain.state.vcpus[2]!.up = true;
    poke(domain, abi.vcpu_register_vcpu_info, { mfn: 5n, offset: 0, rsvd: 0 });
    assert.equal(plain(domain, abi.VCPUOP_register_vcpu_info, 2, scratch), returned);
  }
});

test('VCPUOP_set_singleshot_timer: a past time gives the event at once; VCPU_SSHOTTMR_future counts in 4.17 alone', () => {
  for (const [release, flags, returned] of [
    ['4.17', 0, 0],
    ['4.17', abi.VCPU_SSHOTTMR_future, -abi.XEN_ETIME],
    ['4.18', abi.VCPU_SSHOTTMR_future, 0],
  ] as const) {
    const domain = makeTestDomain('pvhvm', 2, { release });
    poke(domain, abi.evtchn_bind_virq, { virq: abi.VIRQ_TIMER, vcpu: 0, port: 0 });
    call(domain, 0, abi.__HYPERVISOR_event_channel_op, abi.EVTCHNOP_bind_virq, scratch);
    advanceTo(domain, 1_000n);
    poke(domain, abi.vcpu_set_singleshot_timer, { timeout_abs_ns: 999n, flags });
    assert.equal(plain(domain, abi.VCPUOP_set_singleshot_timer, 0, scratch), returned);
    const pending = vcpuInfoView(domain, domain.state.vcpus[0]!, false)!.getUint8(0);
    assert.equal(pending, returned === 0 ? 1 : 0);
    assert.equal(domain.state.vcpus[0]!.singleshotNs, null);
  }
});

test('VCPUOP_send_nmi wakes who waits, but brings nobody up', () => {
  const domain = makeTestDomain('pvhvm');
  domain.state.vcpus[1]!.blocked = { why: 'block' };
  assert.equal(plain(domain, abi.VCPUOP_send_nmi, 1), 0);
  assert.deepEqual([domain.state.vcpus[1]!.nmiPending, domain.state.vcpus[1]!.blocked], [true, null]);
  assert.equal(domain.state.vcpus[1]!.up, false);
});

test('the areas that a guest registers by physical address are registered anew, and taken back by all ones', () => {
  const domain = makeTestDomain('pvh', 2, { release: '4.18' });
  const register = (p: bigint): number => {
    poke(domain, abi.vcpu_register_runstate_memory_area, { addr: { p } });
    return plain(domain, abi.VCPUOP_register_runstate_phys_area, 0, scratch);
  };
  advanceTo(domain, 77n);
  assert.equal(register(0x3000n), 0);
  assert.equal(register(0x4000n), 0);
  assert.deepEqual(domain.state.vcpus[0]!.runstateArea.location, { mfn: 4, offset: 0 });
  assert.equal(peek(domain, abi.vcpu_runstate_info, 0x4000n).state, abi.RUNSTATE_running);
  assert.equal(register(0xffff_ffff_ffff_ffffn), 0);
  assert.equal(domain.state.vcpus[0]!.runstateArea.location, null);
});
