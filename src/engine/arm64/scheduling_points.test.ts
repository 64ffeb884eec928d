import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { present } from '../../base/index.js';
import { a64 } from '../../isa/index.js';
import type { CpuArchitecture } from '../architecture.js';
import { arm64 } from './architecture.js';
import { fillWithRandomCode, randomValue } from './test_random_code.js';
import { numbers } from '../test_numbers.js';
import { testMachine } from './test_machine.js';
import type { TestMachine } from './test_machine.js';

type Arm64 = typeof arm64;

/** The same CPU, but every instruction is run by its own function instead of a handler of the interpreter. */
const byOwnFunctions: Arm64 = {
  ...arm64,
  model: {
    ...arm64.model,
    // Each inherits the rest, so that its semantics are still built on first use.
    instructions: a64().map((one) => Object.create(one, { cold: { value: true } }) as typeof one),
  },
} satisfies CpuArchitecture<unknown, never, unknown>;

/** Where each run of a random program ended, how, and after how many instructions. */
function runsOf(architecture: Arm64, seed: number, budgets: readonly number[]): string[] {
  const next = numbers(seed);
  const machine: TestMachine = testMachine({ decodedPages: 40, architecture });
  const { processor } = machine;
  fillWithRandomCode(machine, next);
  machine.reaction = () => {
    machine.answer = next() % 8 === 0 ? null : randomValue(next);
    processor.setInterruptLine(0, next() % 2 === 0 ? 'irq' : 'fiq', next() % 3 === 0);
    if (next() % 5 === 0) processor.stop();
  };
  const cpu = present(processor.vcpus[0], 'a vCPU');
  cpu.setSystemRegister('VBAR_EL1', BigInt(next() & 0xf800));
  return budgets.map((budget, run) => {
    if (run % 20 === 0) {
      for (let number = 0; number < 31; number += 1) cpu.setRegister(number, randomValue(next));
      cpu.pc = BigInt(next() & 0xfffc);
      cpu.mode = (['EL0t', 'EL1t', 'EL1h'] as const)[next() % 3] ?? 'EL1h';
    }
    const { reason, executed } = processor.run(0, budget);
    return `${reason} after ${executed} at ${cpu.pc.toString(16)} in ${cpu.mode}`;
  });
}

describe('a time slice ends where the definitions say', () => {
  it('whether handlers or own functions run 200 random programs', () => {
    for (let seed = 1; seed <= 200; seed += 1) {
      const next = numbers(seed);
      const budgets = Array.from({ length: 30 }, () => 1 + (next() % 40));
      assert.deepEqual(runsOf(byOwnFunctions, seed, budgets), runsOf(arm64, seed, budgets), `seed ${seed}`);
    }
  });

  /** How many instructions of a straight program with `middle` run with a budget of 1: up to its branch. */
  function straight(middle: string): number {
    const machine = testMachine();
    machine.program(0x1000, `nop\nnop\n${middle}\nnop\nnop\nb 0x1000`);
    const cpu = present(machine.processor.vcpus[0], 'a vCPU');
    cpu.pc = 0x1000n;
    return machine.processor.run(0, 1).executed;
  }

  for (const middle of [
    'isb',
    'msr spsel, #0x0',
    'msr cpacr_el1, x0',
    'msr daifclr, #0xf',
    'msr sctlr_el1, x1',
    'mrs x0, icc_pmr_el1',
  ]) {
    it(`not at ${middle}`, () => assert.equal(straight(middle), 6));
  }

  for (const last of ['nop', 'isb', 'msr spsel, #0x0', 'msr cpacr_el1, x1']) {
    it(`at the end of a page, behind ${last}`, () => {
      const machine = testMachine();
      machine.program(0x1ff8, `nop\n${last}\nnop\nnop\nb 0x2000`);
      const cpu = present(machine.processor.vcpus[0], 'a vCPU');
      cpu.setRegister(1, 0x300000n);
      cpu.pc = 0x1ff8n;
      assert.equal(machine.processor.run(0, 1).executed, 2);
      assert.equal(cpu.pc, 0x2000n);
      assert.equal(machine.processor.run(0, 1).executed, 3);
    });
  }

  it('at an exception, its return and a hypercall', () => {
    assert.equal(straight('udf #0x0'), 3);
    assert.equal(straight('svc #0x0'), 3);
    assert.equal(straight('hvc #0xffff'), 3);
    assert.equal(straight('eret'), 3);
  });

  it('not before, where the machine wants the run to stop', () => {
    const machine = testMachine();
    machine.program(0x1000, 'mrs x0, icc_pmr_el1\nisb\nnop\nb 0x1000');
    const cpu = present(machine.processor.vcpus[0], 'a vCPU');
    cpu.pc = 0x1000n;
    machine.reaction = () => machine.processor.stop();
    assert.deepEqual(machine.processor.run(0, 1000), { reason: 'stopped', executed: 4 });
  });
});
