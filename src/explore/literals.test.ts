/**
 * Ids that Linux 6.1 does not take from its records: literals, CPU numbers, and what Xen gives a new port. A model that
 * put a record there would hide what breaks when the kernel is entered on a vCPU other than 0 (docs/identity.md).
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { linux48, linux61, linux69 } from './eras.js';
import { configNrCpus } from './model/kernel.js';
import { callsOf, crashOn, run, wrongCallsOf } from './test_scenario.js';
import type { ModelRun, PlatformName, Scenario, StrategyName } from './scenario.js';

const timeArea = 'VCPUOP_register_vcpu_time_memory_area';

const strategiesOfX86: readonly StrategyName[] = [
  'before-the-patch',
  'as-posted',
  'as-tested',
  'no-hypercalls-in-prepare',
  'ids-from-firmware',
];

/** Ids of the calls of one operation that a kernel made. */
function idsOf(told: ModelRun, op: string, kernel: number): (number | null)[] {
  return callsOf(told, op, kernel).map(({ call }) => call.vcpuId);
}

describe('the time area of the vDSO, which Linux registers for vCPU 0 by a literal', () => {
  for (const platform of ['pvhvm', 'pvh'] as const) {
    for (const strategy of strategiesOfX86) {
      it(`carries id 0 whichever vCPU the kernel is entered on (${platform}, ${strategy})`, () => {
        for (const entry of [0, 1, 2, 3]) {
          const told = run(platform, strategy, crashOn(entry));
          assert.deepEqual(idsOf(told, timeArea, 0), [0]);
          assert.deepEqual(idsOf(told, timeArea, 1), [0], `entered on vCPU ${entry}`);
        }
      });
    }
  }

  it('is registered on PV too, which is entered on vCPU 0', () => {
    const told = run('pv', 'as-posted');
    assert.deepEqual(idsOf(told, timeArea, 0), [0]);
    assert.deepEqual(wrongCallsOf(told, 0), []);
  });

  it('is the one wrong id of a crash kernel that has the patch: Xen takes it, and user space runs', () => {
    const told = run('pvhvm', 'as-posted', crashOn(2));
    assert.deepEqual(wrongCallsOf(told, 1), [[timeArea, 2, 0, 2, 'silent']]);
    assert.equal(told.outcome, 'userspace');
    assert.deepEqual(
      told.findings.map(({ rule, why }) => [rule, why]),
      [['id-is-meant', `vCPU 2 calls ${timeArea} with id 0, but it means vCPU 2; Xen accepts it silently`]],
    );
  });

  it('does not read the record for it', () => {
    const told = run('pvhvm', 'as-posted', crashOn(2));
    const step = callsOf(told, timeArea, 1)[0]?.step ?? -1;
    const before = told.events[told.events.findIndex((event) => event.step === step) - 1];
    assert.notEqual(before?.kind, 'use');
  });

  it('is not asked for before 4.15, nor on Arm', () => {
    assert.deepEqual(callsOf(run('pvhvm', 'as-posted', { ...crashOn(2), era: linux48 }), timeArea), []);
    assert.deepEqual(callsOf(run('arm', 'mend'), timeArea), []);
  });
});

describe('the question which vCPUs there are, on PV', () => {
  it('carries every number below NR_CPUS, not the records', () => {
    const ids = idsOf(run('pv', 'as-posted'), 'VCPUOP_is_up', 0);
    assert.deepEqual(
      ids,
      Array.from({ length: configNrCpus }, (_, id) => id),
    );
  });
});

/**
 * The call by which kernel number `kernel` first binds xenstore's port: the vCPU that Xen notifies before it, the CPU
 * for which the kernel binds it, and the id in the call.
 */
function firstBinding(
  platform: PlatformName,
  strategy: StrategyName,
  more: Partial<Scenario> = {},
  kernel = 0,
): unknown[] {
  const bindings: unknown[][] = [];
  run(platform, strategy, more, {
    interposers: {
      beforeCall({ world, kernel: number }, call) {
        const { domain, guest } = world;
        const port = guest.kernels[kernel]?.xenstore.port ?? 0;
        const { port: bound, vcpu } = call.argument?.value ?? {};
        if (number === kernel && call.boundFor !== undefined && bound === port) {
          bindings.push([domain.state.events.channels[port]?.notifyVcpu, call.boundFor, vcpu]);
        }
        return call;
      },
    },
  });
  return bindings[0] ?? [];
}

describe('docs/identity.md, on ids that do not come from the map', () => {
  const [, section = ''] = readFileSync('docs/identity.md', 'utf8').split(
    '\n## Ids that do not come from the map\n',
  );
  /** The rows of the section's tables: the operations in the first cell, and the other cells. */
  const rows = section
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) => line.split('|').slice(1, -1))
    .map(([call = '', ...cells]) => ({
      ops: [...call.matchAll(/`(\w+)`/g)].map(([, op = '']) => op),
      cells: cells.map((cell) => cell.trim()),
    }));

  it('lists every operation with a vCPU id that the models make', () => {
    const runs = [
      run('pv', 'as-posted', { plot: { name: 'offline-online', linuxCpu: 2 }, events: '2l' }),
      run('pvhvm', 'as-posted', crashOn(2)),
      run('pvh', 'as-posted'),
      run('arm', 'mend', { ...crashOn(2), hypotheticalReset: true }),
    ];
    const made = new Set(runs.flatMap(({ calls }) => calls.map(({ event }) => event.call.op)));
    const listed = new Set(rows.flatMap(({ ops }) => ops));
    assert.ok(made.size > 10, [...made].join());
    assert.deepEqual(
      [...made].filter((op) => !listed.has(op)),
      [],
    );
  });

  it('names the one literal', () => {
    const literal = rows.filter(({ cells }) => cells[1]?.startsWith('literal') === true);
    assert.deepEqual(
      literal.map(({ ops }) => ops),
      [[timeArea]],
    );
  });
});

describe('a new port, of which Xen notifies vCPU 0', () => {
  it('stays with vCPU 0 until request_irq, which binds it to the CPU with the fewest ports', () => {
    // A real Xen 4.17 with Linux 6.1 too: `bind_vcpu(port=1, vcpu=1)` comes first in a PVH guest with four vCPUs.
    assert.deepEqual(firstBinding('pvh', 'as-posted'), [0, 1, 1]);
    assert.deepEqual(firstBinding('arm', 'mend'), [0, 1, 1]);
    assert.deepEqual(firstBinding('pv', 'as-posted', { vcpus: 1 }), [0, 0, 0]);
  });

  it('went to CPU 0 before 5.11', () => {
    for (const era of [linux48, { ...linux61, spreadsPorts: false }]) {
      assert.deepEqual(firstBinding('pvh', 'as-posted', { era }), [0, 0, 0]);
    }
  });

  it('stays with vCPU 0 in a crash kernel too, where vCPU 0 is CPU 1 or is left out', () => {
    assert.deepEqual(firstBinding('pvhvm', 'as-posted', crashOn(2), 1), [0, 1, 0]);
    assert.deepEqual(firstBinding('pvhvm', 'as-posted', { ...crashOn(2), era: linux69 }, 1), [0, 1, 1]);
  });
});
