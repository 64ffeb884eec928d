/** Reports of real runs are valid by schemas/boot-report.schema.json. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020.js';
import type { AnySchemaObject } from 'ajv/dist/2020.js';
import { boot } from '../../src/library/index.js';
import type {
  BootReport,
  BootRequest,
  ReportedFinding,
  ReportedKernel,
  RunAction,
} from '../../src/library/index.js';
import { readText } from '../files.js';
import { quickCommandLine, skip, stockKernel } from '../guest/kernel.js';
import { onlyKernel, onlyRun, withKernel, withRun } from './reports.js';
import { hypercall, image, powerOff, spin } from './tiny_kernels.js';
import { xenVcpuId } from '../../src/identity/index.js';

const schema = JSON.parse(readText('schemas/boot-report.schema.json')) as AnySchemaObject;
const validate = new Ajv2020({ allErrors: true, strict: true, strictTypes: false }).compile(schema);

/** The report as a consumer reads it, after validation by the schema. */
function checked(report: BootReport): BootReport {
  const read = JSON.parse(JSON.stringify(report)) as BootReport;
  assert.ok(validate(read), JSON.stringify(validate.errors, null, 2));
  assert.deepEqual(read, report);
  return read;
}

const small: BootRequest = { initrd: new Uint8Array(16), memoryMiB: 16, vcpus: 2, until: 'poweroff' };

async function reportOf(request: BootRequest): Promise<BootReport> {
  return checked(await boot({ ...small, ...request }).report());
}

describe('the schema of the report', () => {
  it('accepts a correct guest', async () => {
    const report = await reportOf({ kernel: image(powerOff) });
    assert.deepEqual([onlyRun(report).outcome.what, onlyKernel(report).cpus.length], ['poweroff', 2]);
  });

  it('accepts a broken rule, with the id unsigned and the answer signed', async () => {
    const wrong = hypercall(24, 10, 0xffff, 0); // VCPUOP_register_vcpu_info
    const report = await reportOf({ kernel: image([...wrong, ...powerOff]), vcpus: 1 });
    const { findings } = onlyKernel(report);
    assert.deepEqual([report.verdict, onlyRun(report).verdict], ['fail', 'fail']);
    const { hypercall: name, passed, returned, callingVcpu, meant } = findings[0]!;
    assert.deepEqual(
      [name, passed, returned, callingVcpu],
      ['VCPUOP_register_vcpu_info', 0xffff, -2, 0],
      JSON.stringify(meant),
    );
  });

  it('accepts a guest that hangs, and one that is stopped', async () => {
    const report = await reportOf({ kernel: image(spin), limits: { instructions: 1_000_000 } });
    assert.deepEqual([report.verdict, onlyRun(report).outcome.what], ['incomplete', 'hang']);
    const run = boot({ ...small, kernel: image(spin) });
    run.stop();
    const { outcome, kernels } = onlyRun(checked(await run.report()));
    assert.deepEqual([outcome.what, kernels], ['stopped', []]);
  });

  it('accepts a guest whose instruction was refused, and names the instruction', async () => {
    const writeHcr = 0xd51c1100; // MSR HCR_EL2, X0
    const report = await reportOf({ kernel: image([writeHcr, ...spin]), limits: { instructions: 100_000 } });
    const { pc = '', ...refused } = onlyRun(report).outcome.refused ?? {};
    assert.match(pc, /^0x[0-9a-f]+40$/);
    assert.deepEqual(refused, { vcpu: 0, instruction: 'msr hcr_el2, x0', needs: 'EL2' });
  });

  it('accepts features that are not modelled', async () => {
    const multicall = hypercall(13, 0, 0);
    const report = await reportOf({
      kernel: image([...multicall, ...multicall, ...spin]),
      limits: { instructions: 100_000 },
    });
    assert.deepEqual(onlyKernel(report).notModelled, { multicall: 2 });
    assert.equal(report.verdict, 'incomplete');
  });

  it('accepts the builtin guest, unchanged and with its records as the patch of 2016 left them', async () => {
    for (const whatIf of [undefined, 'as-posted', 'as-tested'] as const) {
      const report = checked(
        await boot({ kernel: 'builtin', ...(whatIf === undefined ? {} : { whatIf }) }).report(),
      );
      assert.equal(report.verdict, whatIf === undefined ? 'pass' : 'fail');
    }
  });

  it('accepts the stock kernel, with its package and the checks of the package', { skip }, async () => {
    const report = checked(
      await boot({ commandLine: quickCommandLine, whatIf: 'as-posted', until: 'userspace' }).report(),
    );
    const { kernel } = report;
    const { findings, cpus, version, entryVcpu } = onlyKernel(report);
    assert.deepEqual([version, entryVcpu], [kernel.version, 0]);
    assert.equal(kernel.name, 'debian:bookworm');
    assert.equal(kernel.sha256, stockKernel().kernel.sha256);
    assert.match(kernel.package?.name ?? '', /^linux-image-/);
    assert.ok(kernel.suites.length > 0);
    const refused = findings.filter(({ rule, returned }) => rule === 'id-is-meant' && returned === -2);
    assert.deepEqual(
      refused.map(({ hypercall: name, passed, meant, callingVcpu }) => [name, passed, meant, callingVcpu]),
      Array(3).fill(['EVTCHNOP_init_control', 0xffff_ffff, null, 0]),
    );
    for (const { where } of refused) assert.match(where ?? '', /^[a-z_0-9.]+\+0x[0-9a-f]+$/);
    assert.deepEqual(
      cpus.map(({ recordedVcpuId, agrees, online }) => [recordedVcpuId, agrees, online]),
      [[0, true, true], ...Array<unknown>(3).fill([0xffff_ffff, false, false])],
    );
  });

  it('accepts the output of --json, which omits the host', async () => {
    const report = await reportOf({ kernel: image(powerOff) });
    checked({ ...report, host: null });
  });

  it('refuses a value that is not a report', async () => {
    const report = await reportOf({ kernel: image(powerOff) });
    const { kernel, machine, options } = report;
    const { outcome, kernels } = onlyRun(report);
    const wrong: readonly object[] = [
      { ...report, schemaVersion: 1 },
      { ...report, runs: [] },
      { ...report, verdict: 'good' },
      { ...report, more: 1 },
      withRun(report, { traceSha256: 'none' }),
      withRun(report, { action: { kind: 'crash' } as unknown as RunAction }),
      withRun(report, { kernels: [...kernels, {} as unknown as ReportedKernel] }),
      { ...report, options: { ...options, whatIf: 'as-meant' } },
      { ...report, kernel: { ...kernel, version: 6 } },
      { ...report, machine: { ...machine, vcpus: 129 } },
      withRun(report, {
        outcome: { ...outcome, refused: { vcpu: xenVcpuId(0), pc: '64', instruction: '', needs: null } },
      }),
      withKernel(report, { findings: [{} as unknown as ReportedFinding] }),
      {},
    ];
    for (const one of wrong) assert.equal(validate(one), false, JSON.stringify(one).slice(0, 60));
  });
});
