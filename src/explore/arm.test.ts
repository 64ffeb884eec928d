import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { invalidVcpuNr } from '../identity/index.js';
import type { StrategyName } from './scenario.js';
import {
  brokenRules,
  callsOf,
  crashOn,
  logOf,
  onlineAtEnd,
  passes,
  run,
  startsOf,
  stopsOf,
} from './test_scenario.js';

const initControl = 'EVTCHNOP_init_control';
const sizes = [2, 3, 4, 5, 6, 7, 8];

describe('Arm, as posted, FIFO events', () => {
  for (const vcpus of sizes) {
    it(`asks with all ones for each of ${vcpus - 1} secondary CPUs, is refused, and starts none`, () => {
      const told = run('arm', 'as-posted', { vcpus });
      const [first, ...others] = callsOf(told, initControl);
      assert.deepEqual([first?.vcpu, first?.call.vcpuId, first?.call.returned], [0, 0, 0]);
      const asked = others.map(({ vcpu, call }) => [vcpu, call.vcpuId, call.returned]);
      assert.deepEqual(
        asked,
        Array.from({ length: vcpus - 1 }, () => [0, invalidVcpuNr, -2]),
      );
      assert.deepEqual(startsOf(told), []);
      assert.equal(told.outcome, 'userspace');
      assert.equal(onlineAtEnd(told), 1);
      assert.ok(logOf(told).includes('smp: Brought up 1 node, 1 CPU'));
      assert.ok(brokenRules(told).includes('record-set-before-use'));
    });
  }
});

describe('Arm, as tested on 4.8-rc4, FIFO events', () => {
  for (const vcpus of sizes) {
    it(`asks with 0 for each of ${vcpus - 1} secondary CPUs, and vCPU 0 has its control block already`, () => {
      const told = run('arm', 'as-tested', { vcpus });
      const asked = callsOf(told, initControl).map(({ vcpu, call }) => [vcpu, call.vcpuId, call.returned]);
      const refused = Array.from({ length: vcpus - 1 }, () => [0, 0, -22]);
      assert.deepEqual(asked, [[0, 0, 0], ...refused]);
      assert.deepEqual(startsOf(told), []);
      assert.equal(told.outcome, 'userspace');
      assert.equal(onlineAtEnd(told), 1);
      assert.ok(brokenRules(told).includes('no-second-registration'));
    });
  }
});

describe('Arm, other boots', () => {
  it('does not fail with two-level events, as posted or as tested', () => {
    for (const strategy of ['as-posted', 'as-tested'] as const) {
      const told = run('arm', strategy, { events: '2l' });
      assert.ok(passes(told), brokenRules(told).join());
      assert.equal(onlineAtEnd(told), 4);
      assert.ok(logOf(told).includes('xen:events: Using 2-level ABI'));
    }
  });

  it('comes up whole with either form of the mend, and with both better ways', () => {
    const ways: StrategyName[] = ['mend', 'mend-nr-cpus', 'no-hypercalls-in-prepare', 'ids-from-firmware'];
    for (const strategy of ways) {
      for (const vcpus of sizes) {
        const told = run('arm', strategy, { vcpus });
        assert.ok(passes(told), `${strategy} ${vcpus}: ${told.ending}`);
        assert.equal(onlineAtEnd(told), vcpus);
        assert.deepEqual(
          startsOf(told).map(({ target, returned }) => [target, returned]),
          Array.from({ length: vcpus - 1 }, (_, i) => [i + 1, 0]),
        );
      }
    }
  });

  it('lets a starting CPU make its own calls where nothing is called in prepare', () => {
    const told = run('arm', 'no-hypercalls-in-prepare');
    for (const { vcpu, call } of callsOf(told, initControl)) assert.equal(call.vcpuId, vcpu);
  });

  it('registers vcpu_info and control block once for a CPU that goes offline and comes back', () => {
    const told = run('arm', 'mend', { plot: { name: 'offline-online', linuxCpu: 2 } });
    assert.ok(passes(told), told.ending);
    assert.equal(callsOf(told, initControl).length, 4);
    assert.equal(callsOf(told, 'VCPUOP_register_vcpu_info').length, 4);
    assert.equal(startsOf(told).filter(({ target }) => target === 2).length, 2);
    assert.deepEqual(
      told.events.filter(({ kind }) => kind === 'offline').map((event) => 'vcpu' in event && event.vcpu),
      [2],
    );
    assert.deepEqual(stopsOf(told), ['psci 2 as 2']);
  });
});

describe('Arm, a crash on a vCPU other than 0, with a reset that no Xen has', () => {
  for (const release of ['4.17', '4.18'] as const) {
    const crash = { ...crashOn(2), hypotheticalReset: true, release };

    it(`does not hold with the mend (Xen ${release})`, () => {
      for (const strategy of ['mend', 'mend-nr-cpus'] as const) {
        const told = run('arm', strategy, crash);
        assert.notEqual(told.outcome, 'userspace');
        assert.ok(brokenRules(told).includes('record-true'));
        assert.ok(told.calls.some(({ verdict }) => verdict === 'silent'));
      }
    });

    it(`holds with both ways that the thread named (Xen ${release})`, () => {
      for (const strategy of ['no-hypercalls-in-prepare', 'ids-from-firmware'] as const) {
        for (const tables of ['devicetree', 'acpi'] as const) {
          const told = run('arm', strategy, { ...crash, tables });
          assert.ok(passes(told), `${strategy}: ${told.ending} ${brokenRules(told).join()}`);
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
        }
      }
    });
  }

  it('holds with the mend when vCPU 0 crashes, where numbers are ids', () => {
    const told = run('arm', 'mend', { ...crashOn(0), hypotheticalReset: true });
    assert.ok(passes(told), told.ending);
  });

  it('fails without a reset, whatever the strategy', () => {
    for (const strategy of [
      'before-the-patch',
      'mend',
      'no-hypercalls-in-prepare',
      'ids-from-firmware',
    ] as const) {
      const told = run('arm', strategy, crashOn(2, false));
      assert.equal(told.outcome, 'panic');
    }
  });
});

describe('Arm, ids that Xen may hand out tomorrow', () => {
  it('fails where ids are worked out from MPIDRs that are not made of them', () => {
    for (const idPolicy of ['sparse', 'permuted']) {
      for (const strategy of ['no-hypercalls-in-prepare', 'ids-from-firmware'] as const) {
        assert.ok(brokenRules(run('arm', strategy, { idPolicy })).includes('record-true'));
      }
      assert.ok(passes(run('arm', 'mend', { idPolicy })));
    }
  });

  it('takes the UID of ACPI tables for the id, whatever the MPIDR', () => {
    const acpi = { tables: 'acpi', ...crashOn(2), hypotheticalReset: true } as const;
    assert.ok(passes(run('arm', 'ids-from-firmware', { ...acpi, idPolicy: 'sparse' })));
    assert.ok(!passes(run('arm', 'ids-from-firmware', { ...acpi, idPolicy: 'uid-differs' })));
  });
});
