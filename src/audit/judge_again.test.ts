/** What calls mean in a second bring-up, in one that the kernel gives up, and in one that the run's end cuts off. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { judged, told } from './test_judged.js';
import { boots, bringsUp, Teller, testPlatform } from './test_trace.js';
import type { Draft } from './test_trace.js';

const pvhvm = testPlatform('pvhvm', 5);
const vector = 'HVMOP_set_evtchn_upcall_vector';
const area = 'VCPUOP_register_runstate_memory_area';
const info = 'VCPUOP_register_vcpu_info';

const tell = new Teller(pvhvm, 0, [0, 2, 1, 3, 4]);
const start = [tell.enters(), ...boots(tell)];
const up = [...start, ...bringsUp(tell, 1), ...bringsUp(tell, 2), ...bringsUp(tell, 3)];
const gone = (cpu: number): Draft[] => [tell.is('offline', cpu), tell.stops(cpu)];
const back = (cpu: number, by = 0): Draft[] => [
  tell.calls(by, vector, tell.vcpu(cpu)),
  tell.starts(by, cpu),
  tell.is('running', cpu),
  tell.calls(cpu, area, tell.vcpu(cpu)),
  tell.is('online', cpu),
];

function lastOf(op: string, ...drafts: Draft[]): string {
  const last = judged(pvhvm, drafts).findLast(({ event }) => event.call.op === op);
  return `${last?.passed ?? '-'}>${last?.meant ?? 'null'} ${last?.verdict ?? '-'}`;
}

function allRight(...drafts: Draft[]): void {
  const wrong = judged(pvhvm, drafts).filter(({ verdict }) => verdict !== 'right');
  assert.deepEqual(wrong, []);
}

describe('a repeatable call after which no CPU is started', () => {
  it('is judged by the records where it names another CPU', () => {
    assert.equal(lastOf(vector, ...up, ...gone(1), tell.calls(0, vector, 2)), '2>2 right');
    // The id of a CPU that is online, and one that no record holds.
    assert.equal(lastOf(vector, ...up, ...gone(1), tell.calls(0, vector, 1)), '1>null silent');
    assert.equal(lastOf(vector, ...up, ...gone(1), tell.calls(0, vector, 4)), '4>null silent');
  });

  it('is not judged where the records cannot be read', () => {
    const unread = new Teller(pvhvm, 0, [0, 2, 1, 3, 4], 'unreadable');
    const drafts = [unread.enters(), ...boots(unread), ...bringsUp(unread, 1)];
    const seen = [...drafts, ...gone(1), tell.calls(0, vector, 2)].filter(({ kind }) => kind !== 'record');
    assert.equal(lastOf(vector, ...seen), '2>null not-judged');
  });

  it('is for the caller where started CPUs make such calls for themselves', () => {
    const again = [...gone(1), tell.calls(0, vector, 2), tell.starts(0, 1), tell.is('running', 1)];
    // vCPU 1 is down, and the record of its CPU holds that id.
    assert.equal(lastOf(area, ...up, ...gone(2), ...again, tell.calls(1, area, 1)), '1>2 silent');
    assert.equal(lastOf(area, ...up, ...again, tell.calls(1, area, 2)), '2>2 right');
  });
});

describe('a call that a started CPU makes with the id of another', () => {
  it('does not show that it makes such calls for itself', () => {
    const all = [...up, ...gone(1), ...gone(2), ...back(1), tell.calls(1, vector, 1)];
    allRight(...all);
    const wrong = [...up, ...gone(1), ...gone(2), tell.calls(0, vector, 1), tell.starts(0, 1)];
    const calls = judged(pvhvm, [...wrong, tell.is('running', 1), tell.calls(1, vector, 1)]);
    assert.deepEqual(told(calls, vector).slice(-2), ['0 1>2', '2 1>1']);
  });
});

describe('a repetition for the caller before it starts a CPU', () => {
  const again = [...gone(1), ...back(1)];

  it('is for the caller where started CPUs make such calls for themselves', () => {
    const begun = [...start, ...bringsUp(tell, 1), ...bringsUp(tell, 2), ...again];
    allRight(...begun, tell.calls(1, vector, 3), tell.starts(1, 3));
    allRight(...begun, ...bringsUp(tell, 3, 1).filter(({ kind }) => kind !== 'running'));
    assert.equal(
      lastOf(area, ...begun.slice(0, -2), tell.calls(1, area, 4), tell.starts(1, 3)),
      '4>3 silent',
    );
  });

  it('is not judged where nothing shows for which CPU it was', () => {
    const own = [...start, tell.calls(0, vector, 0), tell.starts(0, 1), tell.is('running', 1)];
    assert.equal(lastOf(vector, ...own), '0>null not-judged');
    assert.equal(lastOf(vector, ...own, tell.calls(1, vector, 2)), '2>2 right');
    // A kernel that has made such calls for others, or whose new CPU goes on without one, makes none for itself.
    const others = [...up, ...gone(1), tell.calls(0, vector, 0), tell.starts(0, 1)];
    assert.equal(lastOf(vector, ...others), '0>2 silent');
    const goesOn = tell.calls(1, 'VCPUOP_set_singleshot_timer', 2);
    assert.equal(lastOf(vector, ...own, goesOn), '0>2 silent');
  });
});

describe('what Xen took for a CPU that the kernel gave up', () => {
  const first = [...start, ...bringsUp(tell, 1), ...bringsUp(tell, 2), ...gone(1)];
  const failed = [tell.records(3), tell.calls(0, info, 3), tell.refused(0, 'EVTCHNOP_bind_ipi', 3)];
  const third = bringsUp(tell, 3).filter(({ kind }) => kind !== 'record');

  it('is registered for that CPU, and not for the one that is started next', () => {
    const calls = judged(pvhvm, [
      ...[...first, ...failed, ...back(1)],
      ...third.filter((draft) => draft.kind !== 'hypercall' || draft.call.op !== info),
      ...bringsUp(tell, 4, 3),
    ]);
    assert.deepEqual(told(calls, info), ['0 0>0', '0 2>2', '0 1>1', '0 3>3', '3 4>4']);
  });

  it('stays for the CPU that is started next where it has none', () => {
    const events = [
      ...start,
      tell.records(1),
      tell.calls(0, info, 3),
      tell.starts(0, 1),
      tell.is('running', 1),
    ];
    const own = [...events, tell.is('online', 1), tell.calls(1, info, 1), tell.starts(1, 2)];
    assert.deepEqual(told(judged(pvhvm, own), info), ['0 0>0', '0 3>2', '2 1>1']);
  });
});
