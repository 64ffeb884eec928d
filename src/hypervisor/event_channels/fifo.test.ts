import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as abi from '../../abi/index.js';
import { hasBit } from '../../base/index.js';
import type { Domain } from '../domain.js';
import { makeTestDomain, peek, peekView, pokeBytes } from '../test_domain.js';
import * as guest from '../test_events.js';
import { vcpuInfoView } from '../vcpu_info.js';
import { readWord } from './fifo.js';

const controlGfn = 16;
const arrayGfn = 32;
const pendingBit = 1 << abi.EVTCHN_FIFO_PENDING;
const linkedBit = 1 << abi.EVTCHN_FIFO_LINKED;

/** A domain with FIFO events: each vCPU has its control block at the start of a page of its own. */
function fifoDomain(vcpus = 2, pages = 1): Domain {
  const domain = makeTestDomain('pvhvm', vcpus, { maxEvtchnPort: 3000 });
  for (let vcpu = 0; vcpu < vcpus; vcpu += 1)
    assert.equal(guest.initControl(domain, vcpu, controlGfn + vcpu), 0);
  for (let page = 0; page < pages; page += 1) assert.equal(guest.expandArray(domain, arrayGfn + page), 0);
  return domain;
}

function control(domain: Domain, vcpu: number): { ready: number; head: number[] } {
  return peek(domain, abi.evtchn_fifo_control_block, BigInt(controlGfn + vcpu) * 4096n);
}

function putWord(domain: Domain, port: number, word: number): void {
  const bytes = new Uint8Array(4);
  abi.viewOf(bytes).setUint32(0, word >>> 0, true);
  pokeBytes(domain, bytes, BigInt(arrayGfn) * 4096n + BigInt(port * 4));
}

const word = (domain: Domain, port: number): number => readWord(domain, port)! | 0;

function upcallPending(domain: Domain, vcpu: number): boolean {
  return vcpuInfoView(domain, domain.state.vcpus[vcpu]!, false)!.getUint8(0) === 1;
}

function clearUpcall(domain: Domain, vcpu: number): void {
  vcpuInfoView(domain, domain.state.vcpus[vcpu]!, true)!.setUint8(0, 0);
}

test('the first event of a queue is its head, the next hang behind it, and one upcall tells (evtchn_fifo_set_pending)', () => {
  const domain = fifoDomain();
  const [a, b] = [guest.bindIpi(domain, 1), guest.bindIpi(domain, 1)];
  guest.send(domain, a);
  assert.equal(word(domain, a), pendingBit | linkedBit);
  assert.deepEqual([control(domain, 1).ready, control(domain, 1).head[7]], [1 << 7, a]);
  assert.ok(upcallPending(domain, 1));
  clearUpcall(domain, 1);
  guest.send(domain, b);
  assert.equal(word(domain, a), pendingBit | linkedBit | b);
  assert.equal(control(domain, 1).head[7], a);
  assert.ok(!upcallPending(domain, 1));
  guest.send(domain, a);
  assert.equal(word(domain, a), pendingBit | linkedBit | b, 'it is in the queue already');
  assert.deepEqual(domain.state.vcpus[1]!.fifo!.tails[7], b);
});

test('a tail that the guest took out means an empty queue: a new head, and READY is set anew', () => {
  const domain = fifoDomain();
  const [a, b] = [guest.bindIpi(domain), guest.bindIpi(domain)];
  guest.send(domain, a);
  putWord(domain, a, 0);
  pokeBytes(domain, new Uint8Array(4), BigInt(controlGfn) * 4096n);
  clearUpcall(domain, 0);
  guest.send(domain, b);
  assert.deepEqual([control(domain, 0).ready, control(domain, 0).head[7]], [1 << 7, b]);
  assert.equal(word(domain, a), 0);
  assert.ok(upcallPending(domain, 0));
});

test('BUSY in the tail is cleared when it is linked, as Xen sets it only meanwhile (evtchn_fifo_set_link)', () => {
  const domain = fifoDomain();
  const [a, b] = [guest.bindIpi(domain), guest.bindIpi(domain)];
  guest.send(domain, a);
  putWord(domain, a, word(domain, a) | (1 << abi.EVTCHN_FIFO_BUSY) | 0x1ffff);
  guest.send(domain, b);
  assert.equal(word(domain, a), pendingBit | linkedBit | b);
});

test('a masked event becomes pending only, and is queued when it is unmasked (evtchn_fifo_unmask)', () => {
  const domain = fifoDomain();
  const port = guest.bindIpi(domain);
  putWord(domain, port, 1 << abi.EVTCHN_FIFO_MASKED);
  guest.send(domain, port);
  assert.equal(word(domain, port), pendingBit | (1 << abi.EVTCHN_FIFO_MASKED));
  assert.ok(!upcallPending(domain, 0));
  guest.unmask(domain, port);
  assert.equal(word(domain, port), pendingBit | linkedBit);
  assert.ok(upcallPending(domain, 0));
});

test('unmasking what is not pending queues nothing', () => {
  const domain = fifoDomain();
  const port = guest.bindIpi(domain);
  putWord(domain, port, 1 << abi.EVTCHN_FIFO_MASKED);
  guest.unmask(domain, port);
  assert.equal(word(domain, port), 0);
});

test('a new priority counts from the next time on; the old queue forgets the port if it was last there', () => {
  const domain = fifoDomain();
  const [a, b] = [guest.bindIpi(domain), guest.bindIpi(domain)];
  guest.send(domain, a);
  assert.equal(guest.setPriority(domain, a, 0), 0);
  guest.send(domain, a);
  assert.equal(control(domain, 0).ready, 1 << 7, 'queued where it was');
  putWord(domain, a, 0);
  guest.send(domain, a);
  assert.deepEqual([control(domain, 0).head[0], hasBit(control(domain, 0).ready, 0)], [a, true]);
  assert.deepEqual([domain.state.vcpus[0]!.fifo!.tails[7], domain.state.vcpus[0]!.fifo!.tails[0]], [0, a]);
  guest.send(domain, b);
  assert.equal(control(domain, 0).head[7], b, 'and b is not hung behind it');
  assert.equal(word(domain, a), pendingBit | linkedBit);
});

test('binding a port sets the default priority again, under FIFO (evtchn_fifo_init)', () => {
  const domain = fifoDomain();
  const port = guest.bindIpi(domain);
  guest.setPriority(domain, port, 15);
  guest.close(domain, port);
  assert.equal(guest.bindIpi(domain), port);
  guest.send(domain, port);
  assert.equal(control(domain, 0).head[7], port);
});

test('before the array has its page, an event is kept for later; nothing is told (evtchn_fifo_set_pending)', () => {
  const domain = fifoDomain(2, 0);
  const port = guest.bindIpi(domain, 1);
  assert.equal(guest.send(domain, port), 0);
  assert.ok(!upcallPending(domain, 1));
  assert.equal(guest.expandArray(domain, arrayGfn), 0);
  assert.equal(word(domain, port), pendingBit | linkedBit);
  assert.ok(upcallPending(domain, 1));
});

test('each page brings 1024 ports, and raises the early events of its own ports alone (add_page_to_event_array)', () => {
  const domain = fifoDomain(1, 1);
  for (let port = 1; port <= 2050; port += 1) assert.equal(guest.bindIpi(domain), port);
  for (const port of [1023, 1024, 2048]) guest.send(domain, port);
  assert.equal(domain.state.vcpus[0]!.fifo!.tails[7], 1023);
  guest.expandArray(domain, arrayGfn + 1);
  assert.equal(domain.state.vcpus[0]!.fifo!.tails[7], 1024);
  guest.expandArray(domain, arrayGfn + 2);
  assert.equal(domain.state.vcpus[0]!.fifo!.tails[7], 2048);
});

test('what is pending in the bitmap when FIFO begins is raised with its page, at a free port too (setup_ports)', () => {
  const domain = makeTestDomain('pvhvm', 1);
  const port = guest.bindIpi(domain);
  guest.send(domain, port);
  guest.putBit(domain, 'evtchn_pending', 40, true);
  guest.initControl(domain, 0, controlGfn);
  guest.expandArray(domain, arrayGfn);
  assert.equal(word(domain, port), pendingBit | linkedBit | 40);
  assert.equal(word(domain, 40), pendingBit | linkedBit);
});

test('an event for a vCPU without a control block is lost, pending bit and all', () => {
  const domain = makeTestDomain('pvhvm', 2);
  guest.initControl(domain, 0, controlGfn);
  guest.expandArray(domain, arrayGfn);
  const port = guest.bindIpi(domain, 1);
  assert.equal(guest.send(domain, port), 0);
  assert.equal(word(domain, port), 0);
});

test('a first control block that cannot be had leaves the two-level ABI in force (evtchn_fifo_init_control)', () => {
  const domain = makeTestDomain('pvhvm', 2);
  assert.equal(guest.initControl(domain, 0, 0x5_0000), -abi.XEN_EINVAL);
  assert.equal(guest.expandArray(domain, arrayGfn), -abi.XEN_EOPNOTSUPP);
});

test('closing clears PENDING and leaves the rest to the guest (evtchn_fifo_clear_pending)', () => {
  const domain = fifoDomain();
  const port = guest.bindIpi(domain);
  guest.send(domain, port);
  guest.close(domain, port);
  assert.equal(word(domain, port), linkedBit);
});

test('Xen writes to the frames that it was given, wherever the guest shows them later', () => {
  const domain = fifoDomain(1);
  const port = guest.bindIpi(domain);
  domain.state.physmap[controlGfn] = 99;
  guest.send(domain, port);
  assert.equal(control(domain, 0).ready, 0);
  domain.state.physmap[100] = controlGfn;
  assert.equal(peekView(domain, 4, 100n * 4096n).getUint32(0, true), 1 << 7);
});
