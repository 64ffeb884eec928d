/** Crashes side by side in threads: the same report and the same output as one after the other, one-line errors, and ^C. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { boot, checkpointBytes, crash, InputError } from '../../src/library/index.js';
import type { BootReport, Checkpoint, CrashRequest } from '../../src/library/index.js';
import { root } from '../files.js';
import { branch, image, movz, powerOff, say } from './tiny_kernels.js';

const folder = mkdtempSync(path.join(os.tmpdir(), 'domulator-crash-jobs-'));
after(() => rmSync(folder, { recursive: true }));

/** SUB X9, X9, #1 and CBNZ X9, to the word before (A64: Arm DDI 0487, C6.2). */
const countDown = [0xd100_0529, 0xb5ff_ffe9];

/** A checkpoint of a kernel that waits for no crash, as if it did: each of its runs is the same. */
async function waiting(
  words: readonly number[],
  change: (value: object) => object = (value) => value,
  vcpus = 4,
): Promise<Checkpoint> {
  const run = boot({
    kernel: image(words),
    initrd: new Uint8Array(16),
    memoryMiB: 16,
    vcpus,
    until: 'poweroff',
  });
  const { value, frames } = await run.checkpoint();
  return { value: change({ ...(value as object), crash: { kernel: null, commandLine: 'none' } }), frames };
}

const talking = await waiting([
  ...say('begun\n'),
  ...[movz(9, 20, 1), ...countDown],
  ...say('done\n'),
  ...powerOff,
]);
const endless = await waiting([...say('begun\n'), branch(0)]);

interface Ended {
  readonly report: string;
  readonly said: readonly (readonly [number | null, string])[];
  readonly order: readonly number[];
  /** The number of the run and the event, as text. */
  readonly events: readonly string[];
}

async function run(request: CrashRequest): Promise<Ended> {
  const said: [number | null, string][] = [];
  const order: number[] = [];
  const events: string[] = [];
  const report = await crash({
    ...request,
    event: (event, number) => {
      const text = JSON.stringify(event, (_, value: unknown) =>
        typeof value === 'bigint' ? `${value}` : value,
      );
      events.push(`${number} ${text}`);
    },
    console: (bytes, number) => said.push([number, Buffer.from(bytes).toString('latin1')]),
    ended: (_, number) => order.push(number),
  });
  const texts = new Map<number | null, string>();
  for (const [number, text] of said) texts.set(number, (texts.get(number) ?? '') + text);
  return { report: JSON.stringify({ ...report, host: null }), said: [...texts], order, events };
}

describe('crashes side by side', () => {
  it('give the same report, and tell of runs, consoles and events in their order', async () => {
    const alone = await run({ from: talking, jobs: 1 });
    const { runs } = JSON.parse(alone.report) as BootReport;
    assert.deepEqual(
      runs.map(({ outcome, action }) => [outcome.what, action.kind]),
      Array(4).fill(['poweroff', 'crash']),
    );
    assert.deepEqual(
      alone.said,
      [0, 1, 2, 3].map((number) => [number, 'begun\ndone\n']),
    );
    assert.deepEqual(alone.order, [0, 1, 2, 3]);
    const numbers = alone.events.map((text) => Number(text.slice(0, 1)));
    assert.deepEqual([...new Set(numbers)], [0, 1, 2, 3]);
    assert.deepEqual(
      numbers,
      [...numbers].sort((a, b) => a - b),
    );
    for (const jobs of [2, 3, 128])
      assert.deepEqual(await run({ from: talking, jobs }), alone, `${jobs} jobs`);
    const bytes = checkpointBytes(talking);
    assert.deepEqual(
      await run({ from: bytes, jobs: 2, on: [3, 1] }),
      await run({ from: bytes, jobs: 1, on: [3, 1] }),
    );
  });

  it('are incomplete where the guest powers off without a crash', async () => {
    const { runs, verdict } = await crash({ from: await waiting(powerOff, undefined, 1), jobs: 1 });
    assert.deepEqual([runs[0].outcome.what, verdict, runs[0].kernels.length], ['poweroff', 'incomplete', 1]);
  });

  it('stop when they are told to, and those that have not begun are left out', async () => {
    let looks = 0;
    const report = await crash({
      from: endless,
      jobs: 2,
      stopped: () => (looks++ > 20 ? 'it is enough' : null),
    });
    assert.deepEqual(
      report.runs.map(({ outcome }) => outcome.what),
      ['stopped', 'stopped'],
    );
    for (const { outcome } of report.runs) assert.match(outcome.why, /^it is enough/);
  });

  it('throw what a function of the caller throws, whatever the number of jobs, and call none after that', async () => {
    const file = path.join(folder, 'told');
    writeFileSync(file, checkpointBytes(talking));
    const mine = new TypeError('mine');
    for (const jobs of [1, 3])
      for (const name of ['console', 'event', 'progress', 'ended', 'stopped'] as const)
        for (const number of name === 'stopped' ? [0] : [0, 2]) {
          let [calls, later] = [0, 0];
          const fails = (run: number | null): null => {
            later += calls;
            if (run !== number) return null;
            calls += 1;
            throw mine;
          };
          const request: CrashRequest = {
            from: file,
            jobs,
            ...(name === 'console' ? { console: (_, run) => fails(run) } : {}),
            ...(name === 'event' ? { event: (_, run) => fails(run) } : {}),
            ...(name === 'progress' ? { progress: (run) => fails(run) } : {}),
            ...(name === 'ended' ? { ended: (_, run) => fails(run) } : {}),
            ...(name === 'stopped' ? { stopped: () => fails(0) } : {}),
          };
          await assert.rejects(crash(request), (error) => error === mine, `${name} ${number} ${jobs}`);
          assert.deepEqual([calls, later], [1, 0], `${name} ${number} ${jobs}`);
        }
  });

  it('show all output of a run that fails, and the name of its error', async () => {
    const spoilt = async (from: Checkpoint, jobs: number): Promise<[number, unknown]> => {
      let said = 0;
      const error: unknown = await crash({
        from,
        jobs,
        on: [0, 1],
        console: (bytes, run) => (said += run === 0 ? bytes.length : 0),
      }).catch((thrown: unknown) => thrown);
      return [said, error instanceof Error ? `${error.name}: ${error.message}` : null];
    };
    // The trace is looked at when the run has ended.
    const lines = Array.from({ length: 200 }, () => say('a line of the console\n')).flat();
    const failing = await waiting([...lines, ...powerOff], (value) => {
      const { boot: known } = value as { boot: { trace: { events: object[] } } };
      const events = [...known.trace.events, { ...known.trace.events[0], kind: 'hypercall', call: null }];
      return { ...value, boot: { ...known, trace: { ...known.trace, events } } };
    });
    const [alone, together] = [await spoilt(failing, 1), await spoilt(failing, 2)];
    assert.deepEqual(together, alone);
    assert.match(String(alone[1]), /^TypeError: /);
    assert.equal(alone[0], 200 * 'a line of the console\n'.length);
  });

  it('fail in one line where a run does, in a thread or not', async () => {
    const spoilt = await waiting(powerOff, (value) => ({
      ...value,
      boot: { ...(value as { boot: object }).boot, runs: 5 },
    }));
    const file = path.join(folder, 'spoilt');
    writeFileSync(file, checkpointBytes(spoilt));
    for (const jobs of [1, 2])
      await assert.rejects(
        crash({ from: file, jobs }),
        (error: unknown) =>
          error instanceof InputError &&
          /^\S+spoilt cannot be used as a checkpoint: [^\n]+$/.test(error.message),
      );
    await assert.rejects(
      crash({ from: file, jobs: 0 }),
      /number of jobs must be a whole number from 1 to 128/,
    );
  });
});

const file = path.join(folder, 'endless');
writeFileSync(file, checkpointBytes(endless));
const talkingFile = path.join(folder, 'talking');
writeFileSync(talkingFile, checkpointBytes(talking));
const [modules, bundled] = ['dist/src/cli/main.js', 'dist/command/domulator.cjs'].map((name) =>
  path.join(root, name),
);
assert.ok(modules !== undefined && bundled !== undefined);
const env = { PATH: process.env['PATH'] ?? '', HOME: folder, XDG_CACHE_HOME: folder };

function command(
  which: string,
  ...args: readonly string[]
): { status: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [which, 'crash', ...args], {
    encoding: 'utf8',
    env,
  });
  return { status, stdout, stderr };
}

describe('domulator crash --jobs', () => {
  it('prints the same bytes whatever the number, from modules and bundled', () => {
    const alone = command(modules, '--from', talkingFile, '--verbose', '--jobs', '1');
    assert.match(alone.stdout + alone.stderr, /begun[^]*crash on vCPU 3/);
    for (const which of [modules, bundled])
      assert.deepEqual(command(which, '--from', talkingFile, '--verbose', '--jobs', '3'), alone, which);
    assert.match(
      command(modules, '--jobs', '0').stderr,
      /--jobs takes a whole number from 1 to 128, not '0'$/m,
    );
  });

  it('ends all runs at ^C, and reports', async () => {
    const child = spawn(process.execPath, [bundled, 'crash', '--from', file, '--jobs', '2', '--verbose'], {
      env,
    });
    let said = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (bytes: Buffer) => {
        if (!said.includes('begun') && (said + bytes.toString()).includes('begun')) child.kill('SIGINT');
        said += bytes.toString();
      });
    const status = await new Promise((resolve) => child.on('close', resolve));
    assert.equal(status, 130, said);
    assert.match(said, /stopped: /);
  });
});
