/** A boot that is stopped by a signal, at any time, writes complete output files. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020.js';
import type { AnySchemaObject } from 'ajv/dist/2020.js';
import type { BootReport } from '../../src/library/index.js';
import { readText, root } from '../files.js';
import { onlyKernel, onlyRun } from './reports.js';
import { branch, hypercall, image, say, spin } from './tiny_kernels.js';

const command = path.join(root, 'dist/src/cli/main.js');
const folder = mkdtempSync(path.join(os.tmpdir(), 'domulator-signals-'));
after(() => rmSync(folder, { recursive: true }));

const schema = JSON.parse(readText('schemas/boot-report.schema.json')) as AnySchemaObject;
const validate = new Ajv2020({ strict: true, strictTypes: false }).compile(schema);

const spinning = path.join(folder, 'spinning');
writeFileSync(spinning, image([...hypercall(17, 0), ...say('here I am\n'), ...spin]));
/** Zeros, which Linux takes for an empty initramfs. */
const empty = path.join(folder, 'empty');
writeFileSync(empty, new Uint8Array(16));
const endless = ['--kernel', spinning, '--initrd', empty, '--until', 'poweroff', '--memory', '16'];

const statuses = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;
type Signal = keyof typeof statuses;

interface Ended {
  readonly status: unknown;
  readonly stdout: string;
  readonly stderr: string;
  readonly report: BootReport;
  readonly trace: { readonly kind: string; readonly why?: string }[];
}

let count = 0;

interface How {
  /** Node's own options. */
  readonly node?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** An action on the running process. */
  readonly then?: (child: ChildProcess) => void;
}

/** Runs `domulator boot` with a report and a trace, and returns the files that it left. */
async function run(args: readonly string[], { node = [], env = {}, then }: How): Promise<Ended> {
  count += 1;
  const own = path.join(folder, `run-${count}`);
  const [report, trace] = [`${own}.json`, `${own}.jsonl`];
  const { PATH = '' } = process.env;
  const given = [...node, command, 'boot', ...args, '--report', report, '--trace', trace];
  const child = spawn(process.execPath, given, {
    env: { PATH, HOME: folder, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (part: Buffer) => (stdout += part.toString()));
  child.stderr.on('data', (part: Buffer) => (stderr += part.toString()));
  then?.(child);
  const status = await new Promise((resolve) => child.on('close', (code, signal) => resolve(code ?? signal)));
  const lines = readFileSync(trace, 'utf8').split('\n');
  assert.equal(lines.pop(), '', 'the last line of the trace is whole');
  const written = JSON.parse(readFileSync(report, 'utf8')) as BootReport;
  assert.ok(validate(written), JSON.stringify(validate.errors));
  assert.deepEqual(
    readdirSync(folder).filter((name) => name.endsWith('.partial')),
    [],
  );
  const events = lines.map((line) => JSON.parse(line) as Ended['trace'][number]);
  return { status, stdout, stderr, report: written, trace: events };
}

function assertStopped({ status, stderr, report, trace }: Ended, signal: Signal): void {
  assert.deepEqual([status, stderr], [statuses[signal], '']);
  assert.deepEqual([report.verdict, onlyRun(report).outcome.what], ['incomplete', 'stopped']);
  assert.equal(trace.at(-1)?.kind, 'end');
}

/** A module for Node to load first, which sends a signal as soon as the command can handle it. */
function firstMoment(signal: Signal, times: number): string[] {
  const code = `process.on('newListener', (name) => {
    if (name === '${signal}') setImmediate(() => {
      for (let i = 0; i < ${times}; i += 1) setTimeout(() => process.kill(process.pid, '${signal}'), 300 * i);
    });
  })`;
  return ['--import', `data:text/javascript,${encodeURIComponent(code)}`];
}

for (const signal of Object.keys(statuses) as Signal[]) {
  describe(signal, () => {
    it('while the program is loading leaves a report of a run that never started', async () => {
      const ended = await run(endless, { node: firstMoment(signal, 1) });
      assertStopped(ended, signal);
      const { kernel } = ended.report;
      const { kernels, instructions, outcome } = onlyRun(ended.report);
      if (kernel.sha256 === null) {
        assert.deepEqual([kernel.name, kernels, instructions], [spinning, [], 0]);
        assert.match(outcome.why, /before the kernel was loaded$/);
      }
      assert.match(ended.stdout, /^Ending: stopped: /m);
    });

    it('while the guest runs leaves a report and a trace of the run', async () => {
      const ended = await run(endless, {
        then: (child) => child.stdout?.once('data', () => child.kill(signal)),
      });
      assertStopped(ended, signal);
      assert.equal(onlyKernel(ended.report).hypercalls.total, 1);
      const kinds = ended.trace.map(({ kind }) => kind);
      assert.deepEqual([kinds[0], kinds[1]], ['kernel', 'hypercall']);
      assert.match(ended.stdout, /^Ending: stopped: /m);
    });

    it('sent twice leaves the same files', async () => {
      const ended = await run(endless, { node: firstMoment(signal, 2) });
      assertStopped(ended, signal);
    });

    it('while waiting for a mirror ends the command at once', async () => {
      const server = createServer();
      const asked = new Promise((resolve) => server.once('request', resolve));
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      try {
        const mirror = `http://127.0.0.1:${(server.address() as AddressInfo).port}/debian`;
        const ended = await run([], {
          env: { DOMULATOR_MIRROR: mirror, XDG_CACHE_HOME: path.join(folder, 'cache') },
          then: (child) => void asked.then(() => child.kill(signal)),
        });
        assertStopped(ended, signal);
        assert.equal(ended.report.kernel.name, 'debian:bookworm');
        assert.equal(ended.report.kernel.sha256, null);
      } finally {
        server.closeAllConnections();
        server.close();
      }
    });
  });
}

describe('a signal', () => {
  it('while waiting for a pipe ends the command at once', async () => {
    const pipe = path.join(folder, 'pipe');
    assert.equal(spawnSync('mkfifo', [pipe]).status, 0);
    const ended = await run(['--kernel', pipe, '--initrd', empty], { node: firstMoment('SIGTERM', 1) });
    assertStopped(ended, 'SIGTERM');
    assert.equal(ended.report.kernel.name, pipe);
  });

  it('at any moment leaves complete files or, before the program runs, none', async () => {
    for (const ms of [0, 100, 250, 500, 1000]) {
      const report = path.join(folder, `at-${ms}.json`);
      const child = spawn(process.execPath, [command, 'boot', ...endless, '--quiet', '--report', report], {
        env: { PATH: process.env['PATH'] ?? '', HOME: folder },
        stdio: 'ignore',
      });
      setTimeout(() => child.kill('SIGINT'), ms);
      const [status, by] = await new Promise<[number | null, string | null]>((resolve) =>
        child.on('close', (code, signal) => resolve([code, signal])),
      );
      assert.ok(
        status === 130 || (by === 'SIGINT' && !existsSync(report)),
        `after ${ms} ms: ${status} ${by}`,
      );
      if (status === 130) assert.ok(validate(JSON.parse(readFileSync(report, 'utf8'))));
    }
  });

  it('does not damage an existing report', () => {
    const report = path.join(folder, 'old.json');
    writeFileSync(report, 'old', { mode: 0o600 });
    const { status } = spawnSync(process.execPath, [
      command,
      'boot',
      '--kernel',
      'builtin',
      '--quiet',
      '--report',
      report,
    ]);
    assert.equal(status, 0);
    assert.ok(validate(JSON.parse(readFileSync(report, 'utf8'))));
  });
});

describe('a reader of the output that exits', () => {
  it('ends the run with status 74, with the requested report written', async () => {
    const kernel = path.join(folder, 'talking');
    const words = say('on and on\n');
    writeFileSync(kernel, image([...words, branch(-words.length)]));
    const { status, report } = await run([...endless, '--kernel', kernel], {
      then: (child) => child.stdout?.once('data', () => child.stdout?.destroy()),
    });
    assert.equal(status, 74);
    assert.deepEqual(onlyRun(report).outcome, {
      what: 'stopped',
      why: 'the reader of the output has gone away',
    });
  });
});
