import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  callEvent,
  cpuEvent,
  endEvent,
  handMadeRun,
  kernelEvent,
  startEvent,
  strayEvent,
} from '../../../test/hand_made_run.js';
import type { LooseEvent, Meant } from '../../../test/hand_made_run.js';
import { sequenceOf } from './sequence.js';
import type { CallItem, SequenceItem } from './sequence.js';

function callsIn(items: readonly SequenceItem[]): CallItem[] {
  return items.filter((item): item is CallItem => item.kind === 'call');
}

/** Brings up CPU `n` as on Arm. */
function bringUp(n: number): LooseEvent[] {
  return [
    callEvent(0, 'EVTCHNOP_init_control', n),
    startEvent(0, n),
    cpuEvent('running', n),
    callEvent(n, 'VCPUOP_register_vcpu_info', n),
    cpuEvent('online', n),
  ];
}

describe('a sequence', () => {
  it('groups right calls by caller and id, and lists wrong ones separately', () => {
    const events = [
      kernelEvent(0),
      callEvent(0, 'EVTCHNOP_bind_ipi', 1),
      callEvent(0, 'EVTCHNOP_bind_ipi', 1),
      callEvent(0, 'EVTCHNOP_bind_virq', 1),
      callEvent(0, 'EVTCHNOP_bind_ipi', 2),
    ];
    const [right, wrong] = callsIn(sequenceOf(handMadeRun(events, { 4: 3 })).items);
    assert.deepEqual(right?.operations, [
      { op: 'EVTCHNOP_bind_ipi', times: 2 },
      { op: 'EVTCHNOP_bind_virq', times: 1 },
    ]);
    assert.equal(wrong?.verdict, 'silent');
    assert.equal(wrong.meant, 3);
  });

  it('distinguishes a refused right id from a refused wrong id', () => {
    const events = [callEvent(0, 'A', 0, -22), callEvent(0, 'A', 1, -22)];
    const items = callsIn(sequenceOf(handMadeRun(events, { 1: 2 })).items);
    assert.deepEqual(
      items.map(({ verdict, answer }) => [verdict, answer]),
      [
        ['failed', '-EINVAL'],
        ['refused', '-EINVAL'],
      ],
    );
  });

  it('omits calls without an id, except shutdowns', () => {
    const ops = ['XENVER_version', 'HVMOP_set_param', 'SCHEDOP_shutdown'];
    const { items } = sequenceOf(handMadeRun(ops.map((op) => callEvent(0, op, null, -22))));
    assert.deepEqual(
      callsIn(items).map(({ operations }) => operations.map(({ op }) => op).join()),
      ['SCHEDOP_shutdown'],
    );
  });

  it('summarises a kernel without errors once another kernel has taken over', () => {
    const boot = [
      kernelEvent(0),
      callEvent(0, 'A', 0),
      callEvent(0, 'A', 1),
      startEvent(0, 1),
      cpuEvent('running', 1),
      cpuEvent('online', 1),
    ];
    const rest = [
      callEvent(1, 'SCHEDOP_shutdown', null),
      kernelEvent(1, 'crash kernel', 1),
      callEvent(1, 'A', 0),
    ];
    const kinds = (meant: Meant): string[] =>
      sequenceOf(handMadeRun([...boot, ...rest], meant)).items.map(({ kind }) => kind);
    assert.deepEqual(kinds({}), ['kernel', 'quiet', 'call', 'kernel', 'call']);
    assert.deepEqual(sequenceOf(handMadeRun([...boot, ...rest])).items[1], {
      kind: 'quiet',
      calls: 2,
      online: [1],
      vcpus: [1],
    });
    // With one wrong id, everything is listed.
    assert.deepEqual(kinds({ 2: 0 }), [
      'kernel',
      'call',
      'call',
      'start',
      'online',
      'call',
      'kernel',
      'call',
    ]);
  });

  it('counts right timer calls for the caller’s own vCPU, and lists the wrong ones', () => {
    const timer = 'VCPUOP_set_singleshot_timer';
    const events = [callEvent(1, timer, 1), callEvent(1, timer, 1), callEvent(1, timer, 0, -22)];
    const { items, timerCallsLeftOut } = sequenceOf(handMadeRun(events, { 2: 1 }));
    assert.equal(timerCallsLeftOut, 2);
    assert.equal(callsIn(items).length, 1);
  });

  it('links a start to the Linux CPU that then runs on the target, within the same kernel only', () => {
    const events = [
      kernelEvent(0),
      startEvent(0, 1),
      cpuEvent('running', 1),
      startEvent(0, 2),
      kernelEvent(3, 'crash kernel', 1),
      cpuEvent('running', 2),
    ];
    const starts = sequenceOf(handMadeRun(events)).items.filter((item) => item.kind === 'start');
    assert.deepEqual(
      starts.map(({ runsAs }) => runsAs),
      [1, null],
    );
  });

  it('shows an event only if it arrives at another CPU than it was bound to', () => {
    const items = sequenceOf(
      handMadeRun([strayEvent(0, 0, 1), strayEvent(0, 0, 1), strayEvent(2, 2, 2)]),
    ).items;
    assert.deepEqual(items, [
      { kind: 'stray', vcpu: 0, linuxCpu: 0, boundFor: 1, purpose: 'timer', times: 2 },
    ]);
  });

  it('names the existing vCPUs that need lanes, and no others', () => {
    const { vcpus } = sequenceOf(handMadeRun([callEvent(2, 'A', 0xffff_ffff, -2)], { 0: null }));
    assert.deepEqual(vcpus, [2]);
  });
});

describe('repetition in a sequence', () => {
  it('is folded if the same happens for one CPU after another', () => {
    const { items } = sequenceOf(
      handMadeRun([kernelEvent(0), ...[1, 2, 3].flatMap(bringUp), endEvent('userspace', '')]),
    );
    assert.deepEqual(
      items.map(({ kind }) => kind),
      ['kernel', 'call', 'start', 'call', 'online', 'again', 'end'],
    );
    assert.deepEqual(items[5], { kind: 'again', items: 4, times: 2, vcpus: [2, 3] });
  });

  it('of an identical call becomes a count', () => {
    const refused = callEvent(0, 'EVTCHNOP_init_control', 0xffff_ffff, -2);
    const meant = { 0: null, 1: null, 2: null };
    const { items } = sequenceOf(handMadeRun([refused, refused, refused], meant));
    assert.deepEqual(
      callsIn(items).map(({ operations }) => operations),
      [[{ op: 'EVTCHNOP_init_control', times: 3 }]],
    );
  });

  it('is not folded if two blocks differ in more than one vCPU', () => {
    const events = [...bringUp(1), callEvent(0, 'EVTCHNOP_init_control', 2), startEvent(0, 3)];
    assert.ok(!sequenceOf(handMadeRun(events)).items.some(({ kind }) => kind === 'again'));
  });

  it('loses nothing: unfolded, the sequence has as many calls, starts and turning points as the run', () => {
    const oneOf = fc.constantFrom(
      callEvent(0, 'A', 1),
      callEvent(0, 'A', 2),
      callEvent(1, 'A', 0, -22),
      callEvent(0, 'B', 0xffff_ffff, -2),
      startEvent(0, 1),
      startEvent(0, 2),
      cpuEvent('offline', 1),
      cpuEvent('offline', 2),
      strayEvent(1, 1, 0),
    );
    fc.assert(
      fc.property(
        fc.array(oneOf, { maxLength: 40 }),
        fc.array(fc.boolean(), { maxLength: 40 }),
        (events, wrong) => {
          const meant = Object.fromEntries(wrong.map((isWrong, i) => [i, isWrong ? 3 : undefined]));
          const known = Object.fromEntries(Object.entries(meant).filter(([, id]) => id !== undefined));
          const { items } = sequenceOf(handMadeRun(events, known as Record<number, number>));
          assert.equal(weigh(items), events.length);
        },
      ),
      { seed: 1, numRuns: 300 },
    );
  });
});

function weightOf(item: SequenceItem): number {
  if (item.kind === 'call') return item.operations.reduce((sum, { times }) => sum + times, 0);
  return item.kind === 'stray' ? item.times : 1;
}

/** The number of events that the items represent. */
function weigh(items: readonly SequenceItem[]): number {
  return items.reduce((sum, item, i) => {
    if (item.kind !== 'again') return sum + weightOf(item);
    const block = items.slice(i - item.items, i).reduce((weight, before) => weight + weightOf(before), 0);
    return sum + block * item.times;
  }, 0);
}
