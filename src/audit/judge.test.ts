import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { invalidVcpuNr } from '../identity/index.js';
import { notJudgedCalls } from './judge.js';
import { judged, told } from './test_judged.js';
import { boots, bringsUp, healthy, reset, runOf, Teller, testPlatform } from './test_trace.js';
import type { Draft } from './test_trace.js';

const arm = testPlatform('arm', 4);
const pvhvm = testPlatform('pvhvm', 4);

describe('what a healthy kernel means', () => {
  for (const kind of ['pv', 'pvhvm', 'pvh', 'arm'] as const) {
    for (const vcpus of [1, 2, 8, 40]) {
      it(`is what it passes: ${kind} with ${vcpus} vCPUs`, () => {
        const platform = testPlatform(kind, vcpus);
        const calls = judged(platform, healthy(new Teller(platform)));
        assert.deepEqual(
          calls.filter(({ verdict }) => verdict !== 'right').map(({ event }) => event.call.op),
          [],
        );
        assert.ok(calls.length >= vcpus);
      });
    }
  }

  it('is what it passes when a crash kernel runs on vCPU 2, with the other CPUs in another order', () => {
    const crash = new Teller(pvhvm, 1, [2, 0, 1, 3]);
    const calls = judged(pvhvm, [...healthy(new Teller(pvhvm)), reset, ...healthy(crash)]);
    assert.deepEqual(
      calls.filter(({ verdict }) => verdict !== 'right'),
      [],
    );
  });
});

describe('init_control', () => {
  const tell = new Teller(arm);
  const control = 'EVTCHNOP_init_control';

  it('means the caller first, then the vCPU that the caller starts next', () => {
    const calls = judged(arm, healthy(tell));
    assert.deepEqual(told(calls, control), ['0 0>0', '0 1>1', '0 2>2', '0 3>3']);
  });

  it('means nobody when the caller starts nobody: Arm as posted', () => {
    const failed = [1, 2, 3].map(() => tell.refused(0, control, invalidVcpuNr));
    const calls = judged(arm, [tell.enters(), ...boots(tell), ...failed, tell.ends()]);
    assert.deepEqual(
      told(calls, control).slice(1),
      [1, 2, 3].map(() => `0 ${invalidVcpuNr}>null`),
    );
    assert.deepEqual(
      calls.slice(-3).map(({ verdict }) => verdict),
      ['refused', 'refused', 'refused'],
    );
  });

  it('means the vCPU that is started next, also where the task that brings it up moves to another CPU', () => {
    const moves = (cpu: number, from: number, to: number): Draft[] => [
      tell.calls(from, control, cpu),
      tell.starts(to, cpu),
      tell.is('running', cpu),
    ];
    const calls = judged(arm, [
      tell.enters(),
      ...boots(tell),
      ...bringsUp(tell, 1),
      ...moves(2, 0, 1),
      ...moves(3, 2, 0),
    ]);
    assert.deepEqual(told(calls, control), ['0 0>0', '0 1>1', '0 2>2', '2 3>3']);
    const wrong = [tell.calls(0, control, 3), tell.starts(1, 2)];
    const last = judged(arm, [tell.enters(), ...boots(tell), ...bringsUp(tell, 1), ...wrong]).at(-1);
    assert.deepEqual([last?.meant, last?.verdict], [2, 'silent']);
  });

  it('is not judged where Xen took it and no start follows: the run may have ended in between', () => {
    const events = [...healthy(tell)];
    const cuts = events.flatMap((_, length) => judged(arm, events.slice(0, length)));
    assert.deepEqual(
      cuts.filter(({ verdict }) => verdict === 'refused' || verdict === 'silent'),
      [],
    );
    assert.equal(cuts.filter(({ verdict }) => verdict === 'not-judged').length, 3);
  });

  it('means nobody when the next start names no vCPU', () => {
    const calls = judged(arm, [
      tell.enters(),
      ...boots(tell),
      tell.calls(0, control, 1),
      tell.starts(0, 1, null),
    ]);
    assert.deepEqual(told(calls, control).at(-1), '0 1>null');
  });

  it('means the caller when a started CPU makes its own, whoever started it', () => {
    const own = [1, 2].flatMap((cpu) => [
      tell.starts(0, cpu),
      tell.is('running', cpu),
      tell.calls(cpu, control, cpu),
    ]);
    assert.deepEqual(told(judged(arm, [tell.enters(), ...boots(tell), ...own]), control), [
      '0 0>0',
      '1 1>1',
      '2 2>2',
    ]);
  });

  it('means the next started where a secondary CPU, whose own was made for it, brings up a third', () => {
    const calls = judged(arm, [tell.enters(), ...boots(tell), ...bringsUp(tell, 1), ...bringsUp(tell, 2, 1)]);
    assert.deepEqual(told(calls, control), ['0 0>0', '0 1>1', '1 2>2']);
  });

  it('means the caller again in the next kernel, and after a reset', () => {
    const next = new Teller(arm, 1, [2, 0, 1, 3]);
    for (const between of [[], [reset]]) {
      const calls = judged(arm, [...healthy(tell), ...between, next.enters(), next.calls(0, control, 0)]);
      assert.equal(told(calls, control).at(-1), '2 0>2');
    }
  });

  it('goes by the record where Xen refuses it and the kernel goes on to the next CPU, whoever brings that up', () => {
    const begun = [tell.enters(), ...boots(tell), ...bringsUp(tell, 1)];
    for (const by of [0, 1]) {
      const calls = judged(arm, [...begun, tell.refused(0, control, 2), ...bringsUp(tell, 3, by)]);
      assert.deepEqual(told(calls, control).slice(2), ['0 2>2', `${by} 3>3`]);
      // Nor is it for one that is up already.
      const wrong = judged(arm, [...begun, tell.refused(0, control, 1), ...bringsUp(tell, 3, by)]);
      assert.deepEqual(told(wrong, control).slice(2), ['0 1>null', `${by} 3>3`]);
    }
  });

  it('goes by the record where something else was refused to the CPU', () => {
    const begun = [tell.enters(), ...boots(tell), ...bringsUp(tell, 1)];
    const calls = judged(arm, [...begun, tell.calls(0, control, 2), ...bringsUp(tell, 3, 1)]);
    assert.deepEqual(told(calls, control).slice(2), ['0 2>2', '1 3>3']);
  });

  it('is not for a CPU that has one and comes back', () => {
    const gone = [tell.is('offline', 1), tell.stops(1)];
    const back = [tell.starts(0, 1), tell.is('running', 1), tell.is('online', 1)];
    const begun = [tell.enters(), ...boots(tell), ...bringsUp(tell, 1), ...gone];
    const calls = judged(arm, [...begun, tell.calls(0, control, 2), ...back]);
    assert.equal(told(calls, control).at(-1), '0 2>2');
  });

  it('is silent where a fresh wrong vCPU takes it', () => {
    const wrong = [tell.calls(0, control, 3), tell.starts(0, 1)];
    const last = judged(arm, [tell.enters(), ...boots(tell), ...wrong]).at(-1);
    assert.deepEqual([last?.meant, last?.verdict], [1, 'silent']);
  });
});

describe('calls on oneself', () => {
  it('mean the caller: vcpu_info and runstate on Arm, timers everywhere', () => {
    const tell = new Teller(arm);
    const running = [tell.enters(), ...boots(tell), tell.starts(0, 1), tell.is('running', 1)];
    for (const op of [
      'VCPUOP_register_vcpu_info',
      'VCPUOP_register_runstate_memory_area',
      'VCPUOP_register_runstate_phys_area',
      'VCPUOP_set_singleshot_timer',
      'VCPUOP_stop_singleshot_timer',
      'VCPUOP_set_periodic_timer',
      'VCPUOP_stop_periodic_timer',
    ]) {
      const calls = judged(arm, [...running, tell.calls(1, op, 0), tell.calls(1, op, 1)]);
      assert.deepEqual(told(calls, op).slice(-2), ['1 0>1', '1 1>1']);
    }
  });
});

describe('x86 in prepare', () => {
  const tell = new Teller(pvhvm, 0, [0, 2, 1, 3]);
  const start = [tell.enters(), ...boots(tell)];
  const vector = 'HVMOP_set_evtchn_upcall_vector';

  it('means the vCPU that is started next', () => {
    const calls = judged(pvhvm, healthy(tell));
    for (const op of ['VCPUOP_register_vcpu_info', vector, 'EVTCHNOP_init_control']) {
      assert.deepEqual(told(calls, op), ['0 0>0', '0 2>2', '0 1>1', '0 3>3']);
    }
    assert.deepEqual(told(calls, 'VCPUOP_register_runstate_memory_area'), [
      '0 0>0',
      '2 2>2',
      '1 1>1',
      '3 3>3',
    ]);
  });

  it('takes a second vector of its own, not followed by a start, for a call on oneself', () => {
    const calls = judged(pvhvm, [...healthy(tell), tell.calls(0, vector, 0)]);
    assert.equal(told(calls, vector).at(-1), '0 0>0');
  });

  it('takes a second vector of its own before the first prepare for a call on oneself', () => {
    const calls = judged(pvhvm, [...start, tell.calls(0, vector, 0), ...bringsUp(tell, 1)]);
    assert.deepEqual(told(calls, vector), ['0 0>0', '0 0>0', '0 2>2']);
  });

  it('does not take its own id in prepare for a call on oneself', () => {
    const wrong = [
      tell.calls(0, 'VCPUOP_register_vcpu_info', 2),
      tell.calls(0, vector, 0),
      tell.starts(0, 1),
    ];
    assert.equal(told(judged(pvhvm, [...start, ...wrong]), vector).at(-1), '0 0>2');
    const unstarted = judged(pvhvm, [...start, ...wrong.slice(0, 2)]);
    assert.equal(told(unstarted, vector).at(-1), '0 0>null');
  });

  it('goes by the record where the CPU is given up before it is started', () => {
    const op = 'VCPUOP_register_vcpu_info';
    const known = [...start, tell.records(1, 2)];
    assert.equal(told(judged(pvhvm, [...known, tell.calls(0, op, 2)]), op).at(-1), '0 2>2');
    assert.equal(told(judged(pvhvm, [...known, tell.calls(0, op, 3)]), op).at(-1), '0 3>null');
    assert.equal(told(judged(pvhvm, [...known, tell.calls(0, op, 0)]), op).at(-1), '0 0>null');
    const nobody = [...known, tell.calls(0, op, 2), tell.calls(0, vector, 2), tell.starts(0, 1, null)];
    assert.equal(told(judged(pvhvm, nobody), op).at(-1), '0 2>2');
    assert.equal(told(judged(pvhvm, nobody), vector).at(-1), '0 2>2');
  });

  it('knows the second preparation of a CPU that was offline, where vcpu_info is not registered again', () => {
    const cycle = [tell.is('offline', 1), tell.calls(0, vector, 2), tell.starts(0, 1), tell.is('running', 1)];
    assert.equal(told(judged(pvhvm, [...healthy(tell), ...cycle]), vector).at(-1), '0 2>2');
  });

  it('goes by the record where a CPU is given up, and the task that brings up the next has moved', () => {
    const op = 'VCPUOP_register_vcpu_info';
    const begun = [...start, ...bringsUp(tell, 1)];
    const asks = (refused: boolean, id = 1): Draft[] => [
      tell.records(2, id),
      tell.calls(0, op, id, refused ? -22 : 0),
    ];
    for (const refused of [true, false]) {
      const calls = judged(pvhvm, [...begun, ...asks(refused), ...bringsUp(tell, 3, 1)]);
      assert.deepEqual(told(calls, op).slice(2), ['0 1>1', '2 3>3']);
    }
    const wrong = judged(pvhvm, [...begun, ...asks(true, 2), ...bringsUp(tell, 3, 1)]);
    assert.deepEqual(told(wrong, op).slice(2), ['0 2>null', '2 3>3']);
    // A call that a CPU makes for itself meanwhile is for no other.
    const own = [tell.starts(0, 1), tell.is('running', 1)];
    const between = [tell.records(2), tell.calls(0, op, 1, -22), tell.calls(1, op, 2), tell.starts(0, 2)];
    assert.deepEqual(told(judged(pvhvm, [...start, ...own, ...between]), op).slice(1), ['0 1>1', '2 2>2']);
  });

  it('knows a preparation whose task moves before the start', () => {
    const up = [...start, ...bringsUp(tell, 1), ...bringsUp(tell, 2), ...bringsUp(tell, 3)];
    const gone = (cpu: number): Draft[] => [tell.is('offline', cpu), tell.stops(cpu)];
    const moved = (cpu: number, from: number, to: number, id = tell.vcpu(cpu)): Draft[] => [
      ...gone(cpu),
      tell.calls(from, vector, id, 0, { vector: 0xf3 }),
      tell.starts(to, cpu),
      tell.is('running', cpu),
      tell.is('online', cpu),
    ];
    const right = judged(pvhvm, [...up, ...moved(1, 0, 3), ...moved(2, 3, 0), ...moved(3, 1, 2)]);
    assert.deepEqual(told(right, vector).slice(4), ['0 2>2', '3 1>1', '2 3>3']);
    const wrong = judged(pvhvm, [...up, ...moved(1, 0, 3, 1)]);
    assert.deepEqual(told(wrong, vector).slice(4), ['0 1>2']);
    // A CPU that sets its own vector again prepares none.
    const own = judged(pvhvm, [...up, tell.calls(3, vector, 3), ...moved(1, 0, 0)]);
    assert.deepEqual(told(own, vector).slice(4), ['3 3>3', '0 2>2']);
  });

  it('knows a CPU as prepared, whose first such call is then for another', () => {
    const first = [tell.calls(0, vector, 2), tell.starts(3, 1), tell.is('running', 1), tell.is('online', 1)];
    const third = [...bringsUp(tell, 3)];
    const next = [tell.calls(1, vector, 1), tell.starts(1, 2), tell.is('running', 2)];
    const calls = judged(pvhvm, [...start, ...third, ...first, ...next]);
    assert.deepEqual(told(calls, vector).slice(2), ['0 2>2', '2 1>1']);
  });

  it('knows CPUs that come back one by another', () => {
    const up = [...start, ...bringsUp(tell, 1), ...bringsUp(tell, 2)];
    const gone = [1, 2].flatMap((cpu) => [tell.is('offline', cpu), tell.stops(cpu)]);
    const back = (cpu: number, by: number): Draft[] => [
      tell.calls(by, vector, tell.vcpu(cpu)),
      tell.starts(by, cpu),
      tell.is('running', cpu),
      tell.is('online', cpu),
    ];
    const calls = judged(pvhvm, [...up, ...gone, ...back(1, 0), ...back(2, 1), ...bringsUp(tell, 3)]);
    assert.deepEqual(told(calls, vector).slice(3), ['0 2>2', '2 1>1', '0 3>3']);
  });

  it('leaves a started CPU that makes its own calls to itself', () => {
    const own = [tell.starts(0, 1), tell.is('running', 1), tell.calls(1, vector, 2)];
    const calls = judged(pvhvm, [...start, tell.calls(0, vector, 0), ...own]);
    assert.deepEqual(told(calls, vector), ['0 0>0', '0 0>0', '2 2>2']);
  });
});

describe('calls on any CPU by its record', () => {
  const physid = 'VCPUOP_get_physid';
  const tell = new Teller(pvhvm, 0, [0, 2, 1, 3]);
  const start = [tell.enters(), ...boots(tell)];

  it('mean the true vCPU of the CPU whose record holds the id', () => {
    const wrongRecord = [tell.records(1, 1), tell.calls(0, physid, 1)];
    assert.equal(told(judged(pvhvm, [...start, ...wrongRecord]), physid).at(-1), '0 1>2');
    const rightRecord = [tell.records(1, 2), tell.calls(0, physid, 2)];
    assert.equal(told(judged(pvhvm, [...start, ...rightRecord]), physid).at(-1), '0 2>2');
  });

  it('go by the records as they stand at the call', () => {
    const bind = tell.calls(0, physid, 1);
    const calls = judged(pvhvm, [...start, bind, tell.records(2, 1), bind, tell.records(2, 3), bind]);
    assert.deepEqual(told(calls, physid), ['0 1>null', '0 1>1', '0 1>null']);
  });

  it('mean nobody when two CPUs hold the id', () => {
    const bind = tell.calls(0, physid, 0);
    const calls = judged(pvhvm, [...start, tell.records(1, 0), bind, tell.is('running', 1)]);
    assert.equal(told(calls, physid).at(-1), '0 0>null');
  });

  it('mean the one of several holders that ever runs', () => {
    const records = [1, 2, 3].map((cpu) => tell.records(cpu, 0));
    const bind = tell.calls(0, physid, 0);
    const alone = [...start, ...records, bind];
    assert.equal(told(judged(pvhvm, alone), physid).at(-1), '0 0>0');
    const withAnother = [...alone, tell.is('running', 1)];
    assert.equal(told(judged(pvhvm, withAnother), physid).at(-1), '0 0>null');
  });

  it('do not count a record that was marked as holding none', () => {
    const marked = [tell.records(1, 2), tell.records(1, invalidVcpuNr)];
    const calls = judged(pvhvm, [...start, ...marked, tell.calls(0, physid, invalidVcpuNr)]);
    assert.equal(told(calls, physid).at(-1), `0 ${invalidVcpuNr}>null`);
  });

  it('take where a CPU ran for the truth, before its hardware id', () => {
    const ran = [tell.records(1, 2), tell.starts(0, 1), tell.is('running', 1, 3)];
    const calls = judged(pvhvm, [...start, ...ran, tell.calls(0, physid, 2)]);
    assert.equal(told(calls, physid).at(-1), '0 2>3');
  });

  it('take where a CPU ran last, or where it runs first if it has not run', () => {
    const bind = tell.calls(0, physid, 2);
    const moved = [bind, tell.is('running', 1, 3), bind, tell.is('running', 1, 1), bind];
    const calls = judged(pvhvm, [...start, tell.records(1, 2), ...moved]);
    assert.deepEqual(told(calls, physid), ['0 2>3', '0 2>3', '0 2>1']);
  });

  it('take the hardware id for the truth of a CPU that never runs, vCPU 0 too', () => {
    const crash = new Teller(pvhvm, 0, [2, 0, 1, 3]);
    const given = [crash.enters(), crash.is('running', 0), crash.records(0), crash.records(1)];
    const calls = judged(pvhvm, [...given, crash.calls(0, physid, 0)]);
    assert.deepEqual(told(calls, physid), ['2 0>0']);
  });

  it('take the CPU number for the id in a kernel that keeps no records', () => {
    const old = new Teller(pvhvm, 0, [0, 2, 1, 3], 'none');
    const calls = judged(pvhvm, [old.enters(), old.is('running', 0), old.calls(0, physid, 1)]);
    assert.equal(told(calls, physid).at(-1), '0 1>2');
  });

  it('see through a real kernel that wrote 0 over an initial 0', () => {
    const seen = [tell.enters(), tell.is('running', 0), tell.records(1, 2), tell.calls(0, physid, 0)];
    assert.equal(told(judged(pvhvm, seen), physid).at(-1), '0 0>0');
  });

  for (const map of ['unreadable', 'readable'] as const) {
    it(`are not judged while nothing has been read of records that are ${map}`, () => {
      const entered = new Teller(arm, 0, [3, 0, 1, 2], map);
      const bind = entered.calls(0, 'VCPUOP_get_physid', 0);
      const own = entered.calls(0, 'VCPUOP_register_vcpu_info', 0);
      const calls = judged(arm, [entered.enters(), entered.is('running', 0), own, bind]);
      assert.deepEqual(
        calls.map(({ verdict, meant }) => [verdict, meant]),
        [
          ['silent', 3],
          ['not-judged', null],
        ],
      );
      assert.match(calls[1]?.reason ?? '', /cannot be read/);
    });
  }

  it('mean the only vCPU of a domain that has one, whatever can be read', () => {
    const alone = testPlatform('arm', 1);
    const unread = new Teller(alone, 0, [0], 'unreadable');
    const binds = [0, 1].map((id) => unread.calls(0, 'VCPUOP_get_physid', id));
    const calls = judged(alone, [unread.enters(), unread.is('running', 0), ...binds]);
    assert.deepEqual(told(calls, 'VCPUOP_get_physid'), ['0 0>0', '0 1>0']);
  });
});

describe('bindings', () => {
  const bindVcpu = 'EVTCHNOP_bind_vcpu';
  const tell = new Teller(arm, 0, [3, 0, 1, 2]);
  const start = [tell.enters(), ...boots(tell), ...bringsUp(tell, 1)];
  const bind = (id: number, returned = 0, port = 5): Draft => tell.calls(0, bindVcpu, id, returned, { port });
  const bindings = (...drafts: Draft[]): string[] =>
    judged(arm, [...start, ...drafts])
      .filter(({ event }) => event.call.op === bindVcpu)
      .map(({ passed, meant, verdict }) => `${passed}>${meant ?? 'null'} ${verdict}`);

  it('mean the true vCPU of the CPU that the interrupt table names afterwards', () => {
    assert.deepEqual(bindings(bind(3), tell.bound(0, 0, 5)), ['3>3 right']);
    // The number of CPU 0, and some CPU's record holds it.
    assert.deepEqual(bindings(bind(0), tell.bound(0, 0, 5)), ['0>3 silent']);
    assert.deepEqual(bindings(bind(0), tell.bound(0, 1, 5)), ['0>0 right']);
  });

  it('need no records for that', () => {
    const unread = new Teller(arm, 0, [3, 0, 1, 2], 'unreadable');
    const drafts = [
      unread.enters(),
      unread.is('running', 0),
      ...unread.binds(0, bindVcpu, 0, { port: 5 }, 0),
    ];
    assert.deepEqual(told(judged(arm, drafts), bindVcpu), ['3 0>3']);
  });

  it('of one port each go by what the table says before the next', () => {
    const three = [bind(3), tell.bound(0, 0, 5), bind(0), tell.bound(0, 1, 5), bind(3), tell.bound(0, 1, 5)];
    assert.deepEqual(bindings(...three), ['3>3 right', '0>0 right', '3>0 silent']);
    assert.deepEqual(bindings(bind(0), bind(3), tell.bound(0, 0, 5)), ['0>null not-judged', '3>3 right']);
  });

  it('are not judged by another port, a port that was closed meanwhile, or another kernel', () => {
    assert.deepEqual(bindings(bind(0), tell.bound(0, 0, 6)), ['0>null not-judged']);
    const close = tell.calls(0, 'EVTCHNOP_close', null, 0, { port: 5 });
    assert.deepEqual(bindings(bind(0), close, tell.bound(0, 0, 5)), ['0>null not-judged']);
    const next = new Teller(arm, 1, [2, 0, 1, 3]);
    assert.deepEqual(bindings(bind(0), next.enters(), next.bound(0, 0, 5)), ['0>null not-judged']);
  });

  it('say why they are not judged', () => {
    const why = (...drafts: Draft[]): string | null | undefined =>
      judged(arm, [...start, ...drafts]).find(({ event }) => event.call.op === bindVcpu)?.reason;
    assert.match(why(bind(0)) ?? '', /table cannot be read/);
    assert.match(why(bind(0), bind(3, 0, 6), tell.bound(0, 0, 6)) ?? '', /not seen/);
    assert.match(why(bind(0, -22)) ?? '', /refused/);
    assert.match(why(bind(0), tell.bound(0, 9, 5)) ?? '', /CPU 9/);
    assert.equal(why(bind(0), tell.bound(0, 0, 5)), null);
  });

  it('made beforehand are for the CPU that the table names, who ever calls', () => {
    const x86 = new Teller(pvhvm, 0, [0, 2, 1, 3]);
    const drafts = [
      x86.enters(),
      ...boots(x86),
      ...x86.binds(0, 'EVTCHNOP_bind_ipi', 1, { port: 9 }, 1),
      ...x86.binds(0, 'EVTCHNOP_bind_virq', 1, { port: 10, virq: 0 }, 0),
    ];
    const calls = judged(pvhvm, drafts);
    assert.equal(told(calls, 'EVTCHNOP_bind_ipi').at(-1), '0 1>2');
    assert.equal(told(calls, 'EVTCHNOP_bind_virq').at(-1), '0 0>2');
  });

  it('mean vCPU 0 for a VIRQ of the whole domain', () => {
    const bind = tell.calls(0, 'EVTCHNOP_bind_virq', 2, 0, { virq: 8, port: 7 });
    assert.equal(
      told(judged(pvhvm, [...start, tell.records(1, 2), bind]), 'EVTCHNOP_bind_virq').at(-1),
      '3 2>0',
    );
  });
});

it('leaves calls without a vCPU id alone', () => {
  const tell = new Teller(arm);
  assert.deepEqual(judged(arm, [tell.enters(), tell.calls(0, 'EVTCHNOP_send', null)]), []);
});

it('counts what it did not judge, by operation and reason', () => {
  const tell = new Teller(arm, 0, [3, 0, 1, 2], 'unreadable');
  const binds = [0, 1].map((id) => tell.calls(0, 'EVTCHNOP_bind_vcpu', id));
  const drafts = [tell.enters(), ...binds, tell.calls(0, 'VCPUOP_get_physid', 9)];
  const table = "the kernel's interrupt table cannot be read";
  const records = "the kernel's records of its vCPU ids cannot be read";
  assert.deepEqual(notJudgedCalls(runOf(arm, drafts)), [
    { op: 'EVTCHNOP_bind_vcpu', calls: 2, why: table },
    { op: 'VCPUOP_get_physid', calls: 1, why: records },
  ]);
  assert.deepEqual(notJudgedCalls(runOf(arm, healthy(new Teller(arm)))), []);
});
