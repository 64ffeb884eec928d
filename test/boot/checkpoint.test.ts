/** Checkpoints of the library and of the command: a run from a file is the run that would have followed. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { cloneValue } from '../../src/base/index.js';
import { checkpointOf, openCheckpoint } from '../../src/library/checkpoint.js';
import { boot, checkpointBytes, InputError } from '../../src/library/index.js';
import type { BootReport, BootRequest, Checkpoint } from '../../src/library/index.js';

import { hvc, image, movk, movz, say } from './tiny_kernels.js';

const hasFull = existsSync('/dev/full');
const folder = mkdtempSync(join(tmpdir(), 'domulator-checkpoint-'));
after(() => {
  rmSync(folder, { recursive: true });
});
const file = (name: string): string => join(folder, name);

interface Shown {
  readonly console: string;
  readonly events: readonly unknown[];
  /** As JSON text: the order of members is part of what is compared. */
  readonly report: string;
}

function textOf(report: BootReport): string {
  return JSON.stringify({ ...report, host: null });
}

/** Runs to the end, and takes checkpoints at `places`. The shown output begins at the last of them. */
async function run(
  request: BootRequest,
  ...places: readonly ('userspace' | RegExp | number)[]
): Promise<{ readonly shown: Shown; readonly checkpoint: Checkpoint | null }> {
  let console = '';
  let events: unknown[] = [];
  let checkpoint: Checkpoint | null = null;
  const running = boot({
    ...request,
    console: (bytes) => void (console += Buffer.from(bytes).toString('latin1')),
    event: (event) => void events.push(event),
  });
  for (const place of places) {
    assert.equal(await running.reach(place), true, String(place));
    checkpoint = await running.checkpoint();
    console = '';
    events = [];
  }
  const report = textOf(await running.report());
  return { shown: { console, events, report }, checkpoint };
}

const builtin = { kernel: 'builtin', vcpus: 3, memoryMiB: 64 } as const;

/** PSCI SYSTEM_RESET (Arm DEN0022). */
const reset = [movz(0, 0x8400, 1), movk(0, 9), hvc(0)];

interface Code {
  next: number;
  full: boolean;
  slots: Uint8Array;
}

/** What is saved of decoded code. */
function codeOf(value: unknown): Code {
  const { machine } = value as { machine: { board: { processor: { cpus: { code: Code } } } } };
  return machine.board.processor.cpus.code;
}

describe('a checkpoint of a guest that restarts after a reboot', () => {
  it('has its initrd, and goes on into the same domains', async () => {
    const kernel = image([...say('hello\n'), ...reset]);
    const initrd = Uint8Array.from({ length: 70_001 }, (_, i) => (i * i) >> 5);
    const request = {
      kernel,
      initrd,
      memoryMiB: 16,
      vcpus: 2,
      until: 'poweroff',
      onReboot: 'restart',
    } as const;
    const running = boot(request);
    assert.ok(await running.reach(/hello/));
    const first = checkpointBytes(await running.checkpoint());
    assert.ok((await running.reach(/hello/)) && (await running.reach(/hello/)));
    const third = checkpointBytes(await running.checkpoint());
    const whole = textOf(await running.report());
    const again = boot({ from: first });
    assert.ok((await again.reach(/hello/)) && (await again.reach(/hello/)));
    assert.ok(
      Buffer.from(checkpointBytes(await again.checkpoint())).equals(third),
      'the third domain, in every byte of memory',
    );
    for (const from of [first, third]) assert.equal(textOf(await boot({ from }).report()), whole);
    assert.equal((JSON.parse(whole) as BootReport).runs[0].kernels.length, 8);
  });
});

describe('a checkpoint of the library', () => {
  it('goes on as the run did, from the value, from its bytes and from a file, and again', async () => {
    const { shown, checkpoint } = await run(builtin, /CPU 1/);
    assert.ok(checkpoint !== null && shown.console.length > 100);
    const bytes = checkpointBytes(checkpoint);
    writeFileSync(file('once'), bytes);
    const written = checkpointBytes(await boot({ from: bytes }).checkpoint());
    assert.ok(
      Buffer.from(written).equals(bytes),
      'what is restored is what was saved, in every byte of memory',
    );
    for (const from of [checkpoint, bytes, file('once'), file('once')])
      assert.deepEqual((await run({ from })).shown, shown);
    assert.equal(shown.report, (await run(builtin)).shown.report, 'a pause changes nothing of the run');
  });

  it('keeps the model of the CPUs, and refuses one that there is not', async () => {
    const { shown, checkpoint } = await run({ ...builtin, arch: 'amd64', cpu: 'v2' }, /CPU 1/);
    assert.ok(checkpoint !== null);
    assert.equal((JSON.parse(shown.report) as BootReport).machine.cpu, 'v2');
    assert.deepEqual((await run({ from: checkpointBytes(checkpoint) })).shown, shown);
    await assert.rejects(
      run({ from: checkpoint, cpu: 'v2' }),
      /takes no cpu: it was settled when the guest was booted/,
    );
    const { options, machine } = checkpoint.value as { options: object; machine: { options: object } };
    for (const [own, other] of [
      ['v2', 'minimal'],
      ['v3', 'v3'],
      ['toString', 'toString'],
    ]) {
      const value = {
        ...(checkpoint.value as object),
        options: { ...options, cpu: own },
        machine: { ...machine, options: { ...machine.options, cpu: other } },
      } as typeof checkpoint.value;
      await assert.rejects(
        run({ from: checkpointBytes({ ...checkpoint, value }) }),
        /its CPUs are of no model that there is/,
      );
    }
  });

  it('can be taken at a time, and of a run from a checkpoint', async () => {
    const first = await run(builtin, 0.000_1);
    assert.ok(first.checkpoint !== null);
    const second = await run({ from: first.checkpoint }, 0.000_2, /events, FIFO/);
    assert.ok(second.checkpoint !== null);
    const third = await run({ from: second.checkpoint });
    assert.equal(third.shown.report, first.shown.report);
    assert.deepEqual(third.shown, second.shown);
  });

  it('takes another seed, goal and limit', async () => {
    const { shown, checkpoint } = await run(builtin, 0.000_1);
    assert.ok(checkpoint !== null);
    const whole = JSON.parse(shown.report) as BootReport;
    const other = JSON.parse((await run({ from: checkpoint, seed: 7 })).shown.report) as BootReport;
    assert.equal(other.options.seed, 7);
    assert.equal(other.verdict, whole.verdict);
    assert.notEqual(other.runs[0].traceSha256, whole.runs[0].traceSha256);
    const toLine = JSON.parse(
      (await run({ from: checkpoint, until: /user space has/ })).shown.report,
    ) as BootReport;
    assert.equal(toLine.runs[0].outcome.what, 'userspace');
    const short = { from: checkpoint, limits: { instructions: 150_000 } };
    assert.match((await run(short)).shown.report, /no end after 150000 instructions/);
  });

  it('is taken where the goal is, and the run ends after it', async () => {
    const goal = { ...builtin, until: /CPU 1/ };
    const { shown, checkpoint } = await run(goal, /CPU 1/);
    assert.match(shown.report, /"verdict":"pass".*the console said: /);
    assert.ok(checkpoint !== null);
    const gone = await run({ from: checkpoint, until: 'poweroff' });
    assert.match(gone.shown.report, /the guest asked for poweroff/);
  });

  it('keeps the images of kernels that followed the first one, however much a checkpoint of its own they would fill', async () => {
    const { options, origin, saved } = await openCheckpoint((await run(builtin, /CPU 1/)).checkpoint!, {});
    const [first] = saved.boot.kernels;
    assert.ok(first !== undefined);
    const image = Uint8Array.from({ length: (36 << 20) + 7 }, (_, i) => (i >> 12) ^ i);
    const second = { ...first, facts: { ...first.facts, number: 1 }, image };
    const kernels = [first, second, first];
    const followed = { ...saved, boot: { ...saved.boot, kernels } };
    const bytes = checkpointBytes(checkpointOf({ options, origin, script: null }, followed));
    const read = (await openCheckpoint(bytes, {})).saved.boot.kernels;
    assert.deepEqual(
      read.map((kernel) => kernel.image === null || Buffer.from(kernel.image).equals(image)),
      [true, true, true],
    );
    assert.ok(read[1]?.image instanceof Uint8Array);
    const two = {
      ...followed,
      boot: { ...followed.boot, kernels: [...kernels, second, second, second, second] },
    };
    assert.throws(
      () => checkpointOf({ options, origin, script: null }, two),
      /too large kernels to be saved/,
    );
  });

  it('is refused where its pages of decoded instructions are none that there can be, and no search goes on without end', async () => {
    const { checkpoint } = await run(builtin, /CPU 1/);
    assert.ok(checkpoint !== null);
    const { next, slots } = codeOf(checkpoint.value);
    const changes: Partial<Code>[] = [
      ...[1e300, 1e9, -1, next + 0.5, 0, Number.NaN].map((other) => ({ next: other })),
      { slots: Buffer.concat([slots, slots]) },
      { slots: slots.subarray(4) },
      { slots: Buffer.alloc(12, 0xff), full: true },
    ];
    for (const change of changes) {
      const value = cloneValue(checkpoint.value);
      Object.assign(codeOf(value), change);
      await assert.rejects(
        boot({ from: { value, frames: checkpoint.frames } }).report(),
        /^InputError: [^\n]*its pages of decoded instructions are not possible$/,
      );
    }
  });

  it('is refused where it cannot be', async () => {
    const running = boot(builtin);
    assert.equal(await running.reach(/never said/), false);
    await assert.rejects(running.checkpoint(), InputError);
    assert.throws(() => boot({ from: 'any', vcpus: 2 }), /takes no vcpus/);
    await assert.rejects(boot({ from: file('none') }).report(), /cannot be read: there is no such file/);
    await assert.rejects(boot({ from: new Uint8Array(9) }).report(), /cannot be used as a checkpoint: it is/);
    await assert.rejects(boot({ from: { value: {}, frames: [] } }).report(), InputError);
  });
});

function command(...args: readonly string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, ['dist/src/cli/main.js', 'boot', ...args], { encoding: 'utf8' });
}

/** That the command refuses its arguments or a file: status 2, one line. */
function refused(message: RegExp, ...args: readonly string[]): void {
  const { status, stdout, stderr } = command(...args);
  assert.equal(status, 2, stderr);
  assert.equal(stdout, '');
  assert.match(stderr, message);
  assert.equal(stderr.trim().split('\n').length, 1, stderr);
}

describe('domulator boot with checkpoints', () => {
  const written = file('written');
  const whole = command(
    ...['--kernel', 'builtin', '--vcpus', '2', '--memory', '64', '--json'],
    ...['--checkpoint', written, '--checkpoint-at', 'line:CPU 1'],
  );

  it('writes one and goes on from it to the same report', () => {
    assert.equal(whole.status, 0, whole.stderr);
    assert.deepEqual(
      readdirSync(folder).filter((name) => name.startsWith('written')),
      ['written'],
    );
    const { status, stdout, stderr } = command('--from', written, '--json');
    assert.deepEqual({ status, stdout, stderr }, { status: 0, stdout: whole.stdout, stderr: '' });
    const other = command('--from', written, '--seed', '2', '--until', 'line:user space has');
    assert.match(other.stdout, /seed 2\n[^]*the console said: user space has run/);
  });

  it('says in one line why a file cannot be used', () => {
    const bytes = readFileSync(written);
    const bad = (name: string, change: (copy: Buffer) => Uint8Array, why: string): void => {
      writeFileSync(file(name), change(Buffer.from(bytes)));
      refused(new RegExp(`/${name} cannot be used as a checkpoint: ${why}$`, 'm'), '--from', file(name));
    };
    bad('cut', (copy) => copy.subarray(0, copy.length >> 1), 'it was cut short or altered');
    bad('empty', () => new Uint8Array(), 'it is not one');
    const alter = (at: number) => (copy: Buffer) => {
      copy[at] = (copy[at] ?? 0) ^ 1;
      return copy;
    };
    bad('altered', alter(bytes.length >> 1), 'it was cut short or altered');
    bad('version', alter(16), 'its format has version 7, and this software reads version 6');
    refused(/the checkpoint \S+none cannot be read: there is no such file$/m, '--from', file('none'));
    refused(/it is a directory/, '--from', folder);
  });

  it('says in one line what cannot be combined', () => {
    refused(/^domulator: --from and --kernel exclude/, '--from', written, '--kernel', 'builtin');
    refused(/--from and --no-xenstore exclude/, '--from', written, '--no-xenstore');
    refused(/was booted without a command/, '--from', written, '--', 'true');
    refused(/the script \S+none cannot be read/, '--from', written, '--script', file('none'));
    refused(/was booted without a command/, '--from', written, '--script', 'package.json');
    refused(/--from and --on-reboot exclude/, '--from', written, '--on-reboot', 'end');
    refused(/--checkpoint needs --checkpoint-at/, '--kernel', 'builtin', '--checkpoint', file('x'));
    refused(/--checkpoint-at needs --checkpoint/, '--kernel', 'builtin', '--checkpoint-at', 'userspace');
    for (const place of ['somewhere', 'time:9999999', 'line:('])
      refused(/--checkpoint-at/, '--kernel', 'builtin', '--checkpoint', file('x'), '--checkpoint-at', place);
    const same = ['--from', written, '--checkpoint', written, '--checkpoint-at', 'time:1'];
    refused(/--from and --checkpoint name the same file/, ...same);
  });

  it('says that the file cannot be written, goes on to the report, and fails', { skip: !hasFull }, () => {
    const to = ['--checkpoint', '/dev/full', '--checkpoint-at', 'time:0', '--report', file('report')];
    const { status, stdout, stderr } = command('--from', written, '--quiet', ...to);
    assert.equal(status, 2);
    assert.match(
      stderr,
      /^domulator: no checkpoint was written: cannot write \/dev\/full: the disk is full;.*\n$/,
    );
    assert.match(stdout, /Audit: /);
    assert.match(readFileSync(file('report'), 'utf8'), /"verdict": "pass"/);
  });

  it('says that the run ended before the place, and fails', () => {
    const to = ['--checkpoint', file('never'), '--checkpoint-at', 'line:never said'];
    const { status, stdout, stderr } = command('--from', written, '--quiet', ...to);
    assert.equal(status, 2);
    assert.match(stderr, /no checkpoint was written: the run ended before line:never said/);
    assert.match(stdout, /Audit: /);
    assert.ok(!readdirSync(folder).includes('never'));
  });
});
