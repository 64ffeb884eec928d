import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { InvariantError } from '../../base/index.js';
import { become, call, done, enter, follow, goto, next, returning, routine, stay, step } from './program.js';
import type { Flow, Program } from './program.js';
import { linuxProgram } from './routines/index.js';
import type { Frame } from './world.js';

const program: Program = {
  outer: routine('a phase', [step('one', () => next), step('two', () => next), step('three', () => next)]),
  inner: routine(null, [step('only', () => done)]),
  handler: routine(null, [step('handle', () => done)]),
};

function places(frames: readonly Frame[]): string[] {
  return frames.map(({ routine: name, step: label }) => `${name}/${label}`);
}

function after(frames: Frame[], ...flows: Flow[]): Frame[] {
  return flows.reduce((stack, flow) => follow(program, stack, flow), frames);
}

describe('a stack of routines', () => {
  it('goes on, stays, and goes where it is told to', () => {
    assert.deepEqual(places(after([enter(program, 'outer', {})], next)), ['outer/two']);
    assert.deepEqual(places(after([enter(program, 'outer', {})], next, stay)), ['outer/two']);
    assert.deepEqual(places(after([enter(program, 'outer', {})], goto('three'))), ['outer/three']);
  });

  it('comes back behind the call, with the value that was returned', () => {
    const called = after([enter(program, 'outer', {})], call('inner', { cpu: 3 }));
    assert.deepEqual(places(called), ['outer/one', 'inner/only']);
    assert.deepEqual(called[1]?.vars, { cpu: 3 });
    const back = after(called, returning(-22));
    assert.deepEqual(places(back), ['outer/two']);
    assert.deepEqual(back[0]?.vars, { result: -22 });
  });

  it('returns without a value behind its last step', () => {
    const back = after([enter(program, 'outer', {})], call('inner'), next);
    assert.deepEqual(places(back), ['outer/two']);
    assert.deepEqual(back[0]?.vars, { result: null });
  });

  it('leaves what an interrupt interrupted as it was', () => {
    const waiting = [enter(program, 'outer', { result: 7 }), enter(program, 'handler', {}, true)];
    const back = after(waiting, returning(1));
    assert.deepEqual(places(back), ['outer/one']);
    assert.deepEqual(back[0]?.vars, { result: 7 });
  });

  it('forgets everything when it becomes something else', () => {
    const deep = after([enter(program, 'outer', {})], call('inner'), become('handler'));
    assert.deepEqual(places(deep), ['handler/handle']);
  });

  it('is empty when the outermost routine returns', () => {
    assert.deepEqual(after([enter(program, 'inner', {})], done), []);
  });

  it('takes a routine that there is not for a contradiction', () => {
    assert.throws(() => after([enter(program, 'outer', {})], call('nowhere')), InvariantError);
  });
});

describe('the program of Linux', () => {
  it('gives every step of a routine a label of its own', () => {
    for (const [name, { steps }] of Object.entries(linuxProgram)) {
      const labels = steps.map(({ label }) => label);
      assert.equal(new Set(labels).size, labels.length, name);
    }
  });

  it('says of every wait what for', () => {
    const steps = Object.values(linuxProgram).flatMap((all) => all.steps);
    for (const one of steps) assert.equal(one.ready === undefined, one.waitsFor === undefined, one.label);
  });
});
