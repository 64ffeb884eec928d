/**
 * Runs random words on both sides, this engine and qemu's Cortex-A57, and counts what came of it. The tests run a sample; scripts/conformance.js
 * runs as many as one likes.
 */
import { a64, makeDecoder } from '../../src/isa/index.js';
import type { A64Instruction, Statement, SystemCall } from '../../src/isa/index.js';
import { describe, differences, knownFault, referenceOutcome } from './a64_compare.js';
import { Dice, drawStates } from './a64_draw.js';
import { slotBytes, stateBytes, wordOffset } from './a64_layout.js';
import { Machine } from './a64_machine.js';
import { Reference, referenceCpu } from './a64_reference.js';
import type { WordTest } from './a64_reference.js';

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
function says({ semantics }: A64Instruction, wanted: (statement: Statement) => boolean): boolean {
  const visit = (statements: readonly Statement[]): boolean =>
    statements.some((one) => wanted(one) || (one.op === 'if' && (visit(one.then) || visit(one.otherwise))));
  return visit(semantics.statements);
}

/** Whether what it does is all in registers and memory, so that a user program can show it. */
function isSelfContained(definition: A64Instruction): boolean {
  return !says(definition, (one) => one.op === 'system' && elsewhere.includes(one.name));
}

function stores(definition: A64Instruction): boolean {
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

/** The features of the reference. Definitions of others are held against a later CPU. */
const referenceFeatures: readonly (string | null)[] = [
  null, 'FEAT_FP', 'FEAT_AdvSIMD', 'FEAT_CRC32', 'FEAT_AES', 'FEAT_PMULL', 'FEAT_SHA1', 'FEAT_SHA256',
]; // prettier-ignore

function isBeyond({ feature }: A64Instruction): boolean {
  return !referenceFeatures.includes(feature);
}

/** Whether the word would run other words under test. */
function runsOthers(word: number): boolean {
  const distance = distanceOf(word);
  if (distance === null) return false;
  const inSlot = (((distance + wordOffset) % slotBytes) + slotBytes) % slotBytes;
  return inSlot <= wordOffset;
}

/** `beyond` runs those that the reference does not have, and only them. */
function toTest(word: number, dice: Dice, beyond: boolean): WordTest | null {
  const definition = decoder.decode(word, 'EL0t');
  if ((definition !== null && isBeyond(definition)) !== beyond) return null;
  if (runsOthers(word) || readsIdentification(word) || (definition !== null && !isSelfContained(definition)))
    return null;
  return { word, state: dice.below(statesPerBatch), stores: definition === null || stores(definition) };
}

export interface Comparison {
  /** Words drawn; those of them that are run are all but `elsewhere`. */
  drawn: number;
  elsewhere: number;
  /** Both sides have the instruction, or neither has. */
  allocated: number;
  unallocated: number;
  /** Nothing differs. */
  equal: number;
  /** Differences that are the reference's fault, by the fault's name (see a64_compare.ts). */
  readonly known: Map<string, number>;
  /** Descriptions of the others. */
  readonly found: string[];
}

function runBatch(reference: Reference, words: readonly number[], dice: Dice, into: Comparison): void {
  const beyond = reference.cpu !== referenceCpu;
  const states = drawStates(statesPerBatch, dice);
  const tests = words.map((word) => toTest(word, dice, beyond)).filter((one) => one !== null);
  into.drawn += words.length;
  into.elsewhere += words.length - tests.length;
  const theirs = reference.run(states, tests);
  const ours = new Machine(tests.length).run(states, tests);
  for (const [index, one] of tests.entries()) {
    const [mine, other] = [ours[index]!, referenceOutcome(theirs, index)];
    if (mine.ending === 'undefined' && other.ending === 'undefined') into.unallocated += 1;
    if (mine.ending !== 'undefined' && other.ending !== 'undefined') into.allocated += 1;
    const found = differences(mine, other);
    const known = found.length === 0 ? null : knownFault(decoder, one.word, mine, other);
    if (found.length === 0) into.equal += 1;
    else if (known !== null) into.known.set(known, (into.known.get(known) ?? 0) + 1);
    else into.found.push(describe(decoder, one, states, stateBytes, found));
  }
}

export interface ComparisonOptions {
  /** The reference's CPU: a Cortex-A57, or another, on which only words beyond that one's features are run. */
  readonly cpu?: string;
  /** Told how many words are done. */
  readonly progress?: (done: number) => void;
}

/** Runs `count` words that `draw` gives; it may give none. Throws Error where the reference cannot be run. */
export function compareWords(
  count: number,
  seed: number,
  draw: (dice: Dice) => number | null,
  { cpu = referenceCpu, progress = () => undefined }: ComparisonOptions = {},
): Comparison {
  const dice = new Dice(seed);
  const total: Comparison = {
    drawn: 0, elsewhere: 0, allocated: 0, unallocated: 0, equal: 0, known: new Map(), found: [],
  }; // prettier-ignore
  const reference = new Reference(cpu);
  try {
    while (total.drawn < count) {
      const length = Math.min(batchWords, count - total.drawn);
      const words = Array.from({ length: 2 * length }, () => draw(dice)).filter((word) => word !== null);
      runBatch(reference, words.slice(0, length), dice, total);
      progress(total.drawn);
    }
  } finally {
    reference.close();
  }
  return total;
}

/** All definitions of the reference's features whose doing a user program can show. */
export const shown: readonly A64Instruction[] = a64.filter((one) => isSelfContained(one) && !isBeyond(one));

/** The same of features that the reference does not have. */
export const shownBeyond: readonly A64Instruction[] = a64.filter(
  (one) => isSelfContained(one) && isBeyond(one),
);
