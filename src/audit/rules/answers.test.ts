import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  XEN_EBUSY,
  XEN_EEXIST,
  XEN_EFAULT,
  XEN_EINVAL,
  XEN_ENOENT,
  XEN_ENOSYS,
  XEN_ENXIO,
} from '../../abi/index.js';
import { audit } from '../audit.js';
import { boots, healthy, reset, runOf, Teller, testPlatform } from '../test_trace.js';
import type { Draft } from '../test_trace.js';
import type { Platform } from '../trace.js';

const rule = 'answer-as-xen';
const arm = testPlatform('arm', 2);
const pvhvm = testPlatform('pvhvm', 2);
const pv = testPlatform('pv', 2);
const tellArm = new Teller(arm);
const tell = new Teller(pvhvm);
const tellPv = new Teller(pv);
const upArm = healthy(tellArm);
const upX86 = healthy(tell);

/** What the rule says of a run. */
function said(platform: Platform, drafts: readonly Draft[]): string[] {
  const findings = audit(runOf(platform, drafts));
  return findings.filter((finding) => finding.rule === rule).map(({ why }) => why);
}

function breaks(platform: Platform, drafts: readonly Draft[]): void {
  assert.notDeepEqual(said(platform, drafts), [], 'no answer was found to be wrong');
}

function keeps(platform: Platform, drafts: readonly Draft[]): void {
  assert.deepEqual(said(platform, drafts), []);
}

describe('answer-as-xen', () => {
  const bind = (virq: number, vcpu: number, returned: number): Draft =>
    tell.calls(0, 'EVTCHNOP_bind_virq', vcpu, returned, { virq, port: 9 });

  it('finds an unknown vCPU that is taken, or refused by another error', () => {
    breaks(pvhvm, [...upX86, tell.calls(0, 'VCPUOP_is_up', 2, 0)]);
    breaks(pvhvm, [...upX86, tell.refused(0, 'VCPUOP_is_up', 2, XEN_EINVAL)]);
    breaks(pvhvm, [...upX86, tell.calls(0, 'EVTCHNOP_bind_ipi', 2, 0)]);
    keeps(pvhvm, [...upX86, tell.refused(0, 'VCPUOP_is_up', 2, XEN_ENOENT)]);
  });

  it('holds a second vcpu_info against the release', () => {
    const op = 'VCPUOP_register_vcpu_info';
    keeps(pvhvm, [...upX86, tell.refused(0, op, 0, XEN_EINVAL)]);
    breaks(pvhvm, [...upX86, tell.refused(0, op, 0, XEN_EBUSY)]);
    const newer = testPlatform('pvhvm', 2, { release: '4.18' });
    keeps(newer, [...upX86, tell.refused(0, op, 0, XEN_EBUSY)]);
    breaks(newer, [...upX86, tell.refused(0, op, 0, XEN_EINVAL)]);
    breaks(newer, [...upX86, tell.calls(0, op, 0)]);
  });

  it('knows which places a vcpu_info fits: it has 64 bytes on x86 and 48 on Arm', () => {
    const op = 'VCPUOP_register_vcpu_info';
    const place = (teller: Teller, offset: number, returned: number): Draft[] => [
      teller.enters(),
      teller.calls(0, op, 0, returned, { mfn: 1n, offset }),
    ];
    const newer = {
      pvhvm: testPlatform('pvhvm', 2, { release: '4.18' }),
      arm: testPlatform('arm', 2, { release: '4.18' }),
    };
    for (const [platform, teller, last] of [
      [pvhvm, tell, 4032],
      [arm, tellArm, 4048],
      [newer.pvhvm, tell, 4032],
      [newer.arm, tellArm, 4048],
    ] as const) {
      keeps(platform, place(teller, last, 0));
      breaks(platform, place(teller, last + 8, 0));
      keeps(platform, place(teller, last + 8, -XEN_ENXIO));
      keeps(platform, place(teller, 4, -XEN_ENXIO));
    }
    // Since 4.18 an offset beyond the page is looked at before all else.
    keeps(pvhvm, place(tell, 4096, -XEN_ENXIO));
    keeps(newer.pvhvm, place(tell, 4096, -XEN_EINVAL));
    breaks(newer.pvhvm, place(tell, 4096, -XEN_ENXIO));
  });

  it('knows that 4.17 refuses the vcpu_info of another vCPU that is up, and 4.18 does not', () => {
    const other = [tell.enters(), ...boots(tell), tell.starts(0, 1), tell.is('running', 1)];
    const registers = (returned: number): Draft[] => [
      ...other,
      tell.calls(0, 'VCPUOP_register_vcpu_info', 1, returned),
    ];
    breaks(pvhvm, registers(0));
    keeps(pvhvm, registers(-XEN_EINVAL));
    keeps(testPlatform('pvhvm', 2, { release: '4.18' }), registers(0));
  });

  it('finds what a reset did not clear', () => {
    const crash = new Teller(pvhvm, 1, [1, 0]);
    const after = [...upX86, reset, crash.enters(), crash.is('running', 0), crash.records(0)];
    const timer = { virq: 0, port: 3 };
    breaks(pvhvm, [...after, crash.refused(0, 'VCPUOP_register_vcpu_info', 1)]);
    breaks(pvhvm, [...after, crash.refused(0, 'EVTCHNOP_init_control', 1)]);
    breaks(pvhvm, [...after, crash.calls(0, 'EVTCHNOP_bind_virq', 1, -XEN_EEXIST, timer)]);
    keeps(pvhvm, [...after, crash.calls(0, 'EVTCHNOP_bind_virq', 1, 0, timer)]);
  });

  it('finds what was kept without a reset and yet given again', () => {
    const crash = new Teller(pvhvm, 1, [1, 0]);
    const after = [...upX86, crash.enters(), crash.is('running', 0)];
    breaks(pvhvm, [...after, crash.calls(0, 'EVTCHNOP_init_control', 1)]);
    keeps(pvhvm, [...after, crash.refused(0, 'EVTCHNOP_init_control', 1)]);
  });

  it('knows whose timer may be set', () => {
    breaks(pvhvm, [...upX86, tell.calls(0, 'VCPUOP_set_singleshot_timer', 1)]);
    keeps(pvhvm, [...upX86, tell.refused(0, 'VCPUOP_set_singleshot_timer', 1)]);
    breaks(pvhvm, [...upX86, tell.refused(0, 'VCPUOP_set_singleshot_timer', 0)]);
    const periodic = (period_ns: bigint, returned = 0): Draft =>
      tell.calls(0, 'VCPUOP_set_periodic_timer', 1, returned, { period_ns });
    for (const period of [0n, 999_999n, 2n ** 62n]) {
      breaks(pvhvm, [...upX86, periodic(period)]);
      keeps(pvhvm, [...upX86, periodic(period, -XEN_EINVAL)]);
    }
    for (const period of [1_000_000n, 2n ** 62n - 1n]) keeps(pvhvm, [...upX86, periodic(period)]);
  });

  it('knows the order of checks of bind_virq', () => {
    keeps(pvhvm, [...upX86, bind(24, 9, -XEN_EINVAL), bind(8, 1, -XEN_EINVAL), bind(8, 9, -XEN_EINVAL)]);
    breaks(pvhvm, [...upX86, bind(8, 9, -XEN_ENOENT)]);
    keeps(pvhvm, [...upX86, bind(1, 9, -XEN_ENOENT), bind(0, 1, -XEN_EEXIST), bind(1, 1, 0)]);
    breaks(pvhvm, [...upX86, bind(0, 1, 0)]);
    keeps(pvhvm, [...upX86, bind(8, 0, 0), bind(8, 0, -XEN_EEXIST)]);
  });

  it('knows which ports move', () => {
    const move = (port: number, returned: number): Draft =>
      tell.calls(0, 'EVTCHNOP_bind_vcpu', 1, returned, { port });
    keeps(pvhvm, [...upX86, move(200, -XEN_EINVAL), move(100, -XEN_EINVAL), move(999, 0)]);
    breaks(pvhvm, [...upX86, move(200, 0)]);
    const unbound = tell.calls(0, 'EVTCHNOP_alloc_unbound', null, 0, { port: 50 });
    keeps(pvhvm, [...upX86, unbound, move(50, 0)]);
    breaks(pvhvm, [...upX86, unbound, move(50, -XEN_EINVAL)]);
    keeps(pvhvm, [...upX86, bind(8, 0, 0), move(9, 0)]);
    breaks(pvhvm, [...upX86, bind(8, 0, 0), move(9, -XEN_EINVAL)]);
    const closed = tell.calls(0, 'EVTCHNOP_close', null, 0, { port: 200 });
    keeps(pvhvm, [...upX86, closed, move(200, -XEN_EINVAL)]);
  });

  it('knows upcall vectors', () => {
    const set = (vcpu: number, vector: number, returned: number): Draft =>
      tell.calls(0, 'HVMOP_set_evtchn_upcall_vector', vcpu, returned, { vector });
    keeps(pvhvm, [...upX86, set(0, 0xf3, 0), set(9, 0xf3, -XEN_ENOENT), set(9, 3, -XEN_EINVAL)]);
    breaks(pvhvm, [...upX86, set(0, 3, 0)]);
    breaks(pv, [tellPv.enters(), tellPv.calls(0, 'HVMOP_set_evtchn_upcall_vector', 0, 0, { vector: 0xf3 })]);
  });

  it('knows that Arm has two operations on vCPUs only, and no upcall vectors', () => {
    const vector = { vector: 0xf3 };
    breaks(arm, [...upArm, tellArm.calls(0, 'HVMOP_set_evtchn_upcall_vector', 0, 0, vector)]);
    keeps(arm, [...upArm, tellArm.calls(0, 'HVMOP_set_evtchn_upcall_vector', 0, -XEN_ENOSYS, vector)]);
    breaks(arm, [...upArm, tellArm.calls(0, 'VCPUOP_stop_periodic_timer', 0)]);
    keeps(arm, [...upArm, tellArm.refused(0, 'VCPUOP_stop_periodic_timer', 0)]);
    breaks(arm, [...upArm, tellArm.refused(0, 'VCPUOP_is_up', 9, XEN_EINVAL)]);
  });

  it('knows when a vCPU can be initialised and brought up', () => {
    const before = [tellPv.enters(), ...boots(tellPv)];
    const [initialise, up] = ['VCPUOP_initialise', 'VCPUOP_up'];
    keeps(pv, [...before, tellPv.refused(0, up, 1), tellPv.calls(0, initialise, 1), tellPv.calls(0, up, 1)]);
    breaks(pv, [...before, tellPv.calls(0, up, 1)]);
    keeps(pv, [...before, tellPv.refused(0, initialise, 0, XEN_EEXIST)]);
    breaks(pv, [...before, tellPv.calls(0, initialise, 0)]);
    breaks(pv, [...before, tellPv.refused(0, initialise, 0)]);
    keeps(pv, [...before, tellPv.refused(0, initialise, 1)]);
    const many = testPlatform('pv', 40);
    const teller = new Teller(many);
    keeps(many, [teller.enters(), teller.refused(0, initialise, 35)]);
    breaks(many, [teller.enters(), teller.calls(0, initialise, 35)]);
  });

  it('knows what CPU_ON answers', () => {
    breaks(arm, [...upArm, tellArm.starts(0, 1)]);
    keeps(arm, [...upArm, tellArm.starts(0, 1, 1, -4)]);
    // An odd entry address, on a vCPU that is up or that there is not.
    keeps(arm, [...upArm, tellArm.starts(0, 1, 1, -9)]);
    breaks(arm, [...upArm, tellArm.starts(0, 1, null, -9)]);
    breaks(arm, [...upArm, tellArm.starts(0, 1, null)]);
    keeps(arm, [...upArm, tellArm.starts(0, 1, null, -2)]);
    const offline = [...upArm, tellArm.is('offline', 1)];
    keeps(arm, [...offline, tellArm.starts(0, 1)]);
    keeps(arm, [...offline, tellArm.starts(0, 1, 1, -4)]);
    keeps(arm, [...offline, tellArm.stops(1), tellArm.starts(0, 1)]);
    breaks(arm, [...offline, tellArm.stops(1), tellArm.starts(0, 1, 1, -4)]);
  });

  it('knows that areas by physical address came with 4.18', () => {
    for (const op of ['VCPUOP_register_runstate_phys_area', 'VCPUOP_register_vcpu_time_phys_area']) {
      breaks(pvhvm, [...upX86, tell.calls(0, op, 0)]);
      keeps(pvhvm, [...upX86, tell.refused(0, op, 0, XEN_ENOSYS)]);
      const newer = testPlatform('pvhvm', 2, { release: '4.18' });
      keeps(newer, [...upX86, tell.calls(0, op, 0), tell.refused(0, op, 1, XEN_ENXIO)]);
    }
  });

  it('lets an argument fault, but not before the checks that come first', () => {
    const faults = (op: string, id: number): Draft => tell.refused(0, op, id, XEN_EFAULT);
    keeps(pvhvm, [...upX86, faults('VCPUOP_set_singleshot_timer', 0), faults('EVTCHNOP_bind_ipi', 9)]);
    breaks(pvhvm, [...upX86, faults('VCPUOP_set_singleshot_timer', 1)]);
    breaks(pvhvm, [...upX86, faults('VCPUOP_register_vcpu_info', 9)]);
    breaks(pvhvm, [...upX86, faults('VCPUOP_stop_singleshot_timer', 0)]);
  });

  it('knows who is up: whoever was started or runs, not who was refused a start', () => {
    const isUp = (returned: number): Draft => tell.calls(0, 'VCPUOP_is_up', 1, returned);
    const down = [tell.enters(), ...boots(tell)];
    keeps(pvhvm, [...down, isUp(0), tell.starts(0, 1, 1, -3), isUp(0), tell.starts(0, 1), isUp(1)]);
    breaks(pvhvm, [...down, isUp(1)]);
    breaks(pvhvm, [...down, tell.starts(0, 1), isUp(0)]);
    keeps(pvhvm, [...upX86, tell.is('offline', 1), isUp(0), isUp(1)]);
    for (const kind of ['running', 'online'] as const) {
      breaks(pvhvm, [...upX86, tell.is('offline', 1), tell.is(kind, 1), isUp(0)]);
    }
    breaks(pvhvm, [...upX86, tell.calls(1, 'VCPUOP_down', 1), isUp(1)]);
  });

  it('knows that without FIFO events there are no control blocks', () => {
    const without = testPlatform('arm', 2, { fifo: false });
    breaks(without, upArm);
    keeps(without, [tellArm.enters(), tellArm.refused(0, 'EVTCHNOP_init_control', 0, 38)]);
  });
});
