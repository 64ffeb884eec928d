import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { cpuFeatures, cpuModels, featureBits, hasFeatures } from './cpu_models.js';
import type { CpuFeature, CpuidBit } from './cpu_models.js';
import { x86 } from './index.js';

const needed = new Set(x86.flatMap(({ feature }) => feature?.split('+') ?? []));

/** Features that have no instruction of their own with a definition that names them. */
const withoutInstructions: readonly CpuFeature[] = [
  // Those of the base set have none: all models have them.
  'pse', 'msr', 'pae', 'cx8', 'apic', 'pge', 'cmov', 'ht', 'x2apic', 'hypervisor', 'syscall', 'nx', 'lm',
  // They are bits of CR4.
  'smep', 'pcid',
  // It says how fast instructions of the base set are.
  'erms',
]; // prettier-ignore

describe('the models of CPUs', () => {
  it('know each feature that a definition needs', () => {
    for (const feature of needed) assert.ok(Object.hasOwn(cpuFeatures, feature), feature);
  });

  it('advertise nothing without instructions', () => {
    for (const features of Object.values(cpuModels)) {
      for (const feature of features) {
        assert.notEqual(needed.has(feature), withoutInstructions.includes(feature), feature);
      }
    }
  });

  it('have in the wider one all that is defined, and in the smaller one the base set', () => {
    assert.deepEqual(x86.filter(({ feature }) => !hasFeatures(cpuModels.v2, feature)).map(({ name }) => name), []);
    for (const feature of cpuModels.minimal) assert.ok(cpuModels.v2.has(feature), feature);
    const base = [null, 'fpu', 'fxsr', 'mmx', 'mmx+sse', 'mmx+sse2', 'sse', 'sse2', 'tsc'];
    const own = new Set(x86.map(({ feature }) => feature).filter((each) => hasFeatures(cpuModels.minimal, each)));
    assert.deepEqual([...own].sort(), base.sort());
  }); // prettier-ignore
});

describe('the bits of CPUID', () => {
  it('are one feature each', () => {
    const places = Object.values(cpuFeatures)
      .flat()
      .map(({ leaf, subleaf, register, bit }) => `${leaf}.${subleaf} ${register} ${bit}`);
    assert.equal(new Set(places).size, places.length);
  });

  it('are set for the features that a CPU has', () => {
    const word = (features: readonly CpuFeature[], place: Omit<CpuidBit, 'bit'>): number =>
      featureBits(new Set(features), place);
    const leaf1 = { leaf: 1, subleaf: 0 } as const;
    assert.equal(word(['sse3', 'popcnt'], { ...leaf1, register: 'ecx' }), (1 << 23) | 1);
    assert.equal(word(['hypervisor'], { ...leaf1, register: 'ecx' }), 0x8000_0000);
    assert.equal(word(['fpu', 'sse'], { ...leaf1, register: 'edx' }), (1 << 25) | 1);
    assert.equal(word(['fpu', 'sse'], { leaf: 0x8000_0001, subleaf: 0, register: 'edx' }), 1);
    assert.equal(word(['erms'], { leaf: 7, subleaf: 0, register: 'ebx' }), 1 << 9);
    assert.equal(word(['erms'], { leaf: 7, subleaf: 1, register: 'ebx' }), 0);
  });
});

describe('what an instruction needs', () => {
  it('is nothing, a feature, or several', () => {
    const features = new Set(['mmx', 'sse']);
    assert.ok(hasFeatures(features, null));
    assert.ok(hasFeatures(features, 'mmx'));
    assert.ok(hasFeatures(features, 'mmx+sse'));
    assert.ok(!hasFeatures(features, 'mmx+sse2'));
    assert.ok(!hasFeatures(features, 'popcnt'));
  });
});
