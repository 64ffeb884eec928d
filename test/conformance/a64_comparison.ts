/**
 * Runs random words on this engine and on qemu's Cortex-A57, and counts the results. The tests run a sample;
 * scripts/conformance.js runs as many as requested.
 */
import { a64, makeDecoder } from '../../src/isa/index.js';
import type { A64Instruction, Statement, A64SystemCall } from '../../src/isa/index.js';
import { describe, differences, knownFault, referenceOutcome } from './a64_compare.js';
import { Dice, drawStates } from './a64_draw.js';
import { slotBytes, stateBytes, wordOffset } from './a64_layout.js';
import { Machine } from './a64_machine.js';
import { Reference, referenceCpu } from './a64_reference.js';
import type { WordTest } from './a64_reference.js';

const decoder = makeDecoder(a64());
const statesPerBatch = 256;
const batchWords = 20_000;

/** Operations that a user program cannot test: system calls, waiting, and the answers of the machine's devices. */
const elsewhere: readonly string[] = [
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
] satisfies readonly A64SystemCall[];

/** Whether an instruction's semantics contain a statement for which `wanted` holds. */
function says({ semantics }: A64Instruction, wanted: (statement: Statement) => boolean): boolean {
  const visit = (statements: readonly Statement[]): boolean =>
    statements.some((one) => wanted(one) || (one.op === 'if' && (visit(one.then) || visit(one.otherwise))));
  return visit(semantics.statements);
}

/** Whether an instruction only affects registers and memory, so that a user program can test it. */
function isSelfContained(definition: A64Instruction): boolean {
  return !says(definition, (one) => one.op === 'system' && elsewhere.includes(one.name));
}

function stores(definition: A64Instruction): boolean {
  return says(definition, ({ op }) => ['store', 'storePair', 'storeVector', 'clearBlock'].includes(op));
}

/** Identification registers, which an operating system may emulate for user programs. */
function readsIdentification(word: number): boolean {
  return (word & 0xfffff000) >>> 0 === 0xd5380000;
}

/** The offset of a direct branch in bytes; null for other words. */
function distanceOf(word: number): number | null {
  const signed = (bits: number, shift: number): number => ((word << (32 - bits - shift)) >> (32 - bits)) * 4;
  if ((word & 0x7c000000) === 0x14000000) return signed(26, 0);
  const nineteen = word >>> 24 === 0x54 || (word & 0x7e000000) === 0x34000000;
  if (nineteen) return signed(19, 5);
  return (word & 0x7e000000) === 0x36000000 ? signed(14, 5) : null;
}

/** The features of the reference. Definitions with other features are compared with a later CPU. */
const referenceFeatures: readonly (string | null)[] = [
  null, 'FEAT_FP', 'FEAT_AdvSIMD', 'FEAT_CRC32', 'FEAT_AES', 'FEAT_PMULL', 'FEAT_SHA1', 'FEAT_SHA256',
]; // prettier-ignore

function isBeyond({ feature }: A64Instruction): boolean {
  return !referenceFeatures.includes(feature);
}

/** Whether the word would execute other words under test. */
function runsOthers(word: number): boolean {
  const distance = distanceOf(word);
  if (distance === null) return false;
  const inSlot = (((distance + wordOffset) % slotBytes) + slotBytes) % slotBytes;
  return inSlot <= wordOffset;
}

/** A test of a word. `beyond` selects the words that the reference does not have, and only these. */
function toTest(word: number, dice: Dice, beyond: boolean): WordTest | null {
  const definition = decoder.decode(word, 'EL0t');
  if ((definition !== null && isBeyond(definition)) !== beyond) return null;
  if (runsOthers(word) || readsIdentification(word) || (definition !== null && !isSelfContained(definition)))
    return null;
  return { word, state: dice.below(statesPerBatch), stores: definition === null || stores(definition) };
}

export interface Comparison {
  /** Number of words drawn. All of them run, except those in `elsewhere`. */
  drawn: number;
  elsewhere: number;
  /** Words that are allocated on both sides, or on neither. */
  allocated: number;
  unallocated: number;
  /** Words without a difference. */
  equal: number;
  /** Differences explained by a bug of the reference, by the bug's name (see a64_compare.ts). */
  readonly known: Map<string, number>;
  /** Descriptions of all other differences. */
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
  /** The reference's CPU: a Cortex-A57, or a later one, on which only words with features beyond the Cortex-A57 run. */
  readonly cpu?: string;
  /** Called with the number of words done. */
  readonly progress?: (done: number) => void;
}

/** Runs `count` words from `draw`, which may also return none. Throws Error if the reference cannot run. */
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

/** All definitions with the reference's features that a user program can test. */
export const shown: readonly A64Instruction[] = a64().filter((one) => isSelfContained(one) && !isBeyond(one));

/** The same for features that the reference does not have. */
export const shownBeyond: readonly A64Instruction[] = a64().filter(
  (one) => isSelfContained(one) && isBeyond(one),
);
