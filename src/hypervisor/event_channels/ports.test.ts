import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as abi from '../../abi/index.js';
import type { Domain } from '../domain.js';
import { hypercall } from '../table.js';
import { call, makeTestDomain, peek, peekBytes, poke, pokeBytes } from '../test_domain.js';
import * as guest from '../test_events.js';
import { createRemoteChannel, raiseVirq, sendFromRemote } from './index.js';
import { xenVcpuId } from '../../identity/index.js';
import type { XenVcpuId } from '../../identity/index.js';

const vcpu = xenVcpuId;
const isPending = (domain: Domain, port: number): boolean => guest.getBit(domain, 'evtchn_pending', port);

test('ports are given out lowest first, from 1, and 1023 of them unless configured (libxl_create.c; get_free_port)', () => {
  const domain = makeTestDomain('arm', 1);
  for (let port = 1; port <= 1023; port += 1) assert.equal(guest.bindIpi(domain), port);
  assert.equal(guest.bindIpi(domain), -abi.XEN_ENOSPC);
  assert.equal(guest.close(domain, 500), 0);
  assert.equal(guest.bindIpi(domain), 500);
});

test('with a higher limit, two-level ends at port 4095 and FIFO goes on (max_evtchns)', () => {
  const domain = makeTestDomain('pvh', 1, { maxEvtchnPort: 5000 });
  for (let port = 1; port <= 4095; port += 1) domain.state.events.channels.push(channelOf(domain));
  assert.equal(guest.bindIpi(domain), -abi.XEN_ENOSPC);
  assert.equal(guest.initControl(domain, 0, 1), 0);
  assert.equal(guest.bindIpi(domain), 4096);
});

function channelOf(domain: Domain): Domain['state']['events']['channels'][number] {
  return { ...domain.state.events.channels[0]!, binding: { kind: 'ipi' } };
}

test('a port is valid by pages of 64, free or not (port_is_valid, EVTCHNS_PER_BUCKET)', () => {
  const domain = makeTestDomain('pvh', 1);
  assert.equal(guest.unmask(domain, 63), 0);
  assert.equal(guest.unmask(domain, 64), -abi.XEN_EINVAL);
  for (let port = 1; port <= 64; port += 1) guest.bindIpi(domain);
  assert.equal(guest.unmask(domain, 127), 0);
  assert.equal(guest.unmask(domain, 128), -abi.XEN_EINVAL);
  guest.reset(domain);
  assert.equal(guest.unmask(domain, 127), 0, 'a reset frees the ports, not their records');
});

test('a wrong vCPU id that exists is accepted in silence (Xen 4.17 common/event_channel.c, event_fifo.c): bind_ipi, bind_virq, bind_vcpu, init_control', () => {
  const domain = makeTestDomain('pvhvm', 4);
  const port = guest.bindIpi(domain, 3);
  assert.equal(guest.status(domain, port).vcpu, 3);
  const timer = guest.bindVirq(domain, abi.VIRQ_TIMER, 2);
  assert.equal(guest.status(domain, timer).vcpu, 2);
  const unbound = guest.allocUnbound(domain, 0);
  assert.equal(guest.bindVcpu(domain, unbound, 1), 0);
  assert.equal(guest.status(domain, unbound).vcpu, 1);
  assert.equal(guest.initControl(domain, 3, 1), 0);
  assert.equal(guest.initControl(domain, 3, 1), -abi.XEN_EINVAL, 'but not twice');
});

test('records carry the vCPU id as passed, and what Xen filled in', () => {
  const domain = makeTestDomain('pvhvm', 2);
  const refused = { vcpu: 0xffff_ffff, port: 0 };
  const make = (argument: typeof refused): unknown =>
    call(domain, 1, 32, abi.EVTCHNOP_bind_ipi, poke(domain, abi.evtchn_bind_ipi, argument));
  const common = { hypercall: 'event_channel_op', op: 'EVTCHNOP_bind_ipi' };
  assert.deepEqual(make(refused), {
    ...common,
    vcpuId: 0xffff_ffff,
    detail: refused,
    returned: -abi.XEN_ENOENT,
  });
  assert.deepEqual(make({ vcpu: 1, port: 9 }), {
    ...common,
    vcpuId: 1,
    detail: { vcpu: 1, port: 1 },
    returned: 0,
    effects: [{ kind: 'portBound', port: 1, vcpu: 1 }],
  });
});

test('one virq, one port on each vCPU; a virq of the domain counts on vCPU 0 (evtchn_bind_virq)', () => {
  const domain = makeTestDomain('pvhvm', 2);
  assert.equal(guest.bindVirq(domain, abi.VIRQ_TIMER, 0), 1);
  assert.equal(guest.bindVirq(domain, abi.VIRQ_TIMER, 1), 2);
  assert.equal(guest.bindVirq(domain, abi.VIRQ_TIMER, 1), -abi.XEN_EEXIST);
  assert.equal(guest.bindVirq(domain, abi.VIRQ_CON_RING, 0), 3);
  assert.equal(
    guest.bindVirq(domain, abi.VIRQ_ARCH_0, 1),
    -abi.XEN_EINVAL,
    'none of VIRQ_ARCH_* is of a vCPU',
  );
  assert.equal(guest.bindVirq(domain, abi.VIRQ_XENPMU, 1), 4);
  assert.equal(guest.close(domain, 2), 0);
  assert.equal(guest.bindVirq(domain, abi.VIRQ_TIMER, 1), 2);
});

test('a global virq moved to another vCPU is still closed at vCPU 0 (evtchn_close)', () => {
  const domain = makeTestDomain('pvhvm', 2);
  const port = guest.bindVirq(domain, abi.VIRQ_CONSOLE, 0);
  assert.equal(guest.bindVcpu(domain, port, 1), 0);
  assert.equal(guest.close(domain, port), 0);
  assert.equal(guest.bindVirq(domain, abi.VIRQ_CONSOLE, 0), port);
});

test('raiseVirq: to the port of that vCPU, or of the domain; to none when it is not bound', () => {
  const domain = makeTestDomain('pvhvm', 2);
  const timer = guest.bindVirq(domain, abi.VIRQ_TIMER, 1);
  const console = guest.bindVirq(domain, abi.VIRQ_CONSOLE, 0);
  raiseVirq(domain, vcpu(0), abi.VIRQ_TIMER);
  assert.ok(!isPending(domain, timer));
  raiseVirq(domain, vcpu(1), abi.VIRQ_TIMER);
  raiseVirq(domain, vcpu(1), abi.VIRQ_CONSOLE);
  assert.ok(isPending(domain, timer));
  assert.ok(isPending(domain, console));
});

test('status tells each kind of channel apart, and leaves the rest of its union alone (evtchn_status)', () => {
  const domain = makeTestDomain('pvhvm', 4);
  const unbound = guest.allocUnbound(domain, 7);
  const mine = guest.allocUnbound(domain, abi.DOMID_SELF);
  const loop = guest.bindLoop(domain, mine);
  const virq = guest.bindVirq(domain, abi.VIRQ_DEBUG, 2);
  const ipi = guest.bindIpi(domain, 3);
  const pirq = guest.bindPirq(domain, 17);
  const remote = createRemoteChannel(domain, vcpu(0));
  const seen = (port: number): unknown[] => {
    const { status, vcpu: notified, u } = guest.status(domain, port);
    return [status, notified, u.interdomain];
  };
  assert.deepEqual(seen(0), [abi.EVTCHNSTAT_closed, 0, { dom: 0xeeee, port: 0xeeee_eeee }]);
  assert.deepEqual(seen(60), [abi.EVTCHNSTAT_closed, 0, { dom: 0xeeee, port: 0xeeee_eeee }]);
  assert.deepEqual(seen(unbound), [abi.EVTCHNSTAT_unbound, 0, { dom: 7, port: 0xeeee_eeee }]);
  assert.deepEqual(seen(loop), [abi.EVTCHNSTAT_interdomain, 0, { dom: 1, port: mine }]);
  assert.deepEqual(seen(mine), [abi.EVTCHNSTAT_interdomain, 0, { dom: 1, port: loop }]);
  assert.deepEqual(seen(virq), [abi.EVTCHNSTAT_virq, 2, { dom: abi.VIRQ_DEBUG, port: 0xeeee_eeee }]);
  assert.deepEqual(seen(ipi), [abi.EVTCHNSTAT_ipi, 3, { dom: 0xeeee, port: 0xeeee_eeee }]);
  assert.deepEqual(seen(pirq), [abi.EVTCHNSTAT_pirq, 0, { dom: 17, port: 0xeeee_eeee }]);
  assert.deepEqual(seen(remote), [abi.EVTCHNSTAT_interdomain, 0, { dom: 0, port: remote }]);
});

test('bytes that no member covers go back as they came', () => {
  const domain = makeTestDomain('arm', 1);
  const before = new Uint8Array(abi.evtchn_status.size).fill(0xa5);
  before.set(
    abi.evtchn_status.encode({ dom: abi.DOMID_SELF, port: 1, status: 0, vcpu: 0, u: {} }).subarray(0, 2),
  );
  before.set([0, 0, 0, 0], abi.evtchn_status.offsets.port);
  const at = pokeBytes(domain, before);
  assert.equal(call(domain, 0, 32, abi.EVTCHNOP_status, at).returned, 0);
  const after = peekBytes(domain, before.length);
  assert.deepEqual(after.subarray(2, 4), before.subarray(2, 4));
  assert.deepEqual(after.subarray(16), before.subarray(16));
});

test('a channel to oneself: both ends notify the other, the binding end at once (evtchn_bind_interdomain)', () => {
  const domain = makeTestDomain('pvhvm', 2);
  const a = guest.allocUnbound(domain, abi.DOMID_SELF);
  assert.equal(guest.send(domain, a), 0, 'an unbound port swallows what is sent');
  const b = guest.bindLoop(domain, a);
  assert.deepEqual([isPending(domain, a), isPending(domain, b)], [false, true]);
  assert.equal(guest.send(domain, b), 0);
  assert.ok(isPending(domain, a));
  assert.equal(guest.bindLoop(domain, a), -abi.XEN_EINVAL, 'no longer unbound');
  assert.equal(guest.close(domain, b), 0);
  assert.equal(guest.status(domain, a).status, abi.EVTCHNSTAT_unbound);
  assert.equal(guest.bindLoop(domain, a), b, 'so that it can be bound again');
});

test('a port cannot be bound to itself', () => {
  const domain = makeTestDomain('pvhvm', 1);
  assert.equal(guest.bindLoop(domain, 1), -abi.XEN_EINVAL);
  assert.equal(guest.status(domain, 1).status, abi.EVTCHNSTAT_closed);
});

test("the toolstack's channels: it sends in, the guest sends out, and can close them", () => {
  const domain = makeTestDomain('arm', 2);
  const port = createRemoteChannel(domain, vcpu(0));
  assert.ok(sendFromRemote(domain, port));
  assert.ok(isPending(domain, port));
  assert.equal(guest.send(domain, port), 0);
  assert.equal(guest.close(domain, port), 0);
  assert.ok(!isPending(domain, port), 'closing clears what was pending');
  assert.ok(!sendFromRemote(domain, port));
  assert.ok(!sendFromRemote(domain, 4000));
});

test('a close frees the vCPU too: the next to have the port notifies vCPU 0 (evtchn_free)', () => {
  const domain = makeTestDomain('pvhvm', 4);
  const port = guest.allocUnbound(domain, 0);
  guest.bindVcpu(domain, port, 3);
  guest.close(domain, port);
  assert.equal(guest.allocUnbound(domain, 0), port);
  assert.equal(guest.status(domain, port).vcpu, 0);
});

test('under FIFO a closed port that is still queued is not given out again (evtchn_is_busy)', () => {
  const domain = makeTestDomain('pvhvm', 1);
  guest.initControl(domain, 0, 1);
  guest.expandArray(domain, 2);
  const port = guest.bindIpi(domain);
  guest.send(domain, port);
  guest.close(domain, port);
  assert.equal(guest.bindIpi(domain), port + 1);
  pokeBytes(domain, new Uint8Array(4), 2n * 4096n + BigInt(port * 4));
  assert.equal(guest.bindIpi(domain), port, 'the guest has taken it out of the queue');
});

test('reset closes all ports, the remote ones too, and leaves FIFO (evtchn_reset)', () => {
  const domain = makeTestDomain('pvhvm', 2);
  guest.initControl(domain, 1, 1);
  guest.expandArray(domain, 2);
  const mine = guest.allocUnbound(domain, abi.DOMID_SELF);
  const ports = [mine, guest.bindLoop(domain, mine), guest.bindVirq(domain, 0, 1), guest.bindIpi(domain, 1)];
  ports.push(createRemoteChannel(domain, vcpu(0)));
  assert.equal(guest.reset(domain), 0);
  for (const port of ports) assert.equal(guest.status(domain, port).status, abi.EVTCHNSTAT_closed);
  assert.equal(guest.expandArray(domain, 2), -abi.XEN_EOPNOTSUPP);
  assert.equal(guest.setPriority(domain, 1, 3), -abi.XEN_ENOSYS);
  assert.equal(guest.bindVirq(domain, 0, 1), 1);
  assert.equal(guest.initControl(domain, 1, 1), 0, 'a vCPU may have a control block again');
});

test('an answer that cannot be written: EFAULT, and the port is taken all the same (do_event_channel_op)', () => {
  const domain = makeTestDomain('pvhvm', 1);
  const address = poke(domain, abi.evtchn_bind_ipi, { vcpu: 0, port: 0 });
  const readOnly = { translate: (_: XenVcpuId, at: bigint, write: boolean) => (write ? null : at) };
  const args = [BigInt(abi.EVTCHNOP_bind_ipi), address];
  const { returned, effects } = hypercall(domain, vcpu(0), 32, args, readOnly);
  assert.equal(returned, -abi.XEN_EFAULT);
  assert.deepEqual(effects, [{ kind: 'portBound', port: 1, vcpu: 0 }]);
  assert.equal(guest.bindIpi(domain), 2);
});

test('init_control tells how many bits a link has, on success alone', () => {
  const domain = makeTestDomain('pvhvm', 1);
  assert.equal(guest.initControl(domain, 9, 1), -abi.XEN_ENOENT);
  assert.equal(peek(domain, abi.evtchn_init_control).link_bits, 0);
  assert.equal(guest.initControl(domain, 0, 1), 0);
  assert.equal(peek(domain, abi.evtchn_init_control).link_bits, 17);
});

test('4.17 and 4.18 answer alike', () => {
  const run = (release: '4.17' | '4.18'): unknown => {
    const domain = makeTestDomain('pvhvm', 2, { release });
    guest.initControl(domain, 1, 1);
    guest.expandArray(domain, 2);
    guest.send(domain, guest.bindIpi(domain, 1));
    return { ...domain.state, config: null, answer: guest.initControl(domain, 1, 1) };
  };
  assert.deepEqual(run('4.17'), run('4.18'));
});
