/**
 * Random requests, in and out of transactions, with a toolstack that interferes, held against the simple model: what is
 * answered, which events come, and that a committed transaction is as if all of it had happened at the commit.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import * as abi from '../../abi/index.js';
import { cloneDomain, domainFromJson, domainToJson } from '../snapshot.js';
import type { Domain } from '../domain.js';
import { storeRemove, storeSetPermissions, storeWrite } from './index.js';
import * as model from './test_model.js';
import type { ModelChange, ModelRequest, Tree } from './test_model.js';
import { exchange, makeConnected } from './test_store.js';
import { textOf } from './text.js';

const home = '/local/domain/5';
const paths = [
  ...['data', 'data/a', 'data/a/b', 'data/a/b/c', 'data/d', 'data/d/a'].map((path) => `${home}/${path}`),
  ...['name', 'control', 'control/shutdown', 'control/none', 'nothing'].map((path) => `${home}/${path}`),
  ...[home, '/', '/shared', '/shared/a', '/shared/a/b', '/none/at/all', '/local/domain/0/name'],
];
const path = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...paths.slice(0, 6)) },
  { weight: 2, arbitrary: fc.constantFrom(...paths) },
);
const letters = ['n', 'r', 'w', 'b'] as const;
const letter = fc.constantFrom(...letters);
const permission = fc.record({
  domid: fc.constantFrom(0, 5, 7),
  letter: fc.constantFrom('n', 'r', 'w', 'b'),
});
const permissions = fc.array(permission, { minLength: 1, maxLength: 3 });

type Step =
  | { readonly who: 'guest'; readonly slot: number; readonly request: ModelRequest }
  | { readonly who: 'start' | 'commit' | 'abort'; readonly slot: number }
  | { readonly who: 'watch' | 'unwatch'; readonly path: string; readonly token: string }
  | {
      readonly who: 'toolstack';
      readonly act: 'write' | 'remove' | 'permit';
      readonly path: string;
      readonly value: string;
      readonly permissions: model.ModelPermission[];
    };

const request: fc.Arbitrary<ModelRequest> = fc.record({
  do: fc.constantFrom('read', 'write', 'write', 'mkdir', 'rm', 'directory', 'getPerms', 'setPerms'),
  path,
  value: fc.constantFrom('', 'x', 'y'),
  permissions,
});
/** Slot 0 is outside of any transaction. */
const slot = fc.integer({ min: 0, max: 2 });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 12, arbitrary: fc.record({ who: fc.constant('guest' as const), slot, request }) },
  {
    weight: 3,
    arbitrary: fc.record({
      who: fc.constantFrom('start', 'start', 'commit', 'commit', 'abort'),
      slot: fc.integer({ min: 1, max: 2 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      who: fc.constantFrom('watch', 'watch', 'unwatch'),
      path,
      token: fc.constantFrom('s', 't'),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      who: fc.constant('toolstack' as const),
      act: fc.constantFrom('write', 'write', 'remove', 'permit'),
      path: fc.constantFrom(...paths.slice(0, 6), '/shared', '/shared/a', `${home}/control/shutdown`),
      value: fc.constantFrom('1', '2'),
      permissions: fc.array(fc.record({ domid: fc.constantFrom(0, 5), letter }), {
        minLength: 1,
        maxLength: 2,
      }),
    }),
  },
);

/** A transaction as the model knows it: what was asked and answered, and how it stood when it began. */
interface Open {
  readonly id: number;
  readonly began: number;
  readonly tree: Tree;
  readonly log: { readonly request: ModelRequest; readonly answer: string }[];
}

interface Run {
  readonly domain: Domain;
  readonly tree: Tree;
  /** How often the tree was changed. */
  version: number;
  readonly open: (Open | null)[];
  readonly watches: { readonly path: string; readonly token: string }[];
  /** Changes of which the guest has not been told, for it was not asked anything since. */
  readonly untold: Set<string>;
  readonly seen: Set<string>;
}

function treeOf(domain: Domain): Tree {
  const nodes = Object.entries(domain.state.xenstore!.nodes).filter(([name]) => name.startsWith('/'));
  return new Map(
    nodes.map(([name, node]) => [
      name,
      {
        value: textOf(node.value),
        permissions: node.permissions.map(({ domid, read, write }) => {
          return { domid, letter: letters[(read ? 1 : 0) + (write ? 2 : 0)]! };
        }),
      },
    ]),
  );
}

function newRun(): Run {
  const domain = makeConnected();
  storeWrite(domain, '/shared', '');
  storeSetPermissions(domain, '/shared', [
    { domid: 0, read: false, write: false },
    { domid: 5, read: true, write: true },
  ]);
  const open = [null, null, null];
  return { domain, tree: treeOf(domain), version: 0, open, watches: [], untold: new Set(), seen: new Set() };
}

const types = {
  read: abi.XS_READ,
  write: abi.XS_WRITE,
  mkdir: abi.XS_MKDIR,
  rm: abi.XS_RM,
  directory: abi.XS_DIRECTORY,
  getPerms: abi.XS_GET_PERMS,
  setPerms: abi.XS_SET_PERMS,
} as const;

function payload(asked: ModelRequest): string {
  if (asked.do === 'write') return `${asked.path}\0${asked.value}`;
  return asked.do === 'setPerms'
    ? `${asked.path}\0${model.texts(asked.permissions).join('')}`
    : `${asked.path}\0`;
}

/** The names in a list are compared as a set: a node that was removed and made again stands elsewhere in the model. */
function comparable(asked: ModelRequest, answer: string): string {
  return asked.do === 'directory' && !answer.startsWith('!') ? answer.split('\0').sort().join() : answer;
}

function tell(run: Run, changes: readonly ModelChange[]): void {
  for (const change of changes.filter(({ mayLearn }) => mayLearn)) {
    for (const { path: watched, token } of run.watches) {
      const below = watched === '/' || change.path.startsWith(`${watched}/`);
      if (change.path === watched || (change.above && below)) run.untold.add(`${change.path}|${token}`);
    }
  }
  if (changes.length > 0) run.version += 1;
}

function checkEvents(run: Run, events: readonly string[]): void {
  assert.deepEqual([...new Set(events)].sort(), [...run.untold].sort());
  for (const event of events) run.seen.add(event);
  run.untold.clear();
}

function guestAsks(run: Run, asked: ModelRequest, inSlot: number): void {
  const open = run.open[inSlot] ?? null;
  const { answer, events } = exchange(run.domain, types[asked.do], payload(asked), open?.id ?? 0);
  if (open === null) {
    const expected = model.ask(run.tree, asked);
    tell(run, expected.changes);
    assert.equal(comparable(asked, answer), comparable(asked, expected.answer), JSON.stringify(asked));
  } else {
    open.log.push({ request: asked, answer });
    const expected = model.ask(open.tree, asked);
    if (open.began === run.version)
      assert.equal(comparable(asked, answer), comparable(asked, expected.answer));
  }
  checkEvents(run, events);
}

function start(run: Run, inSlot: number): void {
  if (run.open[inSlot] !== null) return;
  const { answer, events } = exchange(run.domain, abi.XS_TRANSACTION_START, '\0');
  checkEvents(run, events);
  run.open[inSlot] = {
    id: Number.parseInt(answer, 10),
    began: run.version,
    tree: new Map(run.tree),
    log: [],
  };
}

/** What a commit tells: each node once, of those that were there before or are there after. */
function commitChanges(before: Tree, after: Tree, changes: readonly ModelChange[]): ModelChange[] {
  const above = new Map<string, boolean>();
  for (const change of changes) above.set(change.path, change.above || above.get(change.path) === true);
  const readable = (tree: Tree, at: string): boolean => {
    const node = tree.get(at);
    return node !== undefined && model.rights(node.permissions).includes('r');
  };
  return [...above].map(([changed, isAbove]) => {
    const now = after.has(changed) && (readable(after, changed) || readable(after, model.parentOf(changed)));
    return { path: changed, above: isAbove, mayLearn: readable(before, changed) || now };
  });
}

function commit(run: Run, inSlot: number): void {
  const open = run.open[inSlot] ?? null;
  if (open === null) return;
  run.open[inSlot] = null;
  const { answer, events } = exchange(run.domain, abi.XS_TRANSACTION_END, 'T\0', open.id);
  if (open.began === run.version) assert.equal(answer, 'OK\0', 'nothing has changed meanwhile');
  run.seen.add(answer);
  if (answer === 'OK\0') {
    const before: Tree = new Map(run.tree);
    const changes = open.log.flatMap(({ request: asked, answer: given }) => {
      const replayed = model.ask(run.tree, asked);
      assert.equal(comparable(asked, given), comparable(asked, replayed.answer), 'as if all happened now');
      return replayed.changes;
    });
    tell(run, commitChanges(before, run.tree, changes));
  } else assert.equal(answer, '!EAGAIN');
  checkEvents(run, events);
}

function abort(run: Run, inSlot: number): void {
  const open = run.open[inSlot] ?? null;
  if (open === null) return;
  run.open[inSlot] = null;
  const { answer, events } = exchange(run.domain, abi.XS_TRANSACTION_END, 'F\0', open.id);
  assert.equal(answer, 'OK\0');
  checkEvents(run, events);
}

function watch(run: Run, watched: string, token: string, set: boolean): void {
  const at = run.watches.findIndex((other) => other.path === watched && other.token === token);
  const type = set ? abi.XS_WATCH : abi.XS_UNWATCH;
  const { answer, events } = exchange(run.domain, type, `${watched}\0${token}\0`);
  if (set) {
    assert.equal(answer, at < 0 ? 'OK\0' : '!EEXIST');
    if (at < 0) {
      run.watches.push({ path: watched, token });
      run.untold.add(`${watched}|${token}`);
    }
  } else {
    assert.equal(answer, at < 0 ? '!ENOENT' : 'OK\0');
    if (at >= 0) run.watches.splice(at, 1);
  }
  checkEvents(run, events);
}

function toolstackActs(
  run: Run,
  { act, path: at, value, permissions: given }: Step & { who: 'toolstack' },
): void {
  const { domain, tree } = run;
  const node = tree.get(at);
  const learn = (before: typeof node): boolean =>
    [before, tree.get(at), tree.get(model.parentOf(at))].some(
      (each) => each !== undefined && model.rights(each.permissions).includes('r'),
    );
  if (act === 'write') {
    storeWrite(domain, at, value);
    if (node === undefined) model.create(tree, at, value, false);
    else tree.set(at, { ...node, value });
    tell(run, [{ path: at, above: true, mayLearn: learn(undefined) }]);
  } else if (act === 'remove') {
    storeRemove(domain, at);
    if (node !== undefined) tell(run, model.remove(tree, at));
  } else if (node !== undefined) {
    const wide = given.map(({ domid, letter }) => {
      return { domid, read: 'rb'.includes(letter), write: 'wb'.includes(letter) };
    });
    storeSetPermissions(domain, at, wide);
    tree.set(at, { ...node, permissions: given });
    tell(run, [{ path: at, above: true, mayLearn: learn(node) }]);
  }
}

function perform(run: Run, taken: Step): void {
  switch (taken.who) {
    case 'guest':
      guestAsks(run, taken.request, taken.slot);
      break;
    case 'start':
      start(run, taken.slot);
      break;
    case 'commit':
      commit(run, taken.slot);
      break;
    case 'abort':
      abort(run, taken.slot);
      break;
    case 'watch':
      watch(run, taken.path, taken.token, true);
      break;
    case 'unwatch':
      watch(run, taken.path, taken.token, false);
      break;
    case 'toolstack':
      toolstackActs(run, taken);
      break;
  }
}

function checkTree({ domain, tree }: Run): void {
  const sorted = (nodes: Tree): string[] => [...nodes].map((entry) => JSON.stringify(entry)).sort();
  assert.deepEqual(sorted(treeOf(domain)), sorted(tree));
  const { nodes, connection } = domain.state.xenstore!;
  const owned = Object.values(nodes).filter(({ permissions: [owner] }) => owner!.domid === 5);
  assert.equal(connection.nodes, owned.length, 'the nodes that count against the guest are those it owns');
  for (const [name, node] of Object.entries(nodes).filter(([each]) => each.startsWith('/'))) {
    const children = node.children.map((child) => (name === '/' ? `/${child}` : `${name}/${child}`));
    assert.deepEqual([...children].sort(), model.childrenOf(tree, name).sort());
  }
}

const steps = fc.array(step, { minLength: 10, maxLength: 80, size: 'max' });

test('requests, events and transactions are those of the model', () => {
  const seen = new Set<string>();
  fc.assert(
    fc.property(steps, (taken) => {
      const run = newRun();
      for (const each of taken) perform(run, each);
      for (const inSlot of [1, 2]) abort(run, inSlot);
      checkTree(run);
      for (const what of run.seen) seen.add(what);
    }),
    { numRuns: 200 },
  );
  for (const what of ['OK\0', '!EAGAIN']) assert.ok(seen.has(what), `no commit was answered ${what}`);
  assert.ok(seen.size > 30, `only ${seen.size} different events came`);
});

test('a copy of the domain, and one that was written down and read, go on as the original', () => {
  fc.assert(
    fc.property(steps, steps, (first, second) => {
      const run = newRun();
      for (const each of first) perform(run, each);
      const copies = [cloneDomain(run.domain), domainFromJson(domainToJson(run.domain))].map(
        (domain): Run => {
          const open = run.open.map((each) =>
            each === null ? null : { ...each, tree: new Map(each.tree), log: [...each.log] },
          );
          return {
            ...run,
            domain,
            tree: new Map(run.tree),
            open,
            watches: [...run.watches],
            untold: new Set(run.untold),
            seen: new Set(),
          };
        },
      );
      for (const each of second) for (const copy of [...copies, run]) perform(copy, each);
      for (const copy of copies) assert.equal(domainToJson(copy.domain), domainToJson(run.domain));
    }),
    { numRuns: 20 },
  );
});
