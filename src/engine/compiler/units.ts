/** Decoded instructions as the compiler sees them: read from the records that the interpreter runs. */
import { present } from '../../base/index.js';
import { flowOf } from '../../isa/index.js';
import type { Instruction } from '../../isa/index.js';
import { specialCount } from '../handlers.js';
import type { Handler, HandlerPlan } from '../handlers.js';
import { recordBytes } from '../layout.js';
import type { EngineMemory } from '../memory.js';
import { recordLayout } from '../record.js';
import type { RecordLayout } from '../record.js';
import type { RegionModel } from './region_model.js';

/** A decoded instruction. */
export interface Unit {
  /** The byte offset of its record. */
  readonly record: number;
  /** Its address, as an offset in its page. */
  readonly offset: number;
  readonly handler: number;
  readonly instruction: Instruction;
  readonly layout: RecordLayout;
  /** The record of the target of a jump within the page; null if it has none. */
  readonly near: number | null;
  /** The record that follows in sequence; null if execution never goes on there. */
  readonly next: number | null;
}

export interface UnitSource {
  readonly memory: EngineMemory;
  readonly plan: HandlerPlan;
  readonly model: RegionModel;
  /** The byte offset of a record's instruction. */
  instructionOf(record: number): number;
  /** The handler that a record has without the compiler. */
  handlerOf(record: number): number;
}

/** The instruction of a record; null if it holds none. */
export function unitAt(source: UnitSource, record: number): Unit | null {
  const handler = source.handlerOf(record);
  if (handler < specialCount) return null;
  const { instruction, near } = present(source.plan.handlers[handler - specialCount], 'a handler');
  const layout = recordLayout(instruction);
  return {
    record,
    offset: source.instructionOf(record) & 0xfff,
    handler,
    instruction,
    layout,
    near: nearTarget(source, record, near, layout),
    next: flowOf(instruction.semantics.statements).fallsThrough ? record + recordBytes : null,
  };
}

function nearTarget(
  { memory, model }: UnitSource,
  record: number,
  near: Handler['near'],
  layout: RecordLayout,
): number | null {
  if (near === null) return null;
  const { at } = present(layout[near], 'the distance of a jump');
  return model.nearTarget(record, memory.view.getInt32(record + at, true));
}

/** The value of an operand in a unit's record: the place of a register, or an immediate with its sign. */
export function operandOf(
  { memory }: UnitSource,
  { record, layout }: Unit,
  operand: string,
): number | bigint {
  // Operands without a slot are not used by the semantics; handlers read byte 0 for them (record_operands.ts).
  const { at, bytes } = layout[operand] ?? { at: 0, bytes: 1 };
  if (bytes === 1) return memory.view.getUint8(record + at);
  return bytes === 4 ? memory.view.getInt32(record + at, true) : memory.view.getBigInt64(record + at, true);
}
