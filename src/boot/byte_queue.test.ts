import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ByteQueue } from './byte_queue.js';

test('passes every byte on once, in order, in arrays that stay as they are', () => {
  const step = fc.oneof(fc.uint8Array({ maxLength: 5000 }), fc.constant(null));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 6 }), (steps) => {
      const taken: Uint8Array[] = [];
      const queue = new ByteQueue((bytes) => taken.push(bytes));
      for (const bytes of steps) {
        if (bytes === null) queue.flush();
        else for (const byte of bytes) queue.add(byte);
      }
      queue.flush();
      assert.deepEqual(
        taken.flatMap((bytes) => [...bytes]),
        steps.flatMap((bytes) => [...(bytes ?? [])]),
      );
      assert.ok(taken.every(({ length }) => length > 0 && length <= 4096));
    }),
    { numRuns: 30 },
  );
});

test('passes nothing on before it is full or asked to', () => {
  const taken: number[] = [];
  const queue = new ByteQueue(({ length }) => taken.push(length));
  for (let count = 0; count < 4095; count += 1) queue.add(1);
  assert.deepEqual(taken, []);
  queue.add(1);
  assert.deepEqual(taken, [4096]);
  queue.flush();
  assert.deepEqual(taken, [4096]);
});
