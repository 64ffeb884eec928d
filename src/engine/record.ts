/** Layout of an instruction's operands in its record. Only operands that the semantics use are stored. */
import { invariant } from '../base/index.js';
import type { FieldValues, Instruction, Operand } from '../isa/index.js';
import { recordBytes, recordNumbers, recordOperands } from './layout.js';
import { mentionsOf } from './mentions.js';

/** An operand's position in the record: byte offset and width. */
export interface Slot {
  readonly at: number;
  readonly bytes: 1 | 4 | 8;
}

export type RecordLayout = Readonly<Record<string, Slot>>;

function bytesOf(operand: Operand): 1 | 4 | 8 {
  if (operand.kind !== 'immediate' || operand.bits === 8) return 1;
  return operand.bits === 32 ? 4 : 8;
}

const known = new WeakMap<Instruction, RecordLayout>();

/** The slots of the operands in use. Throws InvariantError when they do not fit. */
export function recordLayout(instruction: Instruction): RecordLayout {
  const before = known.get(instruction);
  if (before !== undefined) return before;
  const layout = layOutRecord(instruction);
  known.set(instruction, layout);
  return layout;
}

function layOutRecord({ name, operands, semantics }: Instruction): RecordLayout {
  const used = mentionsOf(semantics.statements).operands;
  const slots: Record<string, Slot> = {};
  let small = recordOperands;
  let large = recordNumbers;
  // If small operands exceed their area, they take the end of the area for large operands.
  let end = recordBytes;
  for (const [key, operand] of Object.entries(operands)) {
    if (!used.has(key)) continue;
    const bytes = bytesOf(operand);
    if (bytes > 1) {
      slots[key] = { at: large, bytes };
      large += bytes;
    } else if (small < recordNumbers) {
      slots[key] = { at: small, bytes };
      small += 1;
    } else {
      end -= 1;
      slots[key] = { at: end, bytes };
    }
  }
  invariant(large <= end, `${name}: too many operands for a record`);
  return slots;
}

/** An operand and its slot. */
export interface PlacedOperand extends Slot {
  readonly operand: Exclude<Operand, { kind: 'text' }>;
}

/** The operands of an instruction that have slots. */
export function placedOperands(instruction: Instruction): PlacedOperand[] {
  return Object.entries(recordLayout(instruction)).flatMap(([key, slot]) => {
    const operand = instruction.operands[key];
    return operand === undefined || operand.kind === 'text' ? [] : [{ ...slot, operand }];
  });
}

/** Writes the operands of a word, given its fields, into its record. */
export function fillRecord(
  record: DataView,
  at: number,
  placed: readonly PlacedOperand[],
  fields: FieldValues,
): void {
  for (const { operand, at: offset, bytes } of placed) {
    if (operand.kind !== 'immediate') record.setUint8(at + offset, operand.place(fields));
    else if (bytes === 1) record.setUint8(at + offset, Number(operand.value(fields)));
    else if (bytes === 4) record.setInt32(at + offset, Number(operand.value(fields)), true);
    else record.setBigInt64(at + offset, operand.value(fields), true);
  }
}
