import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { linuxCpu, mpidr, xenVcpuId } from '../identity/index.js';
import { cpuOptions, leftOutOf } from './cpu_limits.js';
import type { CpuLimits } from './cpu_limits.js';
import type { KernelCpu } from './guest.js';

/** Four CPUs of a guest that was entered on vCPU 3. */
const cpus: readonly KernelCpu[] = [3, 0, 1, 2].map((vcpu, cpu) => ({
  linuxCpu: linuxCpu(cpu),
  hardwareId: mpidr(vcpu),
  hardwareIdKind: 'mpidr',
  vcpu: xenVcpuId(vcpu),
}));

function leftOut(commandLine: string, ...limits: CpuLimits[]): string[] {
  return leftOutOf(cpus, cpuOptions(commandLine), limits[0]).map(({ vcpu, why }) => `${vcpu}: ${why}`);
}

describe('what a command line says of CPUs', () => {
  it('is read by the kernel’s own rules', () => {
    const cases: [string, number | null, number | null][] = [
      ['console=ttyAMA0 quiet', null, null],
      ['maxcpus=2', null, 2],
      ['nosmp', null, 0],
      ['maxcpus=0', null, 0],
      ['maxcpus=4 nosmp maxcpus=3', null, 3],
      ['maxcpus=3 nosmp', null, 0],
      ['nr_cpus=3', 3, null],
      ['nr-cpus=3 nr_cpus=2 nr_cpus=4', 2, null],
      ['nr_cpus=0 nr_cpus=-1 nr_cpus=x nr_cpus=', null, null],
      ['nr_cpus=0x2', 2, null],
      ['nr_cpus=010', 8, null],
      ['maxcpus=x', null, 0],
      ['maxcpus', null, null],
      ['maxcpus=-1', null, 0xffff_ffff],
      ['maxcpus=2,3', null, 2],
      ['a="b maxcpus=1" maxcpus="2"', null, 2],
      ['"maxcpus=3"', null, 3],
      ['-- maxcpus=1 nosmp', null, null],
      ['maxcpus=2 -- nosmp', null, 2],
      ['nosmp2 xmaxcpus=1 MAXCPUS=1', null, null],
      ['\tmaxcpus=1\n', null, 1],
    ];
    for (const [text, nrCpus, maxCpus] of cases) {
      const told = cpuOptions(text);
      assert.deepEqual([told.nrCpus, told.maxCpus], [nrCpus, maxCpus], text);
    }
  });

  it('never throws', () => {
    fc.assert(fc.property(fc.string(), (text) => void cpuOptions(`maxcpus=${text} nr_cpus=${text}`)));
  });
});

describe('the CPUs that a kernel leaves out', () => {
  it('are those beyond its bounds, by its own numbers', () => {
    assert.deepEqual(leftOut('quiet'), []);
    assert.deepEqual(leftOut('nr_cpus=3'), ['2: nr_cpus=3']);
    assert.deepEqual(leftOut('maxcpus=2'), ['1: maxcpus=2', '2: maxcpus=2']);
    assert.deepEqual(leftOut('nosmp'), ['0: nosmp', '1: nosmp', '2: nosmp']);
    assert.deepEqual(leftOut('maxcpus=2 nr_cpus=3'), ['1: maxcpus=2', '2: nr_cpus=3']);
    assert.deepEqual(leftOut('maxcpus=4 nr_cpus=4'), []);
  });

  it('are those that the kernel’s memory names, where it is read', () => {
    const all = { possible: new Set([0, 1, 2, 3]), configured: 256, maxCpus: 256 };
    // A kernel with a command line of its own does not obey this one.
    assert.deepEqual(leftOut('maxcpus=1', all), []);
    assert.deepEqual(leftOut('', { ...all, maxCpus: 3 }), ['2: maxcpus=3']);
    assert.deepEqual(leftOut('maxcpus=3', { ...all, maxCpus: 3 }), ['2: maxcpus=3']);
    assert.deepEqual(leftOut('nosmp', { ...all, maxCpus: 0 }), ['0: nosmp', '1: nosmp', '2: nosmp']);
    // Debian's 7.2 counts the boot CPU alone as possible then.
    for (const told of ['nosmp', 'maxcpus=0']) {
      const limits = { ...all, possible: new Set([0]), maxCpus: 0 };
      assert.deepEqual(leftOut(told, limits), [`0: ${told}`, `1: ${told}`, `2: ${told}`]);
    }
    const two = new Set([0, 1]);
    assert.deepEqual(leftOut('nr_cpus=2', { ...all, possible: two }), ['1: nr_cpus=2', '2: nr_cpus=2']);
    assert.deepEqual(leftOut('', { ...all, possible: two, configured: 2 }), [
      '1: CONFIG_NR_CPUS=2',
      '2: CONFIG_NR_CPUS=2',
    ]);
  });

  it('are not those that it should count and does not', () => {
    const all = { possible: new Set([0, 1, 3]), configured: 256, maxCpus: 256 };
    assert.deepEqual(leftOut('nr_cpus=4', all), []);
  });
});
