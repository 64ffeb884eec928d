/** The audit of the builtin guest for amd64, right and with one error each; and that such a guest can be saved. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { boot } from '../../src/library/index.js';
import type { BootReport, BootRequest } from '../../src/library/index.js';

async function reportOf(request: BootRequest): Promise<BootReport> {
  return await boot({ kernel: 'builtin', arch: 'amd64', ...request }).report();
}

function rulesOf({ runs }: BootReport): string[] {
  return [...new Set(runs[0].kernels.flatMap(({ findings }) => findings.map(({ rule }) => rule)))].sort();
}

describe('the audit of a right guest', () => {
  for (const vcpus of [1, 2, 4, 33]) {
    it(`finds nothing with ${vcpus} vCPUs`, async () => {
      const report = await reportOf({ vcpus });
      assert.deepEqual([report.verdict, rulesOf(report)], ['pass', []]);
      const { cpus, notModelled } = report.runs[0].kernels[0] ?? {};
      assert.deepEqual(
        cpus?.map(({ hardwareId, hardwareIdKind, vcpu, recordedVcpuId, agrees, online }) => [
          ...[hardwareId, hardwareIdKind, vcpu, recordedVcpuId],
          ...[agrees, online],
        ]),
        Array.from({ length: vcpus }, (_, vcpu) => [2 * vcpu, 'apicId', vcpu, vcpu, true, true]),
      );
      assert.deepEqual(notModelled, {});
    });
  }

  it('finds nothing where the guest is entered on another vCPU, on either release, with any seed', async () => {
    for (const request of [
      { entryVcpu: 2 },
      { entryVcpu: 3, xen: '4.18' },
      { xen: '4.18' },
      { seed: 7 },
      { commandLine: 'events=2l', entryVcpu: 1 },
    ] as const) {
      const report = await reportOf({ vcpus: 4, ...request });
      assert.deepEqual([report.verdict, rulesOf(report)], ['pass', []], JSON.stringify(request));
    }
  });

  it('tells what the machine is', async () => {
    const { machine } = await reportOf({ vcpus: 1, arch: 'x86_64', type: 'pvh' });
    assert.deepEqual(
      [machine.arch, machine.interruptController, machine.type],
      ['amd64', 'local APIC', 'pvh'],
    );
  });
});

/** The option that makes an error, the vCPU that is entered, and a rule that must be broken. */
const wrong = [
  ['wrong=cpunumber', 2, 'id-is-meant'],
  ['wrong=cpunumber', 1, 'record-true'],
  ['wrong=apicid', 0, 'id-is-meant'],
  ['wrong=apicid', 2, 'id-exists'],
  ['wrong=control', 0, 'id-is-meant'],
  ['wrong=ipi', 0, 'registered-before-online'],
  ['wrong=vector', 0, 'id-is-meant'],
] as const;

describe('the audit of a guest with one error', () => {
  for (const [commandLine, entryVcpu, rule] of wrong) {
    it(`${commandLine}, entered on vCPU ${entryVcpu}: ${rule}`, async () => {
      const report = await reportOf({ vcpus: 4, commandLine, entryVcpu });
      assert.equal(report.verdict, 'fail');
      assert.ok(rulesOf(report).includes(rule), rulesOf(report).join(', '));
    });
  }
});

describe('a guest that was saved', () => {
  it('goes on as the one that was not', async () => {
    const whole = await reportOf({ vcpus: 3, seed: 5 });
    const first = boot({ kernel: 'builtin', arch: 'amd64', vcpus: 3, seed: 5 });
    assert.ok(await first.reach(0.0001));
    const second = await boot({ from: await first.checkpoint() }).report();
    assert.deepEqual({ ...second, host: null }, { ...whole, host: null });
    assert.deepEqual({ ...(await first.report()), host: null }, { ...whole, host: null });
  });
});
