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
import type { Instruction, Statement, SystemCall } from '../../src/isa/index.js';
import { describe, differences, isKnownLaxity, referenceOutcome } from './a64_compare.js';
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

/** What a user program cannot show: calls of a system, waiting, what the machine's devices answer. */
const elsewhere: readonly SystemCall[] = [
  'supervisorCall',
  'hypervisorCall',
  'secureMonitorCall',
  'breakpoint',
  'waitForInterrupt',
  'waitForEvent',
  'sendEvent',
  'yield',
  'readRegister',
  'writeRegister',
];

/** Whether a statement for which `wanted` holds stands in an instruction's meaning. */
function says({ semantics }: Instruction, wanted: (statement: Statement) => boolean): boolean {
  const visit = (statements: readonly Statement[]): boolean =>
    statements.some((one) => wanted(one) || (one.op === 'if' && (visit(one.then) || visit(one.otherwise))));
  return visit(semantics.statements);
}

/** Whether what it does is all in registers and memory, so that a user program can show it. */
function isSelfContained(definition: Instruction): boolean {
  return !says(definition, (one) => one.op === 'system' && elsewhere.includes(one.name));
}

function stores(definition: Instruction): boolean {
  return says(definition, ({ op }) => ['store', 'storePair', 'storeVector', 'clearBlock'].includes(op));
}

/** The identification registers, which a system may show to user programs although the CPU does not. */
function readsIdentification(word: number): boolean {
  return (word & 0xfffff000) >>> 0 === 0xd5380000;
}

/** Where a direct branch leads to, from itself, in bytes; null for other words. */
function distanceOf(word: number): number | null {
  const signed = (bits: number, shift: number): number => ((word << (32 - bits - shift)) >> (32 - bits)) * 4;
  if ((word & 0x7c000000) === 0x14000000) return signed(26, 0);
  const nineteen = word >>> 24 === 0x54 || (word & 0x7e000000) === 0x34000000;
  if (nineteen) return signed(19, 5);
  return (word & 0x7e000000) === 0x36000000 ? signed(14, 5) : null;
}

/** Whether the word would run other words under test. */
function runsOthers(word: number): boolean {
  const distance = distanceOf(word);
  if (distance === null) return false;
  const inSlot = (((distance + wordOffset) % slotBytes) + slotBytes) % slotBytes;
  return inSlot <= wordOffset;
}

function toTest(word: number, dice: Dice): WordTest | null {
  const definition = decoder.decode(word, 'EL0t');
  if (runsOthers(word) || readsIdentification(word) || (definition !== null && !isSelfContained(definition)))
    return null;
  return { word, state: dice.below(statesPerBatch), stores: definition === null || stores(definition) };
}

interface Comparison {
  /** Words run on both sides. */
  tested: number;
  /** Of these, those that no definition is. */
  unallocated: number;
  /** Differences that are the reference's fault; see a64_compare.ts. */
  known: number;
  /** Descriptions of the others. */
  readonly found: string[];
}

/** Runs `words` both ways. */
function compare(reference: Reference, words: readonly number[], dice: Dice, into: Comparison): void {
  const states = drawStates(statesPerBatch, dice);
  const tests = words.map((word) => toTest(word, dice)).filter((one) => one !== null);
  const theirs = reference.run(states, tests);
  const ours = new Machine(tests.length).run(states, tests);
  into.tested += tests.length;
  for (const [index, one] of tests.entries()) {
    const [mine, other] = [ours[index]!, referenceOutcome(theirs, index)];
    const name = decoder.decode(one.word, 'EL0t')?.name;
    if (name === undefined) into.unallocated += 1;
    const found = differences(mine, other);
    if (found.length === 0) continue;
    if (isKnownLaxity(name ?? '', mine, other)) into.known += 1;
    else into.found.push(describe(decoder, one, states, stateBytes, found));
  }
}

function compareAll(name: string, count: number, draw: (dice: Dice) => number | null): void {
  test(name, { skip: missing ?? false }, (t) => {
    const dice = new Dice(seed);
    const reference = new Reference();
    const total: Comparison = { tested: 0, unallocated: 0, known: 0, found: [] };
    try {
      for (let done = 0; done < count; done += batchWords) {
        const length = Math.min(batchWords, count - done);
        const words = Array.from({ length }, () => draw(dice)).filter((word) => word !== null);
        compare(reference, words, dice, total);
      }
    } finally {
      reference.close();
    }
    const { tested, unallocated, known, found } = total;
    t.diagnostic(
      `${tested} words, ${unallocated} unallocated, ${known} known laxities, ${found.length} differ`,
    );
    assert.equal(found.length, 0, `${found.length} differ:\n${found.slice(0, 20).join('\n')}`);
  });
}

const chosen = a64.filter(isSelfContained).filter(({ name }) => only.test(name));
let turn = 0;
compareAll('words of every definition do what they do on the reference', wanted, (dice) => {
  turn += 1;
  return drawWord(chosen[turn % chosen.length]!, dice, 'EL0t');
});

compareAll('words drawn from all 2^32 are allocated and do what they do on the reference', wanted, (dice) =>
  dice.word(),
);
