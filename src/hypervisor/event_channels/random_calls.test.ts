/**
 * Whatever a guest passes to event_channel_op and sched_op: no call throws, each answers 0 or more or an error that
 * its sub-operation declares, and the domain stays a value that can be cloned, compared and written to JSON.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import * as abi from '../../abi/index.js';
import { valueFromJson, valueToJson } from '../../base/index.js';
import { xenVcpuId } from '../../identity/index.js';
import type { Domain, GuestKind } from '../domain.js';
import { cloneDomain, domainFromJson, domainToJson } from '../snapshot.js';
import { hypercall, hypercallTable } from '../table.js';
import { identityPort, makeTestDomain, nowhere, pokeBytes, scratch } from '../test_domain.js';
import { createRemoteChannel, raiseVirq, sendFromRemote, setCallbackVia, setUpcallVector } from './index.js';

const vcpus = 3;

/** 32-bit words of an argument: mostly small numbers, so that ports, vCPUs, frames and domains are often met. */
const word = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 0, max: 12 }) },
  { weight: 2, arbitrary: fc.constant(0) },
  { weight: 1, arbitrary: fc.constantFrom(16, 17, 18, 63, 64, 4095, 4096, 4024, 4032, 0x7ff0, 0xffff_ffff) },
  { weight: 1, arbitrary: fc.nat({ max: 0xffff_ffff }) },
);

const call = fc.record({
  family: fc.constantFrom(abi.__HYPERVISOR_event_channel_op, abi.__HYPERVISOR_sched_op),
  command: fc.integer({ min: 0, max: 15 }),
  vcpu: fc.integer({ min: 0, max: vcpus - 1 }),
  words: fc.array(word, { minLength: 8, maxLength: 8 }),
  /** A domid in the first two bytes, where there is one. */
  self: fc.boolean(),
  /** A frame number in the first eight bytes, where there is one. */
  wide: fc.boolean(),
  address: fc.constantFrom(scratch, scratch, scratch, scratch, nowhere),
});

/** What the rest of the world does meanwhile. */
const event = fc.record({
  event: fc.constantFrom('remote', 'channel', 'virq', 'vector', 'via', 'scribble'),
  vcpu: fc.integer({ min: 0, max: vcpus - 1 }),
  word,
});

type Call = typeof call extends fc.Arbitrary<infer T> ? T : never;
type Event = typeof event extends fc.Arbitrary<infer T> ? T : never;

function make(domain: Domain, { family, command, vcpu, words, self, wide, address }: Call): void {
  const bytes = new Uint8Array(32);
  const view = abi.viewOf(bytes);
  for (const [i, value] of words.entries()) view.setUint32(4 * i, value, true);
  if (wide) view.setUint32(4, 0, true);
  if (self) view.setUint16(0, abi.DOMID_SELF, true);
  pokeBytes(domain, bytes);
  const args = [BigInt(command), address];
  const record = hypercall(domain, xenVcpuId(vcpu), family, args, identityPort);
  assert.equal(valueToJson(valueFromJson(valueToJson(record))), valueToJson(record));
  if (record.returned >= 0) return;
  const { operations } = hypercallTable.find(({ number }) => number === family)!;
  const declared = operations.find(({ name }) => name === record.op)?.errors.map(({ error }) => error);
  const error = abi.XEN_errno_names[-record.returned]!;
  assert.ok(
    (declared ?? ['XEN_ENOSYS']).includes(error),
    `${record.op} answers ${error}, which it does not declare`,
  );
}

function happen(domain: Domain, { event: what, vcpu, word: value }: Event): void {
  const state = domain.state.vcpus[vcpu]!;
  if (what === 'remote') sendFromRemote(domain, value);
  else if (what === 'channel') createRemoteChannel(domain, state.id);
  else if (what === 'virq') raiseVirq(domain, state.id, value);
  else if (what === 'vector') setUpcallVector(domain, state, value & 0xff);
  else if (what === 'via') setCallbackVia(domain, (BigInt(value & 3) << 56n) | 0xf3n);
  else pokeBytes(domain, new Uint8Array(64).fill(value), BigInt(value % 20) * 4096n + BigInt(4 * vcpu));
}

function perform(domain: Domain, step: Call | Event): void {
  if ('event' in step) happen(domain, step);
  else make(domain, step);
}

const kind = fc.constantFrom<GuestKind>('pv', 'pvhvm', 'pvh', 'arm');

test('no call throws or answers what it does not declare, and the domain stays a plain value', () => {
  const answered = new Set<string>();
  const run = (guest: GuestKind, steps: readonly (Call | Event)[]): void => {
    const domain = makeTestDomain(guest, vcpus, { maxEvtchnPort: 10 });
    for (const step of steps) {
      perform(domain, step);
      for (const channel of domain.state.events.channels) answered.add(channel.binding.kind);
    }
    answered.add(domain.state.events.abi);
    const json = domainToJson(domain);
    const copies = [cloneDomain(domain), domainFromJson(json)];
    for (const copy of copies) assert.equal(domainToJson(copy), json);
    for (const step of steps) for (const each of [domain, ...copies]) perform(each, step);
    for (const copy of copies)
      assert.equal(domainToJson(copy), domainToJson(domain), 'a copy behaves as its original');
  };
  const steps = fc.array(fc.oneof({ weight: 4, arbitrary: call }, { weight: 1, arbitrary: event }), {
    minLength: 20,
    maxLength: 120,
    size: 'max',
  });
  // At random, few calls set up a control block: some frames can be mapped, but few offsets are allowed.
  const fifo: Call = {
    family: abi.__HYPERVISOR_event_channel_op,
    command: abi.EVTCHNOP_init_control,
    vcpu: 0,
    words: [2, 0, 0, 0, 0, 0, 0, 0],
    self: false,
    wide: true,
    address: scratch,
  };
  fc.assert(fc.property(kind, steps, run), { numRuns: 150, examples: [['pvh', [fifo]]] });
  const kinds = ['2l', 'fifo', 'free', 'interdomain', 'ipi', 'pirq', 'reserved', 'unbound', 'virq'];
  assert.deepEqual([...answered].sort(), kinds, 'the runs met every kind of channel');
});
