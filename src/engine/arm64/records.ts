/** Decodes instruction words into records. Caches the results, because the same words occur many times. */
import { present } from '../../base/index.js';
import { a64Decoder, extractFields, registerFile } from '../../isa/index.js';
import type { A64Instruction, ImmediateOperand, RegisterOperand } from '../../isa/index.js';
import type { CpuParts } from '../architecture.js';
import { specialHandlers } from '../handlers.js';
import type { HandlerChoice, HandlerPlan } from '../handlers.js';
import { recordBytes } from '../layout.js';
import type { EngineMemory } from '../memory.js';
import { fillRecord, placedOperands } from '../record.js';
import type { PlacedOperand } from '../record.js';
import type { RecordPages } from './code_cache.js';
import { variantOf } from './vcpu.js';

/** Number of cached words, a power of two. */
const keptWords = 1 << 16;
const wordsPerRecord = recordBytes / 4;
/**
 * Layout of a cache entry: the word; the variant plus one (0 means empty); for a jump that may be near, the handler of
 * the near jump (else 0) and its distance; the record.
 */
const kept = { word: 0, variant: 1, near: 2, distance: 3, record: 4, words: 4 + wordsPerRecord } as const;

function copyRecord(from: Uint32Array, start: number, to: Uint32Array, end: number): void {
  for (let word = 0; word < wordsPerRecord; word += 1) to[end + word] = from[start + word] ?? 0;
}

/** How to turn the words of an instruction into records. */
interface Way {
  readonly choice: HandlerChoice;
  readonly placed: readonly PlacedOperand[];
  /** The operands that decide the handler: the one that may be the stack pointer, and the distance of a near jump. */
  readonly stack: RegisterOperand | null;
  readonly near: ImmediateOperand | null;
}

/** What is known of words and instructions by a plan, and so by all processors that have it. */
interface Known {
  /** See `kept`. */
  readonly kept: Uint32Array;
  readonly ways: Map<A64Instruction, Way>;
}

const known = new WeakMap<HandlerPlan, Known>();

function knownBy(plan: HandlerPlan): Known {
  const made = known.get(plan) ?? { kept: new Uint32Array(keptWords * kept.words), ways: new Map() };
  known.set(plan, made);
  return made;
}

export class WordDecoder {
  readonly #memory: EngineMemory;
  readonly #pages: RecordPages;
  readonly #decoder = a64Decoder();
  readonly #plan: HandlerPlan;
  readonly #kept: Uint32Array;
  readonly #ways: Map<A64Instruction, Way>;
  readonly #provide: (handler: number) => void;
  /** By handler: whether it was provided. */
  readonly #isThere = new Uint8Array(2 ** 16);

  constructor({ memory, plan, provide }: CpuParts<unknown>, pages: RecordPages) {
    this.#memory = memory;
    this.#pages = pages;
    this.#plan = plan;
    const { kept: words, ways } = knownBy(plan);
    this.#kept = words;
    this.#ways = ways;
    this.#provide = provide;
  }

  /** Decodes the word that belongs to a record, and fills the record. */
  decode(record: number): void {
    this.#pages.watch(record);
    const instruction = this.#pages.instructionOf(record);
    const variant = this.#pages.variantOf(record);
    this.#memory.use(instruction);
    const word = this.#memory.word(instruction);
    const all = this.#kept;
    const at = ((word ^ (word >>> 16) ^ (word >>> 7)) & (keptWords - 1)) * kept.words;
    if (all[at + kept.word] === word && all[at + kept.variant] === variant + 1) {
      copyRecord(all, at + kept.record, this.#memory.words, record >>> 2);
      // The word may have been decoded for another processor.
      this.#makeThere(this.#memory.view.getUint16(record, true));
    } else {
      all[at + kept.near] = 0;
      this.#decodeAnew(record, word, variant, at);
      copyRecord(this.#memory.words, record >>> 2, all, at + kept.record);
      all[at + kept.word] = word;
      all[at + kept.variant] = variant + 1;
    }
    const near = all[at + kept.near] ?? 0;
    if (near === 0) return;
    const target = (instruction & 0xfff) + ((all[at + kept.distance] ?? 0) | 0);
    if (target >= 0 && target < 4096) this.#setHandler(record, near);
  }

  #decodeAnew(record: number, word: number, variant: number, entry: number): void {
    const { mode, vectorsTrap } = variantOf(variant);
    const found = this.#decoder.decode(word, mode);
    if (found === null) this.#setHandler(record, specialHandlers.undefined);
    else if (found.vector && vectorsTrap) this.#setHandler(record, specialHandlers.vectorTrap);
    else this.#fill(record, word, found, entry);
  }

  #fill(record: number, word: number, found: A64Instruction, entry: number): void {
    const { choice, placed, stack, near } = this.#wayOf(found);
    const fields = extractFields(found.pattern, word);
    const onStack = stack !== null && stack.place(fields) === registerFile.stackPointer;
    fillRecord(this.#memory.view, record, placed, fields);
    this.#makeThere(choice.plain);
    this.#setHandler(record, (onStack ? choice.stack : null) ?? choice.plain);
    if (near === null) return;
    this.#kept[entry + kept.near] = choice.near ?? 0;
    this.#kept[entry + kept.distance] = Number(near.value(fields));
  }

  /** Makes sure that a handler's function exists. Those of an instruction are one. */
  #makeThere(handler: number): void {
    if (this.#isThere[handler] !== 0) return;
    this.#isThere[handler] = 1;
    this.#provide(handler);
  }

  #wayOf(instruction: A64Instruction): Way {
    const before = this.#ways.get(instruction);
    if (before !== undefined) return before;
    const choice = present(this.#plan.choices.get(instruction.name), instruction.name);
    const stack = instruction.operands[choice.stackOperand ?? ''];
    const near = instruction.operands[choice.nearOperand ?? ''];
    const way = {
      choice,
      placed: placedOperands(instruction),
      stack: stack?.kind === 'register' ? stack : null,
      near: near?.kind === 'immediate' ? near : null,
    };
    this.#ways.set(instruction, way);
    return way;
  }

  #setHandler(record: number, number: number): void {
    this.#memory.view.setUint16(record, number, true);
  }
}
