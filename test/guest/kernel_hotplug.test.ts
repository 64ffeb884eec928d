/** Debian's kernel takes CPUs offline and online again on request of user space. That is never an error. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TraceEvent } from '../../src/audit/index.js';
import { bootStock, quickCommandLine, scriptInitramfs, skip } from './kernel.js';

const commandLine = `${quickCommandLine} quiet`;

function count(events: readonly TraceEvent[], kind: TraceEvent['kind'], vcpu: number): number {
  return events.filter((event) => event.kind === kind && 'vcpu' in event && event.vcpu === vcpu).length;
}

/** Each CPU alone, including CPU 0; then two at once, and all but one. */
const storm = [
  'down() { echo 0 >$cpus/cpu$1/online; }',
  'up() { echo 1 >$cpus/cpu$1/online; }',
  'for cpu in 0 1 2 3; do down $cpu; up $cpu; done',
  'for round in 1 2; do down 1 & down 2 & wait; up 2 & up 1 & wait; done',
  'down 0; down 3; down 2; up 3; up 2; up 0',
  'echo "online: $(cat $cpus/online)"',
];

describe('CPU hotplug', { skip }, () => {
  for (const [release, xenstore] of [
    ['4.17', true],
    ['4.18', false],
  ] as const) {
    it(`of every CPU breaks no rule (Xen ${release}, ${xenstore ? 'with' : 'without'} xenstore)`, () => {
      const { outcome, findings, events, cpus, console } = bootStock({
        initrd: scriptInitramfs(storm),
        commandLine,
        release,
        xenstore,
      });
      assert.deepEqual({ outcome, findings }, { outcome: 'poweroff', findings: [] });
      assert.match(console, /online: 0-3\n/);
      const counts = (kind: TraceEvent['kind']): number[] =>
        cpus.map(({ vcpu }) => count(events, kind, vcpu));
      assert.deepEqual(counts('stop'), [2, 3, 4, 2]);
      assert.deepEqual(counts('running'), [3, 4, 5, 3]);
      assert.deepEqual(counts('online'), [3, 4, 5, 3]);
      // Powering off takes all other CPUs offline first.
      assert.deepEqual(counts('offline'), [2, 4, 5, 3]);
      assert.ok(cpus.every(({ online }) => online));
      // Each time, a CPU goes offline, turns its vCPU off, is started, runs and is online, in this order.
      const ofOne = events.filter(
        (event) => ('vcpu' in event && event.vcpu === 1) || (event.kind === 'start' && event.target === 1),
      );
      const round = ['start', 'running', 'online', 'offline', 'stop'];
      const life = ofOne.map(({ kind }) => kind).filter((kind) => round.includes(kind));
      assert.deepEqual(
        life,
        life.map((_, index) => round[index % round.length]),
      );
    });
  }
});
