/** The builtin guest as a value: it is saved at random instructions, restored into another machine, and goes on the same. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { hashValue, valueFromJson, valueToJson } from '../../src/base/index.js';
import { buildGuest } from '../../src/boot/guest.js';
import type { GuestMachine } from '../../src/boot/guest.js';
import type { BootOptions } from '../../src/boot/index.js';
import { equalSaved, hashSaved } from '../../src/machine/index.js';
import type { SavedMachine } from '../../src/machine/index.js';
import { bootOptions } from './builtin_runs.js';

const untilNs = 10_000_000_000n;

interface Run {
  readonly console: string;
  /** Every hypercall, power call and slice with its time, in order. */
  readonly trace: string;
  readonly instructions: number;
  readonly end: string;
  readonly state: string;
}

interface Listening {
  readonly machine: GuestMachine;
  readonly console: number[];
  readonly trace: unknown[];
}

function listen(options: BootOptions): Listening {
  const console: number[] = [];
  const trace: unknown[] = [];
  const told = (...event: unknown[]): void => void trace.push([...event, machine.nowNs]);
  const { machine } = buildGuest(options, {
    uart: (byte) => void console.push(byte),
    pvConsole: (bytes) => void console.push(...bytes),
    hypercall: (vcpu, record) => told(vcpu, record),
    power: (vcpu, record) => told(vcpu, record),
    started: (vcpu) => told(vcpu),
    sliceEnded: (vcpu) => told(vcpu),
  });
  return { machine, console, trace };
}

/** Saved and read back as a file would hold it. */
function written({ state, frames }: SavedMachine): SavedMachine {
  return { state: valueFromJson(valueToJson(state)) as SavedMachine['state'], frames };
}

/** Runs the guest to its end. At each of `cuts`, counted in instructions, another machine takes over. */
function run(options: BootOptions, cuts: readonly number[]): Run {
  let now = listen(options);
  const console: number[] = [];
  const trace: unknown[] = [];
  for (const cut of [...cuts].sort((a, b) => a - b)) {
    now.machine.run(Math.max(cut - now.machine.instructions, 0), untilNs);
    console.push(...now.console);
    trace.push(...now.trace);
    const saved = written(now.machine.save());
    now = listen(options);
    now.machine.restore(saved);
    assert.ok(equalSaved(now.machine.save(), saved), 'the restored machine is what was saved');
  }
  const end = now.machine.run(100_000_000, untilNs);
  const { instructions, nowNs } = now.machine;
  return {
    console: String.fromCharCode(...console, ...now.console),
    trace: hashValue([...trace, ...now.trace]),
    instructions,
    end: `${end} at ${nowNs}`,
    state: hashSaved(now.machine.save()),
  };
}

describe('the builtin guest, cut at random instructions', () => {
  for (const [what, options] of [
    ['with four vCPUs', {}],
    ['with random calls of every kind', { commandLine: 'console=hvc0 fuzz=300 seed=7', vcpus: 3 }],
  ] as const) {
    it(`runs the same ${what}`, () => {
      const asked = bootOptions(options);
      const whole = run(asked, []);
      assert.ok(whole.console.length > 100 && whole.end.startsWith('shutdown'), whole.end);
      const cuts = fc.array(fc.integer({ min: 1, max: whole.instructions }), { minLength: 1, maxLength: 4 });
      fc.assert(
        fc.property(cuts, (at) => assert.deepEqual(run(asked, at), whole)),
        { numRuns: Number(process.env['DOMULATOR_CUTS'] ?? 6) },
      );
    });
  }
});
