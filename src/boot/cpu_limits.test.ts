import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { apicIdOfVcpu, linuxCpu, mpidr, xenVcpuId } from '../identity/index.js';
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

/** The same as CPUs of an x86 guest. */
const x86Cpus: readonly KernelCpu[] = cpus.map(({ linuxCpu: cpu, vcpu }) => ({
  linuxCpu: cpu,
  hardwareId: apicIdOfVcpu(vcpu),
  hardwareIdKind: 'apicId',
  vcpu,
}));

function leftOutFrom(all: readonly KernelCpu[], commandLine: string, ...limits: CpuLimits[]): string[] {
  return leftOutOf(all, cpuOptions(commandLine), limits[0]).map(({ vcpu, why }) => `${vcpu}: ${why}`);
}

function leftOut(commandLine: string, ...limits: CpuLimits[]): string[] {
  return leftOutFrom(cpus, commandLine, ...limits);
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

  it('names the possible CPUs and the disabled APIC id of x86', () => {
    const cases: [string, number | null, number | null][] = [
      ['possible_cpus=2', 2, null],
      ['possible-cpus=4 possible_cpus=3', 3, null],
      ['possible_cpus', null, null],
      ['possible_cpus=0', null, null],
      ['disable_cpu_apicid=0', null, 0],
      ['disable_cpu_apicid=2 disable_cpu_apicid=0x4', null, 4],
      ['disable_cpu_apicid', null, null],
      ['disable_cpu_apicid=-1', null, null],
      ['-- possible_cpus=2 disable_cpu_apicid=2', null, null],
    ];
    for (const [text, possibleCpus, disabledApicId] of cases) {
      const told = cpuOptions(text);
      assert.deepEqual([told.possibleCpus, told.disabledApicId], [possibleCpus, disabledApicId], text);
    }
  });

  it('never throws', () => {
    const names = ['maxcpus', 'nr_cpus', 'possible_cpus', 'disable_cpu_apicid'];
    fc.assert(
      fc.property(fc.string(), (text) => void cpuOptions(names.map((name) => `${name}=${text}`).join(' '))),
    );
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

  it('are on x86 those beyond possible_cpus=, which no other kernel obeys', () => {
    const two = { possible: new Set([0, 1]), configured: 8192, maxCpus: 8192 };
    const four = { ...two, possible: new Set([0, 1, 2, 3]) };
    const beyond = ['1: possible_cpus=2', '2: possible_cpus=2'];
    assert.deepEqual(leftOutFrom(x86Cpus, 'possible_cpus=2'), beyond);
    assert.deepEqual(leftOutFrom(x86Cpus, 'possible_cpus=2', two), beyond);
    assert.deepEqual(leftOutFrom(x86Cpus, 'possible_cpus=2', four), []);
    assert.deepEqual(leftOutFrom(x86Cpus, 'possible_cpus=3', two), ['2: possible_cpus=3']);
    assert.deepEqual(leftOut('possible_cpus=2'), []);
    assert.deepEqual(leftOut('possible_cpus=2', two), []);
  });

  it('are by maxcpus= those beyond that many, whatever their numbers are', () => {
    const gap = { possible: new Set([0, 1, 3]), configured: 256 };
    assert.deepEqual(leftOut('maxcpus=3', { ...gap, maxCpus: 3 }), []);
    assert.deepEqual(leftOut('maxcpus=2', { ...gap, maxCpus: 2 }), ['2: maxcpus=2']);
  });

  it('are not those that it should count and does not', () => {
    const all = { possible: new Set([0, 1, 3]), configured: 256, maxCpus: 256 };
    assert.deepEqual(leftOut('nr_cpus=4', all), []);
  });
});
