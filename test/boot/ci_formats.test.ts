/** `--junit` and `--sarif` are valid by their schemas for every outcome of a run and for any text from the guest. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { Ajv } from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';
import type { AnySchemaObject } from 'ajv';
import fc from 'fast-check';
import { validateXML } from 'xmllint-wasm';
import { rules } from '../../src/audit/index.js';
import { junitText } from '../../src/cli/boot/junit.js';
import { reportText } from '../../src/cli/boot/report_text.js';
import { sarifLog } from '../../src/cli/boot/sarif.js';
import { createStyle } from '../../src/cli/render/style.js';
import { xenVcpuId } from '../../src/identity/index.js';
import { boot } from '../../src/library/index.js';
import type { BootReport, ReportedRun } from '../../src/library/index.js';
import { readText, root } from '../files.js';
import { onlyKernel, onlyRun, withKernel, withRun } from './reports.js';
import { image, say, spin } from './tiny_kernels.js';

const command = path.join(root, 'dist/src/cli/main.js');
const folder = mkdtempSync(path.join(os.tmpdir(), 'domulator-formats-'));
after(() => rmSync(folder, { recursive: true }));

const sarifSchema = JSON.parse(
  readText('node_modules/@microsoft/jest-sarif/lib/schemas/sarif-2.1.0-rtm.5.json'),
) as Record<string, unknown>;
// This validator does not support draft 4's way to name itself. The keywords that the schema uses have not changed
// since.
const draftless = Object.fromEntries(
  Object.entries(sarifSchema).filter(([name]) => name !== '$schema' && name !== 'id'),
);
const ajv = new Ajv({ strict: false, validateFormats: false, allErrors: true, unicodeRegExp: false });
const isSarif = ajv.compile(draftless as AnySchemaObject);

const junitSchema = readText('test/schemas/junit.xsd');

async function assertJunit(...texts: readonly string[]): Promise<void> {
  const xml = texts.map((contents, i) => ({ fileName: `${i}.xml`, contents }));
  const { valid, errors } = await validateXML({ xml, schema: [junitSchema] });
  assert.ok(valid, JSON.stringify(errors.slice(0, 5)));
}

function assertSarif(log: unknown): void {
  assert.ok(isSarif(JSON.parse(JSON.stringify(log))), JSON.stringify(isSarif.errors?.slice(0, 3)));
}

const passing = await boot({ kernel: 'builtin' }).report();
const failing = await boot({ kernel: 'builtin', whatIf: 'as-tested' }).report();
const hanging = await boot({
  kernel: image(spin),
  initrd: new Uint8Array(16),
  memoryMiB: 16,
  limits: { instructions: 100_000 },
  until: 'poweroff',
}).report();

/** The test cases of a JUnit XML by name: passed, or their child element. */
function casesOf(xml: string): Map<string, string> {
  const found = xml.matchAll(/<testcase classname="[\w.]+" name="([\w-]+)"(\/>|>\s*<(\w+))/g);
  return new Map([...found].map(([, name = '', , verdict = 'passed']) => [name, verdict]));
}

describe('JUnit XML', () => {
  it('has a test case for each rule and one for the outcome, and is valid', async () => {
    const texts = [passing, failing, hanging].map(junitText);
    await assertJunit(...texts);
    const [passed, failed, hung] = [passing, failing, hanging].map((report) =>
      casesOf(junitText(report)),
    ) as [Map<string, string>, Map<string, string>, Map<string, string>];
    const names = [...rules.map(({ name }) => name), 'ending'];
    for (const cases of [passed, failed, hung]) assert.deepEqual([...cases.keys()], names);
    assert.ok([...passed.values()].every((verdict) => verdict !== 'failure'));
    assert.equal(passed.get('record-true'), 'passed');
    const broken = new Set(onlyKernel(failing).findings.map(({ rule }) => rule));
    for (const { name } of rules) assert.equal(failed.get(name) === 'failure', broken.has(name), name);
    assert.equal(hung.get('ending'), 'failure');
    assert.equal(hung.get('record-true'), 'skipped');
  });

  it('marks a rule that could not be judged as skipped', () => {
    const notJudged = [{ hypercall: 'EVTCHNOP_bind_vcpu', calls: 3, why: 'the table cannot be read' }];
    const text = junitText(withKernel(passing, { notJudged }));
    assert.equal(casesOf(text).get('id-is-meant'), 'skipped');
    assert.match(text, /not judged: 3 x EVTCHNOP_bind_vcpu: the table cannot be read/);
  });

  it('marks the rules that are not broken as skipped if a run that breaks another ended early', () => {
    const broken = new Set(onlyKernel(failing).findings.map(({ rule }) => rule));
    for (const what of ['hang', 'panic', 'destroyed', 'stopped'] as const) {
      const report = withRun(failing, { outcome: { what, why: 'so it was' } });
      const cases = casesOf(junitText(report));
      for (const { name } of rules)
        assert.equal(cases.get(name), broken.has(name) ? 'failure' : 'skipped', `${what}: ${name}`);
      const [run] = (sarifLog(report) as Log).runs;
      assert.equal(run?.invocations[0]?.executionSuccessful, false);
    }
  });

  it('reports how a command ended', async () => {
    const options = { ...passing.options, command: { argv: ['x'], script: null } };
    const ends = [{ exitCode: 3, signal: null }, { exitCode: 0, signal: null }, null];
    const texts = ends.map((commandStatus) =>
      junitText({ ...withKernel(passing, {}, { commandStatus }), options }),
    );
    await assertJunit(...texts);
    assert.deepEqual(
      texts.map((text) => casesOf(text).get('command')),
      ['failure', 'passed', 'skipped'],
    );
  });

  it('is valid for any text from the guest', async () => {
    const texts: string[] = [];
    const panicking = (text: string): string =>
      junitText(withKernel(hanging, { logTail: [text] }, { outcome: { what: 'panic', why: text } }));
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string(), (binary, plain) => {
        const finding = { ...onlyKernel(failing).findings[0]!, why: binary, where: plain };
        texts.push(junitText(withKernel(failing, { findings: [finding], logTail: [binary] })));
        texts.push(panicking(binary));
      }),
      { numRuns: 40 },
    );
    const nasty = `\0\u0001\u001b[2J]]>&<"'\ud800\uffff${String.fromCodePoint(0x10ffff)}`;
    texts.push(panicking(nasty));
    await assertJunit(...texts);
  });
});

interface Log {
  readonly runs: readonly {
    readonly automationDetails?: { readonly id: string };
    readonly results: readonly {
      readonly ruleId: string;
      readonly ruleIndex: number;
      readonly level: string;
    }[];
    readonly tool: { readonly driver: { readonly rules: readonly { readonly id: string }[] } };
    readonly invocations: readonly { readonly executionSuccessful: boolean }[];
  }[];
}

describe('SARIF', () => {
  it('is valid, with a result for each finding and its rule', () => {
    for (const report of [passing, failing, hanging]) {
      const log = sarifLog(report) as Log;
      assertSarif(log);
      const run = log.runs[0]!;
      assert.deepEqual(
        run.results.map(({ ruleId }) => ruleId),
        onlyKernel(report).findings.map(({ rule }) => rule),
      );
      for (const { ruleId, ruleIndex } of run.results)
        assert.equal(run.tool.driver.rules[ruleIndex]?.id, ruleId);
      assert.equal(run.invocations[0]?.executionSuccessful, report.verdict !== 'incomplete');
    }
    assert.ok(onlyKernel(failing).findings.length > 3);
  });

  it('is valid for any text from the guest, and invalid SARIF is refused', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const finding = { ...onlyKernel(failing).findings[0]!, why: text, where: text };
        assertSarif(
          sarifLog({
            ...withKernel(failing, { findings: [finding] }),
            kernel: { ...failing.kernel, name: `a${text}`.replace(/\p{Surrogate}/gu, '') },
          }),
        );
      }),
      { numRuns: 40 },
    );
    assert.equal(isSarif({ version: '2.1.0', runs: [{ results: [{}] }] }), false);
  });
});

describe('a report of several runs, each of several kernels', () => {
  const crashed = (
    vcpu: number,
    by: 'sysrq' | 'oops',
    [first, second]: [BootReport, BootReport],
  ): ReportedRun => ({
    ...onlyRun(second),
    action: { kind: 'crash', vcpu: xenVcpuId(vcpu), by },
    kernels: [onlyKernel(first), { ...onlyKernel(second), version: '6.1.0', entryVcpu: xenVcpuId(vcpu) }],
  });
  const report: BootReport = {
    ...passing,
    verdict: 'fail',
    runs: [crashed(0, 'sysrq', [passing, passing]), crashed(2, 'oops', [passing, failing])],
  };

  it('is valid by its schema', () => {
    const schema = JSON.parse(readText('schemas/boot-report.schema.json')) as AnySchemaObject;
    const validate = new Ajv2020({ strict: true, strictTypes: false }).compile(schema);
    assert.ok(validate(report), JSON.stringify(validate.errors));
  });

  it('has a suite for each run, with the findings of all its kernels', async () => {
    const text = junitText(report);
    await assertJunit(text);
    const suites = text.split('<testsuite ').slice(1);
    assert.deepEqual(
      suites.map((suite) => /^name="([^"]*)"/.exec(suite)?.[1]),
      ['domulator boot builtin: crash on vCPU 0 by sysrq', 'domulator boot builtin: crash on vCPU 2 by oops'],
    );
    const [right, wrong] = suites.map(casesOf);
    assert.deepEqual([right?.get('id-is-meant'), wrong?.get('id-is-meant')], ['skipped', 'failure']);
  });

  it('has a run of SARIF for each run', () => {
    const log = sarifLog(report) as Log;
    assertSarif(log);
    assert.deepEqual(
      log.runs.map(({ automationDetails, results }) => [automationDetails?.id, results.length]),
      [
        ['crash on vCPU 0 by sysrq/', 0],
        ['crash on vCPU 2 by oops/', onlyKernel(failing).findings.length],
      ],
    );
  });

  it('is printed run by run and kernel by kernel', () => {
    const lines = reportText(report, createStyle(false, 100)).split('\n');
    const heads = lines.filter((line) => /^(crash on|Kernel \d|Audit: )/.test(line));
    const kernel = (vcpu: number): string => `Kernel 1 (6.1.0), entered on vCPU ${vcpu}`;
    const first = heads[1] ?? '';
    assert.match(first, /^Kernel 0.*, entered on vCPU 0$/);
    assert.deepEqual(heads, [
      ...['crash on vCPU 0 by sysrq', first, kernel(0)],
      'Audit:  no rule is broken, as far as can be judged',
      ...['crash on vCPU 2 by oops', first, kernel(2), 'Audit:  broken:'],
    ]);
  });
});

describe('domulator boot --junit --sarif', () => {
  const files = (name: string): [junit: string, sarif: string] => [
    path.join(folder, `${name}.xml`),
    path.join(folder, `${name}.sarif`),
  ];

  it('writes both', async () => {
    const [junit, sarif] = files('broken');
    const args = [
      '--kernel',
      'builtin',
      '--what-if',
      'as-posted',
      '--quiet',
      '--junit',
      junit,
      '--sarif',
      sarif,
    ];
    const { status, stderr } = spawnSync(process.execPath, [command, 'boot', ...args], { encoding: 'utf8' });
    assert.deepEqual([status, stderr], [1, '']);
    await assertJunit(readFileSync(junit, 'utf8'));
    assertSarif(JSON.parse(readFileSync(sarif, 'utf8')));
  });

  it('writes both when it is interrupted', async () => {
    const kernel = path.join(folder, 'spins');
    writeFileSync(kernel, image([...say('here\n'), ...spin]));
    const [junit, sarif] = files('stopped');
    const args = ['--kernel', kernel, '--initrd', kernel, '--until', 'poweroff', '--memory', '16'];
    const child = spawn(process.execPath, [command, 'boot', ...args, '--junit', junit, '--sarif', sarif], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    child.stdout.once('data', () => child.kill('SIGTERM'));
    assert.equal(await new Promise((resolve) => child.on('close', resolve)), 143);
    const text = readFileSync(junit, 'utf8');
    await assertJunit(text);
    assert.equal(casesOf(text).get('ending'), 'error');
    assertSarif(JSON.parse(readFileSync(sarif, 'utf8')));
  });

  it('refuses one file for both', () => {
    const args = ['--kernel', 'builtin', '--junit', `${folder}/same`, '--sarif', `${folder}/same`];
    const { status, stderr } = spawnSync(process.execPath, [command, 'boot', ...args], { encoding: 'utf8' });
    assert.equal(status, 2);
    assert.match(stderr, /^domulator: --junit and --sarif name the same file/);
  });
});
