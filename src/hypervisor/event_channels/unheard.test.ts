import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as abi from '../../abi/index.js';
import { xenVcpuId } from '../../identity/index.js';
import type { Domain } from '../domain.js';
import { call, makeTestDomain, pokeBytes } from '../test_domain.js';
import * as guest from '../test_events.js';
import { createRemoteChannel, sendFromRemote, unheardEvents } from './index.js';

const vcpu0 = xenVcpuId(0);

/** A domain whose vCPU 0 is down, and whose port 1 has just had an event from the toolstack's side. */
function withLostEvent(): { domain: Domain; port: number } {
  const domain = makeTestDomain('arm', 2);
  for (const vcpu of domain.state.vcpus) Object.assign(vcpu, { up: vcpu.id !== vcpu0, initialised: true });
  const port = createRemoteChannel(domain, vcpu0);
  domain.state.nowNs = 7n;
  assert.ok(sendFromRemote(domain, port));
  return { domain, port };
}

/** The call by vCPU 1, which is up. */
function poll(domain: Domain, port: number): void {
  const bytes = new Uint8Array(4);
  abi.viewOf(bytes).setUint32(0, port, true);
  const ports = pokeBytes(domain, bytes, 250n * 4096n);
  const argument = abi.sched_poll.encode({ ports, nr_ports: 1, timeout: 0n });
  const at = pokeBytes(domain, argument, 251n * 4096n);
  assert.equal(call(domain, 1, abi.__HYPERVISOR_sched_op, abi.SCHEDOP_poll, at).returned, 0);
}

test('an event for a vCPU that is down is unheard until the vCPU is up', () => {
  const { domain, port } = withLostEvent();
  assert.deepEqual(unheardEvents(domain), [{ port, vcpu: 0, sinceNs: 7n }]);
  domain.state.nowNs = 9n;
  sendFromRemote(domain, port);
  assert.deepEqual(unheardEvents(domain), [{ port, vcpu: 0, sinceNs: 9n }], 'the last one counts');
  domain.state.vcpus[0]!.up = true;
  assert.deepEqual(unheardEvents(domain), []);
});

test('a vCPU that was told of an event, and goes down after that, leaves nothing unheard', () => {
  const { domain, port } = withLostEvent();
  domain.state.vcpus[0]!.up = true;
  sendFromRemote(domain, port);
  domain.state.vcpus[0]!.up = false;
  assert.deepEqual(unheardEvents(domain), []);
});

test('an event is not unheard whose port the guest has cleared, masked, closed, moved, bound anew or polled', () => {
  const changes: readonly ((domain: Domain, port: number) => void)[] = [
    (domain, port) => guest.putBit(domain, 'evtchn_pending', port, false),
    (domain, port) => guest.putBit(domain, 'evtchn_mask', port, true),
    (domain, port) => guest.close(domain, port),
    (domain, port) => guest.bindVcpu(domain, port, 1),
    (domain, port) => {
      guest.bindVcpu(domain, port, 1);
      guest.bindVcpu(domain, port, 0);
    },
    (domain, port) => {
      guest.close(domain, port);
      assert.equal(createRemoteChannel(domain, vcpu0), port);
      guest.putBit(domain, 'evtchn_pending', port, true);
    },
    poll,
    (domain) => guest.reset(domain),
  ];
  for (const [index, change] of changes.entries()) {
    const { domain, port } = withLostEvent();
    change(domain, port);
    assert.deepEqual(unheardEvents(domain), [], `change ${index}`);
  }
  const { domain, port } = withLostEvent();
  guest.bindVcpu(domain, port, 0);
  assert.equal(unheardEvents(domain).length, 1, 'it was bound to the same vCPU');
});

test('an IPI for a vCPU that is down is no unheard event: it was bound for that vCPU', () => {
  const domain = makeTestDomain('arm', 2);
  for (const vcpu of domain.state.vcpus) Object.assign(vcpu, { up: vcpu.id !== vcpu0, initialised: true });
  guest.send(domain, guest.bindIpi(domain, 0));
  assert.deepEqual(unheardEvents(domain), []);
});

test('FIFO: a vCPU without a control block loses the event without a trace (evtchn_fifo_set_pending)', () => {
  const domain = makeTestDomain('arm', 2);
  for (const vcpu of domain.state.vcpus) Object.assign(vcpu, { up: vcpu.id !== vcpu0, initialised: true });
  const port = createRemoteChannel(domain, vcpu0);
  assert.equal(guest.initControl(domain, 1, 16), 0);
  sendFromRemote(domain, port);
  assert.deepEqual(unheardEvents(domain), [], 'a port without an event word counts as masked');
  assert.equal(guest.expandArray(domain, 32), 0);
  assert.equal(unheardEvents(domain).length, 1);
  const masked = new Uint8Array(4);
  abi.viewOf(masked).setUint32(0, (1 << abi.EVTCHN_FIFO_MASKED) >>> 0, true);
  pokeBytes(domain, masked, 32n * 4096n + BigInt(4 * port));
  assert.deepEqual(unheardEvents(domain), []);
});
