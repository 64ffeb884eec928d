/** A machine tells where a kernel may be left or entered, and resets its domain there if it is asked to. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { entry, powerOff, ramStart, testGuest, translationOn } from './test_guest.js';
import type { GuestShape, TestGuest } from './test_guest.js';

const tables = ramStart + 0x2000;
/** A block of 1 GiB at 0x40000000 with full access for EL1. */
const block = 0x4000_0401;

/** Turns translation on with a flat map, writes SCTLR_EL1 once more without a change to it, and turns it off. */
const program = `
  li x1, 0x${tables.toString(16)}
  li x2, 0x${block.toString(16)}
  str x2, [x1, #8]
  ${translationOn(tables)}
  msr sctlr_el1, x1
  movz x2, #1
  bic x1, x1, x2
  msr sctlr_el1, x1
  isb
  ${powerOff}`;

interface Told {
  readonly guest: TestGuest;
  readonly switched: readonly (readonly [vcpu: number, on: boolean, pc: bigint])[];
  readonly end: string;
}

/** Runs the program; `act` is done at each switch. */
function run(
  config: GuestShape['config'] = {},
  act: (guest: TestGuest, on: boolean) => void = () => undefined,
): Told {
  const switched: [number, boolean, bigint][] = [];
  const guest: TestGuest = testGuest(program, {
    config,
    listener: {
      translationSwitched: (vcpu, on) => {
        switched.push([vcpu, on, guest.machine.processor.vcpus[vcpu]?.pc ?? 0n]);
        act(guest, on);
      },
    },
  });
  const end = guest.runToEnd();
  return { guest, switched, end };
}

describe('a vCPU that switches translation', () => {
  it('is told with its place behind the instruction, once for each change', () => {
    const { switched, end, guest } = run();
    assert.equal(end, 'shutdown');
    assert.deepEqual(
      switched.map(([vcpu, on]) => [vcpu, on]),
      [
        [0, true],
        [0, false],
      ],
    );
    const [[, , first], [, , second]] = switched as [Told['switched'][0], Told['switched'][0]];
    assert.ok(first > BigInt(entry) && second - first === 20n, `${first} ${second}`);
    assert.equal(guest.machine.domain.state.shutdown?.reason, 0);
  });

  it('runs the same whether somebody listens or not', () => {
    const heard = run().guest.machine;
    const unheard = testGuest(program);
    unheard.runToEnd();
    assert.equal(unheard.machine.instructions, heard.instructions);
    assert.equal(unheard.machine.nowNs, heard.nowNs);
  });

  it('may have its domain reset there, and goes on', () => {
    const answers: boolean[] = [];
    const { guest, end } = run({ softReset: true }, ({ machine }, on) => {
      const [vcpu] = machine.vcpus;
      if (!on && vcpu !== undefined) answers.push(machine.softReset(vcpu));
    });
    assert.deepEqual(answers, [true]);
    assert.equal(guest.machine.domain.state.resets, 1);
    assert.deepEqual([end, guest.machine.domain.state.shutdown?.reason], ['shutdown', 0]);
  });

  it('finds its domain shut down where there is no soft reset', () => {
    const answers: boolean[] = [];
    const { guest, end } = run({ softReset: false }, ({ machine }, on) => {
      const [vcpu] = machine.vcpus;
      if (!on && vcpu !== undefined) answers.push(machine.softReset(vcpu));
    });
    assert.deepEqual(answers, [false]);
    // SHUTDOWN_soft_reset
    assert.deepEqual([end, guest.machine.domain.state.shutdown?.reason], ['shutdown', 5]);
  });
});
