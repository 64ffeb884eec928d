import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { findAreas, isAreaOf } from './index.js';
import type { RunningCpu, RunningKernel } from './index.js';
import { madeArea } from './test_btf.js';

const { xenVcpuId, runQueueCpu, runQueueTask, hotplug } = madeArea;
const area = { xenVcpuId, runQueueCpu, runQueueTask, hotplug, current: null };
const text = 0xffff_8000_0800_0000n;
const imageBytes = 0x4_0000;
const template = 0x1_3000;
const array = 0x2_0040;
/** The areas lie in the linear map, so the sums wrap. */
const linear = 0xffff_0000_1000_0000n;
const areaBytes = 0x2000;
const offsetOf = (cpu: number): bigint =>
  BigInt.asUintN(64, linear + BigInt(areaBytes * cpu) - (text + BigInt(template)));
const taskOf = (cpu: number): bigint => 0xffff_0000_0200_0000n + 0x1000n * BigInt(cpu);

/** A kernel of so many possible CPUs, each of which runs a task of its own. */
class Made {
  readonly loaded = new Uint8Array(imageBytes);
  readonly areas: Uint8Array;
  readonly kernel: RunningKernel;

  constructor(possible: number, cpus = possible) {
    this.areas = new Uint8Array(areaBytes * possible);
    for (let cpu = 0; cpu < possible; cpu += 1) {
      new DataView(this.loaded.buffer).setBigUint64(array + 8 * cpu, offsetOf(cpu), true);
      const view = new DataView(this.areas.buffer, areaBytes * cpu);
      view.setUint32(area.runQueueCpu, cpu, true);
      view.setBigUint64(area.runQueueTask, taskOf(cpu), true);
    }
    const read = (address: bigint, size: number): Uint8Array | null => {
      const at = Number(address - linear);
      return at < 0 || at + size > this.areas.length ? null : this.areas.slice(at, at + size);
    };
    this.kernel = { text, loaded: this.loaded, read, cpus, sectionMayBeAt0: false };
  }

  running(cpu: number): RunningCpu {
    return { perCpuOffset: offsetOf(cpu), task: taskOf(cpu), linuxCpu: cpu };
  }
}

describe('the areas of a running kernel', () => {
  it('are found by what the registers of any of its CPUs say', () => {
    for (const [possible, cpus] of [
      [1, 1],
      [2, 2],
      [3, 8],
      [128, 128],
    ] as const) {
      const made = new Made(possible, cpus);
      for (const cpu of new Set([0, possible - 1])) {
        const found = findAreas(made.kernel, area, made.running(cpu));
        assert.deepEqual(found, { template, perCpuOffset: array }, `${cpu} of ${possible}`);
      }
    }
  });

  it('are found where the section is at address 0, as x86-64 has it', () => {
    const made = new Made(3);
    // The bases of the CPUs are then the addresses of their areas.
    const base = (cpu: number): bigint => linear + BigInt(areaBytes * cpu);
    const view = new DataView(made.loaded.buffer);
    for (const cpu of [0, 1, 2]) view.setBigUint64(array + 8 * cpu, base(cpu), true);
    const cpu = { perCpuOffset: base(1), task: taskOf(1), linuxCpu: 1 };
    const found = findAreas({ ...made.kernel, sectionMayBeAt0: true }, area, cpu);
    assert.equal(found?.perCpuOffset, array);
    assert.equal(BigInt.asUintN(64, text + BigInt(found.template)), 0n);
    assert.equal(findAreas(made.kernel, area, cpu), null);
  });

  it('are told from others', () => {
    const { kernel } = new Made(2);
    assert.ok(isAreaOf(kernel, area, template, offsetOf(1), 1));
    assert.ok(!isAreaOf(kernel, area, template, offsetOf(1), 0));
    assert.ok(!isAreaOf(kernel, area, template, offsetOf(2), 2), 'nothing is there');
    assert.ok(!isAreaOf(kernel, area, template, 0n, 0), 'the template is no area');
  });

  it('are not found while the kernel has none, or between two tasks', () => {
    const made = new Made(2);
    const { kernel, areas } = made;
    const cpu = made.running(0);
    assert.equal(findAreas(kernel, area, { ...cpu, perCpuOffset: 0n }), null);
    assert.equal(findAreas(kernel, area, { ...cpu, perCpuOffset: cpu.perCpuOffset + 8n }), null);
    assert.equal(findAreas(kernel, area, { ...cpu, task: taskOf(7) }), null);
    assert.equal(findAreas(kernel, area, { ...cpu, linuxCpu: 1 }), null);
    areas.fill(0);
    assert.equal(findAreas(kernel, area, cpu), null);
  });

  it('are not guessed at where two places fit', () => {
    const made = new Made(2);
    // A page in front of the area of CPU 1 that looks like that of CPU 0.
    const copy = made.areas.slice(0, 0x1000);
    made.areas.set(copy, 0x1000);
    assert.equal(findAreas(made.kernel, area, made.running(0)), null);
    const twice = new Made(1);
    new DataView(twice.loaded.buffer).setBigUint64(0x3_0000, offsetOf(0), true);
    assert.equal(findAreas(twice.kernel, area, twice.running(0)), null);
  });

  it('are those of the array with most of them, where an offset stands in several places', () => {
    const made = new Made(4);
    new DataView(made.loaded.buffer).setBigUint64(0x1_0000, offsetOf(0), true);
    new DataView(made.loaded.buffer).setBigUint64(0x3_0000, offsetOf(0), true);
    assert.equal(findAreas(made.kernel, area, made.running(0))?.perCpuOffset, array);
  });

  it('are looked for without an error, whatever memory holds', () => {
    const bytes = fc.uint8Array({ minLength: 64, maxLength: 4096 });
    fc.assert(
      fc.property(
        bytes,
        fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
        fc.nat(200),
        (loaded, value, linuxCpu) => {
          const kernel = {
            text,
            loaded,
            read: (_: bigint, size: number) => loaded.slice(0, size),
            cpus: 8,
            sectionMayBeAt0: value % 2n === 0n,
          };
          const perCpuOffset = value & ~0xfffn;
          findAreas(kernel, area, { perCpuOffset, task: value, linuxCpu });
        },
      ),
    );
  });

  it('are not looked for without end where every word is the offset', () => {
    const made = new Made(1, 128);
    const words = new BigUint64Array(made.loaded.buffer);
    words.fill(offsetOf(0));
    assert.equal(findAreas(made.kernel, area, made.running(0)), null);
  });
});
