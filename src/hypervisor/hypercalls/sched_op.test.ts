import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as abi from '../../abi/index.js';
import { xenVcpuId } from '../../identity/index.js';
import type { CallerPort, Domain } from '../domain.js';
import { domainResume } from '../power.js';
import { hypercall } from '../table.js';
import { declaredErrors, outcomes, unreadable } from '../test_check_order.js';
import type { CheckOrder } from '../test_check_order.js';
import { call, identityPort, makeTestDomain, nowhere, poke, pokeBytes } from '../test_domain.js';
import * as guest from '../test_events.js';
import { vcpuInfoView } from '../vcpu_info.js';
import { fireWatchdogs, nextWatchdogDeadline } from '../watchdog.js';
import { expirePolls, nextPollDeadline, setCallbackVia } from '../event_channels/index.js';
import { sched_op } from './sched_op.js';

const family = sched_op;
const portsAt = 200n * 4096n;

function op<A>(domain: Domain, command: number, type: abi.Struct<unknown, A>, argument: A, vcpu = 0): number {
  return call(domain, vcpu, family.number, command, poke(domain, type, argument)).returned;
}

function shutdown(domain: Domain, reason: number, vcpu = 0): number {
  return op(domain, abi.SCHEDOP_shutdown, abi.sched_shutdown, { reason }, vcpu);
}

function reasonOf({ state }: Domain): number | null {
  return state.shutdown === null ? null : state.shutdown.reason;
}

function watchdog(domain: Domain, id: number, timeout: number): number {
  return op(domain, abi.SCHEDOP_watchdog, abi.sched_watchdog, { id, timeout });
}

function putPorts(domain: Domain, ports: readonly number[], at = portsAt): void {
  const bytes = new Uint8Array(4 * ports.length);
  for (const [i, port] of ports.entries()) abi.viewOf(bytes).setUint32(4 * i, port, true);
  pokeBytes(domain, bytes, at);
}

function poll(
  domain: Domain,
  ports: readonly number[],
  timeout = 0n,
  cpu: CallerPort = identityPort,
): number {
  putPorts(domain, ports);
  const argument = { ports: portsAt, nr_ports: ports.length, timeout };
  const address = poke(domain, abi.sched_poll, argument);
  return hypercall(domain, xenVcpuId(0), family.number, [BigInt(abi.SCHEDOP_poll), address], cpu).returned;
}

function checkOrder<A>(source: string, order: CheckOrder<A>): void {
  test(`${order.op}: errors, and their order as in ${source}`, () => {
    assert.deepEqual(
      declaredErrors(order),
      order.faults.map(({ error }) => error),
    );
    for (const { faults, error, returned, unchanged } of outcomes(order)) {
      if (error === null) assert.ok(returned >= 0);
      else {
        const expected = -(abi as unknown as Record<string, number>)[error]!;
        assert.equal(returned, expected, `with faults ${faults.join(' and ')}`);
        assert.ok(unchanged, `refused for ${error}, yet something changed`);
      }
    }
  });
}

checkOrder('do_poll (Xen 4.17 common/sched/core.c)', {
  family,
  op: 'SCHEDOP_poll',
  type: abi.sched_poll,
  prepare: (domain) => {
    guest.bindIpi(domain, 1);
    putPorts(domain, [1, 1]);
    putPorts(domain, [1, 63], portsAt + 4096n);
  },
  good: () => ({ ports: portsAt, nr_ports: 2, timeout: 0n }),
  faults: [
    unreadable,
    { error: 'XEN_EINVAL', spoil: ({ argument }) => (argument.nr_ports = 129) },
    { error: 'XEN_EFAULT', config: { kind: 'pv' }, spoil: ({ argument }) => (argument.ports = 1n << 47n) },
    { error: 'XEN_EFAULT', config: { kind: 'pvh' }, spoil: ({ argument }) => (argument.ports = nowhere) },
    { error: 'XEN_EINVAL', spoil: ({ argument }) => (argument.ports = portsAt + 4096n) },
  ],
  // One address.
  apart: [
    [2, 4],
    [3, 4],
  ],
});

checkOrder('do_sched_op (Xen 4.17 common/sched/core.c)', {
  family,
  op: 'SCHEDOP_shutdown',
  type: abi.sched_shutdown,
  good: () => ({ reason: abi.SHUTDOWN_reboot }),
  faults: [unreadable],
});

checkOrder('do_sched_op (Xen 4.17 common/sched/core.c)', {
  family,
  op: 'SCHEDOP_shutdown_code',
  type: abi.sched_shutdown,
  good: () => ({ reason: abi.SHUTDOWN_reboot }),
  faults: [unreadable],
});

checkOrder('domain_watchdog (Xen 4.17 common/sched/core.c)', {
  family,
  op: 'SCHEDOP_watchdog',
  type: abi.sched_watchdog,
  good: () => ({ id: 0, timeout: 5 }),
  faults: [
    unreadable,
    { error: 'XEN_EINVAL', spoil: ({ argument }) => (argument.id = 3) },
    {
      error: 'XEN_ENOSPC',
      spoil: ({ domain }) => assert.deepEqual([watchdog(domain, 0, 1), watchdog(domain, 0, 1)], [1, 2]),
    },
    { error: 'XEN_EINVAL', spoil: ({ argument }) => (argument.id = 2) },
  ],
  // One id; and a watchdog in use or not.
  apart: [
    [1, 3],
    [2, 3],
  ],
});

test('SCHEDOP_remote_shutdown: no domain of that id, else EPERM: a domU may not, itself included (do_sched_op)', () => {
  const domain = makeTestDomain('pvh');
  const answer = (domain_id: number): number =>
    op(domain, abi.SCHEDOP_remote_shutdown, abi.sched_remote_shutdown, { domain_id, reason: 0 });
  assert.equal(answer(77), -abi.XEN_ESRCH);
  assert.equal(answer(abi.DOMID_SELF), -abi.XEN_ESRCH);
  assert.equal(answer(0), -abi.XEN_EPERM);
  assert.equal(answer(1), -abi.XEN_EPERM);
  assert.equal(call(domain, 0, 29, abi.SCHEDOP_remote_shutdown, nowhere).returned, -abi.XEN_EFAULT);
});

test('SCHEDOP_pin_override: EPERM before the argument is read; an unknown command: ENOSYS; yield: 0', () => {
  const domain = makeTestDomain('pvh');
  assert.equal(call(domain, 0, 29, abi.SCHEDOP_pin_override, nowhere).returned, -abi.XEN_EPERM);
  assert.equal(call(domain, 0, 29, 8, nowhere).returned, -abi.XEN_ENOSYS);
  assert.equal(call(domain, 0, 29, abi.SCHEDOP_yield, nowhere).returned, 0);
});

test('SCHEDOP_shutdown: every reason pauses every vCPU, up or not; the caller returns 0 (domain_shutdown)', () => {
  for (const reason of [0, 1, 2, 3, 4, 5, 200]) {
    const domain = makeTestDomain('pvhvm', 3);
    assert.equal(shutdown(domain, reason, 2), 0);
    assert.deepEqual(domain.state.shutdown, { reason, by: 2 });
    assert.ok(domain.state.vcpus.every(({ pausedForShutdown }) => pausedForShutdown));
    assert.equal(shutdown(domain, reason + 1, 0), 0);
    assert.deepEqual(domain.state.shutdown, { reason, by: 2 }, 'the first counts');
  }
});

test('SCHEDOP_shutdown: only the low byte of the reason counts', () => {
  const domain = makeTestDomain('arm');
  shutdown(domain, 0x105);
  assert.equal(reasonOf(domain), 5);
});

test('SCHEDOP_shutdown_code: the first code is the reason of the next shutdown, until the domain is resumed', () => {
  const domain = makeTestDomain('pvhvm');
  for (const reason of [abi.SHUTDOWN_crash, abi.SHUTDOWN_reboot]) {
    assert.equal(op(domain, abi.SCHEDOP_shutdown_code, abi.sched_shutdown, { reason }), 0);
  }
  assert.equal(reasonOf(domain), null);
  shutdown(domain, abi.SHUTDOWN_poweroff);
  assert.equal(reasonOf(domain), abi.SHUTDOWN_crash);
  domainResume(domain);
  shutdown(domain, abi.SHUTDOWN_poweroff);
  assert.equal(reasonOf(domain), abi.SHUTDOWN_poweroff);
});

test('SCHEDOP_block: waits, unless an upcall awaits the vCPU; unmasks events on x86 (vcpu_block_enable_events)', () => {
  const domain = makeTestDomain('pv');
  const mask = abi.vcpu_info.x86_64.offsets.evtchn_upcall_mask;
  const masked = (): number => vcpuInfoView(domain, domain.state.vcpus[0]!, false)!.getUint8(mask);
  assert.equal(masked(), 1);
  assert.equal(call(domain, 0, 29, abi.SCHEDOP_block).returned, 0);
  assert.equal(masked(), 0);
  assert.deepEqual(domain.state.vcpus[0]!.blocked, { why: 'block' });
  guest.send(domain, guest.bindIpi(domain));
  assert.equal(domain.state.vcpus[0]!.blocked, null);
  call(domain, 0, 29, abi.SCHEDOP_block);
  assert.equal(domain.state.vcpus[0]!.blocked, null, 'something awaits it');
});

test('SCHEDOP_block on HVM with interrupts off waits, though an upcall is pending (hvm_local_events_need_delivery)', () => {
  const domain = makeTestDomain('pvhvm');
  setCallbackVia(domain, (2n << 56n) | 0xf3n);
  guest.send(domain, guest.bindIpi(domain));
  const block = (interruptsOn: boolean): unknown => {
    const cpu = { ...identityPort, interruptsOn: () => interruptsOn };
    hypercall(domain, xenVcpuId(0), 29, [BigInt(abi.SCHEDOP_block)], cpu);
    return domain.state.vcpus[0]!.blocked;
  };
  assert.equal(block(true), null);
  assert.deepEqual(block(false), { why: 'block' });
});

test('SCHEDOP_poll: a pending port ends it at once, and those behind it are not looked at (do_poll)', () => {
  const domain = makeTestDomain('pvhvm');
  const quiet = guest.bindIpi(domain, 1);
  const pending = guest.bindIpi(domain, 1);
  guest.send(domain, pending);
  assert.equal(poll(domain, [quiet, pending, 4000]), 0);
  assert.equal(domain.state.vcpus[0]!.blocked, null);
  assert.equal(poll(domain, [quiet, 4000]), -abi.XEN_EINVAL);
  assert.equal(poll(domain, [0]), -abi.XEN_EINVAL, 'port 0 is reserved');
  assert.equal(poll(domain, [quiet]), 0);
  assert.deepEqual(domain.state.vcpus[0]!.blocked, { why: 'poll', ports: [quiet], deadlineNs: null });
});

test('a poll for one port ends at its event alone, masked or not; for several or none at any (evtchn_check_pollers)', () => {
  const wakes = (polled: number[], port: number): boolean => {
    const domain = makeTestDomain('pvhvm');
    for (let bound = 1; bound <= 3; bound += 1) guest.bindIpi(domain, 1);
    guest.putBit(domain, 'evtchn_mask', 1, true);
    poll(domain, polled);
    assert.notEqual(domain.state.vcpus[0]!.blocked, null);
    guest.send(domain, port);
    return domain.state.vcpus[0]!.blocked === null;
  };
  assert.equal(wakes([1], 1), true);
  assert.equal(wakes([1], 2), false);
  assert.equal(wakes([1, 2], 3), true);
  assert.equal(wakes([], 3), true);
});

test('a poll under FIFO ends likewise', () => {
  const domain = makeTestDomain('pvhvm');
  guest.initControl(domain, 1, 16);
  guest.expandArray(domain, 32);
  const ports = [guest.bindIpi(domain, 1), guest.bindIpi(domain, 1)];
  poll(domain, ports.slice(0, 1));
  guest.send(domain, ports[1]!);
  assert.notEqual(domain.state.vcpus[0]!.blocked, null);
  guest.send(domain, ports[0]!);
  assert.equal(domain.state.vcpus[0]!.blocked, null);
});

test('a poll times out at its deadline; one that is past does not wait; a huge one is negative, so past', () => {
  const domain = makeTestDomain('pvhvm');
  const port = guest.bindIpi(domain, 1);
  domain.state.nowNs = 1000n;
  for (const past of [1n, 1000n, 1n << 63n]) {
    assert.equal(poll(domain, [port], past), 0);
    assert.equal(domain.state.vcpus[0]!.blocked, null);
  }
  assert.equal(nextPollDeadline(domain), null);
  poll(domain, [port], 1500n);
  assert.equal(nextPollDeadline(domain), 1500n);
  domain.state.nowNs = 1499n;
  expirePolls(domain);
  assert.notEqual(domain.state.vcpus[0]!.blocked, null);
  domain.state.nowNs = 1500n;
  expirePolls(domain);
  assert.equal(domain.state.vcpus[0]!.blocked, null);
});

test('SCHEDOP_poll does not wait when an upcall awaits the vCPU and it would take it', () => {
  const domain = makeTestDomain('pvhvm');
  setCallbackVia(domain, (2n << 56n) | 0xf3n);
  guest.send(domain, guest.bindIpi(domain));
  const other = guest.bindIpi(domain, 1);
  assert.equal(poll(domain, [other]), 0);
  assert.equal(domain.state.vcpus[0]!.blocked, null);
  assert.equal(poll(domain, [other], 0n, { ...identityPort, interruptsOn: () => false }), 0);
  assert.notEqual(domain.state.vcpus[0]!.blocked, null);
});

test('SCHEDOP_watchdog: two timers; set anew, given back, and fired once (domain_watchdog)', () => {
  const domain = makeTestDomain('pvhvm');
  domain.state.nowNs = 5n;
  assert.deepEqual([watchdog(domain, 0, 3), watchdog(domain, 0, 1)], [1, 2]);
  assert.equal(nextWatchdogDeadline(domain), 1_000_000_005n);
  assert.equal(watchdog(domain, 2, 9), 0);
  assert.equal(nextWatchdogDeadline(domain), 3_000_000_005n);
  assert.equal(watchdog(domain, 1, 0), 0);
  assert.equal(watchdog(domain, 1, 4), -abi.XEN_EINVAL, 'given back');
  domain.state.nowNs = 9_000_000_005n;
  fireWatchdogs(domain);
  assert.deepEqual(domain.state.shutdown, { reason: abi.SHUTDOWN_watchdog, by: 0 });
  assert.equal(nextWatchdogDeadline(domain), null);
  assert.deepEqual(domain.state.watchdogs[1], { inUse: true, deadlineNs: null });
});

test('a watchdog that fires during a shutdown changes nothing', () => {
  const domain = makeTestDomain('pvhvm');
  assert.equal(watchdog(domain, 0, 0), 1, 'a time-out of 0 is over at once');
  shutdown(domain, abi.SHUTDOWN_suspend);
  fireWatchdogs(domain);
  assert.equal(reasonOf(domain), abi.SHUTDOWN_suspend);
});
