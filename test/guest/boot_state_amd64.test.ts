/** A boot of the builtin guest for x86-64 as a value: it is saved at random instructions, restored into a new boot, and goes on the same. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { loadArchitecture } from '../../src/boot/index.js';
import type { BootOptions } from '../../src/boot/index.js';
import { builtinKernel } from '../../src/builtin_guest/x86_64/index.js';
import { cutBoot, wholeBoot } from './cut_boots.js';
import { plainBoot } from './plain_boot.js';

await loadArchitecture('amd64');

const cases = [
  ['with four vCPUs', {}],
  ['without xenstore, with two', { xenstore: false, vcpus: 2 }],
  ['entered on vCPU 2', { entryVcpu: 2 }],
  ['with CPUs of the model v2', { cpu: 'v2', vcpus: 2 }],
  ['of Xen 4.18, entered on vCPU 1', { entryVcpu: 1, vcpus: 3, release: '4.18' }],
  ['with random calls and accesses of every kind', { commandLine: 'console=hvc0 fuzz=300 seed=7', vcpus: 3 }],
] as const satisfies readonly (readonly [string, Partial<BootOptions>])[];

describe('a boot of the builtin guest for x86-64, cut at random instructions', () => {
  for (const [what, options] of cases) {
    it(`runs the same ${what}`, () => {
      const asked: BootOptions = {
        kernel: builtinKernel(),
        initrd: null,
        commandLine: 'console=hvc0',
        vcpus: 4,
        memoryMiB: 64,
        ...plainBoot,
        limits: { instructions: 200_000_000, guestNs: 10_000_000_000n },
        ...options,
      };
      const whole = wholeBoot(asked);
      const cuts = fc.array(fc.integer({ min: 1, max: whole.instructions }), { minLength: 1, maxLength: 4 });
      fc.assert(
        fc.property(cuts, (at) => assert.deepEqual(cutBoot(asked, at), whole)),
        { numRuns: Number(process.env['DOMULATOR_CUTS'] ?? 1) },
      );
    });
  }
});
