import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { TraceEvent } from '../../audit/index.js';
import { InputError } from '../../base/index.js';
import { firstXenVcpu } from '../../identity/index.js';
import type { XenVcpuId } from '../../identity/index.js';
import { createWorld } from './platform.js';
import type { Environment } from './context.js';
import { environmentOf } from '../run.js';
import type { Scenario } from '../scenario.js';
import { passTime } from '../schedule.js';
import { canStep, stepVcpu } from './step.js';
import { stories } from '../telling/stories/index.js';
import { aScenario, crashOn } from '../test_scenario.js';
import { cloneWorld, hashWorld, vcpuIds, worldFromJson, worldToJson } from './world.js';
import type { World } from './world.js';

/** A guest on its way by the canonical schedule. */
interface Way {
  readonly world: World;
  readonly environment: Environment;
  /** Who went last. */
  last: XenVcpuId;
}

function begin(scenario: Scenario): Way {
  return { world: createWorld(scenario), environment: environmentOf(scenario), last: firstXenVcpu };
}

/** Takes one step, or lets time pass; null when neither can be. */
function step(way: Way): TraceEvent[] | null {
  const { world, environment, last } = way;
  const ids = vcpuIds(world);
  const order = [...ids.slice(last), ...ids.slice(0, last)];
  const vcpu = order.find((id) => canStep(world, environment, id));
  if (vcpu === undefined) return passTime(world, environment) ? [] : null;
  way.last = vcpu;
  return stepVcpu(world, vcpu, environment);
}

function finish(way: Way): TraceEvent[] {
  const all: TraceEvent[] = [];
  for (let events = step(way); events !== null; events = step(way)) all.push(...events);
  return all;
}

/** Worlds by hash: two of one hash must be of one text, and two of one text of one hash. */
class Seen {
  readonly #texts = new Map<string, string>();
  readonly #hashes = new Map<string, string>();

  add(hash: string, text: string): void {
    assert.equal(this.#texts.get(hash) ?? text, text);
    assert.equal(this.#hashes.get(text) ?? hash, hash);
    this.#texts.set(hash, text);
    this.#hashes.set(text, hash);
  }
}

/** Every `stride`-th step is also taken by a clone, after the original has taken it; they must not differ. */
function cloneAlong(scenario: Scenario, stride: number): number {
  const way = begin(scenario);
  const seen = new Seen();
  for (let steps = 0; ; steps += 1) {
    const copy = steps % stride === 0 ? { ...way, world: cloneWorld(way.world) } : null;
    const events = step(way);
    if (copy !== null) {
      const text = worldToJson(way.world);
      assert.deepEqual(step(copy), events, `step ${steps}`);
      assert.ok(worldToJson(copy.world) === text, `a clone differs after step ${steps}`);
      seen.add(hashWorld(copy.world), text);
    }
    if (events === null) return steps;
  }
}

describe('a model world', () => {
  for (const { scenario } of stories) {
    // A world of 40 vCPUs is large, and takes tens of thousands of steps.
    const stride = scenario.vcpus > 8 ? 397 : 1;
    const which = stride === 1 ? 'every step' : `every ${stride}th step`;
    it(`is the same as its clone after ${which} of ${scenario.name}`, () => {
      assert.ok(cloneAlong(scenario, stride) > 50);
    });
  }

  for (const plot of [{ name: 'offline-online', linuxCpu: 1 }, { name: 'boot' }] as const) {
    it(`is the same as its clone after every step on PV, ${plot.name}`, () => {
      assert.ok(cloneAlong(aScenario('pv', 'as-posted', { vcpus: 2, plot, events: '2l' }), 1) > 50);
    });
  }

  it('goes on from a clone, or from its text, exactly as it goes on itself', () => {
    const scenario = aScenario('pvhvm', 'as-posted', { vcpus: 2, ...crashOn(1) });
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 400 }), fc.boolean(), (at, bySaving) => {
        const way = begin(scenario);
        for (let steps = 0; steps < at; steps += 1) step(way);
        const world = bySaving ? worldFromJson(worldToJson(way.world)) : cloneWorld(way.world);
        const copy = { ...way, world };
        assert.deepEqual(finish(copy), finish(way));
        assert.equal(hashWorld(copy.world), hashWorld(way.world));
      }),
      { numRuns: 15 },
    );
  });

  it('is read back from its text as it was', () => {
    const way = begin(aScenario('arm', 'mend'));
    for (let steps = 0; steps < 60; steps += 1) step(way);
    const read = worldFromJson(worldToJson(way.world));
    assert.equal(worldToJson(read), worldToJson(way.world));
    assert.equal(hashWorld(read), hashWorld(way.world));
  });

  it('refuses a text that is no world', () => {
    for (const text of [
      '',
      'null',
      '{}',
      '{"guest":{"kernels":[]}}',
      '{"domain":{},"guest":{"kernels":[]}}',
    ]) {
      assert.throws(() => worldFromJson(text), InputError);
    }
  });
});
