/** Crashes Debian's stock amd64 kernel as a PVHVM guest, whose domain the toolstack resets, and follows it into its crash kernel. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { crash } from '../../src/library/index.js';
import type { BootReport, Checkpoint } from '../../src/library/index.js';
import { readText } from '../files.js';
import { anyCaller, callText } from './call_lines.js';
import { findStock } from './kernel.js';

const found = await findStock('amd64');
const skip = typeof found === 'string' ? found : false;

const guest = { arch: 'amd64', kernel: 'debian:bookworm/cloud', vcpus: 4, jobs: 1 } as const;

type Kernel = BootReport['runs'][number]['kernels'][number];

/** Per CPU: its vCPU, and the vCPU that it recorded. */
function numbering({ cpus }: Kernel): (number | null)[][] {
  return cpus.map(({ vcpu, recordedVcpuId }) => [vcpu, recordedVcpuId]);
}

/** The calls of a crash kernel under a real Xen, after a crash on that vCPU; without those of a virtual keyboard, which guests here lack. */
function callsUnderXen(vcpu: number): string[] {
  const lines = readText(`test/guest/reference/xen_4_17_hvm_crash_on_${vcpu}_calls.txt`).trim().split('\n');
  const keyboard = lines.findIndex((line) => line.startsWith('EVTCHNOP_alloc_unbound'));
  assert.ok(keyboard > 0);
  return lines.slice(0, keyboard);
}

const dumpMark = 'the log in the dump:';
/** Shows the first kernel's log as makedumpfile finds it in the dump. */
const script = new TextEncoder().encode(
  `makedumpfile --dump-dmesg /proc/vmcore /log > /said && echo '${dumpMark}' && cat /log`,
);

const stamp = /^\[ *\d+\.\d+\]/;

/**
 * Asserts that what the first kernel printed on the console is in the dump, in the same order. The console lacks its debug lines, and
 * makedumpfile gives only the first line of a message its time.
 */
function assertDumped(output: string): void {
  const [before = '', dump = ''] = output.split(dumpMark);
  const second = before.lastIndexOf('\n', before.lastIndexOf('Linux version'));
  const lines = before.slice(0, second).split(/\r*\n/);
  const textOf = (line: string): string => line.replace(stamp, '').trim();
  const shown = lines.filter((line) => stamp.test(line)).map(textOf);
  assert.ok(shown.length > 250, `${shown.length} lines`);
  const dumped = dump.split(/\r*\n/).map(textOf);
  let at = -1;
  for (const line of shown) {
    at = dumped.indexOf(line, at + 1);
    assert.ok(at >= 0, `${line} is not in its place`);
  }
}

describe('a crash of a stock amd64 kernel', { skip }, () => {
  it('as PVHVM leads to a crash kernel with all CPUs, whose numbers begin with the vCPU that crashed, and every rule holds', async () => {
    const calls: [string[], string[]] = [[], []];
    const starts: [number[], number[]] = [[], []];
    const report = await crash({
      ...guest,
      type: 'hvm',
      on: [0, 2],
      event: (event, run) => {
        if (run === null || !('kernel' in event) || event.kernel !== 1) return;
        calls[run as 0 | 1].push(
          ...callText(event).filter((line) => !line.startsWith('VCPUOP_stop_periodic_timer')),
        );
        if (event.kind === 'start' && event.target !== null) starts[run as 0 | 1].push(event.target);
      },
    });
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

    for (const run of [0, 1] as const) {
      const reference = callsUnderXen([0, 2][run] ?? 0);
      // Until all CPUs are up; then the drivers of xenstore and of interrupts, on any CPU.
      const allUp = reference.findLastIndex((line) => line.startsWith('EVTCHNOP_bind_ipi')) + 1;
      assert.ok(allUp > 40);
      const made = calls[run].slice(0, reference.length);
      assert.deepEqual(made.slice(0, allUp), reference.slice(0, allUp));
      assert.deepEqual(made.slice(allUp).map(anyCaller), reference.slice(allUp).map(anyCaller));
    }
    // By INIT and SIPI, in the MADT's order, vCPU 0 as well.
    assert.deepEqual(starts, [
      [1, 2, 3],
      [0, 1, 3],
    ]);
    // Xen's log names them after the crash on vCPU 2 only; how many there are depends on how often the console's backend answers.
    const dropped = report.runs.map(({ kernels }) => kernels.map(({ droppedEvents }) => droppedEvents));
    const [onZero, [first = [], second = []] = []] = dropped;
    assert.deepEqual([onZero, first, second.map(({ vcpu }) => vcpu)], [[[], []], [], [0]]);
    assert.ok((second[0]?.events ?? 0) > 0);
  });

  it('by an oops, which says nothing of a panic, or an NMI of the toolstack leads to the crash kernel, which finds the log in the dump, and kexec -e to the other one', async () => {
    let output = '';
    const memTypes = { oops: 0, nmi: 0, kexec: 0 };
    const written: Checkpoint[] = [];
    const checkpoint = (one: Checkpoint): void => void written.push(one);
    for (const [by, vcpu, entry] of [
      ['oops', 3, 'crash'],
      ['nmi', 1, 'crash'],
      ['kexec', 0, 'kexec'],
    ] as const) {
      const on = by === 'kexec' ? {} : { on: [vcpu] };
      const [from] = written;
      const start =
        from === undefined ? { ...guest, type: 'hvm' as const, checkpoint, script } : { from, jobs: 1 };
      const { runs } = await crash({
        ...start,
        by,
        ...on,
        console: (bytes) => {
          if (by === 'oops') output += Buffer.from(bytes).toString('latin1');
        },
        event: (event) => {
          if (event.kind === 'hypercall' && event.call.op === 'HVMOP_get_mem_type') memTypes[by] += 1;
        },
      });
      const [{ kernels, outcome, verdict, commandStatus }] = runs;
      assert.equal(commandStatus?.exitCode === 0, by !== 'kexec', by);
      assert.deepEqual([outcome.what, verdict], ['poweroff', 'pass'], by);
      assert.deepEqual(
        kernels.slice(1).map((kernel) => [kernel.entry, kernel.entryVcpu, kernel.cpus.length]),
        [[entry, vcpu, 4]],
      );
    }
    assertDumped(output);
    // Linux asks Xen about each page of the dump that is read, as on the reference; a kernel that was left in order leaves none.
    assert.ok(memTypes.oops > 100 && memTypes.nmi > 100 && memTypes.kexec === 0, JSON.stringify(memTypes));
  });

  it('ends where the toolstack was told to destroy the domain', async () => {
    const { runs, options } = await crash({ ...guest, type: 'hvm', onSoftReset: 'destroy', on: [2] });
    const [{ kernels, outcome }] = runs;
    assert.deepEqual([kernels.length, outcome.what, options.onSoftReset], [1, 'destroyed', 'destroy']);
    assert.match(outcome.why, /; the toolstack was told to destroy it then \(on_soft_reset="destroy"\)$/);
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
