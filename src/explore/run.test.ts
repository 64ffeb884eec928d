import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { InputError } from '../base/index.js';
import { matrixScenarios, runMatrix } from './matrix.js';
import { runScenario } from './run.js';
import { strategies } from './model/strategies.js';
import { aScenario, brokenRules, callsOf, crashOn, run } from './test_scenario.js';

describe('a scenario', () => {
  it('that contradicts itself is bad input', () => {
    const bad = [
      aScenario('arm', 'mend', { vcpus: 0 }),
      aScenario('arm', 'mend', { vcpus: 65 }),
      aScenario('arm', 'mend', { vcpus: 1.5 }),
      aScenario('arm', 'mend', crashOn(4)),
      aScenario('arm', 'mend', crashOn(0.5)),
      aScenario('arm', 'mend', { plot: { name: 'offline-online', linuxCpu: 0 } }),
      aScenario('pv', 'as-posted', crashOn(0)),
      aScenario('pv', 'as-posted', { plot: { name: 'kexec' } }),
      aScenario('arm', 'mend', { idPolicy: 'none such' }),
    ];
    for (const scenario of bad) assert.throws(() => runScenario(scenario), InputError);
  });

  it('goes by the strategies, the program and the tables that it is given', () => {
    const silent = { ...strategies, mend: { ...strategies.mend, rules: strategies['as-posted'].rules } };
    assert.ok(brokenRules(run('arm', 'mend', {}, { strategies: silent })).includes('record-set-before-use'));
    const noTables = { madt: null, deviceTree: null };
    const alone = run('arm', 'mend', {}, { firmware: noTables });
    assert.ok(brokenRules(alone).includes('all-vcpus-up'));
  });

  it('shows the guest an answer that Xen did not give, and the observer the one that it gave', () => {
    const told = run(
      'arm',
      'mend',
      {},
      {
        interposers: {
          afterCall: (_occasion, record) =>
            record.op === 'EVTCHNOP_init_control' ? { ...record, returned: -22 } : record,
        },
      },
    );
    assert.deepEqual(
      callsOf(told, 'EVTCHNOP_init_control').map(({ call }) => call.returned),
      [0],
    );
    assert.ok(told.events.some((event) => event.kind === 'log' && event.line.includes('2-level')));
  });

  it('ends with the domain when the toolstack cannot reset it', () => {
    const told = run('arm', 'mend', crashOn(2));
    assert.equal(told.outcome, 'destroyed');
    assert.equal(told.ending, 'the toolstack destroyed the domain after SHUTDOWN_soft_reset');
  });

  it('reports every step to an interposer, with its place', () => {
    const seen = new Set<string>();
    run(
      'pvhvm',
      'as-posted',
      { vcpus: 2 },
      {
        interposers: {
          afterStep: ({ routine, step, phase }) => seen.add(`${phase ?? '-'}: ${routine}/${step}`),
        },
      },
    );
    for (const place of [
      'boot: x86-boot/init',
      'prepare: control-block/EVTCHNOP_init_control',
      'user: upcall/handle',
    ]) {
      assert.ok(seen.has(place), place);
    }
  });
});

describe('the matrix', () => {
  const cells = matrixScenarios();

  it('has a cell for every strategy, platform and kind, and a name of its own for each scenario', () => {
    const count = (values: readonly string[]): number => new Set(values).size;
    const strategyCount = count(cells.map(({ strategy }) => strategy));
    const platformCount = count(cells.map(({ platform }) => platform));
    assert.equal(strategyCount, Object.keys(strategies).length);
    assert.equal(platformCount, 4);
    assert.equal(cells.length, strategyCount * platformCount * count(cells.map(({ kind }) => kind)));
    const names = cells.flatMap(({ scenario }) => (scenario === null ? [] : [scenario.name]));
    assert.equal(count(names), names.length);
  });

  it('gives a reason for each cell that does not apply, and a result for each that does', () => {
    // Time of the processor, so that whatever else the machine does is left out.
    const before = process.cpuUsage();
    const rows = runMatrix(cells);
    const { user, system } = process.cpuUsage(before);
    const seconds = (user + system) / 1e6;
    for (const row of rows) {
      assert.equal(row.scenario === null, row.notApplicable !== null);
      assert.equal(row.scenario === null, row.passed === null);
      if (row.passed === true) assert.equal(row.firstBroken, null);
      else if (row.passed === false)
        assert.ok(row.firstBroken !== null, `${row.scenario?.name}: ${row.ending}`);
    }
    assert.ok(rows.some(({ passed }) => passed === true) && rows.some(({ passed }) => passed === false));
    assert.ok(seconds < 10, `the matrix took ${seconds.toFixed(1)} s`);
  });
});
