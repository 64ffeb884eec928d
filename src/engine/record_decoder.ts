/** Decodes words of code into records. */
import { extractFields } from '../isa/index.js';
import type { Decoder, FieldValues, Instruction } from '../isa/index.js';
import { variantOf } from './arm64/vcpu.js';
import type { CodePages } from './code_pages.js';
import { isStackPointer, specialCount, specialHandlers } from './handlers.js';
import type { HandlerChoice, HandlerPlan } from './handlers.js';
import type { EngineMemory } from './memory.js';
import { fillRecord } from './record.js';

export class RecordDecoder {
  readonly #memory: EngineMemory;
  readonly #pages: CodePages;
  readonly #decoder: Decoder;
  readonly #plan: HandlerPlan;

  constructor(memory: EngineMemory, pages: CodePages, decoder: Decoder, plan: HandlerPlan) {
    this.#memory = memory;
    this.#pages = pages;
    this.#decoder = decoder;
    this.#plan = plan;
  }

  decode(record: number): void {
    const { word: place, index, variant } = this.#pages.toDecode(record);
    const { mode, vectorsTrap } = variantOf(variant);
    const word = this.#memory.word(place);
    const found = this.#decoder.decode(word, mode);
    const choice = found === null ? undefined : this.#plan.choices.get(found.name);
    if (found === null || choice === undefined) {
      this.#setHandler(record, specialHandlers.undefined);
    } else if (found.vector && vectorsTrap) {
      this.#setHandler(record, specialHandlers.vectorTrap);
    } else {
      const fields = extractFields(found.pattern, word);
      const number = chooseHandler(found, choice, fields, index);
      const handler = this.#plan.handlers[number - specialCount];
      if (handler !== undefined) fillRecord(this.#memory.view, record, found, handler.layout, fields);
      this.#setHandler(record, number);
    }
  }

  #setHandler(record: number, number: number): void {
    this.#memory.view.setUint16(record, number, true);
  }
}

function chooseHandler(
  found: Instruction,
  choice: HandlerChoice,
  fields: FieldValues,
  index: number,
): number {
  if (choice.stack !== null && isStackPointer(found, choice.stackOperand, fields)) return choice.stack;
  const to = found.operands[choice.nearOperand ?? ''];
  if (choice.near === null || to?.kind !== 'immediate') return choice.plain;
  const target = index * 4 + Number(to.value(fields));
  return target >= 0 && target < 4096 ? choice.near : choice.plain;
}
