/** Decodes words of code into records. Code repeats itself: what a word became is kept for the next of its kind. */
import { extractFields } from '../isa/index.js';
import type { Decoder, Instruction } from '../isa/index.js';
import { variantOf } from './arm64/vcpu.js';
import type { CodePages } from './code_pages.js';
import { isStackPointer, specialCount, specialHandlers } from './handlers.js';
import type { HandlerPlan } from './handlers.js';
import { instructionsPerPage, recordBytes } from './layout.js';
import type { EngineMemory } from './memory.js';
import { fillRecord } from './record.js';

/** Words that are kept, a power of two. */
const keptWords = 1 << 16;
const wordsPerRecord = recordBytes / 4;
/**
 * What is kept of one: which it is; one more than the variant (0: none is kept here); for a jump that may be near, the
 * handler that it then has, else 0, and how far it goes; its record.
 */
const kept = { word: 0, variant: 1, near: 2, distance: 3, record: 4, words: 4 + wordsPerRecord } as const;
const pageBytes = instructionsPerPage * 4;

function copyRecord(from: Uint32Array, start: number, to: Uint32Array, end: number): void {
  for (let word = 0; word < wordsPerRecord; word += 1) to[end + word] = from[start + word] ?? 0;
}

export class RecordDecoder {
  readonly #memory: EngineMemory;
  readonly #pages: CodePages;
  readonly #decoder: Decoder;
  readonly #plan: HandlerPlan;
  /** See `kept`. */
  readonly #kept = new Uint32Array(keptWords * kept.words);

  constructor(memory: EngineMemory, pages: CodePages, decoder: Decoder, plan: HandlerPlan) {
    this.#memory = memory;
    this.#pages = pages;
    this.#decoder = decoder;
    this.#plan = plan;
  }

  /** Makes the record at a place what the word is that it stands for. */
  decode(record: number): void {
    const { word: code, index, variant } = this.#pages.toDecode(record);
    const word = this.#memory.word(code);
    const all = this.#kept;
    const at = ((word ^ (word >>> 16) ^ (word >>> 7)) & (keptWords - 1)) * kept.words;
    if (all[at + kept.word] === word && all[at + kept.variant] === variant + 1) {
      copyRecord(all, at + kept.record, this.#memory.words, record >>> 2);
    } else {
      all[at + kept.near] = 0;
      this.#decodeAnew(record, word, variant, at);
      copyRecord(this.#memory.words, record >>> 2, all, at + kept.record);
      all[at + kept.word] = word;
      all[at + kept.variant] = variant + 1;
    }
    const near = all[at + kept.near] ?? 0;
    if (near === 0) return;
    const target = index * 4 + ((all[at + kept.distance] ?? 0) | 0);
    if (target >= 0 && target < pageBytes) this.#setHandler(record, near);
  }

  #decodeAnew(record: number, word: number, variant: number, place: number): void {
    const { mode, vectorsTrap } = variantOf(variant);
    const found = this.#decoder.decode(word, mode);
    if (found === null) this.#setHandler(record, specialHandlers.undefined);
    else if (found.vector && vectorsTrap) this.#setHandler(record, specialHandlers.vectorTrap);
    else this.#fill(record, word, found, place);
  }

  #fill(record: number, word: number, found: Instruction, place: number): void {
    const choice = this.#plan.choices.get(found.name);
    const fields = extractFields(found.pattern, word);
    const onStack = isStackPointer(found, choice?.stackOperand ?? null, fields);
    const number = (onStack ? choice?.stack : choice?.plain) ?? specialHandlers.undefined;
    const handler = this.#plan.handlers[number - specialCount];
    if (handler !== undefined) fillRecord(this.#memory.view, record, found, handler.layout, fields);
    this.#setHandler(record, number);
    const to = found.operands[choice?.nearOperand ?? ''];
    if (to?.kind !== 'immediate') return;
    this.#kept[place + kept.near] = choice?.near ?? 0;
    this.#kept[place + kept.distance] = Number(to.value(fields));
  }

  #setHandler(record: number, number: number): void {
    this.#memory.view.setUint16(record, number, true);
  }
}
