import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as abi from '../../abi/index.js';
import type { Domain } from '../domain.js';
import type { XenRelease } from '../release.js';
import {
  fireStoreEvent,
  storeList,
  storeRead,
  storeRemove,
  storeSetPermissions,
  storeWrite,
} from './index.js';
import { ask, converse, exchange, makeConnected, requestBytes } from './test_store.js';
import { textOf } from './text.js';

const own = { domid: 5, read: false, write: false };
const toolstack = { domid: 0, read: false, write: false };
const releases: readonly XenRelease[] = ['4.17', '4.18'];

function read(domain: Domain, path: string, tx = 0): string {
  return ask(domain, abi.XS_READ, `${path}\0`, tx);
}

function write(domain: Domain, path: string, value: string, tx = 0): string {
  return ask(domain, abi.XS_WRITE, `${path}\0${value}`, tx);
}

function list(domain: Domain, path: string, tx = 0): string[] {
  return ask(domain, abi.XS_DIRECTORY, `${path}\0`, tx).split('\0').slice(0, -1);
}

function watch(domain: Domain, path: string, token: string): string {
  return ask(domain, abi.XS_WATCH, `${path}\0${token}\0`);
}

test('a domU finds the tree that its toolstack makes, by relative and by whole paths', () => {
  const domain = makeConnected({}, {}, 3);
  assert.equal(read(domain, 'name'), 'guest');
  assert.equal(read(domain, '/local/domain/5/name'), 'guest');
  assert.equal(read(domain, 'domid'), '5');
  assert.equal(read(domain, 'vm'), '/vm/00000000-0000-0000-0000-000000000005');
  assert.equal(read(domain, '/vm/00000000-0000-0000-0000-000000000005/name'), 'guest');
  assert.deepEqual(list(domain, ''), [], 'an empty path is none');
  assert.deepEqual(list(domain, '/local/domain/5'), [
    ...['vm', 'name', 'cpu', 'memory', 'device', 'control', 'data', 'drivers', 'feature', 'attr', 'error'],
    ...['domid', 'store', 'console'],
  ]);
  assert.deepEqual(list(domain, 'cpu'), ['0', '1', '2']);
  assert.equal(read(domain, 'cpu/2/availability'), 'online');
  assert.deepEqual(
    ['memory/static-max', 'memory/target', 'store/port', 'store/ring-ref'].map((path) => read(domain, path)),
    ['1024', '1024', '1', String(0x39001)],
  );
  assert.deepEqual(list(domain, 'control'), [
    ...['shutdown', 'feature-poweroff', 'feature-reboot', 'feature-suspend', 'sysrq'],
    ...['platform-feature-multiprocessor-suspend', 'platform-feature-xs_reset_watches'],
  ]);
  const console = ['backend', 'backend-id', 'limit', 'type', 'output', 'tty', 'port', 'ring-ref'];
  assert.deepEqual(list(domain, 'console'), console);
  assert.deepEqual(
    console.map((name) => read(domain, `console/${name}`)),
    [
      '/local/domain/0/backend/console/5/0',
      '0',
      '1048576',
      'xenconsoled',
      'pty',
      '/dev/pts/0',
      '2',
      String(0x39000),
    ],
  );
  assert.equal(read(domain, '/local/domain/0/backend/console/5/0/frontend'), '/local/domain/5/console');
});

test('a guest reads what it may and writes what is its own', () => {
  const domain = makeConnected();
  assert.equal(write(domain, 'name', 'other'), '!EACCES');
  assert.equal(write(domain, 'control/shutdown', ''), 'OK\0');
  assert.equal(write(domain, 'control/new', ''), '!EACCES');
  assert.equal(write(domain, 'data/a/b', 'c'), 'OK\0');
  assert.equal(read(domain, 'data/a/b'), 'c');
  assert.equal(read(domain, 'data/a'), '');
  assert.deepEqual(list(domain, 'data'), ['a']);
  assert.equal(read(domain, 'data/none'), '!ENOENT');
  assert.equal(read(domain, 'nothing'), '!ENOENT', 'the directory above may be read');
  assert.equal(read(domain, '/local/domain/0/name'), '!EACCES', 'what may not be read');
  assert.equal(read(domain, '/local/domain/0/nothing'), '!EACCES', 'nor whether it is there');
  assert.equal(read(domain, '/libxl/5/type'), '!EACCES');
  assert.equal(ask(domain, abi.XS_DIRECTORY, '/\0'), '!EACCES');
  assert.equal(ask(domain, abi.XS_RM, '/\0'), '!EACCES');
});

test('a value is any bytes; the path ends at the first nul', () => {
  const domain = makeConnected();
  assert.equal(write(domain, 'data/x', 'a\0b\xff\0'), 'OK\0');
  assert.equal(read(domain, 'data/x'), 'a\0b\xff\0');
  assert.equal(ask(domain, abi.XS_WRITE, 'data/x'), '!EINVAL');
  assert.equal(ask(domain, abi.XS_WRITE, ''), '!EINVAL');
  for (const payload of ['data', 'data\0\0', 'data\0x', '', '\0']) {
    assert.equal(ask(domain, abi.XS_READ, payload), '!EINVAL', JSON.stringify(payload));
  }
});

test('paths: what may be one (is_valid_nodename)', () => {
  for (const release of releases) {
    const domain = makeConnected({ release });
    const long = `data/${'y'.repeat(2048 - 5)}`;
    assert.equal(read(domain, long), '!ENOENT');
    assert.equal(read(domain, `${long}z`), '!EINVAL', 'the domain’s own directory does not count');
    assert.equal(read(domain, `/local/domain/5/${long}`), '!ENOENT');
    assert.equal(read(domain, `/local/domain/123456/${long}`), '!EINVAL', 'six digits do');
    for (const path of [
      'data/',
      'data//x',
      '//',
      'da ta',
      'data/é',
      'data.x',
      '@releaseDomain',
      '/',
      'a+b',
    ]) {
      const expected = path === '/' ? '!EACCES' : '!EINVAL';
      assert.equal(read(domain, path), expected, `${release} ${path}`);
    }
    assert.equal(write(domain, 'data/A-z_0@', ''), 'OK\0');
  }
});

test('MKDIR makes what is missing and leaves what is there; RM takes all below', () => {
  const domain = makeConnected();
  assert.equal(ask(domain, abi.XS_MKDIR, 'data/a/b/c\0'), 'OK\0');
  assert.equal(write(domain, 'data/a/b', 'v'), 'OK\0');
  assert.equal(ask(domain, abi.XS_MKDIR, 'data/a/b\0'), 'OK\0');
  assert.equal(read(domain, 'data/a/b'), 'v');
  assert.equal(ask(domain, abi.XS_MKDIR, 'name\0'), '!EACCES');
  assert.equal(ask(domain, abi.XS_RM, 'data/a\0'), 'OK\0');
  assert.equal(read(domain, 'data/a/b/c'), '!ENOENT');
  assert.deepEqual(list(domain, 'data'), []);
  assert.equal(ask(domain, abi.XS_RM, 'data/a\0'), 'OK\0', 'not there, but something above it is');
  assert.equal(ask(domain, abi.XS_RM, 'data/a/b\0'), '!ENOENT');
  assert.equal(
    ask(domain, abi.XS_RM, 'data\0'),
    'OK\0',
    'its own directory, though what is above is not its own',
  );
  assert.equal(ask(domain, abi.XS_MKDIR, 'data\0'), '!EACCES', 'which it cannot make again');
  storeSetPermissions(domain, '/', [own]);
  assert.equal(ask(domain, abi.XS_RM, '/\0'), '!EINVAL');
});

test('permissions: told and set as text; the owner changes them, but gives nothing away', () => {
  const domain = makeConnected();
  const get = (path: string): string => ask(domain, abi.XS_GET_PERMS, `${path}\0`);
  const set = (path: string, ...texts: string[]): string =>
    ask(domain, abi.XS_SET_PERMS, [path, ...texts].map((text) => `${text}\0`).join(''));
  assert.equal(get('name'), 'n0\0r5\0');
  assert.equal(get('data'), 'n5\0');
  assert.equal(set('data', 'b5', 'r0', 'w7', 'n0x10', 'r010'), 'OK\0');
  assert.equal(get('data'), 'b5\0r0\0w7\0n16\0r8\0');
  assert.equal(set('data', 'n5', 'r-1', 'r 2'), 'OK\0');
  assert.equal(get('data'), 'n5\0r-1\0r2\0');
  assert.equal(set('data', 'n5', 'r0', 'r0', 'r0', 'r0', 'r0'), '!ENOSPC', 'five at most');
  assert.equal(set('data', 'n0'), '!EPERM');
  assert.equal(set('data', 'n7'), '!ENOENT', 'no such domain');
  assert.equal(set('name', 'n5'), '!EACCES');
  assert.equal(set('data'), '!EINVAL');
  for (const bad of ['', 'x5', 'r', 'r5x', 'r0x', 'r08', 'r5 ', 'R5']) {
    assert.equal(set('data', 'n5', bad), '!EINVAL', bad);
  }
  assert.equal(ask(domain, abi.XS_SET_PERMS, 'data\0n5'), '!EINVAL', 'a text without its nul is none');
});

test('what a guest makes is its own, with the other permissions of what is above', () => {
  const domain = makeConnected();
  storeWrite(domain, '/shared', 'x');
  storeSetPermissions(domain, '/shared', [toolstack, { domid: 5, read: true, write: true }]);
  assert.equal(write(domain, '/shared/a/b', '1'), 'OK\0');
  assert.equal(ask(domain, abi.XS_GET_PERMS, '/shared/a\0'), 'n5\0b5\0');
  storeSetPermissions(domain, '/shared', [{ domid: 0, read: true, write: false }]);
  assert.equal(write(domain, '/shared', 'y'), '!EACCES');
  assert.equal(read(domain, '/shared'), 'x', 'the first entry is for all whom no other names');
  storeWrite(domain, '/shared/mine', '');
  assert.equal(ask(domain, abi.XS_GET_PERMS, '/shared/mine\0'), 'r0\0');
});

test('requests that are not for guests, and no requests at all', () => {
  const domain = makeConnected();
  const refused = [
    ...[abi.XS_CONTROL, abi.XS_INTRODUCE, abi.XS_RELEASE, abi.XS_RESUME, abi.XS_SET_TARGET],
    abi.XS_IS_DOMAIN_INTRODUCED,
  ];
  for (const type of refused) assert.equal(ask(domain, type, '5\0', 77), '!EACCES', `${type}`);
  for (const type of [20, 23, 0xffff_ffff, abi.XS_WATCH_EVENT, abi.XS_ERROR]) {
    assert.equal(ask(domain, type, '5\0', 77), '!ENOSYS', `${type}`);
  }
  assert.equal(ask(domain, abi.XS_READ, 'name\0', 77), '!ENOENT', 'there is no such transaction');
});

test('an answer carries the ids of its request', () => {
  const domain = makeConnected();
  const bytes = requestBytes(abi.XS_READ, 'name\0', 0, 0xdead_beef);
  assert.deepEqual(converse(domain, bytes)[0]!.header, {
    type: abi.XS_READ,
    req_id: 0xdead_beef,
    tx_id: 0,
    len: 5,
  });
  const wrong = requestBytes(abi.XS_READ, 'name\0', 9, 3);
  assert.deepEqual(converse(domain, wrong)[0]!.header, { type: abi.XS_ERROR, req_id: 3, tx_id: 9, len: 7 });
});

test('GET_DOMAIN_PATH of any number', () => {
  const domain = makeConnected();
  const path = (text: string): string => ask(domain, abi.XS_GET_DOMAIN_PATH, text);
  assert.equal(path('7\0'), '/local/domain/7\0');
  assert.equal(path(' -1x\0'), '/local/domain/4294967295\0');
  assert.equal(path('x\0'), '/local/domain/0\0');
  assert.equal(path('7'), '!EINVAL');
});

test('DIRECTORY_PART gives a long list in parts, from any byte on', () => {
  const domain = makeConnected();
  const names = Array.from({ length: 500 }, (_, i) => `child-number-${i}`);
  for (const name of names) storeWrite(domain, `/local/domain/5/many/${name}`, '');
  assert.equal(ask(domain, abi.XS_DIRECTORY, 'many\0'), '!E2BIG');
  let all = '';
  let generations = new Set<string>();
  for (let isLast = false; !isLast;) {
    const [generation = '', ...parts] = ask(domain, abi.XS_DIRECTORY_PART, `many\0${all.length}\0`).split(
      '\0',
    );
    generations = generations.add(generation);
    isLast = parts.at(-2) === '';
    all += parts
      .slice(0, isLast ? -2 : -1)
      .map((part) => `${part}\0`)
      .join('');
  }
  assert.deepEqual(all.split('\0').slice(0, -1), names);
  assert.equal(generations.size, 1);
  assert.match(ask(domain, abi.XS_DIRECTORY_PART, 'many\x0099999\0'), /^\d+\0\0$/);
  assert.match(ask(domain, abi.XS_DIRECTORY_PART, 'many\0-1\0'), /^\d+\0\0$/);
  assert.match(ask(domain, abi.XS_DIRECTORY_PART, `control\0${'shutdown'.length - 3}\0`), /^\d+\0own\0/);
  assert.equal(ask(domain, abi.XS_DIRECTORY_PART, 'many\0'), '!EINVAL');
  assert.equal(ask(domain, abi.XS_DIRECTORY_PART, 'many\x000\0\0'), '!EINVAL');
});

test('a watch fires when it is set, then for its path and all below', () => {
  const domain = makeConnected();
  const set = exchange(domain, abi.XS_WATCH, 'data\0tok en\0');
  assert.deepEqual(set, { answer: 'OK\0', events: ['data|tok en'], order: 'ae' }, 'after the answer');
  const changed = exchange(domain, abi.XS_WRITE, 'data/x/y\0z');
  assert.deepEqual(
    changed,
    { answer: 'OK\0', events: ['data/x/y|tok en'], order: 'ea' },
    'before the answer',
  );
  assert.deepEqual(exchange(domain, abi.XS_MKDIR, 'data/x/y\0').events, [], 'nothing has changed');
  assert.deepEqual(exchange(domain, abi.XS_SET_PERMS, 'data/x\0n5\0').events, ['data/x|tok en']);
  assert.deepEqual(exchange(domain, abi.XS_RM, 'data/x\0').events, ['data/x|tok en']);
  assert.deepEqual(exchange(domain, abi.XS_WRITE, 'error\0z').events, []);
  assert.equal(watch(domain, 'data', 'tok en'), '!EEXIST');
  assert.equal(watch(domain, '/local/domain/5/data', 'tok en'), '!EEXIST', 'the same path in another form');
  assert.equal(ask(domain, abi.XS_UNWATCH, 'data\0other\0'), '!ENOENT');
  assert.equal(ask(domain, abi.XS_UNWATCH, '/local/domain/5/data\0tok en\0'), 'OK\0');
  assert.deepEqual(exchange(domain, abi.XS_WRITE, 'data/x\0z').events, []);
});

test('who watches below what is removed is told of its own path', () => {
  const domain = makeConnected();
  write(domain, 'data/a/b/c', '');
  for (const path of ['data/a/b/c', '/local/domain/5/data/a/b', 'data', 'data/a/other', '/'])
    watch(domain, path, 't');
  const { events } = exchange(domain, abi.XS_RM, 'data/a\0');
  assert.deepEqual(events, [
    ...['data/a/b/c|t', '/local/domain/5/data/a/b|t'],
    ...['data/a|t', '/local/domain/5/data/a|t'],
  ]);
});

test('an event that waits already is not queued again; one that was told is', () => {
  const domain = makeConnected();
  watch(domain, 'data', 't');
  // One message is written between two requests, so that the second event still waits when the third comes.
  const requests = ['a', 'b', 'c'].flatMap((value) => [...requestBytes(abi.XS_WRITE, `data\0${value}`)]);
  const messages = converse(domain, Uint8Array.from(requests));
  const [event, answer] = [abi.XS_WATCH_EVENT, abi.XS_WRITE];
  assert.deepEqual(
    messages.map(({ header }) => header.type),
    [event, answer, event, answer, answer],
  );
  assert.deepEqual(exchange(domain, abi.XS_WRITE, 'data\0c').events, ['data|t']);
});

test('a guest is not told of what it may not read, but of what it could read until now', () => {
  const domain = makeConnected();
  watch(domain, '/', 'root');
  storeWrite(domain, '/secret', '1');
  storeWrite(domain, '/local/domain/5/news', '1');
  assert.deepEqual(exchange(domain, abi.XS_READ, 'news\0').events, ['/local/domain/5/news|root']);
  storeSetPermissions(domain, '/local/domain/5/news', [toolstack]);
  assert.deepEqual(exchange(domain, abi.XS_READ, 'name\0').events, ['/local/domain/5/news|root']);
  storeWrite(domain, '/local/domain/5/news', '2');
  const { events } = exchange(domain, abi.XS_READ, 'name\0');
  assert.deepEqual(events, ['/local/domain/5/news|root'], 'the directory above may be read');
  storeWrite(domain, '/local/domain/5/news/more', '2');
  assert.deepEqual(exchange(domain, abi.XS_READ, 'name\0').events, []);
  storeRemove(domain, '/local/domain/5/news');
  assert.deepEqual(exchange(domain, abi.XS_READ, 'name\0').events, ['/local/domain/5/news|root']);
});

test('watches: what is refused', () => {
  for (const release of releases) {
    const domain = makeConnected({ release });
    for (const payload of ['data\0', 'data\0t', 'data\0t\x001\0', 'da ta\0t\0', 'data/\0t\0', '\0t\0', '']) {
      assert.equal(ask(domain, abi.XS_WATCH, payload), '!EINVAL', JSON.stringify(payload));
    }
    assert.equal(ask(domain, abi.XS_WATCH, 'data\0t\0x'), 'OK\0', 'bytes without a nul are ignored');
    assert.equal(ask(domain, abi.XS_UNWATCH, 'data\0'), '!EINVAL');
    assert.equal(ask(domain, abi.XS_UNWATCH, 'da ta\0t\0'), release === '4.17' ? '!ENOENT' : '!EINVAL');
    const odd = release === '4.17' ? 'OK\0' : '!EINVAL';
    assert.equal(ask(domain, abi.XS_WATCH, '@any thing\0t\0'), odd);
    assert.equal(ask(domain, abi.XS_WATCH, `@${'x'.repeat(2048)}\0t\0`), '!EINVAL');
    assert.equal(
      ask(domain, abi.XS_WATCH, '/none/of/these\0t\0'),
      'OK\0',
      'what is not there may be watched',
    );
    for (let i = domain.state.xenstore!.connection.watches.length; i < 129; i += 1) {
      assert.equal(watch(domain, 'data', `${i}`), 'OK\0');
    }
    assert.equal(watch(domain, 'data', 'last'), '!E2BIG', 'the 130th');
    assert.equal(ask(domain, abi.XS_RESET_WATCHES, '\0'), 'OK\0');
    assert.equal(watch(domain, 'data', 'last'), 'OK\0');
  }
});

test('special events reach those who watch them and may know', () => {
  for (const release of releases) {
    const domain = makeConnected({ release });
    assert.deepEqual(exchange(domain, abi.XS_WATCH, '@releaseDomain\0t\0').events, ['@releaseDomain|t']);
    assert.deepEqual(exchange(domain, abi.XS_WATCH, '/\0t\0').events, ['/|t']);
    fireStoreEvent(domain, '@releaseDomain');
    assert.deepEqual(exchange(domain, abi.XS_READ, 'name\0').events, []);
    assert.equal(ask(domain, abi.XS_SET_PERMS, '@releaseDomain\0n5\0'), '!EACCES');
    assert.equal(ask(domain, abi.XS_SET_PERMS, '@other\0n5\0'), release === '4.17' ? '!EINVAL' : '!EACCES');
    assert.equal(
      ask(domain, abi.XS_GET_PERMS, '@releaseDomain\0'),
      release === '4.17' ? '!EINVAL' : '!EACCES',
    );
    storeSetPermissions(domain, '@releaseDomain', [toolstack, { domid: 5, read: true, write: false }]);
    fireStoreEvent(domain, '@introduceDomain');
    fireStoreEvent(domain, '@releaseDomain');
    // 4.18 has nodes for them, of which a change of permissions is told as for any other, to those above too.
    const told = release === '4.17' ? 1 : 3;
    const { events } = exchange(domain, abi.XS_READ, 'name\0');
    assert.deepEqual(
      events,
      Array.from({ length: told }, () => '@releaseDomain|t'),
    );
    assert.equal(
      ask(domain, abi.XS_GET_PERMS, '@releaseDomain\0'),
      release === '4.17' ? '!EINVAL' : 'n0\0r5\0',
    );
  }
});

test('the toolstack reads, lists, writes and removes, and bad paths are its user’s fault', () => {
  const domain = makeConnected();
  storeWrite(domain, 'control/shutdown', 'poweroff');
  assert.equal(read(domain, 'control/shutdown'), 'poweroff');
  write(domain, 'data/x', '1');
  assert.equal(textOf(storeRead(domain, '/local/domain/5/data/x')!), '1');
  assert.deepEqual(storeList(domain, 'data'), ['x']);
  assert.equal(storeRead(domain, 'data/y'), null);
  assert.equal(storeList(domain, 'data/y'), null);
  storeRemove(domain, 'data');
  storeRemove(domain, 'data');
  assert.equal(storeRead(domain, 'data/x'), null);
  for (const act of [() => storeWrite(domain, 'a b', ''), () => storeRemove(domain, '/')]) {
    assert.throws(act, { name: 'InputError' });
  }
});
