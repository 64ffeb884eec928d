import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { planHandlers } from './handlers.js';
import { arm64 } from './index.js';
import { interpreterFor, interpreterValue, planOf, planValue } from './prepared_interpreter.js';
import { x86_64 } from './x86_64/index.js';

/** A value as a file has it. */
const written = (value: unknown): unknown => JSON.parse(JSON.stringify(value)) as unknown;

describe('a prepared interpreter', () => {
  for (const { model } of [arm64, x86_64]) {
    const plan = planHandlers(model.instructions);

    it(`has the plan of ${model.name}, by the same handlers`, () => {
      const value = written(planValue(plan, model.instructions)) as ReturnType<typeof planValue>;
      const read = planOf(value, model);
      assert.equal(read.unfailing, plan.unfailing);
      assert.equal(read.hot, plan.hot);
      assert.deepEqual(read.choices, plan.choices);
      assert.equal(read.handlers.length, plan.handlers.length);
      for (const [i, handler] of read.handlers.entries()) {
        const { instruction, near, stack } = plan.handlers[i]!;
        assert.equal(handler.instruction, instruction);
        assert.deepEqual([handler.near, handler.stack], [near, stack]);
      }
    });

    it(`has the modules of ${model.name} that are built without it`, () => {
      const { module, batches } = interpreterValue(model);
      const built = interpreterFor(model);
      assert.deepEqual(module, built.module);
      for (const [number, batch] of batches.entries()) {
        const expected = built.batch(number);
        assert.deepEqual(batch.module, expected.module);
        assert.deepEqual(written(batch.floatOperations), expected.floatOperations);
        assert.deepEqual(batch.numbers, expected.numbers);
      }
    });
  }
});
