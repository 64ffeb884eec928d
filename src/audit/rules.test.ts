import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { HVM_PARAM_CALLBACK_IRQ, XEN_EEXIST, XEN_ENOENT } from '../abi/index.js';
import { invalidVcpuNr } from '../identity/index.js';
import { audit } from './audit.js';
import { rules } from './rules.js';
import { boots, bringsUp, healthy, reset, runOf, Teller, testPlatform } from './test_trace.js';
import type { Draft } from './test_trace.js';
import type { Platform } from './trace.js';

const arm = testPlatform('arm', 2);
const pvhvm = testPlatform('pvhvm', 2);
const pv = testPlatform('pv', 2);
const tellArm = new Teller(arm);
const tell = new Teller(pvhvm);
const tellPv = new Teller(pv);

/** The names of the rules that a run breaks. */
function broken(platform: Platform, drafts: readonly Draft[]): string[] {
  return [...new Set(audit(runOf(platform, drafts)).map(({ rule }) => rule))];
}

function breaks(rule: string, platform: Platform, drafts: readonly Draft[]): void {
  const names = broken(platform, drafts);
  assert.ok(names.includes(rule), `${rule} is not among: ${names.join(', ')}`);
}

function keeps(rule: string, platform: Platform, drafts: readonly Draft[]): void {
  const findings = audit(runOf(platform, drafts)).filter((finding) => finding.rule === rule);
  assert.deepEqual(
    findings.map(({ why }) => why),
    [],
  );
}

const upArm = healthy(tellArm);
const upX86 = healthy(tell);

/** `drafts` with the first that `matches` replaced. */
function replaced(
  drafts: readonly Draft[],
  matches: (draft: Draft) => boolean,
  by: readonly Draft[],
): Draft[] {
  const at = drafts.findIndex(matches);
  assert.ok(at >= 0, 'nothing to replace');
  return [...drafts.slice(0, at), ...by, ...drafts.slice(at + 1)];
}

function isCall(op: string, vcpuId: number): (draft: Draft) => boolean {
  return (draft) => draft.kind === 'hypercall' && draft.call.op === op && draft.call.vcpuId === vcpuId;
}

describe('a healthy run', () => {
  for (const kind of ['pv', 'pvhvm', 'pvh', 'arm'] as const) {
    for (const [vcpus, release] of [
      [1, '4.17'],
      [4, '4.18'],
      [40, '4.17'],
    ] as const) {
      it(`breaks no rule: ${kind}, ${vcpus} vCPUs, Xen ${release}`, () => {
        const platform = testPlatform(kind, vcpus, { release });
        const teller = new Teller(platform);
        const findings = audit(runOf(platform, [...healthy(teller), teller.ends()]));
        assert.deepEqual(
          findings.map(({ rule, why }) => `${rule}: ${why}`),
          [],
        );
      });
    }
  }

  it('breaks no rule with a crash kernel after a reset', () => {
    const crash = new Teller(pvhvm, 1, [1, 0]);
    assert.deepEqual(broken(pvhvm, [...upX86, reset, ...healthy(crash), crash.ends()]), []);
  });
});

describe('id-exists', () => {
  it('finds an id beyond the last vCPU, and all ones', () => {
    for (const id of [2, invalidVcpuNr]) {
      breaks('id-exists', arm, [...upArm, tellArm.refused(0, 'EVTCHNOP_bind_vcpu', id, XEN_ENOENT)]);
    }
  });

  it('lets a question go beyond the end', () => {
    keeps('id-exists', pv, [...healthy(tellPv), tellPv.refused(0, 'VCPUOP_is_up', 2, XEN_ENOENT)]);
  });
});

describe('id-is-meant', () => {
  it('says nothing of a binding where the records cannot be read; id-exists still does', () => {
    const unread = new Teller(arm, 0, [1, 0], 'unreadable');
    const bind = (id: number): Draft => unread.calls(0, 'EVTCHNOP_bind_vcpu', id);
    const started = [unread.enters(), unread.is('running', 0)];
    keeps('id-is-meant', arm, [...started, bind(0), bind(1), bind(9)]);
    breaks('id-exists', arm, [...started, bind(9)]);
    breaks('id-is-meant', arm, [...started, unread.calls(0, 'VCPUOP_register_vcpu_info', 0)]);
  });

  it('finds an id of another vCPU, taken or refused', () => {
    breaks('id-is-meant', pvhvm, [...upX86, tell.calls(1, 'VCPUOP_stop_periodic_timer', 0)]);
    breaks('id-is-meant', pvhvm, [...upX86, tell.refused(1, 'VCPUOP_stop_singleshot_timer', 0)]);
  });

  it('says in words who called, what was meant, and whether Xen took it', () => {
    const drafts = [
      tell.calls(1, 'VCPUOP_stop_periodic_timer', 0),
      tell.refused(1, 'VCPUOP_stop_singleshot_timer', 0),
      tell.refused(0, 'VCPUOP_send_nmi', invalidVcpuNr, XEN_ENOENT),
    ];
    const findings = audit(runOf(pvhvm, [...upX86, ...drafts])).filter(({ rule }) => rule === 'id-is-meant');
    assert.deepEqual(
      findings.map(({ why }) => why),
      [
        'vCPU 1 calls VCPUOP_stop_periodic_timer with id 0, but it means vCPU 1; Xen accepts it silently',
        'vCPU 1 calls VCPUOP_stop_singleshot_timer with id 0, but it means vCPU 1',
        'vCPU 0 calls VCPUOP_send_nmi with id 0xffffffff, but no id is right here',
      ],
    );
  });

  it('lets the right id pass, even where it is refused', () => {
    keeps('id-is-meant', pvhvm, [...upX86, tell.refused(1, 'VCPUOP_stop_singleshot_timer', 1)]);
  });
});

describe('records', () => {
  it('record-set-before-use: an unset record, or one that says that it is unset', () => {
    breaks('record-set-before-use', arm, [...upArm, tellArm.reads(0, 1, 0, false)]);
    breaks('record-set-before-use', arm, [...upArm, tellArm.reads(0, 1, invalidVcpuNr, true)]);
    keeps('record-set-before-use', arm, [...upArm, tellArm.reads(0, 1, 1, true)]);
  });

  it('record-true: what is written, and what is read', () => {
    breaks('record-true', arm, [...upArm, tellArm.records(1, 0)]);
    breaks('record-true', arm, [...upArm, tellArm.reads(0, 1, 0, true)]);
    keeps('record-true', arm, [...upArm, tellArm.records(1, invalidVcpuNr), tellArm.records(1, 1)]);
    // What was never written says nothing; that it is read is another rule's matter.
    keeps('record-true', arm, [...upArm, tellArm.reads(0, 1, 0, false)]);
    // An array of NR_CPUS holds more than there are CPUs.
    keeps('record-true', arm, [...upArm, tellArm.records(77, 77)]);
  });

  it('record-true: a wrong number is told of once, where it first shows', () => {
    const drafts = [
      ...upArm,
      tellArm.records(1, 0),
      tellArm.reads(0, 1, 0),
      tellArm.reads(0, 1, 0),
      tellArm.records(1, 9),
    ];
    const findings = audit(runOf(arm, drafts)).filter(({ rule }) => rule === 'record-true');
    assert.deepEqual(
      findings.map(({ step, passed }) => [step - upArm.length, passed]),
      [
        [0, 0],
        [3, 9],
      ],
    );
  });

  it('records-distinct: no two possible CPUs alike, once the map is used', () => {
    const unused = [tellArm.enters(), tellArm.records(0, 0), tellArm.records(1, 0)];
    keeps('records-distinct', arm, [...unused, tellArm.records(1, 1), ...boots(tellArm)]);
    breaks('records-distinct', arm, [...unused, tellArm.calls(0, 'EVTCHNOP_init_control', 0)]);
    breaks('records-distinct', arm, [...upArm, tellArm.records(1, 0)]);
    keeps('records-distinct', arm, [...upArm, tellArm.records(77, 0)]);
    keeps('records-distinct', arm, [
      ...upArm,
      tellArm.records(0, invalidVcpuNr),
      tellArm.records(1, invalidVcpuNr),
    ]);
  });

  it('records-distinct: reading a record is use too, and two CPUs alike are told of once', () => {
    const drafts = [
      ...[tellArm.enters(), tellArm.records(0, 0), tellArm.records(1, 0), tellArm.reads(0, 0, 0)],
      ...[tellArm.reads(0, 0, 0), tellArm.records(1, 0), tellArm.records(0, 0)],
    ];
    const steps = audit(runOf(arm, drafts)).filter(({ rule }) => rule === 'records-distinct');
    assert.deepEqual(
      steps.map(({ step }) => step),
      [3],
    );
  });

  it('records-distinct: each kernel has a map of its own', () => {
    const next = new Teller(arm, 1, [1, 0]);
    keeps('records-distinct', arm, [...upArm, next.enters(), next.records(0, 1), next.reads(0, 0, 1)]);
  });
});

describe('registrations', () => {
  it('no-second-registration: says since when', () => {
    const next = new Teller(arm, 1, [1, 0]);
    const op = 'EVTCHNOP_init_control';
    const later = [[tellArm.refused(0, op, 0)], [next.enters(), next.refused(0, op, 0)]];
    const whys = later.map((more) => {
      const findings = audit(runOf(arm, [...upArm, ...more]));
      return findings.find(({ rule }) => rule === 'no-second-registration')?.why ?? '';
    });
    assert.match(whys[0] ?? '', /since step \d+/);
    assert.match(whys[1] ?? '', /since kernel 0/);
  });

  it('no-second-registration: two control blocks or vcpu_infos, and a reset between', () => {
    for (const op of ['EVTCHNOP_init_control', 'VCPUOP_register_vcpu_info']) {
      breaks('no-second-registration', arm, [...upArm, tellArm.refused(0, op, 0)]);
      keeps('no-second-registration', arm, [...upArm, reset, tellArm.calls(0, op, 0)]);
    }
    keeps('no-second-registration', pvhvm, [...upX86, tell.calls(0, 'HVMOP_set_evtchn_upcall_vector', 0)]);
  });

  it('reset-before-reuse: where there is a reset', () => {
    const crash = new Teller(pvhvm, 1, [1, 0]);
    breaks('reset-before-reuse', pvhvm, [...upX86, crash.enters()]);
    keeps('reset-before-reuse', pvhvm, [...upX86, reset, crash.enters()]);
    keeps('reset-before-reuse', arm, [...upArm, new Teller(arm, 1, [1, 0]).enters()]);
  });

  const needed = [
    ['VCPUOP_register_vcpu_info', arm, upArm],
    ['EVTCHNOP_init_control', arm, upArm],
    ['EVTCHNOP_init_control', pvhvm, upX86],
    ['HVMOP_set_evtchn_upcall_vector', pvhvm, upX86],
    ['EVTCHNOP_bind_ipi', pvhvm, upX86],
    ['EVTCHNOP_bind_virq', pvhvm, upX86],
  ] as const;
  for (const [op, platform, drafts] of needed) {
    it(`registered-before-online: ${op} on ${platform.kind} was never made`, () => {
      keeps('registered-before-online', platform, drafts);
      breaks('registered-before-online', platform, replaced(drafts, isCall(op, 1), []));
    });

    it(`refusal-has-consequence: ${op} on ${platform.kind} was refused`, () => {
      const refused = replaced(drafts, isCall(op, 1), [tell.refused(platform === arm ? 1 : 0, op, 1)]);
      breaks('refusal-has-consequence', platform, refused);
      keeps('registered-before-online', platform, refused);
    });
  }

  it('registered-before-online: a kernel that never speaks to Xen of a vCPU needs nothing of it', () => {
    const quiet = new Teller(arm);
    const drafts = [quiet.enters(), quiet.starts(0, 1), quiet.is('running', 1), quiet.is('online', 1)];
    keeps('registered-before-online', arm, [...drafts, quiet.ends()]);
    const spoken = quiet.calls(0, 'VCPUOP_is_up', 1);
    breaks('registered-before-online', arm, [
      ...drafts.slice(0, 1),
      spoken,
      ...drafts.slice(1),
      quiet.ends(),
    ]);
  });

  it('registered-before-online: shared_info has places for 32 vCPUs on x86 and for one on Arm', () => {
    for (const [kind, vcpus, lacking, isFound] of [
      ['pvhvm', 34, 31, false],
      ['pvhvm', 34, 32, true],
      ['arm', 2, 0, false],
      ['arm', 2, 1, true],
    ] as const) {
      const platform = testPlatform(kind, vcpus);
      const teller = new Teller(platform);
      const whole = [...healthy(teller), teller.ends()];
      const drafts = replaced(whole, isCall('VCPUOP_register_vcpu_info', lacking), []);
      (isFound ? breaks : keeps)('registered-before-online', platform, drafts);
    }
  });

  it('registered-before-online: no IPI or timer is needed where vCPUs are told of no events', () => {
    const isVector = (draft: Draft): boolean =>
      draft.kind === 'hypercall' && draft.call.op === 'HVMOP_set_evtchn_upcall_vector';
    const callback = (value: bigint): Draft[] => [
      tell.calls(0, 'HVMOP_set_param', null, 0, { index: HVM_PARAM_CALLBACK_IRQ, value }),
    ];
    for (const [op, value, isFound] of [
      ['EVTCHNOP_bind_ipi', 0x0100_0000_0000_1000n, false],
      ['EVTCHNOP_bind_virq', 0x0100_0000_0000_1000n, false],
      ['EVTCHNOP_bind_ipi', 0x0200_0000_0000_00f3n, true],
      ['EVTCHNOP_bind_virq', 0x0200_0000_0000_00f3n, true],
    ] as const) {
      const [enters, ...rest] = replaced(upX86, isCall(op, 0), []);
      const drafts = [enters!, ...callback(value), ...rest.filter((draft) => !isVector(draft))];
      (isFound ? breaks : keeps)('registered-before-online', pvhvm, drafts);
    }
  });

  it('refusal-has-consequence: each kernel answers for its own refusals', () => {
    const op = 'EVTCHNOP_init_control';
    const next = new Teller(arm, 1, [1, 0]);
    const second = replaced(healthy(next), isCall(op, 0), []);
    const drafts = [...upArm, tellArm.refused(0, op, 0), reset, ...second, next.ends()];
    breaks('registered-before-online', arm, drafts);
    keeps('refusal-has-consequence', arm, drafts);
  });

  it('refusal-has-consequence: an IPI that was refused, and the CPU is started', () => {
    const before = [tell.enters(), ...boots(tell), tell.records(1)];
    const refused = tell.refused(0, 'EVTCHNOP_bind_ipi', 1);
    breaks('refusal-has-consequence', pvhvm, [...before, refused, tell.starts(0, 1)]);
    keeps('refusal-has-consequence', pvhvm, [...before, refused, tell.ends('panic')]);
    const granted = tell.calls(0, 'EVTCHNOP_bind_ipi', 1, 0, { port: 9 });
    keeps('refusal-has-consequence', pvhvm, [...before, refused, granted, tell.starts(0, 1)]);
  });

  it('refusal-has-consequence: a CPU that is given up after the refusal is no reason to start no other', () => {
    const three = testPlatform('pvhvm', 3);
    const teller = new Teller(three);
    const before = [teller.enters(), ...boots(teller), teller.records(1), teller.records(2)];
    const refused = teller.refused(0, 'EVTCHNOP_bind_ipi', 1);
    const others = [...bringsUp(teller, 2), teller.ends()];
    keeps('refusal-has-consequence', three, [...before, refused, ...others]);
    // What is granted for one CPU does not mend what was refused for another.
    breaks('refusal-has-consequence', three, [
      ...before,
      refused,
      ...bringsUp(teller, 2),
      teller.starts(0, 1),
    ]);
  });

  it('refusal-has-consequence: names the CPU that lacks something, and the call that was refused', () => {
    const four = testPlatform('arm', 4);
    const teller = new Teller(four);
    const whole = [...healthy(teller), teller.ends()];
    // For CPU 3 its starter passes the id of CPU 2, which has a control block already.
    const wrong = replaced(whole, isCall('EVTCHNOP_init_control', 3), [
      teller.refused(0, 'EVTCHNOP_init_control', 2),
    ]);
    const found = audit(runOf(four, wrong)).filter(({ rule }) => rule === 'refusal-has-consequence');
    assert.deepEqual(
      found.map(({ linuxCpu, callingVcpu, passed, meant }) => ({ linuxCpu, callingVcpu, passed, meant })),
      [{ linuxCpu: 3, callingVcpu: 0, passed: 2, meant: 3 }],
    );
    assert.equal(
      found[0]?.why,
      'CPU 3 on vCPU 3 is online although EVTCHNOP_init_control for it, by vCPU 0 with id 2, was answered -XEN_EINVAL',
    );
    // CPU 0 made the refused call, but lacks nothing; nor does CPU 2, whose id it carried.
    keeps('registered-before-online', four, wrong);
  });

  it('refusal-has-consequence: a VIRQ that is bound already has a port', () => {
    const before = [tell.enters(), ...boots(tell), tell.records(1)];
    const again = tell.calls(0, 'EVTCHNOP_bind_virq', 0, -XEN_EEXIST, { virq: 0 });
    keeps('refusal-has-consequence', pvhvm, [...before, again, tell.starts(0, 1)]);
  });

  it('refusal-has-consequence: a garbled id is laid at the door of the CPU that passed it', () => {
    const garbled = tellArm.refused(1, 'VCPUOP_register_vcpu_info', 99, XEN_ENOENT);
    const drafts = replaced(upArm, isCall('VCPUOP_register_vcpu_info', 1), [garbled]);
    breaks('refusal-has-consequence', arm, drafts);
    keeps('registered-before-online', arm, drafts);
    const others = replaced(upArm, isCall('VCPUOP_register_vcpu_info', 1), [
      tellArm.refused(0, 'VCPUOP_register_vcpu_info', 99),
    ]);
    breaks('registered-before-online', arm, others);
    keeps('refusal-has-consequence', arm, others);
  });

  it('registered-before-online: another VIRQ of its own is no timer, and a port of the whole domain no IPI', () => {
    const debug = tell.calls(0, 'EVTCHNOP_bind_virq', 1, 0, { virq: 1, port: 77 });
    const unbound = tell.calls(0, 'EVTCHNOP_alloc_unbound', null, 0, { port: 78 });
    for (const op of ['EVTCHNOP_bind_virq', 'EVTCHNOP_bind_ipi']) {
      breaks(
        'registered-before-online',
        pvhvm,
        replaced(upX86, isCall(op, 1), [debug, unbound].slice(op === 'EVTCHNOP_bind_ipi' ? 1 : 0)),
      );
    }
    // Where no CPU has a timer of Xen's, none needs one.
    const timeless = upX86.filter(
      (draft) => !isCall('EVTCHNOP_bind_virq', 0)(draft) && !isCall('EVTCHNOP_bind_virq', 1)(draft),
    );
    keeps('registered-before-online', pvhvm, timeless);
    breaks('registered-before-online', pvhvm, replaced(upX86, isCall('EVTCHNOP_bind_virq', 1), [debug]));
  });

  it('registered-before-online: the first CPU of a crash kernel needs its own, not the old kernel’s', () => {
    const crash = new Teller(arm, 1, [1, 0]);
    const refusals = ['EVTCHNOP_init_control', 'VCPUOP_register_vcpu_info'].map((op) =>
      crash.refused(0, op, 1),
    );
    const taken = [...upArm, crash.enters([0]), crash.is('running', 0)];
    breaks('registered-before-online', arm, [...taken, crash.ends()]);
    breaks('refusal-has-consequence', arm, [...taken, ...refusals, crash.ends()]);
    keeps('refusal-has-consequence', arm, [...taken, ...refusals, crash.ends('panic')]);
  });

  it('refusal-has-consequence: two-level events after a refused first control block are no fault', () => {
    const without = testPlatform('arm', 2, { fifo: false });
    const refused = replaced(upArm, isCall('EVTCHNOP_init_control', 0), [
      tellArm.refused(0, 'EVTCHNOP_init_control', 0, 38),
    ]);
    const drafts = replaced(refused, isCall('EVTCHNOP_init_control', 1), []);
    assert.deepEqual(broken(without, [...drafts, tellArm.ends()]), []);
  });

  it('refusal-has-consequence: FIFO events used after the control block was refused', () => {
    const without = testPlatform('arm', 2, { fifo: false });
    const before = [tellArm.enters(), tellArm.refused(0, 'EVTCHNOP_init_control', 0, 38)];
    const expands = tellArm.calls(0, 'EVTCHNOP_expand_array', null, -95);
    breaks('refusal-has-consequence', without, [...before, expands]);
    const others = [tellArm.enters(), tellArm.refused(0, 'EVTCHNOP_bind_vcpu', 0), expands];
    keeps('refusal-has-consequence', without, others);
    keeps('refusal-has-consequence', arm, [
      ...upArm,
      tellArm.refused(0, 'EVTCHNOP_init_control', 0),
      expands,
    ]);
  });

  it('refusal-has-consequence: a timer that was refused, and the CPU goes online or to user space', () => {
    const refused = tell.refused(1, 'VCPUOP_set_singleshot_timer', 1);
    breaks('refusal-has-consequence', pvhvm, [...upX86, refused, tell.ends()]);
    breaks('refusal-has-consequence', pvhvm, [...upX86, refused, tell.is('online', 1)]);
    keeps('refusal-has-consequence', pvhvm, [...upX86, refused, tell.ends('panic')]);
    const granted = tell.calls(1, 'VCPUOP_set_singleshot_timer', 1);
    keeps('refusal-has-consequence', pvhvm, [...upX86, refused, granted, tell.ends()]);
  });
});

describe('events', () => {
  it('event-reaches-its-cpu: bound for one CPU, handled on another', () => {
    breaks('event-reaches-its-cpu', pvhvm, [...upX86, tell.handles(0, 201, 1)]);
    keeps('event-reaches-its-cpu', pvhvm, [...upX86, tell.handles(1, 201, 1), tell.handles(1, 5, null)]);
  });

  it('upcall-reaches-its-vcpu: bound to one vCPU, told on another', () => {
    breaks('upcall-reaches-its-vcpu', pvhvm, [...upX86, tell.handles(0, 201, null)]);
    keeps('upcall-reaches-its-vcpu', pvhvm, [...upX86, tell.handles(1, 201, 1), tell.handles(1, 5, null)]);
  });

  it('upcall-reaches-its-vcpu: a port that moves may still be pending where it was', () => {
    const unbound = tell.calls(0, 'EVTCHNOP_alloc_unbound', null, 0, { port: 50 });
    const moved = tell.calls(0, 'EVTCHNOP_bind_vcpu', 1, 0, { port: 50 });
    keeps('upcall-reaches-its-vcpu', pvhvm, [...upX86, unbound, moved, tell.handles(0, 50, null)]);
  });
});

it('each rule has a name of its own, one line of reason and a source', () => {
  assert.equal(new Set(rules.map(({ name }) => name)).size, rules.length);
  for (const { name, reason, source } of rules) {
    assert.match(name, /^[a-z]+(-[a-z]+)+$/);
    assert.match(reason, /^[A-Z][^\n]{20,120}\.$/, name);
    assert.match(source, /Xen|Linux|public|Arm|Intel/, name);
  }
});

it('a finding carries its rule’s name', () => {
  const worst = [...upX86, tell.refused(0, 'EVTCHNOP_init_control', 9), tell.starts(0, 1, null)];
  const findings = audit(runOf(pvhvm, worst));
  assert.ok(findings.length > 2);
  for (const { rule } of findings)
    assert.ok(
      rules.some(({ name }) => name === rule),
      rule,
    );
});

it('brings findings in order of step', () => {
  const steps = audit(runOf(arm, [...bringsUp(tellArm, 1), ...upArm])).map(({ step }) => step);
  assert.deepEqual(
    steps,
    steps.toSorted((a, b) => a - b),
  );
});
