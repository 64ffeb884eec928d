import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { testMachine } from './test_machine.js';
import { fillWithRandomCode, randomValue } from './test_random_code.js';
import { numbers } from '../test_numbers.js';

test('random code on two vCPUs never throws, and every run ends', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 0x7fffffff }), (seed) => {
      const next = numbers(seed);
      const machine = testMachine({ vcpus: 2, decodedPages: 7 });
      const { processor } = machine;
      fillWithRandomCode(machine, next);
      machine.reaction = () => {
        machine.answer = next() % 8 === 0 ? null : randomValue(next);
        processor.setInterruptLine(next() % 2, next() % 2 === 0 ? 'irq' : 'fiq', next() % 3 === 0);
      };
      for (let turn = 0; turn < 300; turn += 1) {
        const index = turn % 2;
        const cpu = processor.vcpus[index];
        assert.ok(cpu !== undefined);
        if (turn % 10 < 2) {
          for (let number = 0; number < 31; number += 1) cpu.setRegister(number, randomValue(next));
          cpu.pc = BigInt(next() & 0xfffc);
          cpu.setSystemRegister('VBAR_EL1', BigInt(next() & 0xf800));
          if (next() % 2 === 0) {
            cpu.setSystemRegister('TTBR0_EL1', 0xe0000n);
            cpu.setSystemRegister('TCR_EL1', 16n | (4n << 32n));
          }
        }
        const { executed } = processor.run(index, 200);
        assert.ok(executed >= 0 && executed < 200 + 1100, `${executed} instructions`);
      }
    }),
    { numRuns: 40 },
  );
});
