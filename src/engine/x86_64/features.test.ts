/** Each feature is there with the model of CPU that has it, and with the other what belongs to it is as on a CPU without it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { cpuFeatures, cpuModels, x86 } from '../../isa/x86_64/index.js';
import type { CpuFeature, CpuModel } from '../../isa/x86_64/index.js';
import { vectors } from './events.js';
import { cr4 } from './regime.js';
import { enterLongMode, setGate, testMachine } from './test_machine.js';

/** Where programs are, and the data that RSI points to. */
const places = { program: 0x1000, handler: 0x2000, data: 0x4000, stack: 0x8000 } as const;

/** The vector of the exception that a program of the kernel raises; null if it raises none. */
function vectorOf(cpu: CpuModel, text: string): number | null {
  const machine = testMachine({ cpu });
  const view = enterLongMode(machine);
  const control = cr4.vectorState | (cpu === 'v2' ? cr4.segmentBases | cr4.extendedState : 0);
  view.setSystem({ cr4: view.system.cr4 | control });
  for (const vector of [vectors.invalidOpcode, vectors.generalProtection, vectors.deviceNotAvailable]) {
    machine.program(places.handler + 16 * vector, `mov $${vector}, %eax\nvmmcall`);
    setGate(machine, vector, BigInt(places.handler + 16 * vector));
  }
  machine.program(places.program, `${text}\nmov $0xff, %eax\nvmmcall`);
  view.pc = BigInt(places.program);
  view.setRegister(4, BigInt(places.stack));
  view.setRegister(6, BigInt(places.data));
  machine.run();
  const { at } = machine.heard.at(-1) ?? { at: 0xff };
  return at === 0xff ? null : at;
}

/** An instruction of each feature that has instructions of its own. */
const samples: Partial<Record<CpuFeature, readonly string[]>> = {
  sse3: ['haddps %xmm1,%xmm0', 'lddqu (%rsi),%xmm0', 'fisttpl (%rsi)'],
  ssse3: ['pshufb %xmm1,%xmm0', 'pshufb %mm1,%mm0', 'palignr $0x3,(%rsi),%xmm0'],
  cx16: ['cmpxchg16b (%rsi)', 'lock cmpxchg16b (%rsi)'],
  sse4_1: ['ptest %xmm1,%xmm0', 'pextrq $0x1,%xmm0,%rax', 'roundsd $0x1,(%rsi),%xmm0', 'pblendvb %xmm0,%xmm1,%xmm2'],
  sse4_2: ['crc32 %rax,%rbx', 'pcmpistri $0x8,%xmm1,%xmm0', 'pcmpgtq %xmm1,%xmm0'],
  popcnt: ['popcnt %rax,%rbx', 'popcnt (%rsi),%eax'],
  lahf_lm: ['lahf', 'sahf'],
  rdtscp: ['rdtscp'],
  fsgsbase: ['rdfsbase %rax', 'wrgsbase %rax'],
  smap: ['clac', 'stac'],
  invpcid: ['xor %eax,%eax\ninvpcid (%rsi),%rax'],
  xsave: ['xor %ecx,%ecx\nxgetbv', 'xsave (%rsi)'],
  xsaveopt: ['xsaveopt (%rsi)'],
}; // prettier-ignore

describe('instructions of a feature', () => {
  const wider = [...cpuModels.v2].filter((feature) => !cpuModels.minimal.has(feature));
  for (const feature of wider.filter((each) => samples[each] !== undefined)) {
    it(`raise #UD without ${feature}, and are carried out with it`, () => {
      for (const text of samples[feature] ?? []) {
        // RDTSCP reads a register that this machine's host does not have.
        const expected = feature === 'rdtscp' ? vectors.generalProtection : null;
        assert.equal(vectorOf('v2', text), expected, text);
        assert.equal(vectorOf('minimal', text), vectors.invalidOpcode, text);
      }
    });
  }

  it('have a sample here', () => {
    const defined = new Set(x86.flatMap(({ feature }) => feature?.split('+') ?? []));
    const own = Object.keys(cpuFeatures).filter((each) => defined.has(each));
    const base = ['fpu', 'tsc', 'mmx', 'fxsr', 'sse', 'sse2'];
    assert.deepEqual(own.filter((each) => !base.includes(each)).sort(), Object.keys(samples).sort());
  });
});
