/**
 * A guest that looks for events by the two-level bitmaps, one memory access a step, while events are sent and ports
 * masked, unmasked and moved between any two steps: nothing is lost, nothing delivered twice.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import * as abi from '../../abi/index.js';
import { xenVcpuId } from '../../identity/index.js';
import type { Domain } from '../domain.js';
import { makeTestDomain } from '../test_domain.js';
import * as guest from '../test_events.js';
import { vcpuInfoView } from '../vcpu_info.js';
import { createRemoteChannel, sendFromRemote } from './index.js';

const vcpus = 3;
/** In words 0, 1 and 2 of the bitmaps. */
const ports = [1, 2, 63, 64, 100, 130];

/** A vCPU's scan: the words that its selector named, and the ports of the present word still to be looked at. */
interface Consumer {
  readonly vcpu: number;
  phase: 'idle' | 'entered' | 'scanning';
  selector: bigint;
  todo: number[];
}

interface Model {
  readonly domain: Domain;
  readonly consumers: Consumer[];
  readonly expected: Set<number>;
  delivered: number;
}

function newModel(): Model {
  const domain = makeTestDomain('pvh', vcpus);
  for (const state of domain.state.vcpus) Object.assign(state, { up: true, initialised: true });
  for (let port = 1; port <= 130; port += 1) createRemoteChannel(domain, xenVcpuId(port % vcpus));
  const consumers = Array.from({ length: vcpus }, (_, vcpu): Consumer => {
    return { vcpu, phase: 'idle', selector: 0n, todo: [] };
  });
  return { domain, consumers, expected: new Set(), delivered: 0 };
}

/** One step of a consumer; false when it has nothing to do. */
function step(model: Model, consumer: Consumer): boolean {
  const { domain } = model;
  const info = vcpuInfoView(domain, domain.state.vcpus[consumer.vcpu]!, true)!;
  const selectorAt = abi.vcpu_info.x86_64.offsets.evtchn_pending_sel;
  if (consumer.phase === 'idle') {
    if (info.getUint8(0) === 0) return false;
    info.setUint8(0, 0);
    consumer.phase = 'entered';
  } else if (consumer.phase === 'entered') {
    consumer.selector = info.getBigUint64(selectorAt, true);
    info.setBigUint64(selectorAt, 0n, true);
    consumer.phase = 'scanning';
  } else if (consumer.todo.length > 0) handle(model, consumer.todo.shift()!);
  else nextWord(consumer);
  return true;
}

function nextWord(consumer: Consumer): void {
  const word = ports
    .map((port) => port >> 6)
    .find((index) => ((consumer.selector >> BigInt(index)) & 1n) === 1n);
  if (word === undefined) {
    consumer.phase = 'idle';
    return;
  }
  consumer.selector &= ~(1n << BigInt(word));
  consumer.todo = ports.filter((port) => port >> 6 === word);
}

function handle(model: Model, port: number): void {
  const { domain, expected } = model;
  if (!guest.getBit(domain, 'evtchn_pending', port) || guest.getBit(domain, 'evtchn_mask', port)) return;
  assert.ok(expected.delete(port), `port ${port} delivered what was never sent, or twice`);
  guest.putBit(domain, 'evtchn_pending', port, false);
  model.delivered += 1;
}

type Action =
  | { readonly do: 'send' | 'mask' | 'unmask' | 'rebind'; readonly port: number }
  | { readonly do: 'move'; readonly port: number; readonly vcpu: number }
  | { readonly do: 'step'; readonly vcpu: number };

const port = fc.constantFrom(...ports);
const vcpu = fc.integer({ min: 0, max: vcpus - 1 });
const actions: fc.Arbitrary<Action[]> = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.record({ do: fc.constant('step' as const), vcpu }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant('send' as const), port }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('mask', 'unmask'), port }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('move' as const), port, vcpu }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('rebind' as const), port }) },
  ),
  { minLength: 20, maxLength: 150, size: 'max' },
);

function perform(model: Model, action: Action): void {
  const { domain, expected } = model;
  switch (action.do) {
    case 'send':
      if (sendFromRemote(domain, action.port)) expected.add(action.port);
      break;
    case 'mask':
      guest.putBit(domain, 'evtchn_mask', action.port, true);
      break;
    case 'unmask':
      assert.equal(guest.unmask(domain, action.port), 0);
      break;
    case 'move':
      assert.equal(guest.bindVcpu(domain, action.port, action.vcpu), 0);
      break;
    case 'rebind':
      assert.equal(guest.close(domain, action.port), 0);
      expected.delete(action.port);
      assert.equal(createRemoteChannel(domain, xenVcpuId(0)), action.port);
      break;
    case 'step':
      step(model, model.consumers[action.vcpu]!);
  }
}

function drain(model: Model): void {
  while (model.consumers.map((consumer) => step(model, consumer)).some(Boolean));
  for (const at of ports) {
    const masked = guest.getBit(model.domain, 'evtchn_mask', at);
    assert.ok(masked || !model.expected.has(at), `the event of port ${at} was lost`);
    assert.equal(guest.getBit(model.domain, 'evtchn_pending', at), model.expected.has(at));
  }
}

test('two-level: no event is lost or delivered twice, whatever happens between a consumer’s steps', () => {
  let delivered = 0;
  fc.assert(
    fc.property(actions, (sequence) => {
      const model = newModel();
      for (const action of sequence) perform(model, action);
      drain(model);
      for (const at of ports) guest.unmask(model.domain, at);
      drain(model);
      assert.equal(model.expected.size, 0);
      delivered += model.delivered;
    }),
    { numRuns: 100 },
  );
  assert.ok(delivered > 300, `the runs delivered only ${delivered} events`);
});
