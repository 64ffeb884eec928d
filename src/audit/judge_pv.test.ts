/** What calls mean by which PV guests, and PVH guests that wish so, bring vCPUs up and take them down. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { linuxCpu, xenVcpuId } from '../identity/index.js';
import { judged, told } from './test_judged.js';
import { boots, bringsUp, healthy, Teller, testPlatform } from './test_trace.js';
import type { Draft } from './test_trace.js';

const pv = testPlatform('pv', 4);

describe('PV', () => {
  const tell = new Teller(pv);

  it('names in VCPUOP_initialise and VCPUOP_up the vCPU that comes up next', () => {
    const wrong = [tell.calls(0, 'VCPUOP_initialise', 2), tell.calls(0, 'VCPUOP_up', 1)];
    const calls = judged(pv, [
      tell.enters(),
      ...boots(tell),
      ...wrong,
      tell.starts(0, 1),
      tell.is('running', 1),
    ]);
    assert.deepEqual([told(calls, 'VCPUOP_initialise'), told(calls, 'VCPUOP_up')], [['0 2>1'], ['0 1>1']]);
  });

  it('names the vCPU that the same CPU starts, where several come up at once', () => {
    const asks = [1, 2, 3].flatMap((cpu) => [
      tell.calls(0, 'VCPUOP_initialise', cpu),
      tell.calls(0, 'VCPUOP_up', cpu),
      tell.starts(0, cpu),
    ]);
    const runs = [1, 2, 3].map((cpu) => tell.is('running', cpu));
    const calls = judged(pv, [tell.enters(), ...boots(tell), ...asks, ...runs]);
    for (const op of ['VCPUOP_initialise', 'VCPUOP_up'])
      assert.deepEqual(told(calls, op), ['0 1>1', '0 2>2', '0 3>3'], op);
  });

  it('means nobody by a VCPUOP_up that starts nobody, and the CPU of the record by the call before it', () => {
    const asks = (cpu: number): Draft[] => [
      tell.calls(0, 'VCPUOP_initialise', cpu),
      tell.calls(0, 'VCPUOP_up', cpu === 2 ? 0 : cpu),
    ];
    const calls = judged(pv, [
      tell.enters(),
      ...boots(tell),
      ...[...asks(1), tell.starts(0, 1)],
      ...asks(2),
      tell.is('running', 1),
      ...[...asks(3), tell.starts(0, 3), tell.is('running', 3)],
    ]);
    assert.deepEqual(told(calls, 'VCPUOP_initialise'), ['0 1>1', '0 2>2', '0 3>3']);
    assert.deepEqual(told(calls, 'VCPUOP_up'), ['0 1>1', '0 0>null', '0 3>3']);
  });

  const initialise = 'VCPUOP_initialise';
  const both = (
    ids: readonly number[],
    ups: readonly (readonly [id: number, returned?: number])[],
  ): string[] => {
    const starts = ups.flatMap(([id, returned = 0]) => [
      tell.calls(0, 'VCPUOP_up', id, returned),
      ...(returned === 0 && id !== 0 ? [tell.starts(0, id), tell.is('running', id)] : []),
    ]);
    const first = ids.map((id, at) =>
      tell.calls(0, initialise, id, ids.indexOf(id) < at || id === 0 ? -17 : 0),
    );
    const calls = judged(pv, [tell.enters(), ...boots(tell), ...first, ...starts]);
    assert.deepEqual(
      calls.filter(({ event }) => event.call.op === 'VCPUOP_up').map(({ passed, meant }) => [passed, meant]),
      ups.map(([id]) => [id, id === 0 ? null : id]),
    );
    return told(calls, initialise);
  };

  it('tells calls of VCPUOP_initialise apart that come before the first VCPUOP_up', () => {
    const right = ['0 1>1', '0 2>2', '0 3>3'];
    for (const ups of [[1, 2, 3], [3, 1, 2], [2], []]) {
      const asks = ups.map((id) => [id] as const);
      assert.deepEqual(both([1, 2, 3], asks), right, `up ${ups.join()}`);
    }
    assert.deepEqual(both([1, 1, 3], [[1], [2, -22], [3]]), ['0 1>1', '0 1>2', '0 3>3']);
    assert.deepEqual(both([2, 2, 3], [[1, -22], [2], [3]]), ['0 2>1', '0 2>2', '0 3>3']);
    assert.deepEqual(both([0, 2, 3], [[1, -22], [2], [3]]), ['0 0>null', '0 2>2', '0 3>3']);
    assert.deepEqual(both([3, 1], [[1], [2]]), ['0 3>2', '0 1>1']);
  });

  it('tells a later call from those whose vCPUs are still to be brought up', () => {
    const drafts = [
      ...[1, 2].map((cpu) => tell.calls(0, initialise, cpu)),
      ...[tell.calls(0, 'VCPUOP_up', 1), tell.starts(0, 1), tell.calls(0, initialise, 3)],
      ...[2, 3].flatMap((cpu) => [tell.calls(0, 'VCPUOP_up', cpu), tell.starts(0, cpu)]),
      ...[2, 1, 3].map((cpu) => tell.is('running', cpu)),
    ];
    for (const length of [drafts.length - 2, drafts.length]) {
      const calls = judged(pv, [tell.enters(), ...boots(tell), ...drafts.slice(0, length)]);
      assert.deepEqual(told(calls, initialise), ['0 1>1', '0 2>2', '0 3>3']);
    }
  });

  it('knows the vCPU that another CPU brings up, because the task has moved', () => {
    const drafts = [
      ...bringsUp(tell, 1),
      ...[tell.calls(0, initialise, 2), tell.calls(1, 'VCPUOP_up', 2), tell.starts(1, 2)],
      ...[tell.calls(1, initialise, 3), tell.calls(0, 'VCPUOP_up', 3), tell.starts(0, 3)],
    ];
    const calls = judged(pv, [tell.enters(), ...boots(tell), ...drafts]);
    for (const op of [initialise, 'VCPUOP_up'])
      assert.deepEqual(
        told(calls, op).map((text) => text.slice(2)),
        ['1>1', '2>2', '3>3'],
      );
  });

  it('takes down the caller, or another where the caller is online', () => {
    const down = 'VCPUOP_down';
    const up = [tell.enters(), ...boots(tell), ...[1, 2].flatMap((cpu) => bringsUp(tell, cpu))];
    const of = (...drafts: Draft[]): string[] =>
      judged(pv, [...up, ...drafts])
        .filter(({ event }) => event.call.op === down)
        .map(({ passed, meant, verdict }) => `${passed}>${meant ?? 'null'} ${verdict}`);
    const [offline, stops] = [tell.is('offline', 2), tell.stops(2)];
    assert.deepEqual(of(offline, tell.calls(2, down, 2), stops), ['2>2 right']);
    assert.deepEqual(of(offline, tell.calls(2, down, 0), tell.stops(0)), ['0>2 silent']);
    assert.deepEqual(of(offline, tell.calls(0, down, 2), stops), ['2>2 right']);
    assert.deepEqual(of(tell.calls(1, down, 2), stops), ['2>2 right']);
    // A CPU that halts behind the call meant itself, but not where the other CPU was offline, or was not the first.
    assert.deepEqual(of(tell.calls(1, down, 2), stops, tell.stops(1)), ['2>1 silent']);
    assert.deepEqual(of(offline, tell.calls(1, down, 2), stops, tell.stops(1)), ['2>2 right']);
    const both = [tell.calls(0, down, 1), tell.stops(1), tell.calls(0, down, 2), stops, tell.stops(0)];
    assert.deepEqual(of(...both), ['1>1 right', '2>2 right']);
    assert.deepEqual(of(tell.records(2, 0), tell.calls(1, down, 0)), ['0>null silent']);
  });

  it('takes down another, or is not judged, where it cannot be read which CPUs are online', () => {
    const down = 'VCPUOP_down';
    const enters = { ...tell.enters(), online: 'unreadable' } as Draft;
    const up = [enters, ...boots(tell), ...bringsUp(tell, 1)].filter(({ kind }) => kind !== 'online');
    const call = tell.calls(0, down, 1);
    const last = (...drafts: Draft[]): unknown => {
      const found = judged(pv, [...up, ...drafts]).find(({ event }) => event.call.op === down);
      return [found?.verdict, found?.meant];
    };
    assert.deepEqual(last(call, tell.stops(1), tell.calls(0, 'VCPUOP_is_up', 1)), ['right', 1]);
    assert.deepEqual(last(call, tell.stops(0)), ['not-judged', null]);
    assert.deepEqual(last(tell.calls(0, down, 0), tell.stops(0)), ['right', 0]);
  });

  it('falls back on the vCPU asked for where none comes up', () => {
    const asked = [tell.calls(0, 'VCPUOP_initialise', 1), tell.starts(0, 1)];
    assert.deepEqual(told(judged(pv, [tell.enters(), ...boots(tell), ...asked]), 'VCPUOP_initialise'), [
      '0 1>1',
    ]);
  });

  it('registers every vcpu_info at once, by the records', () => {
    const calls = judged(pv, healthy(tell));
    assert.deepEqual(told(calls, 'VCPUOP_register_vcpu_info'), ['0 0>0', '0 1>1', '0 2>2', '0 3>3']);
  });

  it('has no hardware ids: a CPU that never runs is the vCPU of its number, CPU 0 that of the entry', () => {
    const five = {
      ...tell.enters(),
      possible: [0, 1, 4].map((cpu) => ({ linuxCpu: linuxCpu(cpu), hardwareId: null })),
    };
    const given = [five, ...[0, 1, 4].map((cpu) => tell.records(cpu, cpu))] as Draft[];
    const binds = [0, 1, 4].map((id) => tell.calls(0, 'VCPUOP_get_physid', id));
    assert.deepEqual(told(judged(pv, [...given, ...binds]), 'VCPUOP_get_physid'), [
      '0 0>0',
      '0 1>1',
      '0 4>null',
    ]);
    const entered = { ...five, entryVcpu: xenVcpuId(3) } as Draft;
    const calls = judged(pv, [entered, ...given.slice(1), ...binds]);
    assert.deepEqual(told(calls, 'VCPUOP_get_physid'), ['0 0>3', '0 1>1', '0 4>null']);
  });

  it('may ask VCPUOP_is_up of any number', () => {
    const asked = [0, 3, 4, 99].map((id) => tell.calls(0, 'VCPUOP_is_up', id, id < 4 ? 0 : -2));
    const calls = judged(pv, [tell.enters(), ...asked]);
    assert.deepEqual(
      calls.map(({ verdict }) => verdict),
      ['right', 'right', 'right', 'right'],
    );
  });
});
