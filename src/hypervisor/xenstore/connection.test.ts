/** The ring, and what a guest may use up. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as abi from '../../abi/index.js';
import type { Domain } from '../domain.js';
import type { XenRelease } from '../release.js';
import { storeWrite } from './index.js';
import { nodeMemory } from './quota.js';
import {
  ask,
  converse,
  exchange,
  getField,
  kick,
  makeConnected,
  messagesOf,
  putRequestBytes,
  requestBytes,
  setField,
  storePage,
  takeAnswerBytes,
} from './test_store.js';

const releases: readonly XenRelease[] = ['4.17', '4.18'];
const both = abi.XENSTORE_SERVER_FEATURE_RECONNECTION | abi.XENSTORE_SERVER_FEATURE_ERROR;

function connectionOf(domain: Domain): NonNullable<Domain['state']['xenstore']>['connection'] {
  return domain.state.xenstore!.connection;
}

test('a new ring is empty and connected; only a store that has features shows them', () => {
  for (const [storeFeatures, shown] of [
    [undefined, 0],
    [both, both],
  ] as const) {
    const domain = makeConnected({}, storeFeatures === undefined ? {} : { storeFeatures });
    const fields = ['req_cons', 'req_prod', 'rsp_cons', 'rsp_prod', 'connection', 'error'] as const;
    assert.deepEqual(
      fields.map((field) => getField(domain, field)),
      [0, 0, 0, 0, abi.XENSTORE_CONNECTED, 0],
    );
    assert.equal(getField(domain, 'server_features'), shown);
  }
});

test('indexes run free: they wrap at 2^32, rings at 1024', () => {
  const domain = makeConnected();
  for (const field of ['req_cons', 'req_prod', 'rsp_cons', 'rsp_prod'] as const) {
    setField(domain, field, 0xffff_fff0);
  }
  for (let i = 0; i < 100; i += 1) assert.equal(ask(domain, abi.XS_READ, 'name\0'), 'guest');
  assert.ok(getField(domain, 'rsp_prod') > 1024 && getField(domain, 'rsp_prod') < 0x10_0000);
});

test('a message may come in any pieces, and messages in one', () => {
  const domain = makeConnected();
  const bytes = requestBytes(abi.XS_WRITE, `data\0${'v'.repeat(1500)}`);
  const received: number[] = [];
  for (const byte of bytes) {
    putRequestBytes(domain, Uint8Array.of(byte));
    kick(domain);
    received.push(...takeAnswerBytes(domain));
  }
  assert.equal(messagesOf(received)[0]!.text, 'OK\0');
  const many = Array.from({ length: 30 }, (_, i) => [...requestBytes(abi.XS_READ, 'name\0', 0, i)]).flat();
  assert.deepEqual(
    converse(domain, Uint8Array.from(many)).map(({ header }) => header.req_id),
    Array.from({ length: 30 }, (_, i) => i),
  );
});

test('an answer that is longer than the ring comes as the guest makes room', () => {
  const domain = makeConnected();
  storeWrite(domain, 'data/long', 'x'.repeat(4096));
  const [message] = converse(domain, requestBytes(abi.XS_READ, 'data/long\0'));
  assert.equal(message!.text, 'x'.repeat(4096));
});

test('the guest is told by an event whenever something was read or written, and not else', () => {
  const domain = makeConnected();
  const { port } = domain.state.xenstore!;
  const pending = (): boolean => {
    const at = abi.shared_info.arm64.offsets.evtchn_pending;
    const frame = domain.memory.writable(domain.state.sharedInfoMfn)!;
    const was = (frame[at]! >>> port) & 1;
    frame[at] = 0;
    return was === 1;
  };
  pending();
  kick(domain);
  assert.equal(pending(), false);
  putRequestBytes(domain, Uint8Array.of(1));
  kick(domain);
  assert.equal(pending(), true, 'so that a guest that waits for room learns of it');
});

test('indexes that cannot be: the connection is closed, and says why', () => {
  const spoils: readonly ((domain: Domain) => void)[] = [
    (domain) => setField(domain, 'req_prod', getField(domain, 'req_cons') + 1025),
    (domain) => setField(domain, 'req_prod', getField(domain, 'req_cons') - 1),
    (domain) => {
      putRequestBytes(domain, requestBytes(abi.XS_READ, 'name\0'));
      setField(domain, 'rsp_prod', getField(domain, 'rsp_cons') + 1025);
    },
  ];
  for (const spoil of spoils) {
    const domain = makeConnected();
    ask(domain, abi.XS_WATCH, 'data\0t\0');
    ask(domain, abi.XS_TRANSACTION_START, '\0');
    spoil(domain);
    kick(domain);
    assert.equal(getField(domain, 'error'), abi.XENSTORE_ERROR_RINGIDX);
    const { ignored, watches, transactions, queue } = connectionOf(domain);
    assert.deepEqual(
      { ignored, watches, transactions, queue },
      { ignored: true, watches: [], transactions: [], queue: [] },
    );
    for (const field of ['req_cons', 'req_prod', 'rsp_cons', 'rsp_prod'] as const) setField(domain, field, 0);
    assert.deepEqual(converse(domain, requestBytes(abi.XS_READ, 'name\0')), [], 'for good');
    storeWrite(domain, 'data', 'x');
  }
});

test('a payload of more than 4096 bytes closes the connection; one of 4096 does not', () => {
  const domain = makeConnected();
  assert.equal(ask(domain, abi.XS_READ, 'x'.repeat(4096)), '!EINVAL');
  const header = abi.xsd_sockmsg.encode({ type: abi.XS_READ, req_id: 0, tx_id: 0, len: 4097 });
  assert.deepEqual(converse(domain, header), []);
  assert.equal(getField(domain, 'error'), abi.XENSTORE_ERROR_PROTO);
  assert.equal(connectionOf(domain).ignored, true);
});

test('reconnection, where it is offered: all that was said is forgotten, nodes stay', () => {
  const domain = makeConnected({}, { storeFeatures: both });
  ask(domain, abi.XS_WRITE, 'data/x\0y');
  ask(domain, abi.XS_WATCH, 'data\0t\0');
  ask(domain, abi.XS_TRANSACTION_START, '\0');
  putRequestBytes(domain, Uint8Array.of(1, 2, 3));
  kick(domain);
  setField(domain, 'req_prod', 77777);
  kick(domain);
  assert.equal(getField(domain, 'error'), abi.XENSTORE_ERROR_RINGIDX);
  setField(domain, 'connection', abi.XENSTORE_RECONNECT);
  kick(domain);
  const fields = ['req_cons', 'req_prod', 'rsp_cons', 'rsp_prod', 'connection', 'error'] as const;
  assert.deepEqual(
    fields.map((field) => getField(domain, field)),
    [0, 0, 0, 0, abi.XENSTORE_CONNECTED, 0],
  );
  assert.equal(ask(domain, abi.XS_READ, 'data/x\0'), 'y');
  assert.deepEqual(exchange(domain, abi.XS_WRITE, 'data/x\0z').events, []);
  assert.equal(ask(domain, abi.XS_TRANSACTION_END, 'T\0', 1), '!ENOENT');
});

test('a store that does not offer reconnection does not look for it', () => {
  const domain = makeConnected();
  setField(domain, 'connection', abi.XENSTORE_RECONNECT);
  assert.equal(ask(domain, abi.XS_READ, 'name\0'), 'guest');
  assert.equal(getField(domain, 'connection'), abi.XENSTORE_RECONNECT);
});

test('a guest that does not take its answers is not read from after twenty', () => {
  const domain = makeConnected();
  // Each answer takes what is left of the ring and more, so that none but the first is written.
  storeWrite(domain, 'data/long', 'x'.repeat(2000));
  let sent = 0;
  for (let at = -1; at !== getField(domain, 'req_cons');) {
    at = getField(domain, 'req_cons');
    for (let i = 0; i < 10; i += 1) sent += putRequestBytes(domain, requestBytes(abi.XS_READ, 'data/long\0'));
    kick(domain);
  }
  assert.equal(connectionOf(domain).inFlight.length, 20);
  assert.equal(connectionOf(domain).queue.length, 20);
  const messages = messagesOf(takeAnswerBytes(domain));
  assert.equal(messages.length, 0, 'the first is not whole yet');
  assert.ok(sent > 20 * requestBytes(abi.XS_READ, 'data/long\0').length, 'there was more to be read');
});

test('an event is dropped when the guest has made no room for it for twenty seconds', () => {
  const domain = makeConnected();
  ask(domain, abi.XS_WATCH, 'data\0t\0');
  storeWrite(domain, 'data/long', 'x'.repeat(2000));
  takeAnswerBytes(domain);
  putRequestBytes(domain, requestBytes(abi.XS_READ, 'data/long\0'));
  kick(domain);
  storeWrite(domain, 'data/one', '');
  domain.state.nowNs += 10_000_000_000n;
  storeWrite(domain, 'data/two', '');
  domain.state.nowNs += 10_000_000_000n;
  const [answer, ...events] = converse(domain, new Uint8Array(0));
  assert.equal(answer!.text.length, 2000, 'an answer waits for ever');
  assert.deepEqual(
    events.map(({ text }) => text),
    ['data/two\0t\0'],
  );
  assert.equal(connectionOf(domain).queue.length, 0);
});

test('a node has at most 2048 bytes, header, permissions and children’s names among them', () => {
  for (const release of releases) {
    const domain = makeConnected({ release });
    // One permission of eight bytes behind the header; 4.17 stops short of the limit.
    const most = release === '4.17' ? 2047 - 24 - 8 : 2048 - 16 - 8;
    assert.equal(ask(domain, abi.XS_WRITE, `data/x\0${'v'.repeat(most)}`), 'OK\0');
    assert.equal(ask(domain, abi.XS_WRITE, `data/x\0${'v'.repeat(most + 1)}`), '!ENOSPC');
    assert.equal(ask(domain, abi.XS_WRITE, `data/y\0${'v'.repeat(most + 1)}`), '!ENOSPC');
    assert.equal(ask(domain, abi.XS_READ, 'data/y\0'), '!ENOENT');
    assert.equal(ask(domain, abi.XS_SET_PERMS, 'data/x\0n5\0r0\0'), '!ENOSPC');
    assert.equal(ask(domain, abi.XS_MKDIR, 'data/x/c\0'), '!ENOSPC', 'its parent would be too big');
    assert.equal(ask(domain, abi.XS_READ, 'data/x/c\0'), '!ENOENT');
    const tx = Number.parseInt(ask(domain, abi.XS_TRANSACTION_START, '\0'), 10);
    assert.equal(ask(domain, abi.XS_MKDIR, 'data/x/c\0', tx), '!ENOSPC');
    assert.equal(ask(domain, abi.XS_TRANSACTION_END, 'T\0', tx), '!ENOMEM');
  }
});

test('what counts against the guest is what it owns, watches, copies and has not taken', () => {
  const domain = makeConnected();
  const store = domain.state.xenstore!;
  const ofNodes = (): number =>
    Object.entries(store.nodes).reduce((sum, [path, node]) => sum + nodeMemory(store, path, node), 0);
  assert.equal(store.connection.memory, ofNodes());
  ask(domain, abi.XS_WRITE, 'data/x\0y');
  assert.equal(store.connection.memory, ofNodes());
  ask(domain, abi.XS_WATCH, 'data\0tok\0');
  assert.equal(store.connection.memory, ofNodes() + '/local/domain/5/data'.length + 3);
  const tx = Number.parseInt(ask(domain, abi.XS_TRANSACTION_START, '\0'), 10);
  const before = store.connection.memory;
  ask(domain, abi.XS_READ, 'name\0', tx);
  assert.ok(store.connection.memory > before);
  ask(domain, abi.XS_TRANSACTION_END, 'F\0', tx);
  assert.equal(store.connection.memory, before);
});

test('a guest that uses 2.5 MiB is stopped; ending a transaction would help, were it still heard', () => {
  const domain = makeConnected();
  const store = domain.state.xenstore!;
  const value = 'v'.repeat(2000);
  const ids = Array.from({ length: 11 }, () =>
    Number.parseInt(ask(domain, abi.XS_TRANSACTION_START, '\0'), 10),
  );
  const answers = new Set<string>();
  for (const tx of ids) {
    for (let i = 0; i < 150 && !answers.has('!EIO'); i += 1) {
      answers.add(ask(domain, abi.XS_WRITE, `data/${i}\0${value}`, tx));
    }
  }
  assert.deepEqual([...answers], ['OK\0', '!EIO']);
  assert.ok(store.connection.memory < 2.5 * 1024 * 1024);
  assert.equal(ask(domain, abi.XS_WRITE, `data/x\0${value}`), '!EIO', 'nor outside of one');
  for (const tx of ids) ask(domain, abi.XS_TRANSACTION_END, 'F\0', tx);
  assert.equal(ask(domain, abi.XS_WRITE, `data/x\0${value}`), 'OK\0');
});

test('bytes that nobody wrote are in neither ring', () => {
  const domain = makeConnected();
  storePage(domain).fill(0xee, 0, 2048);
  assert.equal(ask(domain, abi.XS_READ, 'name\0'), 'guest');
});
