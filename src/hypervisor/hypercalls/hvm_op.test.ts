import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as abi from '../../abi/index.js';
import type { Domain, GuestKind } from '../domain.js';
import { pendingUpcall } from '../event_channels/index.js';
import { setHvmParam } from '../hvm_params.js';
import { complaints, unreadable, unwritable } from '../test_check_order.js';
import type { CheckOrder, Fault } from '../test_check_order.js';
import { call, makeTestDomain, nowhere, peek, peekView, poke, scratch } from '../test_domain.js';
import { xenVcpuId } from '../../identity/index.js';
import { advanceTo } from '../time.js';
import { hvm_op } from './hvm_op.js';

function checkOrder<A>(order: Omit<CheckOrder<A>, 'family'>): void {
  const { source } = hvm_op.operations.find(({ name }) => name === order.op)!;
  test(`${order.op}: errors, and their order as in ${source}`, () => {
    assert.deepEqual(complaints({ ...order, family: hvm_op }), []);
  });
}

const onArm: Fault<unknown> = { error: 'XEN_ENOSYS', config: { kind: 'arm' } };
type Param = abi.ValueOf<typeof abi.xen_hvm_param>;
const param = (): Param => ({
  ...{ domid: abi.DOMID_SELF, pad: 0, index: abi.HVM_PARAM_CALLBACK_IRQ, value: 0n },
});
const onX86 = { kind: 'pvhvm' } as const;
const deprecated: Fault<Param> = {
  error: 'XEN_EINVAL',
  spoil: ({ argument }) => (argument.index = abi.HVM_PARAM_NESTEDHVM),
};

/** Of an x86 guest, then of the toolstack's domain, which is PV on x86. */
const shared: Fault<Param>[] = [
  unreadable,
  { error: 'XEN_EINVAL', config: onX86, spoil: ({ argument }) => (argument.index = abi.HVM_NR_PARAMS) },
  { error: 'XEN_ESRCH', spoil: ({ argument }) => (argument.domid = 77) },
  { error: 'XEN_EINVAL', config: onX86, spoil: ({ argument }) => (argument.domid = 0) },
  { error: 'XEN_EPERM', config: { kind: 'arm' }, spoil: ({ argument }) => (argument.domid = 0) },
  deprecated,
];

checkOrder({
  op: 'HVMOP_set_param',
  type: abi.xen_hvm_param,
  config: onX86,
  good: param,
  faults: [
    ...shared,
    { error: 'XEN_EPERM', spoil: ({ argument }) => (argument.index = abi.HVM_PARAM_CONSOLE_PFN) },
    {
      error: 'XEN_ENODEV',
      config: { kind: 'pvh' },
      spoil: ({ argument }) => (argument.index = abi.HVM_PARAM_ACPI_IOPORTS_LOCATION),
    },
    {
      error: 'XEN_EINVAL',
      config: onX86,
      spoil: ({ argument }) => Object.assign(argument, { index: abi.HVM_PARAM_X87_FIP_WIDTH, value: 5n }),
    },
  ],
  // One index and one domid.
  apart: [
    [1, 5],
    [1, 6],
    [2, 3],
    [2, 4],
    [5, 6],
    [5, 7],
    [5, 8],
    [6, 7],
    [6, 8],
    [1, 8],
    [4, 7],
  ],
});

checkOrder({
  op: 'HVMOP_get_param',
  type: abi.xen_hvm_param,
  config: onX86,
  good: param,
  faults: [
    ...shared,
    { error: 'XEN_EPERM', spoil: ({ argument }) => (argument.index = abi.HVM_PARAM_MONITOR_RING_PFN) },
    unwritable,
  ],
  apart: [
    [1, 5],
    [1, 6],
    [2, 3],
    [2, 4],
    [5, 6],
  ],
});

checkOrder({
  op: 'HVMOP_set_evtchn_upcall_vector',
  type: abi.xen_hvm_evtchn_upcall_vector,
  good: () => ({ vcpu: 1, vector: 0xf3 }),
  faults: [
    onArm,
    { error: 'XEN_EINVAL', config: { kind: 'pv' } },
    unreadable,
    { error: 'XEN_EINVAL', spoil: ({ argument }) => (argument.vector = 0xf) },
    { error: 'XEN_ENOENT', spoil: ({ argument }) => (argument.vcpu = 4) },
  ],
});

checkOrder({
  op: 'HVMOP_get_mem_type',
  type: abi.xen_hvm_get_mem_type,
  good: () => ({ domid: abi.DOMID_SELF, mem_type: 0, pad: [0, 0], pfn: 5n }),
  faults: [
    onArm,
    unreadable,
    { error: 'XEN_ESRCH', spoil: ({ argument }) => (argument.domid = 77) },
    { error: 'XEN_EPERM', spoil: ({ argument }) => (argument.domid = 0) },
    { error: 'XEN_EINVAL', config: { kind: 'pv' } },
    unwritable,
  ],
  apart: [[2, 3]],
});

checkOrder({
  op: 'HVMOP_get_time',
  type: abi.xen_hvm_get_time,
  good: () => ({ now: 0n }),
  faults: [onArm, unwritable],
});

test('calls that always fail, or are refused for an argument: as do_hvm_op answers them', () => {
  const answer = (kind: GuestKind, op: number, address: bigint): number =>
    call(makeTestDomain(kind), 0, abi.__HYPERVISOR_hvm_op, op, address).returned;
  assert.equal(answer('pvh', abi.HVMOP_flush_tlbs, 0n), 0);
  assert.equal(answer('pvh', abi.HVMOP_flush_tlbs, scratch), -abi.XEN_EINVAL);
  assert.equal(answer('pv', abi.HVMOP_flush_tlbs, 0n), -abi.XEN_EINVAL);
  assert.equal(answer('arm', abi.HVMOP_flush_tlbs, 0n), -abi.XEN_ENOSYS);
  for (const kind of ['pvh', 'arm'] as const) {
    assert.equal(answer(kind, abi.HVMOP_guest_request_vm_event, 0n), 0);
    assert.equal(answer(kind, abi.HVMOP_guest_request_vm_event, scratch), -abi.XEN_EINVAL);
    assert.equal(answer(kind, 77, nowhere), -abi.XEN_ENOSYS);
  }
  assert.equal(answer('pvh', abi.HVMOP_altp2m, nowhere), -abi.XEN_EOPNOTSUPP);
  assert.equal(answer('arm', abi.HVMOP_altp2m, nowhere), -abi.XEN_ENOSYS);
});

test('the whole of the first register is the operation', () => {
  const domain = makeTestDomain('pvh');
  const { returned } = call(domain, 0, abi.__HYPERVISOR_hvm_op, (1n << 32n) | 1n, scratch);
  assert.equal(returned, -abi.XEN_ENOSYS);
});

test('HVMOP_pagetable_dying: EFAULT, ESRCH, EOPNOTSUPP, and else EINVAL for want of shadow paging (do_hvm_op)', () => {
  const domain = makeTestDomain('pvhvm');
  const dying = (domid: number): number => {
    poke(domain, abi.xen_hvm_pagetable_dying, { domid, pad: [0, 0, 0], gpa: 0n });
    return call(domain, 0, abi.__HYPERVISOR_hvm_op, abi.HVMOP_pagetable_dying, scratch).returned;
  };
  assert.equal(dying(77), -abi.XEN_ESRCH);
  assert.equal(dying(0), -abi.XEN_EOPNOTSUPP);
  assert.equal(dying(abi.DOMID_SELF), -abi.XEN_EINVAL);
  const unread = call(domain, 0, abi.__HYPERVISOR_hvm_op, abi.HVMOP_pagetable_dying, nowhere);
  assert.equal(unread.returned, -abi.XEN_EFAULT);
  const arm = call(makeTestDomain('arm'), 0, abi.__HYPERVISOR_hvm_op, abi.HVMOP_pagetable_dying, nowhere);
  assert.equal(arm.returned, -abi.XEN_ENOSYS);
});

function setParam(domain: Domain, index: number, value: bigint): number {
  poke(domain, abi.xen_hvm_param, { domid: abi.DOMID_SELF, pad: 0, index, value });
  return call(domain, 0, abi.__HYPERVISOR_hvm_op, abi.HVMOP_set_param, scratch).returned;
}

function getParam(domain: Domain, index: number): bigint | number {
  poke(domain, abi.xen_hvm_param, { domid: abi.DOMID_SELF, pad: 0, index, value: 99n });
  const { returned } = call(domain, 0, abi.__HYPERVISOR_hvm_op, abi.HVMOP_get_param, scratch);
  return returned === 0 ? peek(domain, abi.xen_hvm_param).value : returned;
}

test('an x86 guest sets its callback; an Arm guest may only read it', () => {
  const via = (2n << 56n) | 0xf3n;
  const x86 = makeTestDomain('pvhvm');
  assert.equal(setParam(x86, abi.HVM_PARAM_CALLBACK_IRQ, via), 0);
  assert.equal(x86.state.callbackVector, 0xf3);
  assert.equal(getParam(x86, abi.HVM_PARAM_CALLBACK_IRQ), via);
  const arm = makeTestDomain('arm');
  assert.equal(setParam(arm, abi.HVM_PARAM_CALLBACK_IRQ, via), -abi.XEN_EPERM);
  setHvmParam(arm, abi.HVM_PARAM_CALLBACK_IRQ, via);
  assert.equal(getParam(arm, abi.HVM_PARAM_CALLBACK_IRQ), via);
});

test('what the toolstack sets the guest reads: xenstore and console', () => {
  for (const kind of ['pvhvm', 'pvh', 'arm'] as const) {
    const domain = makeTestDomain(kind);
    assert.equal(getParam(domain, abi.HVM_PARAM_STORE_EVTCHN), 0n);
    setHvmParam(domain, abi.HVM_PARAM_STORE_EVTCHN, 3n);
    assert.equal(getParam(domain, abi.HVM_PARAM_STORE_EVTCHN), 3n);
    const error = kind === 'arm' ? -abi.XEN_EINVAL : -abi.XEN_EPERM;
    assert.equal(getParam(domain, abi.HVM_PARAM_IOREQ_PFN), error);
  }
});

test('the two parameters of the real-mode TSS are one, and a wrong value crashes the domain (hvm_set_param)', () => {
  const domain = makeTestDomain('pvhvm');
  assert.equal(setParam(domain, abi.HVM_PARAM_VM86_TSS, 0xfe000n), 0);
  assert.equal(getParam(domain, abi.HVM_PARAM_VM86_TSS), 0xfe000n);
  assert.equal(getParam(domain, abi.HVM_PARAM_VM86_TSS_SIZED), (128n << 32n) | 0xfe000n);
  assert.equal(setParam(domain, abi.HVM_PARAM_VM86_TSS_SIZED, (0xffffn << 32n) | 0x1000n), 0);
  assert.equal(getParam(domain, abi.HVM_PARAM_VM86_TSS_SIZED), (8329n << 32n) | 0x1000n);
  assert.equal(domain.state.shutdown, null);
  assert.equal(setParam(domain, abi.HVM_PARAM_VM86_TSS_SIZED, 103n << 32n), -abi.XEN_EINVAL);
  assert.deepEqual(domain.state.shutdown, { reason: abi.SHUTDOWN_crash, by: 0 });
  const other = makeTestDomain('pvhvm');
  assert.equal(setParam(other, abi.HVM_PARAM_VM86_TSS, 1n << 32n), -abi.XEN_EINVAL);
  assert.equal(other.state.shutdown?.reason, abi.SHUTDOWN_crash);
});

test('HVM_PARAM_ACPI_IOPORTS_LOCATION is 0 or 1 (pmtimer_change_ioport)', () => {
  const domain = makeTestDomain('pvhvm');
  assert.equal(setParam(domain, abi.HVM_PARAM_ACPI_IOPORTS_LOCATION, 1n), 0);
  assert.equal(setParam(domain, abi.HVM_PARAM_ACPI_IOPORTS_LOCATION, 2n), -abi.XEN_EINVAL);
  assert.equal(getParam(domain, abi.HVM_PARAM_ACPI_IOPORTS_LOCATION), 1n);
});

test('HVMOP_set_evtchn_upcall_vector: any vCPU, any number of times; the vCPU hears of it at once', () => {
  const domain = makeTestDomain('pvhvm');
  domain.state.vcpus[2]!.initialised = true;
  for (const vector of [0x40, 0x10]) {
    poke(domain, abi.xen_hvm_evtchn_upcall_vector, { vcpu: 2, vector });
    const record = call(domain, 0, abi.__HYPERVISOR_hvm_op, abi.HVMOP_set_evtchn_upcall_vector, scratch);
    assert.deepEqual([record.returned, record.vcpuId], [0, 2]);
    assert.deepEqual(pendingUpcall(domain, xenVcpuId(2)), { kind: 'vector', vector });
  }
});

test('HVMOP_get_mem_type and get_time tell of holes and of system time', () => {
  const domain = makeTestDomain('pvh');
  const typeOf = (pfn: bigint): number => {
    poke(domain, abi.xen_hvm_get_mem_type, { domid: abi.DOMID_SELF, mem_type: 9, pad: [0, 0], pfn });
    call(domain, 0, abi.__HYPERVISOR_hvm_op, abi.HVMOP_get_mem_type, scratch);
    return peek(domain, abi.xen_hvm_get_mem_type).mem_type;
  };
  assert.deepEqual([typeOf(5n), typeOf(0x5000n)], [abi.HVMMEM_ram_rw, abi.HVMMEM_mmio_dm]);
  advanceTo(domain, 123_456n);
  assert.equal(call(domain, 0, abi.__HYPERVISOR_hvm_op, abi.HVMOP_get_time, scratch).returned, 0);
  assert.equal(peekView(domain, 8).getBigUint64(0, true), 123_456n);
});
