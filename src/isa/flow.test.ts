import assert from 'node:assert/strict';
import { test } from 'node:test';
import { flowOf } from './flow.js';
import { a64 } from './arm64/index.js';
import { Semantics } from './semantics.js';

function flow(write: (m: Semantics) => void): ReturnType<typeof flowOf> {
  const semantics = new Semantics();
  write(semantics);
  return flowOf(semantics.statements);
}

const jump = (m: Semantics): void => m.jump(m.constant(64, 0));

test('execution falls through unless every way ends in a jump', () => {
  const condition = (m: Semantics): ReturnType<Semantics['constant']> => m.constant(32, 1);
  assert.equal(flow(() => undefined).fallsThrough, true);
  assert.equal(flow(jump).fallsThrough, false);
  assert.equal(flow((m) => m.when(condition(m), () => jump(m))).fallsThrough, true);
  const both = flow((m) => {
    m.when(
      condition(m),
      () => jump(m),
      () => jump(m),
    );
  });
  assert.equal(both.fallsThrough, false);
  assert.equal(flow((m) => m.system('yield')).fallsThrough, true);
});

test('an instruction may be left at an access or a call, before or after it changed something', () => {
  const set = (m: Semantics): void => m.setState(0, m.constant(64, 0));
  const load = (m: Semantics): unknown => m.load(8, m.constant(64, 0));
  const before = flow((m) => {
    load(m);
    set(m);
  });
  assert.deepEqual([before.mayBeLeft, before.mayBeLeftChanged], [true, false]);
  const after = flow((m) => {
    m.when(m.constant(32, 1), () => set(m));
    load(m);
  });
  assert.deepEqual([after.mayBeLeft, after.mayBeLeftChanged], [true, true]);
  assert.equal(flow(set).mayBeLeft, false);
});

test('of the branches of A64, those by an immediate are near, and the conditional ones fall through', () => {
  const found = (text: string): ReturnType<typeof flowOf>[] =>
    a64()
      .filter((each) => each.text.split(' ')[0] === text)
      .map((each) => flowOf(each.semantics.statements));
  for (const name of ['b', 'bl']) {
    for (const each of found(name)) assert.ok(each.near !== null && !each.fallsThrough, name);
  }
  for (const name of ['cbz', 'tbz']) {
    for (const each of found(name)) assert.ok(each.near !== null && each.fallsThrough, name);
  }
  for (const name of ['br', 'ret']) for (const each of found(name)) assert.ok(!each.fallsThrough, name);
  assert.ok(found('cbz').length > 0 && found('br').length > 0);
});
