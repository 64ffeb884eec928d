/** The expected outcome of each story, checked on its run. The stories themselves state no results. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { invalidVcpuNr } from '../../identity/index.js';
import type { CallItem, SequenceItem } from './sequence.js';
import { stories } from './stories/index.js';
import { tellThread } from './story.js';
import type { ToldStory } from './story.js';

const told = tellThread();

function named(name: string): ToldStory {
  const found = told.find((story) => story.name === name);
  assert.ok(found !== undefined, name);
  return found;
}

function onlineAtEnd({ run }: ToldStory): number {
  const last = Math.max(...run.cpus.map(({ kernel }) => kernel));
  return run.cpus.filter(({ kernel, online }) => kernel === last && online).length;
}

function assertHolds(name: string, cpus: number): void {
  const story = named(name);
  assert.equal(story.run.outcome, 'userspace');
  assert.deepEqual(story.run.findings, []);
  assert.equal(story.tally.right, story.tally.calls);
  assert.equal(onlineAtEnd(story), cpus);
}

/** EVTCHNOP_init_control for secondary CPUs: the caller, the id, and the answer. */
function laterControls({ run }: ToldStory): (readonly [number, number | null, number])[] {
  const calls = run.events.filter(
    (event) => event.kind === 'hypercall' && event.call.op === 'EVTCHNOP_init_control',
  );
  return calls
    .flatMap((event) =>
      event.kind === 'hypercall' ? [[event.vcpu, event.call.vcpuId, event.call.returned] as const] : [],
    )
    .slice(1);
}

describe('the thread', () => {
  it('starts with the crash dump: silent calls, and a kernel that does not come up', () => {
    const { run, tally } = named('pvhvm-kdump-before-the-patch');
    assert.notEqual(run.outcome, 'userspace');
    assert.ok(tally.silent >= 3, `${tally.silent} silent calls`);
    assert.ok(run.findings.some(({ rule }) => rule === 'id-is-meant'));
  });

  it('shows that the patch fixes it', () => assertHolds('pvhvm-kdump-as-posted', 4));

  it('shows Arm with the patch as posted: a call for vCPU 0xffffffff per secondary, and one CPU online', () => {
    const story = named('arm-as-posted-fifo');
    assert.deepEqual(
      laterControls(story),
      Array.from({ length: 3 }, () => [0, invalidVcpuNr, -2]),
    );
    assert.deepEqual([story.run.outcome, onlineAtEnd(story), story.tally.starts], ['userspace', 1, 0]);
  });

  it('shows Arm with the patch as tested: calls for vCPU 0, which already has its control block, and one CPU online', () => {
    const story = named('arm-as-tested-fifo');
    assert.deepEqual(
      laterControls(story),
      Array.from({ length: 3 }, () => [0, 0, -22]),
    );
    assert.deepEqual([story.run.outcome, onlineAtEnd(story), story.tally.starts], ['userspace', 1, 0]);
  });

  for (const name of ['arm-as-posted-2l', 'arm-mend-fifo', 'arm-mend-nr-cpus-fifo']) {
    it(`shows that ${name} works`, () => assertHolds(name, 4));
  }

  it('shows that the fix does not work in a crash kernel on Arm', () => {
    const { run, tally } = named('arm-kdump-mend');
    assert.notEqual(run.outcome, 'userspace');
    assert.ok(tally.silent > 0);
  });

  for (const name of ['arm-kdump-no-hypercalls-in-prepare', 'arm-kdump-ids-from-firmware']) {
    it(`shows that ${name} works`, () => assertHolds(name, 4));
  }

  it('shows that a crash on vCPU 33 of 40 fails before 5.18 although every id is right', () => {
    const { run, tally } = named('pvhvm-kdump-33-of-40-before-5.18');
    assert.equal(run.outcome, 'panic');
    assert.equal(tally.right, tally.calls);
  });

  it('shows that it comes up from 5.18 on, with one id that Linux passes as a literal', () => {
    const story = named('pvhvm-kdump-33-of-40-from-5.18');
    const { run, tally } = story;
    assert.deepEqual([run.outcome, onlineAtEnd(story)], ['userspace', 40]);
    assert.deepEqual([tally.refused, tally.silent], [0, 1]);
    const wrong = run.calls.filter(({ verdict }) => verdict !== 'right');
    assert.deepEqual(
      wrong.map(({ event, passed, meant }) => [event.kernel, event.call.op, passed, meant]),
      [[1, 'VCPUOP_register_vcpu_time_memory_area', 0, 33]],
    );
    assert.deepEqual(
      run.findings.map(({ rule }) => rule),
      ['id-is-meant'],
    );
  });
});

function isCall(item: SequenceItem): item is CallItem {
  return item.kind === 'call';
}

describe('a told story', () => {
  it('shows every wrong call in its sequence', () => {
    for (const { name, sequence, tally } of told) {
      const repeats = sequence.items.map((_, i) => {
        const again = sequence.items
          .slice(i + 1)
          .find((later, j) => later.kind === 'again' && later.items > j);
        return 1 + (again?.kind === 'again' ? again.times : 0);
      });
      const count = (verdict: string): number =>
        sequence.items.reduce((sum, item, i) => {
          if (!isCall(item) || item.verdict !== verdict) return sum;
          return (
            sum + (repeats[i] ?? 1) * item.operations.reduce((times, operation) => times + operation.times, 0)
          );
        }, 0);
      assert.deepEqual([count('refused'), count('silent')], [tally.refused, tally.silent], name);
    }
  });

  it('gives its reason in one line, without the outcome', () => {
    for (const { title, why } of stories) {
      assert.ok(title.length <= 36 && why.length <= 120, title);
      assert.doesNotMatch(
        `${title} ${why}`,
        /\n|\bE[A-Z]{4,}\b|[Pp]anic|[Hh]ang|[Pp]ass|[Ff]ail|broke|silent|works?\b/,
        title,
      );
    }
  });

  it('has a name of its own', () => {
    assert.equal(new Set(stories.map(({ scenario }) => scenario.name)).size, stories.length);
  });

  it('gives the same value twice', () => {
    assert.deepEqual(tellThread(), told);
  });
});
