/** `domulator boot` from the user's view: its output, its files and its exit status. These tests need no network. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import type { BootReport } from '../../src/library/index.js';
import { root } from '../files.js';
import { onlyKernel, onlyRun } from './reports.js';
import { image, powerOff } from './tiny_kernels.js';

const command = path.join(root, 'dist/src/cli/main.js');
const folder = mkdtempSync(path.join(os.tmpdir(), 'domulator-command-'));
after(() => rmSync(folder, { recursive: true }));

const { PATH = '' } = process.env;
/** The environment of a machine without cache and network. */
const env = { PATH, HOME: folder, DOMULATOR_MIRROR: 'http://127.0.0.1:9/debian' };

interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function boot(...args: readonly string[]): Ended {
  return spawnSync(process.execPath, [command, 'boot', ...args], { encoding: 'utf8', env });
}

const builtin = ['--kernel', 'builtin'];

describe('domulator boot', () => {
  it('prints for each Linux CPU its MPIDR, its vCPU, its record and the ids in its calls', () => {
    const { status, stdout, stderr } = boot(...builtin, '--quiet');
    assert.equal(stderr, '');
    assert.equal(status, 0);
    const rows = stdout.split('\n').filter((line) => /^ {2}\d/.test(line));
    assert.deepEqual(
      rows.map((row) => row.trim().split(/ {2,}/)),
      [0, 1, 2, 3].map((cpu) => [
        `${cpu}`,
        `0x${cpu}`,
        `${cpu}`,
        `${cpu}`,
        rows[cpu]!.trim().split(/ {2,}/)[4],
        'yes',
      ]),
    );
    // The builtin guest has no readable interrupt table. No rule is broken nevertheless.
    assert.match(
      stdout,
      /^Audit: +no rule is broken, as far as can be judged\n +Not judged: \d+ × EVTCHNOP_bind_ipi: /m,
    );
  });

  it('ends with two suggested commands, which do what they say', () => {
    const { stdout } = boot(...builtin, '--quiet');
    const named = [...stdout.matchAll(/^ {2}npx domulator boot (.*--what-if .*)$/gm)].map(
      ([, args = '']) => args,
    );
    assert.deepEqual(
      named.map((args) => args.split(' ').at(-1)),
      ['as-posted', 'as-tested'],
    );
    for (const args of named) {
      const { status, stdout: told } = boot(...args.split(' '));
      assert.equal(status, 1, told);
      assert.match(told, /^Audit: +broken:$/m);
    }
  });

  it('suggests one on amd64, which does what it says', () => {
    const { stdout } = boot(...builtin, '--arch', 'amd64', '--quiet', '--vcpus', '2');
    const [, args = ''] = /^ {2}npx domulator boot (.*--what-if .*)$/m.exec(stdout) ?? [];
    assert.match(args, /--entry-vcpu 1/);
    assert.match(args, /--what-if before-the-patch/);
    const { status, stdout: told } = boot(...args.split(' '));
    assert.equal(status, 1, told);
    assert.match(told, /^Audit: +broken:$/m);
  });

  it('suggests none if they would show nothing; otherwise they repeat the given options', () => {
    for (const more of [['--vcpus', '1'], ['--bisect'], ['--what-if', 'as-posted']]) {
      assert.doesNotMatch(boot(...builtin, '--quiet', ...more).stdout, /What if|npx domulator/);
    }
    const { stdout } = boot(
      ...builtin,
      '--quiet',
      '--vcpus',
      '2',
      '--cmdline',
      'console=hvc0 a',
      '--seed',
      '7',
    );
    assert.match(
      stdout,
      /^ {2}npx domulator boot --quiet --kernel builtin --cmdline 'console=hvc0 a' --vcpus 2 --seed 7 --what-if as-posted$/m,
    );
  });

  it('suggests none for a kernel whose records cannot be written, or that registers no control block', () => {
    const kernel = path.join(folder, 'Image');
    writeFileSync(kernel, image(powerOff));
    const without = boot(
      '--kernel',
      kernel,
      '--initrd',
      kernel,
      '--until',
      'poweroff',
      '--cmdline',
      'maxcpus=1',
      '--quiet',
    );
    assert.equal(without.status, 0, without.stderr);
    assert.doesNotMatch(without.stdout, /What if/);
    const twoLevel = boot(...builtin, '--quiet', '--cmdline', 'console=hvc0 events=2l');
    assert.equal(twoLevel.status, 0, twoLevel.stderr);
    assert.doesNotMatch(twoLevel.stdout, /What if/);
  });

  it('does not report the event ABI of a run that ended before its first call', () => {
    const args = [...builtin, '--limit', ',10'];
    assert.match(boot(...args, '--quiet').stdout, /, events not set up, /);
    const report = JSON.parse(boot(...args, '--json').stdout) as BootReport;
    assert.equal(onlyKernel(report).events, null);
  });

  it('shows the console unless --quiet is given, and no status line without a terminal', () => {
    const loud = boot(...builtin);
    const quiet = boot(...builtin, '--quiet');
    assert.equal(loud.stderr + quiet.stderr, '');
    assert.ok(loud.stdout.length > quiet.stdout.length + 100);
    assert.ok(loud.stdout.endsWith(quiet.stdout));
  });

  it('prints the report as JSON and nothing else, and writes the same to a file', () => {
    const file = path.join(folder, 'report.json');
    const { status, stdout, stderr } = boot(...builtin, '--json', '--report', file);
    assert.deepEqual([status, stderr], [0, '']);
    const report = JSON.parse(stdout) as BootReport;
    assert.deepEqual([report.schemaVersion, report.verdict, report.kernel.name], [2, 'pass', 'builtin']);
    const { host, ...written } = JSON.parse(readFileSync(file, 'utf8')) as BootReport;
    assert.deepEqual({ ...written, host: null }, report);
    assert.equal(host?.node, process.version);
  });

  it('prints the same bytes on standard output in two runs of a seed', () => {
    for (const args of [[], ['--quiet'], ['--json'], ['--what-if', 'as-tested'], ['--seed', '5']]) {
      const [first, second] = [boot(...builtin, ...args), boot(...builtin, ...args)];
      assert.equal(first.stdout, second.stdout);
      assert.ok(first.stdout.length > 500);
      assert.doesNotMatch(first.stdout, /instructions in|MIPS/);
    }
    assert.notEqual(boot(...builtin, '--seed', '5').stdout, boot(...builtin).stdout);
  });

  it('writes a line of JSON for each event', () => {
    const file = path.join(folder, 'trace.jsonl');
    const { stdout } = boot(...builtin, '--json', '--trace', file);
    const { hypercalls } = onlyRun(JSON.parse(stdout) as BootReport);
    const text = readFileSync(file, 'utf8');
    assert.ok(text.endsWith('\n'));
    const events = text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { kind: string; step: number });
    assert.deepEqual(
      events.map(({ step }) => step),
      events.map((_, i) => i),
    );
    assert.equal(events.filter(({ kind }) => kind === 'hypercall').length, hypercalls.total);
    assert.equal(events.filter(({ kind }) => kind === 'start').length, 3);
    assert.equal(events.at(-1)?.kind, 'end');
  });

  it('stops at the requested point', () => {
    const { status, stdout } = boot(...builtin, '--quiet', '--until', 'line:.');
    assert.equal(status, 0);
    assert.match(stdout, /^Ending: userspace: the console said: \S/m);
    assert.equal(boot(...builtin, '--quiet', '--limit', ',10000').status, 3);
  });
});

describe('without an available kernel', () => {
  it('boots the builtin guest, with a notice and advice', () => {
    const { status, stdout, stderr } = boot('--quiet', '--vcpus', '2');
    assert.equal(status, 0);
    assert.match(
      stderr,
      /^domulator: warning: debian:bookworm [^\n]*cannot be reached[^\n]*; booting the builtin guest instead\n$/,
    );
    assert.match(stdout, /^builtin /);
    assert.match(
      stdout,
      /^ {2}npx domulator boot --quiet --kernel debian:bookworm --mirror http:\S+ --vcpus 2$/m,
    );
  });

  it('does not boot it if a kernel, or an option that depends on the kernel, was given', () => {
    for (const args of [
      ['--kernel', 'debian:bookworm'],
      ['--mirror', 'http://127.0.0.1:9/d'],
    ]) {
      assert.equal(boot(...args).status, 2);
    }
    assert.equal(boot('--bisect').status, 128);
  });
});
