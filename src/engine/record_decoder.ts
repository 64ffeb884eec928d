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
const pageBytes = instructionsPerPage * 4;

function copyRecord(from: Uint32Array, start: number, to: Uint32Array, end: number): void {
  for (let word = 0; word < wordsPerRecord; word += 1) to[end + word] = from[start + word] ?? 0;
}

export class RecordDecoder {
  readonly #memory: EngineMemory;
  readonly #pages: CodePages;
  readonly #decoder: Decoder;
  readonly #plan: HandlerPlan;
  // Of the kept words: which it is; one more than the variant (0: none is kept here); its record; and, for a jump that
  // may be near, the handler that it then has and how far it goes.
  readonly #words = new Uint32Array(keptWords);
  readonly #variants = new Uint8Array(keptWords);
  readonly #records = new Uint32Array(keptWords * wordsPerRecord);
  readonly #nearHandlers = new Uint16Array(keptWords);
  readonly #distances = new Int32Array(keptWords);

  constructor(memory: EngineMemory, pages: CodePages, decoder: Decoder, plan: HandlerPlan) {
    this.#memory = memory;
    this.#pages = pages;
    this.#decoder = decoder;
    this.#plan = plan;
  }

  /** Makes the record at a place what the word is that it stands for. */
  decode(record: number): void {
    const { word: place, index, variant } = this.#pages.toDecode(record);
    const word = this.#memory.word(place);
    const kept = (word ^ (word >>> 16) ^ (word >>> 7)) & (keptWords - 1);
    if (this.#words[kept] === word && this.#variants[kept] === variant + 1) {
      copyRecord(this.#records, kept * wordsPerRecord, this.#memory.words, record >>> 2);
    } else {
      this.#nearHandlers[kept] = 0;
      this.#decodeAnew(record, word, variant, kept);
      copyRecord(this.#memory.words, record >>> 2, this.#records, kept * wordsPerRecord);
      this.#words[kept] = word;
      this.#variants[kept] = variant + 1;
    }
    const near = this.#nearHandlers[kept] ?? 0;
    const target = index * 4 + (this.#distances[kept] ?? 0);
    if (near !== 0 && target >= 0 && target < pageBytes) this.#setHandler(record, near);
  }

  #decodeAnew(record: number, word: number, variant: number, kept: number): void {
    const { mode, vectorsTrap } = variantOf(variant);
    const found = this.#decoder.decode(word, mode);
    if (found === null) this.#setHandler(record, specialHandlers.undefined);
    else if (found.vector && vectorsTrap) this.#setHandler(record, specialHandlers.vectorTrap);
    else this.#fill(record, word, found, kept);
  }

  #fill(record: number, word: number, found: Instruction, kept: number): void {
    const choice = this.#plan.choices.get(found.name);
    const fields = extractFields(found.pattern, word);
    const onStack = isStackPointer(found, choice?.stackOperand ?? null, fields);
    const number = (onStack ? choice?.stack : choice?.plain) ?? specialHandlers.undefined;
    const handler = this.#plan.handlers[number - specialCount];
    if (handler !== undefined) fillRecord(this.#memory.view, record, found, handler.layout, fields);
    this.#setHandler(record, number);
    const to = found.operands[choice?.nearOperand ?? ''];
    if (to?.kind !== 'immediate') return;
    this.#nearHandlers[kept] = choice?.near ?? 0;
    this.#distances[kept] = Number(to.value(fields));
  }

  #setHandler(record: number, number: number): void {
    this.#memory.view.setUint16(record, number, true);
  }
}
