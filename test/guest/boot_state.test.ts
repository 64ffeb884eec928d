/** A boot of the builtin guest as a value: it is saved at random instructions, restored into a new boot, and goes on the same. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { valueToJson } from '../../src/base/index.js';
import { bootOptions } from './builtin_runs.js';
import { cutBoot, wholeBoot } from './cut_boots.js';

const cases = [
  ['with four vCPUs', {}],
  ['without xenstore', { xenstore: false, vcpus: 2 }],
  ['whose records are changed', { whatIf: 'as-tested' }],
  ['whose records were never set', { whatIf: 'as-posted', vcpus: 3 }],
  ['entered on vCPU 2', { entryVcpu: 2 }],
  ['entered on vCPU 1 of Xen 4.18', { entryVcpu: 1, vcpus: 3, release: '4.18', commandLine: 'console=hvc0' }],
  ['with random calls of every kind', { commandLine: 'console=hvc0 fuzz=300 seed=7', vcpus: 3 }],
  ['to a line of its console', { until: { kind: 'line', pattern: /CPU 2/ } }],
  ['to a limit', { limits: { instructions: 400_000, guestNs: 10_000_000_000n } }],
] as const;

describe('a boot of the builtin guest, cut at random instructions', () => {
  for (const [what, options] of cases) {
    it(`runs the same ${what}`, () => {
      const asked = bootOptions(options);
      const whole = wholeBoot(asked);
      const cuts = fc.array(fc.integer({ min: 1, max: whole.instructions }), { minLength: 1, maxLength: 4 });
      fc.assert(
        fc.property(cuts, (at) => assert.deepEqual(cutBoot(asked, at), whole)),
        { numRuns: Number(process.env['DOMULATOR_CUTS'] ?? 3) },
      );
    });
  }

  it('runs the same from one saved boot twice, and in another order with another seed', () => {
    const asked = bootOptions();
    const [once, again] = [cutBoot(asked, [200_000]), cutBoot(asked, [200_000])];
    assert.deepEqual(once, again);
    const other = cutBoot(asked, [200_000], { seed: 2 });
    assert.notEqual(other.traceSha256, once.traceSha256);
    assert.equal(other.verdict, once.verdict);
    assert.equal(other.report.options.seed, 2);
  });

  it('can be saved before its first instruction and after its end', () => {
    const asked = bootOptions({ vcpus: 2 });
    const whole = wholeBoot(asked);
    assert.deepEqual(cutBoot(asked, [0]), whole);
    assert.deepEqual(cutBoot(asked, [100_000_000]), whole);
    assert.ok(valueToJson(whole.report).length > 1000 && whole.console.length > 100);
  });
});
