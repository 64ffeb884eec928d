/** A command in the guest's user space: its environment, and how its end reaches the report and the exit status. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { busyboxInitramfs, writeCpio } from '../../src/firmware/index.js';
import { boot, InputError } from '../../src/library/index.js';
import type { BootReport, BootRequest, Checkpoint } from '../../src/library/index.js';
import { root } from '../files.js';
import { findStock } from '../guest/kernel.js';
import { onlyRun } from './reports.js';

const main = path.join(root, 'dist/src/cli/main.js');
const folder = mkdtempSync(path.join(os.tmpdir(), 'domulator-guest-command-'));
after(() => rmSync(folder, { recursive: true }));

interface Ended {
  readonly report: BootReport;
  readonly said: string;
}

interface Case {
  readonly arch: 'arm64' | 'amd64';
  readonly console: string;
  /** How many instructions a guest of one vCPU may run that has begun its command: some more than a boot takes. */
  readonly begun: number;
}

const cases: readonly Case[] = [
  { arch: 'arm64', console: 'ttyAMA0', begun: 330_000_000 },
  { arch: 'amd64', console: 'hvc0', begun: 900_000_000 },
];

/** By architecture: a guest that is about to begin its command, which another one can take the place of. */
const waiting = new Map<string, Checkpoint>();

/** Where a request has a command alone, the boot up to it is one for all. */
async function startOf(guest: Case, request: BootRequest): Promise<BootRequest> {
  if (request.from !== undefined) return {};
  const { arch, console: name } = guest;
  const whole = { arch, commandLine: `console=${name} cryptomgr.notests quiet`, vcpus: 1, memoryMiB: 256 };
  if (Object.keys(request).some((key) => key !== 'command')) return whole;
  const known = waiting.get(arch);
  if (known !== undefined) return { from: known };
  const first = boot({ ...whole, command: ['true'] });
  assert.ok(await first.reach('userspace'));
  const from = await first.checkpoint();
  waiting.set(arch, from);
  return { from };
}

async function runOn(guest: Case, request: BootRequest): Promise<Ended> {
  let said = '';
  const report = await boot({
    ...(await startOf(guest, request)),
    ...request,
    console: (bytes) => (said += Buffer.from(bytes).toString('latin1')),
  }).report();
  return { report, said: said.replaceAll('\r', '') };
}

const sh = (script: string, ...args: string[]): BootRequest => ({ command: ['sh', '-c', script, ...args] });

function endOf({ report }: Ended): unknown[] {
  const { outcome, commandStatus } = onlyRun(report);
  return [report.verdict, outcome.what, commandStatus?.exitCode, commandStatus?.signal];
}

const well = (exitCode: number): unknown[] => ['pass', 'poweroff', exitCode, null];

// Before the first suite: hooks of the file would run while this waits.
const stocks = await Promise.all(cases.map(({ arch }) => findStock(arch)));

for (const [index, guest] of cases.entries()) {
  const stock = stocks[index] ?? 'none was looked for';
  const quickCommandLine = `console=${guest.console} cryptomgr.notests`;
  const run = (request: BootRequest): Promise<Ended> => runOn(guest, request);

  describe(`a command in an ${guest.arch} guest`, { skip: typeof stock === 'string' ? stock : false }, () => {
    it('may be a script, also for a guest from a checkpoint, which it leaves as any does', async () => {
      const { from } = await startOf(guest, sh('true'));
      assert.ok(from !== undefined);
      const script = Buffer.from(`echo "I am $0 $#"; echo $((6 * 7)); exit 4 ${'#'.repeat(20_000)}`);
      const whole = await runOn(guest, { script });
      const later = await runOn(guest, { from, script });
      for (const ended of [whole, later]) {
        assert.match(ended.said, /I am \/domulator-script 0\n42\n/);
        assert.deepEqual(endOf(ended), well(4));
      }
      assert.deepEqual(later.report.options.command, whole.report.options.command);
      // Its own interpreter; and another command, or none, from a checkpoint that was written from there.
      const awk = Buffer.from('#!/bin/awk -f\nBEGIN { print "by awk"; exit 6 }\n');
      const changed = await boot({ from, script: awk }).checkpoint();
      const byAwk = await runOn(guest, { from: changed });
      assert.deepEqual([byAwk.said.includes('by awk\n'), endOf(byAwk)], [true, well(6)]);
      assert.deepEqual(endOf(await runOn(guest, { from: changed, command: ['false'] })), well(1));
      const tooLong = boot({ from, script: new Uint8Array(70_000) });
      await assert.rejects(tooLong.report(), /^InputError: the script is too long to take the place/);
    });

    it('gets its arguments unchanged, root rights, an empty input, and the usual file systems', async () => {
      const args = ['a  b', '', '"\'$HOME`*', 'two\nlines', 'é𐍈', '-n', '\\'];
      const ended = await run(
        sh(
          'for a; do printf "<%s>" "$a"; done | od -An -v -tx1; cat; pwd; id -u; ls -1d /proc/1 /sys/kernel /dev/null',
          'sh',
          ...args,
        ),
      );
      assert.deepEqual(endOf(ended), well(0), ended.said);
      // A kernel prints its errors in spite of quiet.
      const printed = ended.said.replaceAll(/^\[.*$/gm, '');
      const bytes = [...printed.matchAll(/\b[0-9a-f]{2}\b/g)].map(([byte]) => Number.parseInt(byte, 16));
      const passed = Buffer.from(args.map((arg) => `<${arg}>`).join(''));
      assert.deepEqual(bytes.slice(0, passed.length), [...passed], ended.said);
      assert.match(ended.said, /\n\/\n0\n\/dev\/null\n\/proc\/1\n\/sys\/kernel\n/);
      assert.deepEqual(ended.report.options.command?.argv?.slice(4), args);
    });

    it('ends with an exit code or a signal, regardless of processes that it leaves running', async () => {
      assert.deepEqual(endOf(await run(sh('(while :; do echo busy; done) & exit 3'))), well(3));
      assert.deepEqual(endOf(await run(sh('kill -9 $$'))), ['pass', 'poweroff', null, 9]);
      assert.deepEqual(endOf(await run({ command: ['/bin/false'], vcpus: 2 })), well(1));
    });

    it('that cannot be run ends with the exit code of a shell', async () => {
      const missing = await run({ command: ['no-such-program', 'x'] });
      assert.deepEqual(endOf(missing), well(127));
      assert.match(missing.said, /^domulator: no-such-program: not found$/m);
      const folderRun = await run({ command: ['/proc'] });
      assert.deepEqual(endOf(folderRun), well(126));
      assert.match(folderRun.said, /^domulator: \/proc: cannot be executed$/m);
    });

    it('cannot fake success by printing or by powering the guest off itself', async () => {
      const faking = 'printf "1DMCUOMOD\\0\\0the command ended with exit code 0\\n" | tee /fake; ';
      assert.deepEqual(endOf(await run(sh(`${faking} exit 4`))), well(4));
      const off = await run(sh(`${faking} poweroff -f`));
      assert.deepEqual(endOf(off), ['incomplete', 'poweroff', undefined, undefined]);
      assert.match(onlyRun(off.report).outcome.why, /before its command ended/);
    });

    it('that never ends is ended by the limit', async () => {
      const ended = await run({ ...sh('while :; do :; done'), limits: { instructions: guest.begun } });
      assert.deepEqual(endOf(ended), ['incomplete', 'hang', undefined, undefined]);
    });

    it('writes to the PV console where that is the main one, to its last byte', async () => {
      const ended = await run({
        // That is so on amd64 in any case.
        ...sh('i=0; while [ $i -lt 400 ]; do echo "line $i"; i=$((i+1)); done'),
        ...(guest.arch === 'arm64' ? { commandLine: 'console=hvc0 cryptomgr.notests quiet' } : {}),
      });
      assert.deepEqual(endOf(ended), well(0));
      assert.match(ended.said, /line 0\n[^]*line 399\n/);
    });

    it('runs in the user’s initrd, compressed or not, in place of its init', async () => {
      assert.ok(typeof stock !== 'string');
      const initrd = busyboxInitramfs(stock.busybox, guest.arch, {
        applets: ['sh', 'cat'],
        init: '#!/bin/sh\necho own init\n',
      });
      for (const bytes of [initrd, new Uint8Array(gzipSync(initrd))]) {
        const ended = await run({ ...sh('cat /proc/cmdline; exit 6'), initrd: bytes });
        assert.deepEqual(endOf(ended), well(6), ended.said);
        assert.match(ended.said, / rdinit=\/domulator-init$/m);
        assert.doesNotMatch(ended.said, /own init/);
      }
      const script = Buffer.from('echo "by a shell: $0"; exit 7');
      const ended = await run({ script, initrd });
      assert.deepEqual(endOf(ended), well(7));
      assert.match(ended.said, /by a shell: \/domulator-script/);
    });

    it('gives the same run for the same command', async () => {
      const [one, two] = [await run({ ...sh('exit 1'), vcpus: 1 }), await run({ ...sh('exit 1'), vcpus: 1 })];
      assert.equal(one.said, two.said);
      assert.deepEqual({ ...one.report, host: null }, { ...two.report, host: null });
    });

    it('that fails gives status 5 and one line on standard error, in a bisection 1', () => {
      const script = path.join(folder, 'test.sh');
      writeFileSync(script, '#!/bin/sh\nexit ${CODE:-3}\n');
      const quick = [
        '--arch',
        guest.arch,
        '--quiet',
        '--vcpus',
        '1',
        '--memory',
        '256',
        '--cmdline',
        quickCommandLine,
      ];
      const start = (...args: string[]): { status: number | null; stderr: string; stdout: string } =>
        spawnSync(process.execPath, [main, 'boot', ...quick, ...args], { encoding: 'utf8' });
      const failed = start('--script', script);
      assert.deepEqual(
        [failed.status, failed.stderr],
        [5, 'domulator: the command ended with exit code 3\n'],
      );
      assert.match(failed.stdout, /^Command: .*test\.sh ended with exit code 3$/m);
      // What a status comes from is the same on every architecture.
      if (guest.arch !== 'arm64') return;
      assert.equal(start('--script', script, '--bisect').status, 1);
      assert.equal(start('--bisect', '--', 'no-such-program').status, 128);
      assert.equal(start('--bisect', '--', 'sh', '-c', 'exit 125').status, 125);
      // With one vCPU no record can be wrong.
      assert.equal(start('--vcpus', '2', '--what-if', 'as-tested', '--', 'false').status, 1);
      assert.equal(start('--what-if', 'as-tested', '--', 'false').status, 5);
      assert.deepEqual(start('--', 'true').stderr, '');
    });
  });
}

describe('an invalid command', () => {
  it('is refused in one line', async () => {
    const wrong: BootRequest[] = [
      { command: [] },
      { command: ['a\0b'] },
      { command: ['x'.repeat(140_000)] },
      { command: Array<string>(12).fill('x'.repeat(100_000)) },
      { command: ['\ud800'] },
      { command: ['a'], script: 'b' },
      { command: ['a'], kernel: 'builtin' },
      { script: 'a', until: 'userspace' },
      { command: ['a'], commandLine: 'rdinit=/x' },
    ];
    for (const request of wrong)
      assert.throws(() => boot(request), InputError, JSON.stringify(request).slice(0, 60));
    const initrd = writeCpio([
      { path: 'bin/true', mode: 0o100755, content: new Uint8Array(4), device: [0, 0] },
    ]);
    const request = { script: Buffer.from('exit'), initrd };
    await assert.rejects(boot({ ...request, kernel: new Uint8Array(4) }).report(), InputError);
  });

  it('gives status 2 and one line', () => {
    const cases: (readonly [string[], RegExp])[] = [
      [['--'], /no command follows '--'/],
      [['--script', 'x', '--', 'y'], /--script and a command .* exclude each other/],
      [
        ['--script', path.join(folder, 'none'), '--initrd', main, '--kernel', main],
        /cannot be read|too short|no kernel|is not/,
      ],
      [['--kernel', 'builtin', '--', 'ls'], /the builtin guest has no user space/],
      [['--until', 'userspace', '--', 'ls'], /--until userspace and a command exclude each other/],
      [['--cmdline', 'a rdinit=/b', '--', 'ls'], /rdinit=/],
    ];
    for (const [args, says] of cases) {
      const { status, stdout, stderr } = spawnSync(process.execPath, [main, 'boot', ...args], {
        encoding: 'utf8',
      });
      assert.deepEqual([status, stdout], [2, ''], stderr);
      assert.match(stderr, /^domulator: [^\n]+\n$/);
      assert.match(stderr, says);
    }
  });
});
