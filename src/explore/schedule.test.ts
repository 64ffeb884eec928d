import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { audit } from '../audit/index.js';
import type { TraceEvent } from '../audit/index.js';
import { InvariantError } from '../base/index.js';
import { xenVcpuId } from '../identity/index.js';
import { eventChannelOp } from './model/calls.js';
import { createWorld } from './model/platform.js';
import type { Program } from './model/program.js';
import { linuxProgram } from './model/routines/index.js';
import { environmentOf, runScenario } from './run.js';
import type { PlatformName, Plot, Scenario, StrategyName } from './scenario.js';
import { passTime } from './schedule.js';
import { enabled, stepVcpu } from './model/step.js';
import { linux61 } from './eras.js';
import { aScenario, callsOf, logOf, run } from './test_scenario.js';
import { evtchn_send, EVTCHNOP_send } from '../abi/index.js';

/** A run in which `choose(n)` says which of n vCPUs goes next. */
function runBy(
  choose: (count: number) => number,
  scenario: Scenario,
): { trace: TraceEvent[]; outcome: string } {
  const environment = environmentOf(scenario);
  const world = createWorld(scenario);
  const trace: TraceEvent[] = [];
  while (world.guest.end === null) {
    const able = enabled(world, environment);
    const vcpu = able[choose(able.length)];
    if (vcpu !== undefined) {
      for (const event of stepVcpu(world, vcpu, environment)) trace.push({ ...event, step: trace.length });
    } else if (!passTime(world, environment)) return { trace, outcome: 'hang' };
  }
  return { trace, outcome: world.guest.end.outcome };
}

function numbersFrom(seed: number): (count: number) => number {
  let state = seed | 1;
  return (count) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return count === 0 ? 0 : (state >>> 0) % count;
  };
}

const plots: readonly Plot[] = [
  { name: 'boot' },
  { name: 'offline-online', linuxCpu: 1 },
  { name: 'kexec' },
  { name: 'kdump', vcpu: 1, resetFirst: true },
];

/** The strategies that are right on a platform, whatever happens. */
const soundOn: Readonly<Record<PlatformName, readonly StrategyName[]>> = {
  pv: ['before-the-patch', 'as-posted'],
  pvhvm: ['as-posted', 'no-hypercalls-in-prepare', 'ids-from-firmware'],
  pvh: ['as-tested'],
  arm: ['no-hypercalls-in-prepare', 'ids-from-firmware'],
};

const anyRun = fc.record({
  seed: fc.integer(),
  platform: fc.constantFrom<PlatformName>('pv', 'pvhvm', 'pvh', 'arm'),
  which: fc.nat({ max: 2 }),
  plot: fc.constantFrom(...plots),
  events: fc.constantFrom<'fifo' | '2l'>('fifo', '2l'),
  release: fc.constantFrom<'4.17' | '4.18'>('4.17', '4.18'),
  vcpus: fc.integer({ min: 2, max: 4 }),
});

describe('any schedule', () => {
  it('brings a sound guest to user space, and breaks no rule', () => {
    fc.assert(
      fc.property(anyRun, ({ seed, platform, which, plot, ...rest }) => {
        const strategies = soundOn[platform];
        const strategy = strategies[which % strategies.length] ?? 'as-posted';
        const possible = platform !== 'pv' || plot.name === 'boot' || plot.name === 'offline-online';
        const scenario = aScenario(platform, strategy, {
          ...rest,
          plot: possible ? plot : { name: 'boot' },
          // The one id that is wrong in Linux itself, where it is entered on another vCPU than 0.
          era: { ...linux61, registersTimeArea: false },
          hypotheticalReset: platform === 'arm',
        });
        const { trace, outcome } = runBy(numbersFrom(seed), scenario);
        assert.equal(outcome, 'userspace');
        assert.deepEqual(audit({ platform: environmentOf(scenario).platform, events: trace }), []);
      }),
      { numRuns: 120 },
    );
  });

  it('lets an unset record on Arm be refused once for each secondary CPU', () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const { trace, outcome } = runBy(numbersFrom(seed), aScenario('arm', 'as-posted'));
        const refused = trace.filter((event) => event.kind === 'hypercall' && event.call.returned === -2);
        assert.deepEqual([outcome, refused.length], ['userspace', 3]);
      }),
      { numRuns: 10 },
    );
  });
});

describe('a step', () => {
  it('is refused for a vCPU that cannot take one', () => {
    const scenario = aScenario('arm', 'mend');
    const world = createWorld(scenario);
    assert.deepEqual(enabled(world, environmentOf(scenario)), [0]);
    assert.throws(() => stepVcpu(world, xenVcpuId(1), environmentOf(scenario)), InvariantError);
  });

  it('makes one hypercall at most', () => {
    for (const platform of ['pv', 'pvhvm', 'arm'] as const) {
      const counts: number[] = [];
      run(
        platform,
        'as-posted',
        {},
        {
          observe: (_world, events) => counts.push(events.filter(({ kind }) => kind === 'hypercall').length),
        },
      );
      assert.equal(Math.max(...counts), 1);
    }
  });

  it('that does two things others can see is a contradiction of the model', () => {
    const twice: Program = {
      ...linuxProgram,
      idle: {
        phase: null,
        steps: [
          {
            label: 'idle',
            run: (context) => {
              const [step] =
                linuxProgram['ask-xenstore']?.steps.filter(({ label }) => label === 'EVTCHNOP_send') ?? [];
              step?.run(context);
              return step?.run(context) ?? { kind: 'next' };
            },
          },
        ],
      },
    };
    assert.throws(() => run('arm', 'mend', {}, { program: twice }), /a step does two things/);
  });
});

describe('the canonical schedule', () => {
  it('gives the same run every time', () => {
    const scenario = aScenario('pvhvm', 'as-posted', { plot: { name: 'kexec' } });
    assert.deepEqual(runScenario(scenario), runScenario(scenario));
  });

  it('numbers events from 0 without a gap, time never goes back, and one end is the last', () => {
    const { events } = run('pvhvm', 'as-posted');
    assert.deepEqual(
      events.map(({ step }) => step),
      events.map((_, i) => i),
    );
    assert.ok(events.every(({ timeNs }, i) => timeNs >= (events[i - 1]?.timeNs ?? 0n)));
    assert.deepEqual(
      events.flatMap(({ kind }, i) => (kind === 'end' ? [i] : [])),
      [events.length - 1],
    );
  });

  it('lets a CPU that never comes online be given up after five seconds', () => {
    const stuck: Program = {
      ...linuxProgram,
      'arm-secondary': {
        phase: 'starting',
        steps: [
          { label: 'stuck', ready: () => false, waitsFor: () => 'nothing', run: () => ({ kind: 'stay' }) },
        ],
      },
    };
    const told = run('arm', 'mend', { vcpus: 2 }, { program: stuck });
    assert.equal(told.outcome, 'userspace');
    assert.ok(logOf(told).includes('CPU1: failed to come online'));
    assert.equal(told.events.at(-1)?.timeNs, 5_000_000_000n);
  });

  it('says of a guest that hangs what each CPU waits for', () => {
    const told = run(
      'arm',
      'mend',
      { vcpus: 2 },
      {
        interposers: {
          beforeCall: ({ vcpu }, call) =>
            call.command === EVTCHNOP_send && vcpu === 1
              ? eventChannelOp(EVTCHNOP_send, evtchn_send, { port: 9 })
              : call,
        },
      },
    );
    assert.equal(told.outcome, 'hang');
    assert.equal(told.ending, "CPU 1 (vCPU 1) waits for xenstore's answer");
    assert.equal(callsOf(told, 'EVTCHNOP_send').at(-1)?.call.returned, -22);
  });

  it('ends a guest that goes round in circles', () => {
    const circle: Program = {
      ...linuxProgram,
      init: { phase: null, steps: [{ label: 'round', run: () => ({ kind: 'stay' }) }] },
    };
    const told = run('arm', 'mend', { vcpus: 1 }, { program: circle });
    assert.equal(told.outcome, 'hang');
    assert.match(told.ending, /no end after \d+ steps/);
  });
});
