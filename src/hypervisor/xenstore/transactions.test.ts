import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as abi from '../../abi/index.js';
import type { Domain } from '../domain.js';
import type { XenRelease } from '../release.js';
import { storeWrite } from './index.js';
import { ask, exchange, makeConnected } from './test_store.js';

const releases: readonly XenRelease[] = ['4.17', '4.18'];

function start(domain: Domain): number {
  return Number.parseInt(ask(domain, abi.XS_TRANSACTION_START, '\0'), 10);
}

function end(domain: Domain, tx: number, how = 'T'): string {
  return ask(domain, abi.XS_TRANSACTION_END, `${how}\0`, tx);
}

function read(domain: Domain, path: string, tx = 0): string {
  return ask(domain, abi.XS_READ, `${path}\0`, tx);
}

function write(domain: Domain, path: string, value: string, tx = 0): string {
  return ask(domain, abi.XS_WRITE, `${path}\0${value}`, tx);
}

test('a transaction is seen by nobody else until it ends, and then at once', () => {
  const domain = makeConnected();
  const tx = start(domain);
  assert.equal(write(domain, 'data/a/b', '1', tx), 'OK\0');
  assert.equal(read(domain, 'data/a/b', tx), '1');
  assert.equal(read(domain, 'data/a/b'), '!ENOENT');
  assert.equal(end(domain, tx), 'OK\0');
  assert.equal(read(domain, 'data/a/b'), '1');
  assert.equal(ask(domain, abi.XS_GET_PERMS, 'data/a\0'), 'n5\0');
});

test('one that is given up leaves nothing', () => {
  const domain = makeConnected();
  const tx = start(domain);
  write(domain, 'data/a', '1', tx);
  ask(domain, abi.XS_RM, 'control/sysrq\0', tx);
  assert.equal(end(domain, tx, 'F'), 'OK\0');
  assert.equal(read(domain, 'data/a'), '!ENOENT');
  assert.equal(read(domain, 'control/sysrq'), '');
});

test('a node that was looked at and has changed since: EAGAIN, and nothing is done', () => {
  const looks: readonly [string, (domain: Domain, tx: number) => void][] = [
    ['read', (domain, tx) => read(domain, 'data/x', tx)],
    ['written', (domain, tx) => write(domain, 'data/x', 'mine', tx)],
    ['listed', (domain, tx) => ask(domain, abi.XS_DIRECTORY, 'data/x\0', tx)],
    ['removed', (domain, tx) => ask(domain, abi.XS_RM, 'data/x\0', tx)],
    ['made below', (domain, tx) => ask(domain, abi.XS_MKDIR, 'data/x/y\0', tx)],
  ];
  for (const [what, look] of looks) {
    const domain = makeConnected();
    write(domain, 'data/x', '0');
    const tx = start(domain);
    look(domain, tx);
    write(domain, 'data/z', 'mine', tx);
    storeWrite(domain, 'data/x', 'theirs');
    assert.equal(end(domain, tx), '!EAGAIN', what);
    assert.equal(read(domain, 'data/x'), 'theirs', what);
    assert.equal(read(domain, 'data/z'), '!ENOENT', what);
    assert.equal(end(domain, tx), '!ENOENT', 'it is over all the same');
  }
});

test('what was not there and has come, or was and has gone', () => {
  const domain = makeConnected();
  write(domain, 'data/old', '');
  const first = start(domain);
  const second = start(domain);
  assert.equal(read(domain, 'data/new', first), '!ENOENT');
  assert.equal(read(domain, 'data/old', second), '');
  write(domain, 'data/new', '');
  ask(domain, abi.XS_RM, 'data/old\0');
  assert.deepEqual([end(domain, first), end(domain, second)], ['!EAGAIN', '!EAGAIN']);
});

test('what others change elsewhere does not matter', () => {
  const domain = makeConnected();
  const tx = start(domain);
  write(domain, 'data/x', '1', tx);
  storeWrite(domain, 'control/shutdown', 'poweroff');
  write(domain, 'error/y', '2');
  assert.equal(end(domain, tx), 'OK\0');
  assert.equal(read(domain, 'data/x'), '1');
});

test('a node is seen as it was when the transaction first looked at it', () => {
  const domain = makeConnected();
  write(domain, 'data/x', '1');
  const tx = start(domain);
  storeWrite(domain, 'data/x', '2');
  assert.equal(read(domain, 'data/x', tx), '2', 'it had not looked yet');
  storeWrite(domain, 'data/x', '3');
  assert.equal(read(domain, 'data/x', tx), '2');
  assert.equal(end(domain, tx), '!EAGAIN', 'even though it wrote nothing');
});

test('two transactions of one guest are apart; the first to end wins', () => {
  const domain = makeConnected();
  const [one, two] = [start(domain), start(domain)];
  write(domain, 'data/x', 'one', one);
  write(domain, 'data/x', 'two', two);
  assert.equal(read(domain, 'data/x', one), 'one');
  assert.equal(end(domain, one), 'OK\0');
  assert.equal(end(domain, two), '!EAGAIN');
  assert.equal(read(domain, 'data/x'), 'one');
});

test('watches fire on commit, in the order in which nodes were first looked at, each once', () => {
  const domain = makeConnected();
  write(domain, 'data/gone/below', '');
  for (const path of ['data', 'data/gone/below']) ask(domain, abi.XS_WATCH, `${path}\0t\0`);
  const tx = start(domain);
  const during = [
    exchange(domain, abi.XS_WRITE, 'data/b\x001', tx),
    exchange(domain, abi.XS_WRITE, 'data/a\x001', tx),
    exchange(domain, abi.XS_WRITE, 'data/b\x002', tx),
    exchange(domain, abi.XS_RM, 'data/gone\0', tx),
  ].flatMap(({ events }) => events);
  assert.deepEqual(during, []);
  const commit = exchange(domain, abi.XS_TRANSACTION_END, 'T\0', tx);
  assert.deepEqual(commit, {
    answer: 'OK\0',
    events: ['data/b|t', 'data/a|t', 'data/gone|t', 'data/gone/below|t'],
    order: 'eeeea',
  });
});

test('a node that was written and then went with what was above is told to all who watch above it', () => {
  const domain = makeConnected();
  write(domain, 'data/a/b', '');
  ask(domain, abi.XS_WATCH, 'data\0t\0');
  const tx = start(domain);
  write(domain, 'data/a/b', '1', tx);
  ask(domain, abi.XS_RM, 'data/a\0', tx);
  const { events } = exchange(domain, abi.XS_TRANSACTION_END, 'T\0', tx);
  assert.deepEqual(events, ['data/a/b|t', 'data/a|t']);
});

test('what is only read is no change to others who read it', () => {
  const domain = makeConnected();
  const [one, two] = [start(domain), start(domain)];
  for (const tx of [one, two]) assert.equal(read(domain, 'name', tx), 'guest');
  const part = (): string => ask(domain, abi.XS_DIRECTORY_PART, 'control\x00999\0');
  const before = part();
  assert.deepEqual([end(domain, one), end(domain, two)], ['OK\0', 'OK\0']);
  assert.equal(part(), before, 'its generation stays');
});

test('a node that was made and removed again in between leaves nothing; its watch may fire or not', () => {
  const domain = makeConnected();
  const tx = start(domain);
  write(domain, 'data/x/y', '1', tx);
  ask(domain, abi.XS_RM, 'data/x\0', tx);
  assert.equal(read(domain, 'data/x/y', tx), '!ENOENT');
  assert.equal(end(domain, tx), 'OK\0');
  assert.equal(ask(domain, abi.XS_DIRECTORY, 'data\0'), '');
  assert.equal(domain.state.xenstore!.nodes['/local/domain/5/data/x'], undefined);
});

test('transaction ids: from 1 on, each once, around at 2^32; no transaction in a transaction', () => {
  const domain = makeConnected();
  const { connection } = domain.state.xenstore!;
  assert.equal(start(domain), 1);
  connection.nextTransactionId = 0xffff_ffff;
  assert.deepEqual([start(domain), start(domain)], [0xffff_ffff, 2]);
  assert.equal(ask(domain, abi.XS_TRANSACTION_START, '\0', 2), '!EBUSY');
  assert.equal(ask(domain, abi.XS_TRANSACTION_START, '\0', 3), '!ENOENT');
});

test('TRANSACTION_END: what is refused', () => {
  const domain = makeConnected();
  const tx = start(domain);
  for (const payload of ['', 'T', 'X\0', 'T\0\0', 'TT\0']) {
    assert.equal(ask(domain, abi.XS_TRANSACTION_END, payload, tx), '!EINVAL', JSON.stringify(payload));
  }
  assert.equal(end(domain, 0), '!ENOENT');
  assert.equal(end(domain, tx + 1), '!ENOENT');
  assert.equal(end(domain, tx), 'OK\0', 'a refused end is none');
});

test('WATCH and UNWATCH know no transactions; RESET_WATCHES ends them all', () => {
  const domain = makeConnected();
  const tx = start(domain);
  assert.equal(ask(domain, abi.XS_WATCH, 'data\0t\0', 99), 'OK\0');
  assert.equal(ask(domain, abi.XS_UNWATCH, 'data\0t\0', 99), 'OK\0');
  assert.equal(ask(domain, abi.XS_RESET_WATCHES, '\0', 99), '!ENOENT');
  assert.equal(ask(domain, abi.XS_RESET_WATCHES, '\0', tx), 'OK\0');
  assert.equal(end(domain, tx), '!ENOENT');
});

test('eleven transactions at a time, and 1024 nodes in each', () => {
  for (const release of releases) {
    const domain = makeConnected({ release });
    const ids = Array.from({ length: 11 }, () => start(domain));
    assert.equal(ask(domain, abi.XS_TRANSACTION_START, '\0'), '!ENOSPC');
    const [tx = 0] = ids;
    const { connection } = domain.state.xenstore!;
    for (let i = 0; connection.transactions[0]!.accesses < 1024; i += 1) read(domain, `data/${i}`, tx);
    assert.equal(read(domain, 'data/one-more', tx), '!ENOSPC');
    assert.equal(read(domain, 'data/0', tx), '!ENOENT', 'what was looked at can be looked at');
    assert.equal(end(domain, tx), '!ENOMEM', 'but it can be committed no more');
    assert.notEqual(start(domain), 0);
  }
});

test('removing more than a transaction may look at fails it', () => {
  const domain = makeConnected();
  for (let i = 0; i < 600; i += 1) storeWrite(domain, `data/dir/${i}/below`, '');
  const tx = start(domain);
  assert.equal(ask(domain, abi.XS_RM, 'data/dir\0', tx), '!EIO');
  assert.equal(end(domain, tx), '!ENOMEM');
  assert.equal(read(domain, 'data/dir/0/below'), '');
});

test('a guest may own a thousand nodes: when that is checked differs within transactions', () => {
  for (const release of releases) {
    const domain = makeConnected({ release });
    const { connection } = domain.state.xenstore!;
    // In many directories, for each has room for some hundred names only.
    for (let i = 0; connection.nodes < 999; i += 1) {
      const path = connection.nodes < 998 ? `data/${i % 40}/${i}` : 'data/998';
      assert.equal(ask(domain, abi.XS_MKDIR, `${path}\0`), 'OK\0');
    }
    assert.equal(ask(domain, abi.XS_MKDIR, 'data/two/more\0'), '!ENOSPC');
    assert.equal(read(domain, 'data/two'), '!ENOENT', 'nothing of it is made');
    const tx = start(domain);
    const two = ask(domain, abi.XS_MKDIR, 'data/two/more\0', tx);
    assert.equal(two, release === '4.17' ? 'OK\0' : '!ENOSPC');
    assert.equal(end(domain, tx), release === '4.17' ? '!ENOSPC' : '!ENOMEM');
    assert.equal(ask(domain, abi.XS_MKDIR, 'data/last\0'), 'OK\0');
    assert.equal(ask(domain, abi.XS_MKDIR, 'data/last/but\0'), '!ENOSPC');
    assert.equal(connection.nodes, 1000);
  }
});
