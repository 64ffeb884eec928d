/**
 * Runs every instruction with random fields and random states on this engine and on qemu's Cortex-A57, and compares
 * registers, flags, floating-point status, memory, and which words are allocated.
 *
 * DOMULATOR_A64_WORDS is the number of words (default: 20,000), DOMULATOR_A64_SEED the seed. DOMULATOR_A64_ONLY, a
 * regular expression, selects definitions by name. scripts/conformance.js runs many more words.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { A64Instruction } from '../../src/isa/index.js';
import { compareWords, shown, shownBeyond } from './a64_comparison.js';
import { drawWord } from './a64_draw.js';
import type { Dice } from './a64_draw.js';
import { encodingGroups, groupDraw } from './a64_groups.js';
import { laterCpu, missingReference, referenceCpu } from './a64_reference.js';

const wanted = Number(process.env['DOMULATOR_A64_WORDS'] ?? 20_000);
const seed = Number(process.env['DOMULATOR_A64_SEED'] ?? 1);
const only = new RegExp(process.env['DOMULATOR_A64_ONLY'] ?? '');
const missing = missingReference();

function compareAll(
  name: string,
  count: number,
  draw: (dice: Dice) => number | null,
  cpu: string = referenceCpu,
): void {
  test(name, { skip: missing ?? false }, (t) => {
    const { drawn, elsewhere, allocated, unallocated, known, found } = compareWords(count, seed, draw, {
      cpu,
    });
    const excused = [...known.values()].reduce((sum, one) => sum + one, 0);
    t.diagnostic(
      `${drawn} words, ${elsewhere} not run, ${allocated} allocated and ${unallocated} not on both sides, ` +
        `${excused} faults of the reference, ${found.length} differ`,
    );
    assert.equal(found.length, 0, `${found.length} differ:\n${found.slice(0, 20).join('\n')}`);
    assert.ok(allocated + unallocated > 0, 'nothing was run');
  });
}

/** Draws from definitions in turn. */
function inTurn(definitions: readonly A64Instruction[]): (dice: Dice) => number | null {
  let turn = 0;
  return (dice) => {
    turn += 1;
    return drawWord(definitions[turn % definitions.length]!, dice, 'EL0t');
  };
}

const chosen = shown.filter(({ name }) => only.test(name));
const chosenBeyond = shownBeyond.filter(({ name }) => only.test(name));
if (chosen.length > 0) {
  compareAll('words of every definition do what they do on the reference', wanted, inTurn(chosen));
}
if (chosenBeyond.length > 0) {
  const name = 'words of features beyond the reference do what they do on a later CPU';
  compareAll(name, wanted / 10, inTurn(chosenBeyond), laterCpu);
}
if (only.source === '(?:)') {
  compareAll('words drawn from all 2^32 are allocated and do what they do on the reference', wanted, (dice) =>
    dice.word(),
  );
  for (const group of encodingGroups) {
    const draw = groupDraw(group, shown, 'EL0t');
    compareAll(`words of one group do what they do on the reference: ${group.name}`, wanted / 10, draw);
  }
}
