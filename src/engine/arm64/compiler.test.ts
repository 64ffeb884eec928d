import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { InvariantError, present } from '../../base/index.js';
import type { RegionModel } from '../compiler/region_model.js';
import type { EngineOptions } from '../processor.js';
import { arm64 } from './architecture.js';
import { testMachine, vcpuOf } from './test_machine.js';
import type { TestMachine } from './test_machine.js';
import { runProgram } from './test_random_programs.js';

/** Compiles whatever is entered, at once. */
const everything: EngineOptions = {
  kind: 'compiler',
  policy: { samples: 1, batch: 1, patience: 1, everyEntry: true },
};

function compiled(machine: TestMachine): number {
  return present(machine.processor.compilerStatistics, 'a compiler').compiled;
}

describe('compiled code does what the interpreter does', () => {
  /** Compares a random program with the same under another engine. Returns how many regions were compiled. */
  function compare(seed: number, engine: EngineOptions, disturbed: boolean): number {
    const plain = runProgram(seed, 120, {});
    const other = runProgram(seed, 120, engine, ({ processor }, next) => {
      if (disturbed && next() % 4 === 0) processor.dropCompiled();
    });
    for (const [run, state] of plain.runs.entries())
      assert.equal(other.runs[run], state, `seed ${seed}, run ${run}`);
    assert.deepEqual(other.heard, plain.heard, `seed ${seed}`);
    return present(other.processor.compilerStatistics, 'a compiler').compiled;
  }

  it('in random programs, when everything is compiled at once', () => {
    let regions = 0;
    for (let seed = 1; seed <= 15; seed += 1) regions += compare(seed, everything, false);
    assert.ok(regions > 200, `${regions} regions`);
  });

  it('in random programs, where each region is checked against the instructions one by one', () => {
    for (let seed = 301; seed <= 306; seed += 1) compare(seed, { ...everything, kind: 'check' }, false);
  });

  it('in random programs, when regions are dropped at random', () => {
    for (let seed = 101; seed <= 106; seed += 1) compare(seed, everything, true);
  });

  it('in random programs, when batches are compiled after some samples, and there is room for few regions', () => {
    for (let seed = 201; seed <= 208; seed += 1) {
      const policy = { samples: 2, batch: 4, patience: 6, everyEntry: true, regions: 10 };
      compare(seed, { kind: 'compiler', policy }, false);
    }
  });
});

describe('the check of compiled code', () => {
  const { regions } = arm64;
  assert.ok(regions !== undefined);

  /** Runs a loop by code that was compiled with a model that is wrong in some way. */
  function run(wrong: Partial<RegionModel>, text: string): void {
    const architecture = { ...arm64, regions: { ...present(regions, 'a model'), ...wrong } };
    const machine = testMachine({ architecture, engine: { ...everything, kind: 'check' } });
    machine.program(0x1000, `${text}\nsub x1, x1, #1\ncbnz x1, 0x1000\nhvc #1`);
    const cpu = vcpuOf(machine);
    for (const [register, value] of [0n, 1000n, 0x4000n, 7n].entries()) cpu.setRegister(register, value);
    cpu.pc = 0x1000n;
    machine.runToCall(0, 50);
    assert.ok(present(machine.processor.compilerStatistics, 'a compiler').checked > 1000);
  }

  const conditionAlways: Partial<RegionModel> = {
    condition: () => ({ op: 'const', width: 32, value: 1n }),
  };
  const zeroIsThree: Partial<RegionModel> = { zero: 3 };

  it('accepts what is right', () => {
    run({}, 'subs x0, x1, x3\ncsel x4, x1, x3, eq\nstr x3, [x2]\nldr x5, [x2]\nstp x3, x4, [x2, #16]');
  });

  for (const [what, wrong, text, message] of [
    ['register', conditionAlways, 'subs x0, x1, x3\ncsel x4, x1, x3, eq', /a register/],
    ['flag', zeroIsThree, 'subs xzr, x3, #1', /a flag/],
    ['stored value', zeroIsThree, 'str x3, [x2]', /stores something else/],
    ['place of a store', zeroIsThree, 'strb w1, [x2, x3]', /no TLB has|does not store|stores something/],
    ['way', zeroIsThree, 'cbz x3, 0x1008\nadd x4, x4, #1', /goes on|budget/],
  ] as const) {
    it(`finds another ${what}`, () => {
      assert.throws(
        () => run(wrong, text),
        (error) => error instanceof InvariantError && message.test(error.message),
      );
    });
  }
});

describe('compiled code', () => {
  const loop = 'add x0, x0, #1\nsub x1, x1, #1\ncbnz x1, 0x1000\nhvc #1';

  function looping(engine: EngineOptions, text = loop): TestMachine {
    const machine = testMachine({ engine });
    machine.program(0x1000, text);
    vcpuOf(machine).setRegister(1, 100_000n);
    vcpuOf(machine).pc = 0x1000n;
    return machine;
  }

  it('ends slices where the interpreter does, whatever their length', () => {
    const [plain, other] = [looping({}), looping(everything)];
    for (let budget = 1; budget < 200; budget += 1) {
      assert.deepEqual(other.processor.run(0, budget), plain.processor.run(0, budget));
      assert.equal(vcpuOf(other).pc, vcpuOf(plain).pc);
      assert.equal(vcpuOf(other).register(0), vcpuOf(plain).register(0));
    }
    assert.equal(compiled(other), 1);
  });

  it('is dropped when the machine writes to its code', () => {
    const machine = looping(everything);
    machine.processor.run(0, 300);
    assert.equal(machine.processor.compilerStatistics?.regions, 1);
    machine.program(0x1000, 'add x0, x0, #16');
    assert.equal(machine.processor.compilerStatistics.regions, 0);
    const cpu = vcpuOf(machine);
    const [before, left] = [cpu.register(0), cpu.register(1)];
    machine.runToCall();
    assert.equal(cpu.register(0), before + 16n * left);
  });

  it('is left by a store to its own code, and the new code runs', () => {
    // The first instruction of the loop is replaced by that in w3.
    const text = `add x0, x0, #1\nsub x1, x1, #1\nsubs xzr, x1, x4\nb.ne 0x1014\nstr w3, [x2]\ncbnz x1, 0x1000\nhvc #1`;
    const results = [{}, everything].map((engine) => {
      const machine = looping(engine, text);
      const cpu = vcpuOf(machine);
      cpu.setRegister(1, 1000n);
      cpu.setRegister(2, 0x1000n);
      cpu.setRegister(3, 0x91004000n); // add x0, x0, #16
      cpu.setRegister(4, 400n);
      const { executed } = machine.runToCall(0, 100);
      return [executed, cpu.register(0)];
    });
    assert.deepEqual(results[0], results[1]);
    assert.equal(results[0]?.[1], 600n + 400n * 16n);
  });

  it('shows faults at the instruction that caused them', () => {
    const results = [{}, everything].map((engine) => {
      const machine = looping(engine, 'ldr x5, [x6], #8\nadd x0, x0, #1\nb 0x1000');
      const cpu = vcpuOf(machine);
      cpu.setRegister(6, 0xff000n);
      machine.program(0x8200, 'hvc #2');
      cpu.setSystemRegister('VBAR_EL1', 0x8000n);
      const { executed } = machine.runToCall(0, 50);
      const registers = [0, 5, 6].map((number) => cpu.register(number));
      return [executed, cpu.systemRegister('ELR_EL1'), cpu.systemRegister('FAR_EL1'), ...registers];
    });
    assert.deepEqual(results[0], results[1]);
    assert.equal(results[0]?.[2], 0x100000n);
  });

  it('is not there in a processor that was restored', () => {
    const [plain, machine] = [looping({}), looping(everything)];
    for (const { processor } of [plain, machine]) processor.run(0, 300);
    const saved = machine.processor.save();
    assert.deepEqual(saved, plain.processor.save());
    machine.processor.load(saved);
    assert.equal(machine.processor.compilerStatistics?.regions, 0);
    assert.equal(machine.runToCall().reason, 'stopped');
    assert.equal(vcpuOf(machine).register(0), 100_000n);
  });
});
