/**
 * Puts errors one at a time into guests, their maps of ids, their firmware and the hypervisor. Each must be found by
 * the rule named with it. Without the error, the same run breaks no rule.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { rules } from '../../src/audit/index.js';
import { errorsInCalls } from './errors_in_calls.js';
import { errorsInHypervisor } from './errors_in_hypervisor.js';
import { errorsInMaps } from './errors_in_maps.js';
import { errorsInSteps } from './errors_in_steps.js';
import { brokenRules, runBoth } from './runs.js';
import type { Seed } from './seed.js';

const seeds: readonly Seed[] = [...errorsInCalls, ...errorsInSteps, ...errorsInMaps, ...errorsInHypervisor];

describe('an error that is put into a run', () => {
  for (const seed of seeds) {
    it(`is found by ${seed.rule}: ${seed.name} (${seed.scenario.platform})`, () => {
      const { sound, run, hits, differs } = runBoth(seed);
      assert.deepEqual(
        sound.findings.map(({ rule, why }) => `${rule}: ${why}`),
        [],
        'without the error, no rule is broken',
      );
      assert.ok(hits > 0, 'the error never took effect');
      assert.ok(differs, 'the run with the error is no other');
      const broken = brokenRules(run);
      assert.ok(broken.includes(seed.rule), `${seed.rule} is not among: ${broken.join(', ')}`);
    });
  }
});

describe('the list of errors', () => {
  it('has at least 40 errors with unique names', () => {
    assert.ok(seeds.length >= 40, `${seeds.length}`);
    assert.equal(new Set(seeds.map(({ name }) => name)).size, seeds.length);
  });

  it('covers every rule', () => {
    assert.deepEqual(new Set(seeds.map(({ rule }) => rule)), new Set(rules.map(({ name }) => name)));
  });

  it('covers every platform', () => {
    const platforms = new Set(seeds.map(({ scenario }) => scenario.platform));
    assert.deepEqual(platforms, new Set(['arm', 'pv', 'pvh', 'pvhvm']));
  });
});
