/** Crashes Debian's stock amd64 kernel as a PVHVM guest, whose domain the toolstack resets, and follows it into its crash kernel. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { crash } from '../../src/library/index.js';
import type { BootReport } from '../../src/library/index.js';
import { findStock } from './kernel.js';

const found = await findStock('amd64');
const skip = typeof found === 'string' ? found : false;

const guest = { arch: 'amd64', kernel: 'debian:bookworm/cloud', vcpus: 4, jobs: 1 } as const;

type Kernel = BootReport['runs'][number]['kernels'][number];

/** Per CPU: its vCPU, and the vCPU that it recorded. */
function numbering({ cpus }: Kernel): (number | null)[][] {
  return cpus.map(({ vcpu, recordedVcpuId }) => [vcpu, recordedVcpuId]);
}

describe('a crash of a stock amd64 kernel', { skip }, () => {
  it('as PVHVM leads to a crash kernel with all CPUs, whose numbers begin with the vCPU that crashed, and every rule holds', async () => {
    const report = await crash({ ...guest, type: 'hvm', on: [0, 2] });
    // The CPU tables of a real Xen 4.17 after the same crashes.
    for (const [run, vcpus] of [
      [report.runs[0], [0, 1, 2, 3]],
      [report.runs[1], [2, 0, 1, 3]],
    ] as const) {
      assert.ok(run !== undefined);
      const [first, second, ...others] = run.kernels;
      assert.ok(first !== undefined && second !== undefined);
      assert.deepEqual([run.outcome.what, run.verdict, others], ['poweroff', 'pass', []]);
      assert.deepEqual([first.findings, second.findings, second.notJudged], [[], [], []]);
      assert.deepEqual([second.entry, second.entryVcpu], ['crash', vcpus[0]]);
      assert.deepEqual(
        numbering(first),
        [0, 1, 2, 3].map((vcpu) => [vcpu, vcpu]),
      );
      assert.deepEqual(
        numbering(second),
        vcpus.map((vcpu) => [vcpu, vcpu]),
      );
    }
  });

  it('as PVH ends where xl destroys the domain in place of resetting it', async () => {
    const { runs } = await crash({ ...guest, on: [2] });
    const [run] = runs;
    assert.equal(run.kernels.length, 1);
    assert.equal(run.outcome.what, 'destroyed');
    assert.match(
      run.outcome.why,
      /to go on in another kernel; xl does that for HVM guests only, and destroys this one$/,
    );
  });
});
