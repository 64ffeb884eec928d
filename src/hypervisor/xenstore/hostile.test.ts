/**
 * A guest that puts anything into its xenstore page and its messages: nothing throws, each turn of xenstored does a
 * bounded amount of work, what counts against the guest is what it uses, and the state stays a plain value.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import * as abi from '../../abi/index.js';
import { backendsAwaited } from '../backends.js';
import type { Domain } from '../domain.js';
import type { XenRelease } from '../release.js';
import { cloneDomain, domainFromJson, domainToJson } from '../snapshot.js';
import * as guest from '../test_events.js';
import { fireStoreEvent, storeRemove, storeWrite } from './index.js';
import { copyMemory, maxMemory, nodeMemory, watchMemory } from './quota.js';
import {
  ask,
  getField,
  kick,
  makeConnected,
  putRequestBytes,
  requestBytes,
  setField,
  storePage,
  takeAnswerBytes,
} from './test_store.js';
import type { Field } from './test_store.js';

const text = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.constantFrom(
      'data',
      'data/a',
      'data/a/b',
      'name',
      '/',
      '@releaseDomain',
      '',
      'T',
      'n5',
      '1',
    ),
  },
  { weight: 1, arbitrary: fc.string({ unit: 'binary-ascii', maxLength: 30 }) },
  { weight: 1, arbitrary: fc.nat(2100).map((length) => `data/${'a/'.repeat(length / 2)}a`) },
  { weight: 1, arbitrary: fc.nat(4200).map((length) => 'x'.repeat(length)) },
);

const watched = fc.constantFrom<string[]>(
  ['data', 't'],
  ['data/a', 'u'],
  ['/', 't'],
  ['@releaseDomain', 't'],
);
/** A request that is often a good one. */
const framed = {
  what: fc.constant('message' as const),
  type: fc.oneof(
    { weight: 9, arbitrary: fc.integer({ min: 0, max: 23 }) },
    { weight: 3, arbitrary: fc.constantFrom(abi.XS_WATCH, abi.XS_TRANSACTION_START, abi.XS_WRITE) },
    { weight: 1, arbitrary: fc.nat(0xffff_ffff) },
  ),
  texts: fc.oneof(
    { weight: 3, arbitrary: fc.array(text, { maxLength: 4 }) },
    { weight: 1, arbitrary: watched },
  ),
  tx: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 4 })),
};

const fields: Field[] = [
  'req_cons',
  'req_prod',
  'rsp_cons',
  'rsp_prod',
  'server_features',
  'connection',
  'error',
];

const what = <T extends string>(...names: T[]): fc.Arbitrary<{ what: T }> =>
  fc.record({ what: fc.constantFrom(...names) });
/** What leaves the connection whole. */
const polite = [
  { weight: 20, arbitrary: fc.record({ ...framed, lie: fc.constant(0) }) },
  { weight: 4, arbitrary: what('take') },
  { weight: 3, arbitrary: what('time', 'toolstack', 'event', 'remove') },
];
const rude = [
  { weight: 1, arbitrary: fc.record({ ...framed, lie: fc.constantFrom(-3, 1, 9000, 0xffff_ffff) }) },
  {
    weight: 1,
    arbitrary: fc.record({ what: fc.constant('noise' as const), bytes: fc.uint8Array({ maxLength: 200 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      what: fc.constant('field' as const),
      field: fc.constantFrom(...fields),
      by: fc.oneof(fc.constantFrom(0, 1, -1, 1024, 1025, 0x8000_0000), fc.nat(2000)),
    }),
  },
  { weight: 1, arbitrary: what('close') },
];
const politeStep = fc.oneof(...polite);
const anyStep = fc.oneof(...polite, ...rude);

type Step = typeof anyStep extends fc.Arbitrary<infer T> ? T : never;

function send(domain: Domain, { type, texts, tx, lie }: Step & { what: 'message' }): void {
  const bytes = requestBytes(
    type,
    texts
      .map((each) => `${each}\0`)
      .join('')
      .slice(0, abi.XENSTORE_PAYLOAD_MAX),
    tx,
  );
  const at = abi.xsd_sockmsg.offsets.len;
  const view = abi.viewOf(bytes);
  view.setUint32(at, view.getUint32(at, true) + lie, true);
  let rest = bytes;
  for (let turns = 0; turns < 8 && rest.length > 0; turns += 1) {
    const room = getField(domain, 'req_prod') - getField(domain, 'req_cons');
    if (room < 0 || room > 1024) return;
    rest = rest.subarray(putRequestBytes(domain, rest));
    kickBounded(domain);
  }
}

/** One turn of xenstored reads and writes a ring full at most. */
function kickBounded(domain: Domain): void {
  const before = [getField(domain, 'req_cons'), getField(domain, 'rsp_prod')] as const;
  const isReset = getField(domain, 'connection') === abi.XENSTORE_RECONNECT;
  kick(domain);
  assert.equal(backendsAwaited(domain), false);
  const read = (getField(domain, 'req_cons') - before[0]) >>> 0;
  const written = (getField(domain, 'rsp_prod') - before[1]) >>> 0;
  assert.ok(isReset || (read <= 1024 && written <= 1024), `${read} bytes read, ${written} written`);
}

function perform(domain: Domain, step: Step): void {
  switch (step.what) {
    case 'message':
      send(domain, step);
      break;
    case 'take':
      if ((getField(domain, 'rsp_prod') - getField(domain, 'rsp_cons')) >>> 0 <= 1024)
        takeAnswerBytes(domain);
      kickBounded(domain);
      break;
    case 'noise':
      storePage(domain).set(step.bytes, 2048 - step.bytes.length);
      kickBounded(domain);
      break;
    case 'field':
      setField(domain, step.field, getField(domain, step.field) + step.by);
      kickBounded(domain);
      break;
    case 'time':
      domain.state.nowNs += 15_000_000_000n;
      kickBounded(domain);
      break;
    case 'toolstack':
      storeWrite(domain, 'data/a', 'theirs');
      break;
    case 'remove':
      storeRemove(domain, 'data/a');
      break;
    case 'event':
      fireStoreEvent(domain, '@releaseDomain');
      break;
    case 'close':
      guest.close(domain, domain.state.xenstore!.port);
      kickBounded(domain);
      break;
  }
}

function checkAccounts(domain: Domain): void {
  const store = domain.state.xenstore!;
  const { connection } = store;
  const nodes = Object.entries(store.nodes).map(([path, node]) => nodeMemory(store, path, node));
  const copies = connection.transactions.flatMap((transaction) =>
    Object.entries(transaction.accessed).map(([path, { node }]) =>
      copyMemory(store, transaction, path, node),
    ),
  );
  const queued = connection.queue.map(({ bytes }) => bytes.length);
  const parts = [...nodes, ...copies, ...connection.watches.map(watchMemory), ...queued];
  const all = parts.reduce((sum, part) => sum + part, 0);
  assert.equal(connection.memory, all);
  // Copies of nodes that are only read, and small answers, are not refused.
  assert.ok(all < 2 * maxMemory);
  const requests = new Set(connection.queue.map(({ request }) => request).filter((request) => request !== 0));
  assert.deepEqual(new Set(connection.inFlight.map(({ request }) => request)), requests);
  const events = connection.queue.flatMap(({ eventKey }) => (eventKey === null ? [] : [eventKey]));
  assert.deepEqual(new Set(events), new Set(Object.keys(connection.queuedEvents)));
  assert.equal(events.length, new Set(events).size);
}

test('whatever is in the page and in messages', () => {
  const reached = { ignored: 0, answered: 0, transactions: 0, watches: 0 };
  const many = { minLength: 10, maxLength: 80, size: 'max' } as const;
  const steps = fc.oneof(fc.array(politeStep, many), fc.array(anyStep, many));
  const release = fc.constantFrom<XenRelease>('4.17', '4.18');
  const features = fc.constantFrom(0, 3);
  fc.assert(
    fc.property(release, features, steps, (which, storeFeatures, taken) => {
      const domain = makeConnected({ release: which }, { storeFeatures });
      for (const each of taken) perform(domain, each);
      checkAccounts(domain);
      const { connection } = domain.state.xenstore!;
      reached.ignored += connection.ignored ? 1 : 0;
      reached.answered += connection.lastRequest;
      reached.transactions += connection.transactions.length;
      reached.watches += connection.watches.length;
      const json = domainToJson(domain);
      const copies = [cloneDomain(domain), domainFromJson(json)];
      for (const each of taken) for (const one of [domain, ...copies]) perform(one, each);
      for (const copy of copies) assert.equal(domainToJson(copy), domainToJson(domain));
    }),
    { numRuns: 100 },
  );
  assert.ok(
    Object.values(reached).every((count) => count > 20),
    JSON.stringify(reached),
  );
});

test('the most expensive turns that a guest can arrange are short', () => {
  const domain = makeConnected();
  for (let i = 0; domain.state.xenstore!.connection.nodes < 1000; i += 1) {
    ask(
      domain,
      abi.XS_MKDIR,
      domain.state.xenstore!.connection.nodes < 900 ? `data/${i % 60}/${i}\0` : `data/x${i}\0`,
    );
  }
  for (let i = 0; i < 129; i += 1) ask(domain, abi.XS_WATCH, `data\0${i}\0`);
  const tx = Number.parseInt(ask(domain, abi.XS_TRANSACTION_START, '\0'), 10);
  const nodes = Object.keys(domain.state.xenstore!.nodes).filter((path) => /5\/data\/./.test(path));
  for (const path of nodes) ask(domain, abi.XS_WRITE, `${path}\0v`, tx);
  const commit = costOf(() => {
    putRequestBytes(domain, requestBytes(abi.XS_TRANSACTION_END, 'T\0', tx));
    kick(domain);
  });
  assert.ok(
    domain.state.xenstore!.connection.queue.length > 10_000,
    'as many events as the guest has memory for',
  );
  checkAccounts(domain);
  const removal = costOf(() => {
    const removals = ['data', 'control/shutdown', 'error', 'attr'].map((path) => [
      ...requestBytes(abi.XS_RM, `${path}\0`),
    ]);
    putRequestBytes(domain, Uint8Array.from(removals.flat()));
    kick(domain);
  });
  assert.ok(commit < 4000 && removal < 4000, `${commit} ms to commit, ${removal} ms to remove`);
});

/** Milliseconds of the processor's time: other work on the machine does not count. */
function costOf(act: () => void): number {
  const before = process.cpuUsage();
  act();
  return process.cpuUsage(before).user / 1000;
}
