/**
 * Debian's kernel with a limit on its CPUs in the command line: that is not an error, and the report names the limit.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { bootStock, quickCommandLine, scriptInitramfs, skip } from './kernel.js';
import type { Booted } from './kernel.js';

function boot(limit: string, lines: readonly string[] = [], entryVcpu = 0): Booted {
  const initrd = scriptInitramfs([...lines, 'echo "online: $(cat $cpus/online)"']);
  // Entered on a vCPU other than 0, a kernel with xenstore waits for an event that goes to vCPU 0.
  const xenstore = entryVcpu === 0;
  return bootStock({ initrd, commandLine: `${quickCommandLine} quiet ${limit}`, entryVcpu, xenstore });
}

/** For each CPU: its vCPU, its record, and whether it was online or why not. */
function shown({ cpus }: Booted): string[] {
  return cpus.map(
    ({ vcpu, recordedVcpuId, online, leftOut }) =>
      `${vcpu}, recorded ${recordedVcpuId ?? '-'}, ${online ? 'online' : (leftOut ?? 'not online')}`,
  );
}

describe('a kernel with fewer CPUs than there are vCPUs', { skip }, () => {
  for (const count of [1, 2, 3]) {
    it(`nr_cpus=${count} of 4: has the first ${count} CPUs, and their records are read`, () => {
      const booted = boot(`nr_cpus=${count}`);
      assert.deepEqual(
        { outcome: booted.outcome, findings: booted.findings },
        { outcome: 'poweroff', findings: [] },
      );
      assert.deepEqual(
        shown(booted),
        [0, 1, 2, 3].map((vcpu) =>
          vcpu < count ? `${vcpu}, recorded ${vcpu}, online` : `${vcpu}, recorded -, nr_cpus=${count}`,
        ),
      );
    });
  }

  it('maxcpus=1, and user space brings the others up: they are online, and none is reported as missing', () => {
    const booted = boot('maxcpus=1', ['for cpu in 1 2 3; do echo 1 >$cpus/cpu$cpu/online; done']);
    assert.deepEqual(booted.findings, []);
    assert.match(booted.console, /online: 0-3\n/);
    assert.deepEqual(
      shown(booted),
      [0, 1, 2, 3].map((vcpu) => `${vcpu}, recorded ${vcpu}, online`),
    );
  });

  it('nosmp: one CPU, the one that it was entered on', () => {
    const booted = boot('nosmp', [], 2);
    assert.match(booted.console, /online: 0\n/);
    assert.deepEqual(
      booted.findings.filter(({ rule }) => rule === 'all-vcpus-up'),
      [],
    );
    assert.deepEqual(
      booted.cpus.map(({ vcpu, online, leftOut }) => [vcpu, online, leftOut]),
      [
        [2, true, null],
        [0, false, 'nosmp'],
        [1, false, 'nosmp'],
        [3, false, 'nosmp'],
      ],
    );
  });
});
