import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { linux48, linux517, linux69 } from './eras.js';
import type { StrategyName } from './scenario.js';
import {
  brokenRules,
  callsOf,
  crashOn,
  logOf,
  onlineAtEnd,
  passes,
  passesButForLiteral,
  run,
  startsOf,
  stopsOf,
  wrongCallsOf,
} from './test_scenario.js';

const afterThePatch: StrategyName[] = [
  'as-posted',
  'as-tested',
  'no-hypercalls-in-prepare',
  'ids-from-firmware',
];

describe('PVHVM, a crash before the patch', () => {
  it('passes on vCPU 0', () => {
    const told = run('pvhvm', 'before-the-patch', crashOn(0));
    assert.ok(passes(told), told.ending);
    assert.equal(onlineAtEnd(told), 4);
  });

  for (const vcpu of [1, 2, 3]) {
    it(`fails on vCPU ${vcpu}: silently on vCPU 0 until the timer, which is a BUG`, () => {
      const told = run('pvhvm', 'before-the-patch', crashOn(vcpu));
      assert.deepEqual(wrongCallsOf(told, 1), [
        ['VCPUOP_register_vcpu_info', vcpu, 0, vcpu, 'silent'],
        ['EVTCHNOP_init_control', vcpu, 0, vcpu, 'silent'],
        ['HVMOP_set_evtchn_upcall_vector', vcpu, 0, vcpu, 'silent'],
        ['VCPUOP_stop_periodic_timer', vcpu, 0, vcpu, 'silent'],
        ['VCPUOP_register_vcpu_time_memory_area', vcpu, 0, vcpu, 'silent'],
        ['VCPUOP_register_runstate_memory_area', vcpu, 0, vcpu, 'silent'],
        ['EVTCHNOP_bind_virq', vcpu, 0, vcpu, 'silent'],
        ['VCPUOP_stop_singleshot_timer', vcpu, 0, vcpu, 'refused'],
      ]);
      assert.equal(told.outcome, 'panic');
      assert.match(told.ending, /^BUG in xen_vcpuop_shutdown: VCPUOP_stop_singleshot_timer/);
    });
  }
});

describe('PVHVM and PVH, a crash after the patch', () => {
  for (const platform of ['pvhvm', 'pvh'] as const) {
    it(`passes on every vCPU with Linux 4.8 (${platform})`, () => {
      for (const strategy of afterThePatch) {
        for (const vcpu of [0, 1, 2, 3]) {
          const told = run(platform, strategy, { ...crashOn(vcpu), era: linux48 });
          assert.ok(passes(told), `${strategy} vCPU ${vcpu}: ${told.ending} ${brokenRules(told).join()}`);
          assert.equal(onlineAtEnd(told), 4);
        }
      }
    });

    it(`passes on every vCPU with Linux 6.1 but for the literal (${platform})`, () => {
      for (const strategy of afterThePatch) {
        for (const vcpu of [0, 1, 2, 3]) {
          const told = run(platform, strategy, crashOn(vcpu));
          assert.ok(passesButForLiteral(told, vcpu), `${strategy} vCPU ${vcpu}: ${told.ending}`);
          assert.equal(onlineAtEnd(told), 4);
        }
        for (const rest of [{ release: '4.18' }, { events: '2l' }] as const) {
          const told = run(platform, strategy, { ...crashOn(2), ...rest });
          assert.ok(passesButForLiteral(told, 2), `${strategy}: ${told.ending}`);
        }
      }
    });
  }

  it('takes the APIC ids in table order, the crashed vCPU first (up to 6.8)', () => {
    const told = run('pvhvm', 'as-posted', crashOn(2));
    const after = told.cpus.filter(({ kernel }) => kernel === 1);
    assert.deepEqual(
      after.map(({ vcpu, recorded }) => [vcpu, recorded]),
      [
        [2, 2],
        [0, 0],
        [1, 1],
        [3, 3],
      ],
    );
  });

  it('leaves vCPU 0 out from 6.9 on, and says why', () => {
    const era = linux69;
    const told = run('pvhvm', 'as-posted', { ...crashOn(2), era });
    assert.ok(passesButForLiteral(told, 2), brokenRules(told).join());
    const after = told.cpus.filter(({ kernel }) => kernel === 1);
    assert.deepEqual(
      after.map(({ vcpu }) => vcpu),
      [2, 1, 3],
    );
    const kernels = told.events.filter((event) => event.kind === 'kernel');
    assert.deepEqual(
      kernels[1]?.leftOut.map(({ vcpu }) => vcpu),
      [0],
    );
    assert.ok(passes(run('pvhvm', 'as-posted', { ...crashOn(0), era })));
  });

  it('finds what the first kernel registered when nothing was reset', () => {
    const told = run('pvhvm', 'as-posted', crashOn(2, false));
    assert.equal(told.outcome, 'panic');
    assert.ok(brokenRules(told).includes('reset-before-reuse'));
    assert.ok(brokenRules(told).includes('no-second-registration'));
  });
});

describe('x86, a crash on vCPU 33 of 40', () => {
  const crash = { ...crashOn(33), vcpus: 40 };

  it('reads its clock through a null pointer before 5.18', () => {
    const told = run('pvhvm', 'as-posted', { ...crash, era: linux517 });
    assert.equal(told.outcome, 'panic');
    assert.match(told.ending, /NULL pointer dereference in xen_clocksource_read/);
    assert.deepEqual(callsOf(told, 'VCPUOP_register_vcpu_info', 1), []);
  });

  it('passes from 5.18 on, which waits until it has a vcpu_info, but for the literal', () => {
    const told = run('pvhvm', 'as-posted', crash);
    assert.ok(passesButForLiteral(told, 33), told.ending);
    assert.equal(onlineAtEnd(told), 40);
    assert.ok(logOf(told).includes('Delay xen_init_time_common() as kernel is running on vcpu=33'));
  });
});

describe('x86 hotplug and kexec', () => {
  it('registers vcpu_info and control block once for a CPU that goes and comes back, and binds its ports anew', () => {
    const plot = { name: 'offline-online', linuxCpu: 2 } as const;
    for (const strategy of afterThePatch) {
      const told = run('pvhvm', strategy, { plot });
      assert.ok(passes(told), `${strategy}: ${told.ending} ${brokenRules(told).join()}`);
      assert.equal(callsOf(told, 'VCPUOP_register_vcpu_info').length, 4);
      assert.equal(callsOf(told, 'EVTCHNOP_init_control').length, 4);
      // Four of them at first and then the one that came back: three interrupts and the spinlock's.
      assert.equal(callsOf(told, 'EVTCHNOP_bind_ipi').length, 5 * 4);
      assert.equal(callsOf(told, 'EVTCHNOP_close').length, 5);
      assert.equal(startsOf(told).filter(({ target }) => target === 2).length, 2);
      assert.deepEqual(stopsOf(told), ['hlt 2 as 2']);
    }
  });

  it('resets the domain on kexec, from CPU 0 wherever it was asked for', () => {
    const told = run('pvhvm', 'before-the-patch', { plot: { name: 'kexec' } });
    assert.ok(passes(told), told.ending);
    const [shutdown] = callsOf(told, 'SCHEDOP_shutdown');
    assert.deepEqual([shutdown?.vcpu, shutdown?.call.returned], [0, 0]);
    const resets = told.events.filter(({ kind }) => kind === 'reset').length;
    const kernels = told.events.flatMap((event) => (event.kind === 'kernel' ? [event.entryVcpu] : []));
    assert.deepEqual([resets, kernels], [1, [0, 0]]);
  });

  it('has each CPU reach each other one by event, and its own timer reach it', () => {
    const told = run('pvhvm', 'as-posted', { vcpus: 3 });
    const handled = told.events.flatMap((event) => (event.kind === 'event' ? [event] : []));
    assert.ok(handled.every(({ boundFor, linuxCpu }) => boundFor === null || boundFor === linuxCpu));
    for (const cpu of [0, 1, 2]) {
      const here = handled.filter(({ linuxCpu }) => linuxCpu === cpu).map(({ purpose }) => purpose);
      assert.ok(here.includes('callfunc') && here.includes('timer') && here.includes('xenstore'));
    }
  });
});

describe('x86, ids that Xen may hand out tomorrow', () => {
  it('does without APIC ids that are twice the vCPU id, and without small ones', () => {
    for (const idPolicy of ['sparse', 'permuted', 'beyond-255']) {
      for (const strategy of afterThePatch) {
        const told = run('pvhvm', strategy, { idPolicy, ...crashOn(1) });
        assert.ok(passesButForLiteral(told, 1), `${idPolicy} ${strategy}: ${told.ending}`);
      }
    }
  });

  it('fails where the UID is taken for the id and is not, and holds where each CPU asks CPUID', () => {
    const idPolicy = 'uid-differs';
    assert.ok(brokenRules(run('pvhvm', 'as-posted', { idPolicy })).includes('record-true'));
    assert.ok(brokenRules(run('pvhvm', 'ids-from-firmware', { idPolicy })).includes('record-true'));
    const told = run('pvhvm', 'no-hypercalls-in-prepare', { idPolicy, ...crashOn(1) });
    assert.ok(passesButForLiteral(told, 1), told.ending);
  });
});

describe('PV', () => {
  it('comes up, and takes a CPU down and up again', () => {
    for (const events of ['fifo', '2l'] as const) {
      for (const strategy of ['before-the-patch', 'as-posted', 'as-tested'] as const) {
        const told = run('pv', strategy, { events, plot: { name: 'offline-online', linuxCpu: 2 } });
        assert.ok(passes(told), `${strategy} ${events}: ${told.ending} ${brokenRules(told).join()}`);
        assert.equal(callsOf(told, 'VCPUOP_initialise').length, 3);
        assert.equal(callsOf(told, 'VCPUOP_up').length, 4);
        assert.equal(callsOf(told, 'VCPUOP_down').length, 1);
        assert.deepEqual(stopsOf(told), ['VCPUOP_down 2 as 2']);
      }
    }
  });
});
