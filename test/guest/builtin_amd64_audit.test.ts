/** The audit of the builtin guest for amd64, right and with one error each; and that such a guest can be saved. */
import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, it } from 'node:test';
import { pathToFileURL } from 'node:url';
import type { TraceEvent } from '../../src/audit/index.js';
import { present } from '../../src/base/index.js';
import { Boot, defaultLimits, loadArchitecture } from '../../src/boot/index.js';
import { builtinKernel } from '../../src/builtin_guest/x86_64/index.js';
import { errors } from '../../src/builtin_guest/x86_64/errors.js';
import { boot, guestTypes, xenReleases } from '../../src/library/index.js';
import type { BootReport, BootRequest } from '../../src/library/index.js';
import { readText, root } from '../files.js';

async function reportOf(request: BootRequest): Promise<BootReport> {
  return await boot({ kernel: 'builtin', arch: 'amd64', ...request }).report();
}

function rulesOf({ runs }: BootReport): string[] {
  return [...new Set(runs[0].kernels.flatMap(({ findings }) => findings.map(({ rule }) => rule)))].sort();
}

describe('the audit of a right guest', () => {
  const shapes = guestTypes.flatMap((type) => [1, 2, 4, 33].map((vcpus) => ({ type, vcpus })));
  for (const { type, vcpus } of shapes) {
    it(`finds nothing as ${type} with ${vcpus} vCPUs`, async () => {
      const report = await reportOf({ type, vcpus });
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
      { type: 'hvm', entryVcpu: 2 },
      { type: 'hvm', xen: '4.18', seed: 3, commandLine: 'start=call events=fifo', entryVcpu: 1 },
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

/** A run of the corpus of wrong kernels (docs/corpora.md). */
interface CorpusRun {
  readonly name: string;
  readonly kernel: string;
  readonly vcpus?: number;
  readonly cmdline?: string;
  readonly entryVcpu?: number;
  readonly xenstore?: boolean;
  readonly limit?: string;
  readonly status?: number;
  readonly expect?: readonly unknown[];
}

const { runs } = JSON.parse(readText('scripts/corpus/amd64/wrong_runs.json')) as { runs: CorpusRun[] };
const { complaintsOf } = (await import(
  pathToFileURL(path.join(root, 'scripts/corpus/findings.js')).href
)) as {
  complaintsOf: (found: readonly unknown[], run: CorpusRun) => string[];
};

describe('the audit of a guest with one error finds that, and nothing else', () => {
  // Each under one release and as one type in turn; scripts/corpus/wrong.js makes all of them under both, as either.
  const builtin = runs.filter(
    ({ kernel, cmdline = '' }) => kernel === 'builtin' && /wrong|start/.test(cmdline),
  );
  for (const [index, run] of builtin.entries()) {
    const xen = present(xenReleases[index % xenReleases.length], 'a release');
    const type = present(guestTypes[Math.floor(index / xenReleases.length) % guestTypes.length], 'a type');
    it(`${run.name}, ${type}, Xen ${xen}`, async () => {
      const { vcpus = 4, cmdline: commandLine = '', entryVcpu = 0, xenstore = true, limit } = run;
      const limits = limit === undefined ? {} : { instructions: Number(limit.split(',')[1]) };
      const report = await reportOf({ type, vcpus, commandLine, entryVcpu, xenstore, xen, limits });
      const findings = report.runs.flatMap(({ kernels }) => kernels).flatMap((kernel) => kernel.findings);
      assert.deepEqual(complaintsOf(findings, run), []);
      const otherwise = run.status === 3 ? 'incomplete' : 'pass';
      assert.equal(report.verdict, run.expect === undefined ? otherwise : 'fail');
    });
  }

  it('and there is a run for each error', () => {
    const used = runs.flatMap(({ cmdline = '' }) => /wrong=(\w+)/.exec(cmdline)?.[1] ?? []);
    assert.deepEqual([...new Set(used)].sort(), Object.keys(errors).sort());
  });
});

describe('a guest that passes CPU numbers as vCPU ids, as before the patch', () => {
  it('breaks no rule where it is entered on vCPU 0', async () => {
    const report = await reportOf({ vcpus: 4, whatIf: 'before-the-patch' });
    assert.deepEqual([report.verdict, rulesOf(report)], ['pass', []]);
  });

  it('has wrong records and makes wrong calls where it is entered on another, on either release', async () => {
    for (const xen of ['4.17', '4.18'] as const) {
      const report = await reportOf({ vcpus: 3, whatIf: 'before-the-patch', entryVcpu: 1, xen });
      assert.equal(report.verdict, 'fail');
      const [{ kernels }] = report.runs;
      const { cpus, findings } = kernels[0] ?? { cpus: [], findings: [] };
      // Of CPU 2, which is vCPU 2, the number is right.
      assert.deepEqual(
        cpus.map(({ linuxCpu, vcpu, recordedVcpuId }) => [linuxCpu, vcpu, recordedVcpuId]),
        [
          [0, 1, 0],
          [1, 0, 1],
          [2, 2, 2],
        ],
      );
      assert.deepEqual(
        findings.filter(({ rule }) => rule === 'record-true').map(({ linuxCpu }) => linuxCpu),
        [0, 1],
      );
      assert.ok(findings.some(({ rule, returned }) => rule === 'id-is-meant' && returned === 0));
    }
  });
});

describe('a guest that passes APIC ids as vCPU ids', () => {
  it('is wrong from its second CPU on, wherever it is entered', async () => {
    for (const entryVcpu of [0, 2]) {
      const report = await reportOf({ vcpus: 4, whatIf: 'apic-id', entryVcpu });
      assert.equal(report.verdict, 'fail');
      const { cpus, findings } = report.runs[0].kernels[0] ?? { cpus: [], findings: [] };
      // It panics where Xen refuses an id that no vCPU has, before it uses those of all CPUs.
      const used = cpus.filter(({ recordedVcpuId }) => recordedVcpuId !== null);
      assert.ok(used.length >= 2);
      for (const { vcpu, recordedVcpuId } of used) assert.equal(recordedVcpuId, 2 * vcpu);
      assert.deepEqual(
        findings.filter(({ rule }) => rule === 'record-true').map(({ linuxCpu }) => linuxCpu),
        used.filter(({ vcpu }) => vcpu !== 0).map(({ linuxCpu }) => linuxCpu),
      );
    }
  });

  it('is right with their halves, by the way in which Xen 4.17 gives them', async () => {
    for (const type of guestTypes) {
      const report = await reportOf({ vcpus: 4, type, whatIf: 'apic-id-half', entryVcpu: 3 });
      assert.deepEqual([report.verdict, rulesOf(report)], ['pass', []]);
    }
  });
});

describe('a guest that was saved', () => {
  it('goes on as the one that was not, also where its records are changed', async () => {
    const changed = {
      kernel: 'builtin',
      arch: 'amd64',
      vcpus: 3,
      whatIf: 'before-the-patch',
      entryVcpu: 2,
    } as const;
    const whole = await boot(changed).report();
    for (const seconds of [0.00002, 0.00006]) {
      const first = boot(changed);
      assert.ok(await first.reach(seconds));
      const second = await boot({ from: await first.checkpoint() }).report();
      assert.deepEqual({ ...second, host: null }, { ...whole, host: null });
    }
  });

  it('goes on as the one that was not', async () => {
    const whole = await reportOf({ vcpus: 3, seed: 5 });
    const first = boot({ kernel: 'builtin', arch: 'amd64', vcpus: 3, seed: 5 });
    assert.ok(await first.reach(0.0001));
    const second = await boot({ from: await first.checkpoint() }).report();
    assert.deepEqual({ ...second, host: null }, { ...whole, host: null });
    assert.deepEqual({ ...(await first.report()), host: null }, { ...whole, host: null });
  });
});

describe('a kernel that drops a CPU by itself', () => {
  /** The first event of a kernel of that version, which is entered on vCPU 1. */
  async function entryOf(version: string): Promise<TraceEvent | undefined> {
    await loadArchitecture('amd64');
    const events: TraceEvent[] = [];
    const kernel = { ...builtinKernel(), version };
    const options = {
      initrd: null,
      commandLine: '',
      vcpus: 3,
      memoryMiB: 32,
      release: '4.17',
      seed: 1,
    } as const;
    const goal = {
      whatIf: null,
      entryVcpu: 1,
      until: { kind: 'poweroff' },
      limits: defaultLimits(3),
    } as const;
    const boots = new Boot(
      { kernel, xenstore: true, ...options, ...goal },
      { event: (event) => events.push(event) },
    );
    assert.equal(boots.guest.cpus.length, version.startsWith('6.1.') ? 3 : 2);
    return events[0];
  }

  it('is excused for it from 6.9 on, and not before', async () => {
    const [older, newer] = [await entryOf('6.1.0-57-amd64'), await entryOf('6.12.118+deb13-amd64')];
    assert.ok(older?.kind === 'kernel' && newer?.kind === 'kernel');
    assert.deepEqual(older.leftOut, []);
    assert.deepEqual(
      newer.leftOut.map(({ vcpu }) => vcpu),
      [0],
    );
  });
});
