import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { arm64 } from './arm64/anchors.js';
import { readImageFacts as readFacts, variableNames } from './image_facts.js';
import type { ImageFacts } from './image_facts.js';
import { kernelBtf, madeArea, MadeBtf } from './test_btf.js';
import { MadeImage, writeExports, writeKallsyms } from './test_image.js';
import type { MadeSymbol } from './test_image.js';

function readImageFacts(image: Uint8Array): ImageFacts {
  return readFacts(image, arm64.knownSymbol);
}

const places = new Map(variableNames.map((name, index) => [name, 0x20_0000 + 0x100 * index]));
const exported = [...places].map(([name, offset]) => ({ name, offset }));

function symbols(): MadeSymbol[] {
  const functions = Array.from({ length: 1200 }, (_, i) => ({
    kind: 't',
    name: `xen_function_${i}`,
    offset: 0x1_1000 + 16 * i,
  }));
  const data = exported.map(({ name, offset }) => ({ kind: 'D', name, offset }));
  const text = [
    { kind: 'T', name: '_text', offset: 0 },
    { kind: 'T', name: 'vectors', offset: 0x1_0000 },
  ];
  return [...text, ...functions, ...data];
}

interface Parts {
  readonly exports?: boolean | readonly string[];
  readonly kallsyms?: boolean;
  readonly btf?: Uint8Array;
}

function imageOf({ exports = false, kallsyms = false, btf = new Uint8Array(0) }: Parts): Uint8Array {
  const image = new MadeImage().bytes(Array.from({ length: 64 }, (_, i) => i * 11));
  const some = exported.filter(({ name }) => (Array.isArray(exports) ? exports.includes(name) : exports));
  writeExports(image.align(4), some);
  if (kallsyms) writeKallsyms(image, symbols(), '6.1');
  return image.align(4).bytes(btf).align(4096).done();
}

function waysOf(image: Uint8Array): Record<string, string> {
  return Object.fromEntries([...readImageFacts(image).symbols].map(([name, { way }]) => [name, way]));
}

const all = (way: string): Record<string, string> =>
  Object.fromEntries(variableNames.map((name) => [name, way]));

describe('the anchors of a kernel', () => {
  it('come from its export table, and nothing else is asked then', () => {
    const { symbols: found, btf } = readImageFacts(
      imageOf({ exports: true, kallsyms: true, btf: kernelBtf().done() }),
    );
    for (const [name, offset] of places) assert.deepEqual(found.get(name), { offset, way: 'export table' });
    assert.equal(btf, null);
  });

  it('come from kallsyms where that names data, and nothing is exported', () => {
    const image = imageOf({ kallsyms: true });
    assert.deepEqual(waysOf(image), all('kallsyms'));
    for (const [name, { offset }] of readImageFacts(image).symbols) assert.equal(offset, places.get(name));
  });

  it('come from both where only some are exported', () => {
    const image = imageOf({ exports: ['__per_cpu_offset'], kallsyms: true });
    assert.deepEqual(waysOf(image), { ...all('kallsyms'), __per_cpu_offset: 'export table' });
  });

  it('are layouts where only BTF is left', () => {
    const { symbols: found, btf } = readImageFacts(imageOf({ btf: kernelBtf().done() }));
    assert.equal(found.size, 0);
    const { taskCpu, ...area } = madeArea;
    assert.deepEqual(btf, { taskCpu, area });
  });

  it('say where x86-64 has the current task and the number of a CPU in its area', () => {
    const hot = (hasHot: boolean): MadeBtf => {
      const btf = kernelBtf();
      const int = btf.int('int');
      btf.struct('pcpu_hot', 64, [
        ['current_task', int, 0],
        ['cpu_number', int, 96],
      ]);
      btf.perCpu({
        runqueues: 0x100,
        ...(hasHot ? { pcpu_hot: 0x40 } : { cpu_number: 0x30, current_task: 0x38 }),
      });
      return btf;
    };
    const current = (btf: MadeBtf): unknown =>
      readImageFacts(imageOf({ btf: btf.done() })).btf?.area?.current;
    assert.deepEqual(current(hot(true)), { cpu: 0x4c, task: 0x40 });
    assert.deepEqual(current(hot(false)), { cpu: 0x30, task: 0x38 });
  });

  it('say of a BTF without per-CPU variables where a task has its CPU', () => {
    const btf = new MadeBtf();
    const int = btf.int('int');
    const info = btf.struct('thread_info', 24, [['flags', int, 0]]);
    btf.struct('task_struct', 4096, [
      ['thread_info', info, 0],
      ['cpu', int, 72 * 8],
    ]);
    assert.deepEqual(readImageFacts(imageOf({ btf: btf.done() })).btf, { taskCpu: 72, area: null });
  });

  it('say when a kernel has no records, or nothing can be found', () => {
    assert.equal(readImageFacts(imageOf({ btf: kernelBtf(false).done() })).btf?.area?.xenVcpuId, null);
    const { symbols: found, btf } = readImageFacts(imageOf({}));
    assert.deepEqual([found.size, btf], [0, null]);
  });

  it('are looked for in any image without an error', () => {
    const whole = imageOf({ exports: ['nr_cpu_ids'], kallsyms: true, btf: kernelBtf().done() });
    const changes = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 60 });
    fc.assert(
      fc.property(changes, fc.nat(whole.length), (bytes, length) => {
        const image = whole.slice(0, length);
        for (const [at, value] of bytes) if (at < length) image[at] = value;
        readImageFacts(image);
      }),
      { numRuns: 50 },
    );
  });
});
