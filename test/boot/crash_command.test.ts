/** `domulator crash`: what it refuses, with one line and status 2, and what it prints of each run. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { crashLines } from '../../src/cli/crash/crash_text.js';
import { createStyle } from '../../src/cli/render/style.js';
import { linuxCpu, xenVcpuId } from '../../src/identity/index.js';
import { boot, checkpointBytes } from '../../src/library/index.js';
import type { ReportedFinding, ReportedKernel, ReportedRun } from '../../src/library/index.js';
import { root } from '../files.js';
import { onlyRun } from './reports.js';
import { image, powerOff } from './tiny_kernels.js';

const command = path.join(root, 'dist/src/cli/main.js');
const folder = mkdtempSync(path.join(os.tmpdir(), 'domulator-crash-'));
after(() => rmSync(folder, { recursive: true }));

function crash(...args: readonly string[]): { readonly status: number | null; readonly stderr: string } {
  const { PATH = '' } = process.env;
  const env = { PATH, HOME: folder, XDG_CACHE_HOME: folder, DOMULATOR_MIRROR: 'http://127.0.0.1:9/debian' };
  return spawnSync(process.execPath, [command, 'crash', ...args], { encoding: 'utf8', env });
}

/** It is known by its first bytes alone, and has nothing that could be unpacked. */
const bzImage = path.join(folder, 'bzImage');
writeFileSync(bzImage, Buffer.alloc(1024).fill('HdrS', 0x202, 0x206));

describe('domulator crash refuses', () => {
  const cases: readonly (readonly [string, readonly string[], RegExp])[] = [
    ['a vCPU that does not exist', ['--crash-on', '4'], /the guest has no vCPU 4; it has vCPUs 0 to 3$/m],
    ['another word than vCPUs', ['--crash-on', 'two'], /--crash-on takes all, or vCPUs such as 0,2/],
    ['another way', ['--crash-by', 'power'], /--crash-by takes sysrq or oops or nmi or kexec, not 'power'$/m],
    [
      'an NMI on Arm',
      ['--crash-by', 'nmi'],
      /a crash by nmi is for amd64 guests \(--arch amd64\): Xen on Arm sends a guest no NMI/,
    ],
    ['a vCPU for an orderly kexec', ['--crash-by', 'kexec', '--crash-on', '1'], /exclude each other/],
    [
      'records of the patch of 2016 on Arm',
      ['--what-if', 'as-posted'],
      /what-if is for crashes of amd64 guests: an arm64 kernel records CPU numbers anyway/,
    ],
    [
      'records of amd64 kernels without the architecture',
      ['--kernel', bzImage, '--what-if', 'before-the-patch'],
      /what-if before-the-patch is for crashes of amd64 guests; give the architecture \(--arch amd64\)$/m,
    ],
    [
      'what to do at a soft reset, on Arm',
      ['--on-soft-reset', 'destroy'],
      /an arm64 guest asks for no soft reset; leave out what to do then/,
    ],
    [
      'a toolstack that resets, and is to destroy',
      ['--arch', 'amd64', '--toolstack', 'ideal', '--on-soft-reset', 'destroy'],
      /the toolstack ideal resets the domain; leave it out, or the order to destroy it$/m,
    ],
    [
      'another system call',
      ['--kexec-syscall', 'execve'],
      /--kexec-syscall takes kexec_load or kexec_file_load, not 'execve'$/m,
    ],
    ['another toolstack', ['--toolstack', 'libvirt'], /--toolstack takes xl or ideal, not 'libvirt'$/m],
    [
      'a command line that reserves no memory',
      ['--cmdline', 'console=ttyAMA0'],
      /reserves no memory for a crash kernel; add crashkernel=192M to it$/m,
    ],
    ['the builtin guest', ['--kernel', 'builtin'], /the builtin guest has no user space/],
    [
      'a kernel for amd64, before it is unpacked',
      ['--kernel', bzImage],
      /bzImage is a kernel for amd64, not for arm64; give the architecture \(--arch\) if both kernels are for it$/m,
    ],
    [
      'a file that is no checkpoint',
      ['--from', path.join(root, 'package.json')],
      /cannot be used as a checkpoint/,
    ],
    ['a setting of the boot with a checkpoint', ['--from', 'x', '--vcpus', '2'], /leave out --vcpus$/m],
    ['another command for a checkpoint', ['--from', 'x', '--', 'true'], /takes no command: it was settled/],
    ['no command', ['--'], /no command follows '--'; give one, or leave out '--'$/m],
    ['what a boot takes', ['Image'], /crash takes no 'Image'/],
    ['an archive that cannot be reached', [], /127\.0\.0\.1/],
  ];
  for (const [what, args, says] of cases) {
    it(what, () => {
      const { status, stderr } = crash(...args);
      assert.match(stderr, /^domulator: [^\n]+\n$/);
      assert.match(stderr, says);
      assert.equal(status, 2);
    });
  }

  it('a checkpoint whose guest waits for no crash', async () => {
    const run = boot({ kernel: image(powerOff), initrd: new Uint8Array(16), memoryMiB: 16, vcpus: 1 });
    const file = path.join(folder, 'checkpoint');
    writeFileSync(file, checkpointBytes(await run.checkpoint()));
    const { status, stderr } = crash('--from', file);
    assert.match(stderr, /^domulator: the guest of the checkpoint waits for no crash; [^\n]+\n$/);
    assert.equal(status, 2);
  });
});

describe('the lines of a run', () => {
  const finding = (rule: string, guestTimeNs: number): ReportedFinding => ({
    rule,
    hypercall: 'EVTCHNOP_init_control',
    linuxCpu: linuxCpu(0),
    callingVcpu: xenVcpuId(2),
    passed: 0,
    meant: xenVcpuId(2),
    returned: -22,
    guestTimeNs,
    where: 'somewhere+0x1',
    why: 'it is wrong',
  });

  async function runWith(findings: readonly ReportedFinding[]): Promise<ReportedRun> {
    const small = { kernel: image(powerOff), initrd: new Uint8Array(16), memoryMiB: 16, vcpus: 1 };
    const run = onlyRun(await boot(small).report());
    const [first] = run.kernels as [ReportedKernel];
    const action = { kind: 'crash', vcpu: xenVcpuId(2), by: 'sysrq' } as const;
    return {
      ...run,
      action,
      kernels: [first, { ...first, findings }],
      verdict: findings.length > 0 ? 'fail' : 'pass',
    };
  }

  const style = createStyle(false, 200);

  it('are its ending and the first broken rule, by time', async () => {
    const lines = crashLines(await runWith([finding('record-true', 20), finding('id-is-meant', 10)]), style);
    assert.deepEqual(lines, [
      'vCPU 2:   poweroff: the guest asked for poweroff',
      '          kernel 1 breaks id-is-meant: it is wrong (answered -EINVAL), from somewhere+0x1',
    ]);
  });

  it('say that every rule holds, and that no other kernel followed', async () => {
    const run = await runWith([]);
    assert.equal(crashLines(run, style)[1], '          every rule holds');
    const alone = crashLines({ ...run, kernels: run.kernels.slice(0, 1) }, style);
    assert.match(alone[0] ?? '', /^vCPU 2: {3}poweroff: followed into no other kernel; /);
  });
});
