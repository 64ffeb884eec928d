/** DOMULATOR_X86_WORDS is the number of byte strings, and DOMULATOR_X86_SEED their seed; scripts/lengths_x86.js makes more of them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compareLengths } from './x86_lengths.js';

const count = Number(process.env['DOMULATOR_X86_WORDS'] ?? 100_000);
const seed = Number(process.env['DOMULATOR_X86_SEED'] ?? 1);

test('random bytes are instructions where they are to iced-x86, and as long', () => {
  const { differ, instructions } = compareLengths(count, seed);
  assert.deepEqual(differ, []);
  assert.ok(instructions > count / 2, `${instructions} instructions`);
});
