/**
 * A guest that takes events out of its FIFO queues as the public headers and the ABI's design document have it,
 * one memory access a step, while events are sent, ports masked, unmasked, moved, given other priorities, closed
 * and bound between any two steps. Whatever the order: no event that a port may deliver is lost, none is
 * delivered twice, and the queues stay lists.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import * as abi from '../../abi/index.js';
import { hasBit, u32 } from '../../base/index.js';
import { xenVcpuId } from '../../identity/index.js';
import type { Domain } from '../domain.js';
import { makeTestDomain, peekView, pokeBytes } from '../test_domain.js';
import * as guest from '../test_events.js';
import { vcpuInfoView } from '../vcpu_info.js';
import { createRemoteChannel, sendFromRemote } from './index.js';

const vcpus = 3;
const ports = 6;
const controlGfn = 16;
const arrayGfn = 32;
const queues = abi.EVTCHN_FIFO_MAX_QUEUES;
const { ready: readyAt, head: headAt } = abi.evtchn_fifo_control_block.offsets;

function read32(domain: Domain, address: number): number {
  return peekView(domain, 4, BigInt(address)).getUint32(0, true);
}

function write32(domain: Domain, address: number, value: number): void {
  const bytes = new Uint8Array(4);
  abi.viewOf(bytes).setUint32(0, u32(value), true);
  pokeBytes(domain, bytes, BigInt(address));
}

const wordAddress = (port: number): number => arrayGfn * 4096 + port * 4;
const controlAddress = (vcpu: number): number => (controlGfn + vcpu) * 4096;

function setFlag(domain: Domain, port: number, flag: number, value: boolean): void {
  const word = read32(domain, wordAddress(port));
  write32(domain, wordAddress(port), value ? word | (1 << flag) : word & ~(1 << flag));
}

function testFlag(domain: Domain, port: number, flag: number): boolean {
  return hasBit(read32(domain, wordAddress(port)), flag);
}

/** One vCPU's consumer: what it has read of READY, where it is in each queue, and the port that it has in hand. */
interface Consumer {
  readonly vcpu: number;
  phase: 'idle' | 'entered' | 'taking' | 'handling';
  ready: number;
  heads: number[];
  port: number;
}

interface Model {
  readonly domain: Domain;
  readonly consumers: Consumer[];
  /** Which ports have an event that was sent and not yet delivered. */
  readonly expected: boolean[];
  delivered: number;
}

function newModel(): Model {
  const domain = makeTestDomain('arm', vcpus);
  for (let vcpu = 0; vcpu < vcpus; vcpu += 1) {
    const state = domain.state.vcpus[vcpu]!;
    Object.assign(state, { up: true, initialised: true, vcpuInfo: { mfn: 8, offset: 64 * vcpu } });
    assert.equal(guest.initControl(domain, vcpu, controlGfn + vcpu), 0);
  }
  assert.equal(guest.expandArray(domain, arrayGfn), 0);
  for (let port = 1; port <= ports; port += 1) {
    assert.equal(createRemoteChannel(domain, xenVcpuId(port % vcpus)), port);
  }
  const consumers = Array.from({ length: vcpus }, (_, vcpu): Consumer => {
    return { vcpu, phase: 'idle', ready: 0, heads: Array.from({ length: queues }, () => 0), port: 0 };
  });
  return { domain, consumers, expected: Array.from({ length: 64 }, () => false), delivered: 0 };
}

/** Reads and clears READY. */
function takeReady({ domain }: Model, { vcpu }: Consumer): number {
  const ready = read32(domain, controlAddress(vcpu) + readyAt);
  write32(domain, controlAddress(vcpu) + readyAt, 0);
  return ready;
}

/** One step of a consumer; false when it has nothing to do. */
function step(model: Model, consumer: Consumer): boolean {
  switch (consumer.phase) {
    case 'idle':
      return enter(model, consumer);
    case 'entered':
      consumer.ready = u32(consumer.ready | takeReady(model, consumer));
      consumer.phase = consumer.ready === 0 ? 'idle' : 'taking';
      return true;
    case 'taking':
      takeFromHead(model, consumer);
      return true;
    case 'handling':
      handle(model, consumer);
      return true;
  }
}

function enter({ domain }: Model, consumer: Consumer): boolean {
  const info = vcpuInfoView(domain, domain.state.vcpus[consumer.vcpu]!, true)!;
  if (info.getUint8(0) === 0) return false;
  info.setUint8(0, 0);
  consumer.phase = 'entered';
  return true;
}

/** Unlinks the first port of the most urgent queue: clears LINKED and LINK in one go, and follows LINK. */
function takeFromHead({ domain }: Model, consumer: Consumer): void {
  const queue = 31 - Math.clz32(consumer.ready & -consumer.ready);
  const head = consumer.heads[queue]! || read32(domain, controlAddress(consumer.vcpu) + headAt + 4 * queue);
  const word = read32(domain, wordAddress(head));
  write32(domain, wordAddress(head), word & ~((1 << abi.EVTCHN_FIFO_LINKED) | abi.EVTCHN_FIFO_LINK_MASK));
  const link = word & abi.EVTCHN_FIFO_LINK_MASK;
  if (link === 0) consumer.ready = u32(consumer.ready & ~(1 << queue));
  consumer.heads[queue] = link;
  consumer.port = head;
  consumer.phase = 'handling';
}

function handle(model: Model, consumer: Consumer): void {
  const { domain, expected } = model;
  const { port } = consumer;
  if (testFlag(domain, port, abi.EVTCHN_FIFO_PENDING) && !testFlag(domain, port, abi.EVTCHN_FIFO_MASKED)) {
    assert.ok(expected[port], `port ${port} delivered what was never sent, or twice`);
    setFlag(domain, port, abi.EVTCHN_FIFO_PENDING, false);
    expected[port] = false;
    model.delivered += 1;
  }
  consumer.phase = 'entered';
}

type Action =
  | { readonly do: 'send' | 'mask' | 'unmask' | 'rebind'; readonly port: number }
  | { readonly do: 'priority'; readonly port: number; readonly priority: number }
  | { readonly do: 'move'; readonly port: number; readonly vcpu: number }
  | { readonly do: 'step'; readonly vcpu: number };

const port = fc.integer({ min: 1, max: ports });
const vcpu = fc.integer({ min: 0, max: vcpus - 1 });
const actions: fc.Arbitrary<Action[]> = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.record({ do: fc.constant('step' as const), vcpu }) },
    { weight: 5, arbitrary: fc.record({ do: fc.constant('send' as const), port }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('mask', 'unmask'), port }) },
    {
      weight: 1,
      arbitrary: fc.record({
        do: fc.constant('priority' as const),
        port,
        priority: fc.constantFrom(0, 7, 15),
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('move' as const), port, vcpu }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('rebind' as const), port }) },
  ),
  { minLength: 20, maxLength: 150, size: 'max' },
);

function perform(model: Model, action: Action): void {
  const { domain, expected } = model;
  switch (action.do) {
    case 'send':
      if (sendFromRemote(domain, action.port)) expected[action.port] = true;
      break;
    case 'mask':
      setFlag(domain, action.port, abi.EVTCHN_FIFO_MASKED, true);
      break;
    case 'unmask':
      assert.equal(guest.unmask(domain, action.port), 0);
      break;
    case 'priority':
      guest.setPriority(domain, action.port, action.priority);
      break;
    case 'move':
      guest.bindVcpu(domain, action.port, action.vcpu);
      break;
    case 'rebind':
      guest.close(domain, action.port);
      expected[action.port] = false;
      createRemoteChannel(domain, xenVcpuId(0));
      break;
    case 'step':
      step(model, model.consumers[action.vcpu]!);
  }
}

/** The ports in a consumer's queue, from its head on. */
function walk({ domain }: Model, { vcpu, heads, ready }: Consumer, queue: number): number[] {
  const told = hasBit(u32(ready | read32(domain, controlAddress(vcpu) + readyAt)), queue);
  const first = heads[queue]! || (told ? read32(domain, controlAddress(vcpu) + headAt + 4 * queue) : 0);
  const found: number[] = [];
  for (let at = first; at !== 0 && found.length < 100;) {
    assert.ok(testFlag(domain, at, abi.EVTCHN_FIFO_LINKED), `port ${at} is in a queue, yet not linked`);
    found.push(at);
    at = read32(domain, wordAddress(at)) & abi.EVTCHN_FIFO_LINK_MASK;
  }
  return found;
}

/** Every linked port is in exactly one queue, once. */
function checkQueues(model: Model): void {
  const all = model.consumers.flatMap((consumer) =>
    consumer.heads.flatMap((_, queue) => walk(model, consumer, queue)),
  );
  const linked = model.expected.flatMap((_, at) =>
    testFlag(model.domain, at, abi.EVTCHN_FIFO_LINKED) ? [at] : [],
  );
  assert.deepEqual(
    all.toSorted((a, b) => a - b),
    linked,
  );
}

/** Lets the consumers run until none has anything to do; then nothing unmasked may be pending. */
function drain(model: Model): void {
  let steps = 0;
  while (model.consumers.map((consumer) => step(model, consumer)).some(Boolean)) {
    steps += 1;
    assert.ok(steps < 10_000, 'the consumers never finish');
    checkQueues(model);
  }
  for (let at = 1; at < 20; at += 1) {
    const masked = testFlag(model.domain, at, abi.EVTCHN_FIFO_MASKED);
    assert.ok(masked || model.expected[at] !== true, `the event of port ${at} was lost`);
    assert.equal(testFlag(model.domain, at, abi.EVTCHN_FIFO_PENDING), model.expected[at]);
  }
}

test('FIFO: no event is lost or delivered twice, whatever happens between a consumer’s steps', () => {
  let delivered = 0;
  fc.assert(
    fc.property(actions, (sequence) => {
      const model = newModel();
      for (const action of sequence) {
        perform(model, action);
        checkQueues(model);
      }
      drain(model);
      for (let at = 1; at < 20; at += 1) guest.unmask(model.domain, at);
      drain(model);
      assert.ok(!model.expected.includes(true));
      delivered += model.delivered;
    }),
    { numRuns: 100 },
  );
  assert.ok(delivered > 300, `the runs delivered only ${delivered} events`);
});
