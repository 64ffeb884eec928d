/**
 * Every instruction, with random fields from random states, on this engine and on qemu's Cortex-A57: registers, flags,
 * floating-point status and memory are the same after it, and so is what is allocated.
 *
 * DOMULATOR_A64_WORDS is how many words are tried (20,000 unless said), DOMULATOR_A64_SEED the seed; DOMULATOR_A64_ONLY, a
 * regular expression, picks definitions by name.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { a64, makeDecoder } from '../../src/isa/index.js';
import type { Instruction, Statement } from '../../src/isa/index.js';
import { describe, differences, referenceOutcome } from './a64_compare.js';
import { Dice, drawStates, drawWord } from './a64_draw.js';
import { slotBytes, stateBytes, wordOffset } from './a64_layout.js';
import { Machine } from './a64_machine.js';
import { missingReference, Reference } from './a64_reference.js';
import type { WordTest } from './a64_reference.js';

const wanted = Number(process.env['DOMULATOR_A64_WORDS'] ?? 20_000);
const seed = Number(process.env['DOMULATOR_A64_SEED'] ?? 1);
const only = new RegExp(process.env['DOMULATOR_A64_ONLY'] ?? '');

const missing = missingReference();
const decoder = makeDecoder(a64);
const statesPerBatch = 256;
const batchWords = 20_000;

function mentions(statements: readonly Statement[], ops: readonly string[]): boolean {
  const visit = (node: unknown): boolean => {
    if (typeof node !== 'object' || node === null) return false;
    const { op } = node as { op?: string };
    return (op !== undefined && ops.includes(op)) || Object.values(node).some(visit);
  };
  return visit(statements);
}

const systemOps = ['system', 'state', 'stateAt', 'setState', 'setStateAt', 'clearBlock'];

/** Whether what it does is all in registers and memory, so that a user program can show it. */
function isSelfContained({ semantics }: Instruction): boolean {
  return !mentions(semantics.statements, systemOps);
}

const runnable = a64.filter(isSelfContained);

function stores({ semantics }: Instruction): boolean {
  return mentions(semantics.statements, ['store', 'storeVector']);
}

/** Where a direct branch or a literal's load leads to, from itself, in bytes; null for other words. */
function distanceOf(word: number): number | null {
  const signed = (bits: number, shift: number): number => ((word << (32 - bits - shift)) >> (32 - bits)) * 4;
  if ((word & 0x7c000000) === 0x14000000) return signed(26, 0);
  const nineteen =
    word >>> 24 === 0x54 || (word & 0x7e000000) === 0x34000000 || (word & 0x3b000000) === 0x18000000;
  if (nineteen) return signed(19, 5);
  return (word & 0x7e000000) === 0x36000000 ? signed(14, 5) : null;
}

/** Whether the word would run other words under test, or read what follows them, which is not the same on both sides. */
function meetsOthers(word: number): boolean {
  const distance = distanceOf(word);
  if (distance === null) return false;
  const inSlot = (((distance + wordOffset) % slotBytes) + slotBytes) % slotBytes;
  return inSlot <= 8 || inSlot > slotBytes - 8;
}

function toTest(word: number, dice: Dice): WordTest | null {
  const definition = decoder.decode(word, 'EL0t');
  if (meetsOthers(word) || (definition !== null && !isSelfContained(definition))) return null;
  return { word, state: dice.below(statesPerBatch), stores: definition === null || stores(definition) };
}

/** Runs `words` both ways; descriptions of what differs. */
function compare(reference: Reference, words: readonly number[], dice: Dice): string[] {
  const states = drawStates(statesPerBatch, dice);
  const tests = words.map((word) => toTest(word, dice)).filter((one) => one !== null);
  const theirs = reference.run(states, tests);
  const ours = new Machine(tests.length).run(states, tests);
  return tests.flatMap((one, index) => {
    const found = differences(ours[index]!, referenceOutcome(theirs, index));
    return found.length === 0 ? [] : [describe(decoder, one, states, stateBytes, found)];
  });
}

function compareAll(name: string, count: number, draw: (dice: Dice) => number | null): void {
  test(name, { skip: missing ?? false }, (t) => {
    const dice = new Dice(seed);
    const reference = new Reference();
    const found: string[] = [];
    try {
      for (let done = 0; done < count; done += batchWords) {
        const length = Math.min(batchWords, count - done);
        const words = Array.from({ length }, () => draw(dice)).filter((word) => word !== null);
        found.push(...compare(reference, words, dice));
      }
    } finally {
      reference.close();
    }
    t.diagnostic(`${count} words, ${found.length} differ`);
    assert.equal(found.length, 0, `${found.length} differ:\n${found.slice(0, 40).join('\n')}`);
  });
}

const chosen = runnable.filter(({ name }) => only.test(name));
let turn = 0;
compareAll('words of every definition do what they do on the reference', wanted, (dice) => {
  turn += 1;
  return drawWord(chosen[turn % chosen.length]!, dice, 'EL0t');
});
