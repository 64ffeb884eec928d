/** The builtin guest for x86-64, booted and audited like any other kernel. */
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { loadArchitecture } from '../../src/boot/index.js';
import type { BootOptions } from '../../src/boot/index.js';
import { builtinKernel } from '../../src/builtin_guest/x86_64/index.js';
import { bootBuiltin } from './builtin_runs.js';
import type { BuiltinRun } from './builtin_runs.js';

const kernel = builtinKernel();

function boot(commandLine: string, options: Partial<BootOptions> = {}): BuiltinRun {
  return bootBuiltin({ kernel, commandLine: `console=hvc0 ${commandLine}`, ...options });
}

/** The findings of a run, by rule: what was called, with which id, and which was meant. */
function findings({ result }: BuiltinRun): string[] {
  const all = result.findings.map(({ rule, op, passed, meant }) =>
    op === null ? rule : `${rule} ${op} ${String(passed)} ${String(meant)}`,
  );
  return [...new Set(all)].sort();
}

describe('the builtin guest for x86-64, audited', () => {
  before(async () => {
    await loadArchitecture('amd64');
  });

  for (const entryVcpu of [0, 2]) {
    it(`entered on vCPU ${entryVcpu}: every rule holds, and its records are read`, () => {
      const run = boot('', { entryVcpu });
      assert.deepEqual([run.result.outcome, run.result.findings], ['poweroff', []], run.console);
      const order = [entryVcpu, ...[0, 1, 2, 3].filter((vcpu) => vcpu !== entryVcpu)];
      assert.deepEqual(
        run.result.cpus.map(({ vcpu, hardwareIdKind, hardwareId, recordedVcpuId, online }) => [
          vcpu,
          hardwareIdKind,
          hardwareId,
          recordedVcpuId,
          online,
        ]),
        order.map((vcpu) => [vcpu, 'apicId', 2 * vcpu, vcpu, true]),
      );
    });
  }

  it('with APIC ids for ids: the wrong record is named, and ids that no vCPU has', () => {
    const found = findings(boot('wrong=apicid'));
    assert.ok(found.includes('id-is-meant VCPUOP_register_vcpu_info 2 1'), found.join('\n'));
    assert.ok(found.some((each) => each.startsWith('record-true')));
    assert.ok(found.some((each) => each.startsWith('id-exists VCPUOP_register_vcpu_info 4')));
    assert.ok(found.some((each) => each.startsWith('id-exists VCPUOP_register_vcpu_info 6')));
  });

  it('with CPU numbers for ids: right where they are the same, and wrong on another vCPU', () => {
    assert.deepEqual(findings(boot('wrong=cpunumber')), []);
    const found = findings(boot('wrong=cpunumber', { entryVcpu: 2 }));
    assert.ok(found.includes('id-is-meant VCPUOP_register_vcpu_info 0 2'), found.join('\n'));
    assert.ok(found.some((each) => each.startsWith('record-true')));
  });

  it("with the controlling CPU's id in the upcall vector: each call is named", () => {
    const found = findings(boot('wrong=vector'));
    for (const vcpu of [1, 2, 3]) {
      const call = `id-is-meant HVMOP_set_evtchn_upcall_vector 0 ${vcpu}`;
      assert.ok(found.includes(call), found.join('\n'));
    }
  });

  it("with the controlling CPU's id in bind_ipi: CPUs without an IPI are named", () => {
    const run = boot('wrong=ipi');
    const without = run.result.findings.filter(({ rule }) => rule === 'registered-before-online');
    assert.equal(without.length, 3, run.console);
  });

  it('with a literal 0 in init_control: each call is named', () => {
    const found = findings(boot('wrong=control'));
    for (const vcpu of [1, 2, 3]) {
      assert.ok(found.includes(`id-is-meant EVTCHNOP_init_control 0 ${vcpu}`), found.join('\n'));
    }
  });
});
