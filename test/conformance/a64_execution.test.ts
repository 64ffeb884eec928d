/**
 * Every instruction, with random fields from random states, on this engine and on qemu's Cortex-A57: registers, flags,
 * floating-point status and memory are the same after it, and so is what is allocated.
 *
 * DOMULATOR_A64_WORDS is how many words are tried (20,000 unless said), DOMULATOR_A64_SEED the seed; DOMULATOR_A64_ONLY, a
 * regular expression, picks definitions by name. scripts/conformance.js runs many more.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compareWords, shown } from './a64_comparison.js';
import { drawWord } from './a64_draw.js';
import type { Dice } from './a64_draw.js';
import { encodingGroups, groupDraw } from './a64_groups.js';
import { missingReference } from './a64_reference.js';

const wanted = Number(process.env['DOMULATOR_A64_WORDS'] ?? 20_000);
const seed = Number(process.env['DOMULATOR_A64_SEED'] ?? 1);
const only = new RegExp(process.env['DOMULATOR_A64_ONLY'] ?? '');
const missing = missingReference();

function compareAll(name: string, count: number, draw: (dice: Dice) => number | null): void {
  test(name, { skip: missing ?? false }, (t) => {
    const { drawn, elsewhere, allocated, unallocated, known, found } = compareWords(count, seed, draw);
    const excused = [...known.values()].reduce((sum, one) => sum + one, 0);
    t.diagnostic(
      `${drawn} words, ${elsewhere} not run, ${allocated} allocated and ${unallocated} not on both sides, ` +
        `${excused} faults of the reference, ${found.length} differ`,
    );
    assert.ok(allocated > 0 || unallocated > 0, 'nothing was run');
    assert.equal(found.length, 0, `${found.length} differ:\n${found.slice(0, 20).join('\n')}`);
  });
}

const chosen = shown.filter(({ name }) => only.test(name));
let turn = 0;
compareAll('words of every definition do what they do on the reference', wanted, (dice) => {
  turn += 1;
  return drawWord(chosen[turn % chosen.length]!, dice, 'EL0t');
});

compareAll('words drawn from all 2^32 are allocated and do what they do on the reference', wanted, (dice) =>
  dice.word(),
);

for (const group of encodingGroups) {
  const draw = groupDraw(group, shown, 'EL0t');
  compareAll(`words of one group do what they do on the reference: ${group.name}`, wanted / 10, draw);
}
