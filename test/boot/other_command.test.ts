/** A guest that goes on from a checkpoint with another command than that with which it was booted. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { boot, checkpointBytes, InputError } from '../../src/library/index.js';
import type { BootReport, BootRequest } from '../../src/library/index.js';
import { quickCommandLine, skip } from '../guest/kernel.js';
import { onlyRun } from './reports.js';

const first = { commandLine: `${quickCommandLine} quiet`, vcpus: 2, memoryMiB: 256 } as const;
const command = (script: string): readonly string[] => ['sh', '-c', script];

interface Ended {
  readonly said: string;
  readonly report: BootReport;
}

async function goOn(request: BootRequest): Promise<Ended> {
  let said = '';
  const report = await boot({
    ...request,
    console: (bytes) => (said += Buffer.from(bytes).toString('latin1')),
  }).report();
  return { said: said.replaceAll('\r', ''), report };
}

describe('another command for a guest of a checkpoint', { skip }, () => {
  it('takes the place of the first one, before user space and where that begins, until it has begun', async () => {
    const run = boot({ ...first, command: command('echo first; exit 1') });
    assert.equal(await run.reach(0.05), true);
    const early = await run.checkpoint();
    assert.equal(await run.reach('userspace'), true);
    const waiting = await run.checkpoint();
    assert.equal(await run.reach(/^first/), true);
    const late = await run.checkpoint();
    const ends = async (request: BootRequest): Promise<unknown[]> => {
      const { said, report } = await goOn(request);
      const { commandStatus } = onlyRun(report);
      return [
        /^(first|other .*)$/m.exec(said)?.[0],
        commandStatus?.exitCode,
        report.options.command?.argv?.[2],
      ];
    };
    assert.deepEqual(await ends({ from: waiting }), ['first', 1, 'echo first; exit 1']);
    const long = `echo other $((6 * 7)); exit 3 ${'#'.repeat(20_000)}`;
    assert.deepEqual(await ends({ from: early, command: command(long) }), ['other 42', 3, long]);
    assert.deepEqual(await ends({ from: waiting, command: command(long) }), ['other 42', 3, long]);
    const changed = await boot({ from: waiting, command: command('echo first again') }).checkpoint();
    assert.deepEqual(await ends({ from: changed, command: command(long) }), ['other 42', 3, long]);
    await assert.rejects(boot({ from: late, command: ['true'] }).report(), /has begun/);
    const tooLong = boot({ from: waiting, command: ['echo', 'x'.repeat(70_000)] });
    await assert.rejects(tooLong.report(), /the command is too long/);
  });

  it('runs again after a reboot, where the guest is to restart', async () => {
    const run = boot({ ...first, command: ['true'], onReboot: 'restart' });
    assert.equal(await run.reach('userspace'), true);
    const from = checkpointBytes(await run.checkpoint());
    const other = boot({ from, command: command('echo other command; reboot -f') });
    for (const domain of [1, 2]) assert.equal(await other.reach(/^other command/), true, `domain ${domain}`);
    other.stop();
    assert.equal(onlyRun(await other.report()).kernels.length, 2);
  });

  it('is refused without a first one', async () => {
    const from = await boot({ kernel: 'builtin', memoryMiB: 64 }).checkpoint();
    const refusal = (error: unknown): boolean =>
      error instanceof InputError &&
      error.message.startsWith('the guest of the checkpoint was booted without a command');
    await assert.rejects(boot({ from, command: ['true'] }).report(), refusal);
    const script = new Uint8Array(10);
    await assert.rejects(boot({ from, script }).report(), refusal);
    assert.throws(() => boot({ from, script, command: ['true'] }), /exclude each other/);
  });
});
