import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { apicId, linuxCpu, xenVcpuId } from '../identity/index.js';
import { audit, firstBroken } from './audit.js';
import type { Finding } from './finding.js';
import { judgeCalls } from './judge.js';
import { endOf, reachesGoal } from './outcome.js';
import { healthy, reset, runOf, Teller, testPlatform } from './test_trace.js';
import type { Draft } from './test_trace.js';
import type { Platform } from './trace.js';

const small = fc.integer({ min: 0, max: 5 });
const kernel = fc.integer({ min: 0, max: 2 });
const vcpu = small.map(xenVcpuId);
const cpu = small.map(linuxCpu);
const maybeCpu = fc.option(cpu);
const id = fc.oneof(small, fc.constantFrom(0xffff_ffff, 31, 32, 2 ** 31));
const answer = fc.oneof(fc.constant(0), fc.constantFrom(-2, -14, -16, -17, -22, -38), fc.integer());

const ops = [
  'VCPUOP_register_vcpu_info',
  'VCPUOP_register_runstate_memory_area',
  'VCPUOP_register_runstate_phys_area',
  'VCPUOP_register_vcpu_time_memory_area',
  'VCPUOP_set_singleshot_timer',
  'VCPUOP_set_periodic_timer',
  'VCPUOP_initialise',
  'VCPUOP_up',
  'VCPUOP_down',
  'VCPUOP_is_up',
  'VCPUOP_send_nmi',
  'VCPUOP_get_physid',
  'EVTCHNOP_bind_virq',
  'EVTCHNOP_bind_ipi',
  'EVTCHNOP_bind_vcpu',
  'EVTCHNOP_init_control',
  'EVTCHNOP_alloc_unbound',
  'EVTCHNOP_close',
  'EVTCHNOP_reset',
  'HVMOP_set_evtchn_upcall_vector',
  'hypercall_57',
];

const detail = fc.dictionary(
  fc.constantFrom('port', 'virq', 'vector', 'offset', 'period_ns', 'vcpu', 'x'),
  fc.oneof(fc.integer(), fc.bigInt(), fc.string(), fc.constant(null)),
);

const call = fc.record({
  hypercall: fc.constantFrom('vcpu_op', 'event_channel_op', 'hvm_op', 'hypercall_57'),
  op: fc.constantFrom(...ops),
  vcpuId: fc.option(id),
  detail,
  returned: answer,
});

const possible = fc.array(fc.record({ linuxCpu: cpu, hardwareId: fc.option(small.map(apicId)) }), {
  maxLength: 6,
});
const leftOut = fc.array(fc.record({ vcpu, why: fc.constant('') }), { maxLength: 3 });
const how = fc.constantFrom('psci', 'sipi', 'VCPUOP_up');
const outcome = fc.constantFrom('userspace', 'poweroff', 'panic', 'hang', 'destroyed');

function kindIs<const K extends string>(kind: K): { kind: fc.Arbitrary<K> } {
  return { kind: fc.constant(kind) };
}

const map = fc.constantFrom('readable', 'unreadable', 'none');
const draft: fc.Arbitrary<Draft> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      ...kindIs('hypercall'),
      kernel,
      vcpu,
      linuxCpu: maybeCpu,
      call,
      phase: fc.constant(null),
    }),
  },
  fc.record({
    ...kindIs('kernel'),
    kernel,
    name: fc.constant('k'),
    entryVcpu: vcpu,
    possible,
    leftOut,
    records: map,
  }),
  fc.record({
    ...kindIs('start'),
    kernel,
    by: vcpu,
    linuxCpu: maybeCpu,
    how,
    meant: maybeCpu,
    target: fc.option(vcpu),
    returned: answer,
  }),
  fc.record({ kind: fc.constantFrom('running', 'online', 'offline'), kernel, vcpu, linuxCpu: cpu }),
  fc.record({ ...kindIs('limits'), kernel, possible, leftOut }),
  fc.record({
    ...kindIs('stop'),
    kernel,
    vcpu,
    linuxCpu: maybeCpu,
    how: fc.constantFrom('psci', 'VCPUOP_down', 'hlt'),
  }),
  fc.record({ ...kindIs('record'), kernel, linuxCpu: cpu, value: id, source: fc.constant('direct') }),
  fc.record({ ...kindIs('use'), kernel, by: cpu, linuxCpu: cpu, value: id, recorded: fc.boolean() }),
  fc.record({
    ...kindIs('event'),
    kernel,
    vcpu,
    linuxCpu: cpu,
    port: small,
    boundFor: maybeCpu,
    purpose: fc.constant(''),
  }),
  fc.record({ ...kindIs('affinity'), kernel, vcpu, linuxCpu: cpu, port: fc.integer({ min: 0, max: 9 }) }),
  fc.record({ kind: fc.constantFrom('lost-upcall', 'upcall-heard'), vcpu, port: fc.nat(9) }),
  fc.record(kindIs('reset')),
  fc.record({ ...kindIs('log'), kernel, linuxCpu: maybeCpu, line: fc.string() }),
  fc.record({ ...kindIs('end'), kernel, outcome, online: fc.array(cpu), why: fc.constant('') }),
);

const platform: fc.Arbitrary<Platform> = fc
  .tuple(
    fc.constantFrom('pv', 'pvhvm', 'pvh', 'arm'),
    fc.integer({ min: 0, max: 4 }),
    fc.constantFrom('4.17', '4.18'),
    fc.boolean(),
  )
  .map(([kind, vcpus, release, fifo]) => testPlatform(kind, vcpus, { release, fifo }));

describe('audit', () => {
  it('never throws, whatever a trace holds', () => {
    fc.assert(
      fc.property(platform, fc.array(draft, { maxLength: 60 }), (on, drafts) => {
        const run = runOf(on, drafts);
        const findings = audit(run);
        for (const { step } of findings) assert.ok(step >= 0 && step < drafts.length);
      }),
      { numRuns: 2000 },
    );
  });

  it('judges every call that carries an id, and only those', () => {
    fc.assert(
      fc.property(platform, fc.array(draft, { maxLength: 40 }), (on, drafts) => {
        const run = runOf(on, drafts);
        const carrying = run.events.filter(
          (event) => event.kind === 'hypercall' && event.call.vcpuId !== null,
        );
        const judged = judgeCalls(run);
        assert.deepEqual(
          judged.map(({ event }) => event),
          carrying,
        );
        for (const { event, passed, meant, verdict, reason } of judged) {
          assert.equal(verdict === 'not-judged', reason !== null);
          if (verdict === 'not-judged') continue;
          const wrong = event.call.returned < 0 ? 'refused' : 'silent';
          assert.equal(verdict, passed === meant ? 'right' : wrong);
        }
      }),
    );
  });

  it('finds the same again, and does not change the run', () => {
    fc.assert(
      fc.property(platform, fc.array(draft, { maxLength: 40 }), (on, drafts) => {
        const run = runOf(on, drafts);
        const before = structuredClone(run);
        assert.deepEqual(audit(run), audit(run));
        assert.deepEqual(structuredClone(run), before);
      }),
      { numRuns: 200 },
    );
  });

  it('does not need what only a model tells: phases, sources and uses', () => {
    const on = testPlatform('pvhvm', 4);
    const crash = new Teller(on, 1, [2, 0, 1, 3]);
    const wrong = crash.calls(1, 'VCPUOP_stop_periodic_timer', 3);
    const drafts = [...healthy(new Teller(on)), reset, ...healthy(crash), wrong];
    const bare = drafts.filter((event) => !(event.kind === 'record' && event.value === 0));
    assert.deepEqual(
      audit(runOf(on, bare)).map(({ rule }) => rule),
      ['id-is-meant'],
    );
  });
});

describe('firstBroken', () => {
  const finding = (step: number, rule: string): Finding => {
    const place = { op: null, linuxCpu: null, callingVcpu: null, passed: null, meant: null, returned: null };
    return { rule, why: '', step, timeNs: 0n, ...place };
  };

  it('is the finding of the lowest step, or null', () => {
    assert.equal(firstBroken([]), null);
    assert.equal(firstBroken([finding(5, 'late'), finding(2, 'early'), finding(2, 'same')])?.rule, 'early');
  });
});

describe('outcome', () => {
  const on = testPlatform('arm', 2);
  const tell = new Teller(on);

  it('is the last end, and says whether the guest got where it should', () => {
    assert.equal(endOf(runOf(on, healthy(tell))), null);
    assert.equal(reachesGoal(runOf(on, healthy(tell))), false);
    assert.equal(reachesGoal(runOf(on, [...healthy(tell), tell.ends()])), true);
    assert.equal(reachesGoal(runOf(on, [...healthy(tell), tell.ends('panic')])), false);
    assert.equal(endOf(runOf(on, [tell.ends('panic'), tell.ends()]))?.outcome, 'userspace');
  });
});
