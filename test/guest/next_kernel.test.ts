/** Debian's kernel, left for another one: a crash on a vCPU, and an orderly kexec. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { InputError, present, valueFromJson, valueToJson } from '../../src/base/index.js';
import { Boot } from '../../src/boot/index.js';
import { debianFiles, debianSettings, parseDebianSpec } from '../../src/kernel_source/index.js';
import { crash } from '../../src/library/index.js';
import type { BootReport, Checkpoint, CrashRequest } from '../../src/library/index.js';
import { openCheckpoint } from '../../src/library/checkpoint.js';
import { skip as noKernel } from './kernel.js';

/** Why there is no kexec-tools here; false if there is. */
async function noTools(): Promise<string | false> {
  const settings = debianSettings(process.env, Math.floor(Date.now() / 1000), () => undefined);
  try {
    await debianFiles(parseDebianSpec('bookworm'), ['kexec'], settings);
    return false;
  } catch (error) {
    if (!(error instanceof InputError) || process.env['DOMULATOR_NEED_KERNEL'] === '1') throw error;
    return `no kexec-tools here: ${error.message}`;
  }
}

const skip = noKernel === false ? await noTools() : noKernel;
const commandLine = 'console=ttyAMA0 cryptomgr.notests crashkernel=192M';

/** The first boot, whose crash kernel is loaded; made once. */
const saved: Checkpoint[] = [];

async function crashed(request: CrashRequest): Promise<BootReport> {
  const [from] = saved;
  const start: CrashRequest =
    from === undefined ? { commandLine, checkpoint: (checkpoint) => void saved.push(checkpoint) } : { from };
  return await crash({ ...start, ...request });
}

function numbering({ runs: [{ kernels }] }: BootReport, kernel: number): (readonly [number, number])[] {
  return kernels[kernel]?.cpus.map(({ linuxCpu, vcpu }) => [linuxCpu, vcpu] as const) ?? [];
}

describe('a crash of Debian’s kernel with xl', { skip }, () => {
  it('on vCPU 2 is followed into the crash kernel, which Xen refuses its shared_info', async () => {
    const report = await crashed({ on: [2] });
    const [run] = report.runs;
    assert.deepEqual(run.action, { kind: 'crash', vcpu: 2, by: 'sysrq' });
    assert.deepEqual([run.verdict, run.outcome.what], ['incomplete', 'panic']);
    assert.match(
      run.outcome.why,
      /^Attempted to kill init!.*; the last call of vCPU 2, XENMEM_add_to_physmap from xen_guest_init\+0x\w+, was refused: -XEN_EBUSY$/,
    );
    assert.deepEqual(
      run.kernels.map(({ entryVcpu, findings }) => [entryVcpu, findings.length]),
      [
        [0, 0],
        [2, 0],
      ],
    );
    assert.deepEqual(
      numbering(report, 0),
      [0, 1, 2, 3].map((cpu) => [cpu, cpu]),
    );
    assert.deepEqual(numbering(report, 1), [
      [0, 2],
      [1, 0],
      [2, 1],
      [3, 3],
    ]);
    const [before, after] = run.kernels.map(({ logTail }) => logTail.join('\n'));
    assert.match(before ?? '', /Kernel panic - not syncing: sysrq triggered crash/);
    assert.match(after ?? '', /kernel BUG at .*enlighten\.c/);
    assert.doesNotMatch(after ?? '', /sysrq/);
    assert.equal(
      run.kernels.reduce((sum, { hypercalls }) => sum + hypercalls.total, 0),
      run.hypercalls.total,
    );
  });

  it('runs the same again from one checkpoint, and in another order with another seed', async () => {
    const one = await crashed({ on: [1] });
    const [again] = (await crashed({ on: [1] })).runs;
    assert.deepEqual(again, one.runs[0]);
    const [other] = (await crashed({ on: [1], seed: 2 })).runs;
    assert.notEqual(other.traceSha256, again.traceSha256);
    assert.deepEqual(
      [other.verdict, other.outcome.why, other.action],
      [again.verdict, again.outcome.why, again.action],
    );
  });

  it('can be saved while the crash kernel runs, and goes on the same', async () => {
    const [from] = saved;
    const { options, saved: loaded } = await openCheckpoint(present(from, 'the first boot'), {});
    const start = (): Boot => {
      const boot = Boot.restore(options, loaded);
      boot.type(new TextEncoder().encode('sysrq 4\n'));
      return boot;
    };
    const whole = start();
    while (whole.step(1_000_000_000) === 'running');
    const cut = start();
    cut.step(whole.machine.instructions - 5_000_000 - cut.machine.instructions);
    const { machine, boot } = cut.save();
    assert.equal(boot.kernels.length, 2);
    const state = valueFromJson(valueToJson(machine.state)) as typeof machine.state;
    const written = valueFromJson(valueToJson(boot)) as typeof boot;
    const restored = Boot.restore(options, { machine: { ...machine, state }, boot: written });
    while (restored.step(1_000_000_000) === 'running');
    const [one, other] = [whole.result(), restored.result()];
    assert.equal(other.counts.sha256, one.counts.sha256);
    assert.deepEqual({ ...other, counts: null }, { ...one, counts: null });
  });

  it('by an oops ends in the same way', async () => {
    const [run] = (await crashed({ on: [3], by: 'oops' })).runs;
    assert.deepEqual(run.action, { kind: 'crash', vcpu: 3, by: 'oops' });
    assert.match(run.outcome.why, /XENMEM_add_to_physmap.*was refused: -XEN_EBUSY$/);
    assert.match(run.kernels[0]?.logTail.join('\n') ?? '', /Code: bad PC value/);
  });

  it('by an orderly kexec goes on on vCPU 0, and shows no log of the kernel that was left', async () => {
    const [run] = (await crashed({ by: 'kexec' })).runs;
    assert.deepEqual(run.action, { kind: 'crash', vcpu: 0, by: 'kexec' });
    assert.deepEqual(
      run.kernels.map(({ entryVcpu }) => entryVcpu),
      [0, 0],
    );
    assert.match(run.outcome.why, /XENMEM_add_to_physmap.*was refused: -XEN_EBUSY$/);
    assert.deepEqual(run.kernels[0]?.logTail, []);
  });
});
