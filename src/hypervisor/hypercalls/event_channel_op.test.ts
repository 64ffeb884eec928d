import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as abi from '../../abi/index.js';
import type { Domain } from '../domain.js';
import { declaredErrors, outcomes, unreadable, unwritable } from '../test_check_order.js';
import type { CheckOrder } from '../test_check_order.js';
import { call, makeTestDomain } from '../test_domain.js';
import { allocUnbound, bindIpi, bindPirq, bindVirq, expandArray, initControl, op } from '../test_events.js';
import { event_channel_op } from './event_channel_op.js';

const family = event_channel_op;

function takeAllPorts(domain: Domain): void {
  let returned = 0;
  while (returned >= 0) returned = bindIpi(domain);
  assert.equal(returned, -abi.XEN_ENOSPC);
}

/** Tests the good call, each fault alone, and which of two faults wins. */
function checkOrder<A>(source: string, order: CheckOrder<A>): void {
  test(`${order.op}: errors, and their order as in ${source}`, () => {
    assert.deepEqual(
      declaredErrors(order),
      order.faults.map(({ error }) => error),
    );
    for (const { faults, error, returned, unchanged } of outcomes(order)) {
      const expected = error === null ? 0 : -(abi as unknown as Record<string, number>)[error]!;
      assert.equal(returned, expected, `with faults ${faults.join(' and ')}`);
      const lateFault = faults[0] === order.faults.length - 1 && order.faults.at(-1) === unwritable;
      if (error !== null && !lateFault) assert.ok(unchanged, `refused for ${error}, yet something changed`);
    }
  });
}

checkOrder('evtchn_alloc_unbound (Xen 4.17 common/event_channel.c)', {
  family,
  op: 'EVTCHNOP_alloc_unbound',
  type: abi.evtchn_alloc_unbound,
  good: () => ({ dom: abi.DOMID_SELF, remote_dom: 77, port: 0 }),
  faults: [
    unreadable,
    { error: 'XEN_ESRCH', spoil: ({ argument }) => (argument.dom = 77) },
    { error: 'XEN_ENOSPC', spoil: ({ domain }) => takeAllPorts(domain) },
    { error: 'XEN_EPERM', spoil: ({ argument }) => (argument.dom = 0) },
    unwritable,
  ],
  // One domid; and the ports that would run out are the other domain's.
  apart: [
    [1, 3],
    [2, 3],
  ],
});

checkOrder('evtchn_bind_interdomain (Xen 4.17 common/event_channel.c)', {
  family,
  op: 'EVTCHNOP_bind_interdomain',
  type: abi.evtchn_bind_interdomain,
  prepare: (domain) => {
    assert.equal(allocUnbound(domain, abi.DOMID_SELF), 1);
    assert.equal(allocUnbound(domain, 0), 2);
  },
  good: () => ({ remote_dom: abi.DOMID_SELF, remote_port: 1, local_port: 0 }),
  faults: [
    unreadable,
    { error: 'XEN_ESRCH', spoil: ({ argument }) => (argument.remote_dom = 77) },
    { error: 'XEN_ENOSPC', spoil: ({ domain }) => takeAllPorts(domain) },
    { error: 'XEN_EINVAL', spoil: ({ argument }) => (argument.remote_port = 4000) },
    { error: 'XEN_EINVAL', spoil: ({ argument }) => (argument.remote_port = 2) },
    unwritable,
  ],
  apart: [[3, 4]],
});

checkOrder('evtchn_bind_virq (Xen 4.17 common/event_channel.c)', {
  family,
  op: 'EVTCHNOP_bind_virq',
  type: abi.evtchn_bind_virq,
  good: () => ({ virq: abi.VIRQ_TIMER, vcpu: 0, port: 0 }),
  faults: [
    unreadable,
    { error: 'XEN_EINVAL', spoil: ({ argument }) => (argument.virq = abi.NR_VIRQS) },
    {
      error: 'XEN_EINVAL',
      spoil: ({ argument }) => Object.assign(argument, { virq: abi.VIRQ_CONSOLE, vcpu: 1 }),
    },
    { error: 'XEN_ENOENT', spoil: ({ argument }) => (argument.vcpu = 4) },
    {
      error: 'XEN_EEXIST',
      spoil: ({ domain, argument: { vcpu } }) => void bindVirq(domain, abi.VIRQ_TIMER, vcpu),
    },
    { error: 'XEN_ENOSPC', spoil: ({ domain }) => takeAllPorts(domain) },
    unwritable,
  ],
  // One virq; a virq bound on a vCPU that is not there, or at the wrong one.
  apart: [
    [1, 2],
    [3, 4],
    [2, 4],
  ],
});

checkOrder('evtchn_bind_ipi (Xen 4.17 common/event_channel.c)', {
  family,
  op: 'EVTCHNOP_bind_ipi',
  type: abi.evtchn_bind_ipi,
  good: () => ({ vcpu: 3, port: 0 }),
  faults: [
    unreadable,
    { error: 'XEN_ENOENT', spoil: ({ argument }) => (argument.vcpu = 0xffff_ffff) },
    { error: 'XEN_ENOSPC', spoil: ({ domain }) => takeAllPorts(domain) },
    unwritable,
  ],
});

checkOrder('evtchn_bind_pirq (Xen 4.17 common/event_channel.c)', {
  family,
  op: 'EVTCHNOP_bind_pirq',
  type: abi.evtchn_bind_pirq,
  good: () => ({ pirq: 9, flags: 0, port: 0 }),
  faults: [
    unreadable,
    { error: 'XEN_EINVAL', spoil: ({ argument }) => (argument.pirq = 5000) },
    { error: 'XEN_EPERM', config: { kind: 'pv' } },
    { error: 'XEN_EEXIST', config: { kind: 'pvhvm' }, spoil: ({ domain }) => void bindPirq(domain, 9) },
    { error: 'XEN_ENOSPC', spoil: ({ domain }) => takeAllPorts(domain) },
    { error: 'XEN_ENOMEM', config: { kind: 'arm' } },
    unwritable,
  ],
});

checkOrder('evtchn_close (Xen 4.17 common/event_channel.c)', {
  family,
  op: 'EVTCHNOP_close',
  type: abi.evtchn_close,
  prepare: (domain) => void bindIpi(domain),
  good: () => ({ port: 1 }),
  faults: [
    unreadable,
    { error: 'XEN_EINVAL', spoil: ({ argument }) => (argument.port = 64) },
    { error: 'XEN_EINVAL', spoil: ({ argument }) => (argument.port = 0) },
  ],
  apart: [[1, 2]],
});

checkOrder('evtchn_send (Xen 4.17 common/event_channel.c)', {
  family,
  op: 'EVTCHNOP_send',
  type: abi.evtchn_send,
  prepare: (domain) => {
    bindIpi(domain);
    bindVirq(domain, abi.VIRQ_TIMER, 0);
  },
  good: () => ({ port: 1 }),
  faults: [
    unreadable,
    { error: 'XEN_EINVAL', spoil: ({ argument }) => (argument.port = 64) },
    { error: 'XEN_EINVAL', spoil: ({ argument }) => (argument.port = 2) },
  ],
  apart: [[1, 2]],
});

const noUnion = { unbound: { dom: 0 }, interdomain: { dom: 0, port: 0 }, pirq: 0, virq: 0 };

checkOrder('evtchn_status (Xen 4.17 common/event_channel.c)', {
  family,
  op: 'EVTCHNOP_status',
  type: abi.evtchn_status,
  good: () => ({ dom: abi.DOMID_SELF, port: 63, status: 9, vcpu: 9, u: noUnion }),
  faults: [
    unreadable,
    { error: 'XEN_ESRCH', spoil: ({ argument }) => (argument.dom = 77) },
    { error: 'XEN_EINVAL', spoil: ({ argument }) => (argument.port = 64) },
    { error: 'XEN_EPERM', spoil: ({ argument }) => (argument.dom = 0) },
    unwritable,
  ],
  // One domid; and which ports are valid in the other domain is not modelled.
  apart: [
    [1, 3],
    [2, 3],
  ],
});

checkOrder('evtchn_bind_vcpu (Xen 4.17 common/event_channel.c): the vCPU before the port', {
  family,
  op: 'EVTCHNOP_bind_vcpu',
  type: abi.evtchn_bind_vcpu,
  prepare: (domain) => {
    allocUnbound(domain, 0);
    bindIpi(domain);
  },
  good: () => ({ port: 1, vcpu: 3 }),
  faults: [
    unreadable,
    { error: 'XEN_ENOENT', spoil: ({ argument }) => (argument.vcpu = 4) },
    { error: 'XEN_EINVAL', spoil: ({ argument }) => (argument.port = 64) },
    { error: 'XEN_EINVAL', spoil: ({ argument }) => (argument.port = 2) },
  ],
  apart: [[2, 3]],
});

checkOrder('evtchn_unmask (Xen 4.17 common/event_channel.c)', {
  family,
  op: 'EVTCHNOP_unmask',
  type: abi.evtchn_unmask,
  good: () => ({ port: 63 }),
  faults: [unreadable, { error: 'XEN_EINVAL', spoil: ({ argument }) => (argument.port = 64) }],
});

checkOrder('do_event_channel_op (Xen 4.17 common/event_channel.c)', {
  family,
  op: 'EVTCHNOP_reset',
  type: abi.evtchn_reset,
  good: () => ({ dom: abi.DOMID_SELF }),
  faults: [
    unreadable,
    { error: 'XEN_ESRCH', spoil: ({ argument }) => (argument.dom = 77) },
    { error: 'XEN_EPERM', spoil: ({ argument }) => (argument.dom = 0) },
  ],
  apart: [[1, 2]],
});

checkOrder('evtchn_fifo_init_control (Xen 4.17 common/event_fifo.c)', {
  family,
  op: 'EVTCHNOP_init_control',
  type: abi.evtchn_init_control,
  good: () => ({ control_gfn: 2n, offset: 4096 - 72, vcpu: 1, link_bits: 0, _pad: [] }),
  faults: [
    unreadable,
    { error: 'XEN_EOPNOTSUPP', config: { fifo: false } },
    { error: 'XEN_ENOENT', spoil: ({ argument }) => (argument.vcpu = 4) },
    { error: 'XEN_EINVAL', spoil: ({ argument }) => (argument.offset = 4096 - 64) },
    { error: 'XEN_EINVAL', spoil: ({ argument }) => (argument.offset = 4) },
    { error: 'XEN_EINVAL', spoil: ({ domain, argument: { vcpu } }) => void initControl(domain, vcpu, 3) },
    { error: 'XEN_EINVAL', spoil: ({ argument }) => (argument.control_gfn = 0x1_0000_0000_0005n) },
    unwritable,
  ],
  apart: [
    [3, 4],
    [1, 5],
    [2, 5],
  ],
});

checkOrder('evtchn_fifo_expand_array (Xen 4.17 common/event_fifo.c)', {
  family,
  op: 'EVTCHNOP_expand_array',
  type: abi.evtchn_expand_array,
  prepare: (domain) => void initControl(domain, 0, 3),
  good: () => ({ array_gfn: 4n }),
  faults: [
    unreadable,
    { error: 'XEN_EOPNOTSUPP', config: { fifo: false } },
    { error: 'XEN_ENOSPC', config: { fifo: true }, spoil: ({ domain }) => fillArray(domain) },
    { error: 'XEN_EINVAL', spoil: ({ argument }) => (argument.array_gfn = 0xffff_ffffn) },
  ],
});

function fillArray(domain: Domain): void {
  let returned = 0;
  let pages = -1;
  for (; returned === 0; pages += 1) {
    returned = expandArray(domain, 4);
  }
  assert.deepEqual([returned, pages], [-abi.XEN_ENOSPC, 128]);
}

checkOrder('evtchn_set_priority (Xen 4.17 common/event_channel.c, event_channel.h, event_fifo.c)', {
  family,
  op: 'EVTCHNOP_set_priority',
  type: abi.evtchn_set_priority,
  prepare: (domain) => {
    initControl(domain, 0, 3);
    bindIpi(domain);
  },
  good: () => ({ port: 1, priority: 15 }),
  faults: [
    unreadable,
    { error: 'XEN_EINVAL', spoil: ({ argument }) => (argument.port = 64) },
    { error: 'XEN_ENOSYS', config: { fifo: false } },
    { error: 'XEN_EACCES', spoil: ({ argument }) => (argument.port = 2) },
    { error: 'XEN_EINVAL', spoil: ({ argument }) => (argument.priority = 16) },
  ],
  apart: [[1, 3]],
});

test('EVTCHNOP_reset_cont: checks the domain, then finds no reset to go on with (evtchn_reset)', () => {
  const answer = (dom: number): number =>
    op(makeTestDomain('pvh'), abi.EVTCHNOP_reset_cont, abi.evtchn_reset, { dom });
  assert.equal(answer(77), -abi.XEN_ESRCH);
  assert.equal(answer(0), -abi.XEN_EPERM);
  assert.equal(answer(abi.DOMID_SELF), -abi.XEN_EBUSY);
});

test('an unknown command: ENOSYS, and the argument is not read (do_event_channel_op)', () => {
  const record = call(makeTestDomain('pvh'), 0, family.number, 15, 0x5000_0000n);
  assert.equal(record.returned, -abi.XEN_ENOSYS);
  assert.deepEqual(record.detail, { command: 15 });
});
