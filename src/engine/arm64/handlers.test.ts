import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InvariantError } from '../../base/index.js';
import { a64, Semantics } from '../../isa/index.js';
import { mayGiveUp, planHandlers, specialCount } from '../handlers.js';

const plan = planHandlers(a64());

function meaning(write: (m: Semantics) => void): Parameters<typeof mayGiveUp>[0] {
  const semantics = new Semantics();
  write(semantics);
  return { name: 'TEST', semantics };
}

/** Statements for building semantics. */
const steps = {
  load: (m: Semantics): unknown => m.load(8, m.constant(64, 0)),
  store: (m: Semantics): unknown => m.store(8, m.constant(64, 0), m.constant(64, 0)),
  ask: (m: Semantics): unknown => m.system('yield'),
  askSometimes: (m: Semantics): unknown => m.when(m.constant(32, 0), () => m.system('yield')),
  set: (m: Semantics): unknown => m.setState(0, m.constant(64, 0)),
  setSometimes: (m: Semantics): unknown => m.when(m.constant(32, 0), () => steps.set(m)),
};

function giveUp(...names: (keyof typeof steps)[]): boolean {
  return mayGiveUp(
    meaning((m) => {
      for (const name of names) steps[name](m);
    }),
  );
}

test('handlers are ordered by kind, and each choice names a handler with the semantics of its instruction', () => {
  const { handlers, unfailing, hot, choices } = plan;
  assert.ok(0 < unfailing && unfailing < hot && hot < handlers.length);
  for (const [index, { instruction }] of handlers.entries()) {
    assert.equal(instruction.cold, index >= hot, instruction.name);
    const isLast = index === hot - 1;
    if (index < hot && !isLast) assert.equal(mayGiveUp(instruction), index >= unfailing, instruction.name);
    if (isLast) assert.deepEqual(instruction.semantics.statements, [], instruction.name);
  }
  for (const { name, cold, semantics } of a64()) {
    const choice = choices.get(name);
    const chosen = handlers[(choice?.plain ?? 0) - specialCount]?.instruction;
    assert.equal(chosen?.cold, cold, name);
    assert.deepEqual(chosen.semantics.statements, semantics.statements, name);
  }
});

test('a handler may bail out only before it has changed any state', () => {
  assert.equal(giveUp('set', 'setSometimes'), false);
  for (const good of [['store'], ['load', 'set'], ['ask'], ['askSometimes', 'store']] as const) {
    assert.equal(giveUp(...good), true, String(good));
  }
  for (const bad of [
    ['set', 'load'],
    ['store', 'store'],
    ['setSometimes', 'load'],
    ['store', 'ask'],
  ] as const) {
    assert.throws(() => giveUp(...bad), InvariantError, String(bad));
  }
});
