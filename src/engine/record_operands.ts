/** Reads operands from a record. Shared by the interpreter's handlers and the functions of cold instructions. */
import type { CodeModel } from './architecture.js';
import type { Environment } from './emit.js';
import type { FlagLocals } from './flags.js';
import type { RecordLayout, Slot } from './record.js';
import { cpuOffsets } from './layout.js';
import { i32, i64, load32, load64FromSigned32, loads64, opcodes, stores64 } from './wasm/code.js';
import type { Code, ScalarType, ValueType } from './wasm/code.js';

/** The first locals of every function that runs instructions. */
const commonLocals = { cpu: 0, record: 1 } as const;

type Reader = Pick<
  Environment,
  'readRegister' | 'writeRegister' | 'writeFixedRegister' | 'vectorAddress' | 'immediate' | 'condition'
>;

/** Byte offset of the stack pointer in a vCPU's block. */
function stackPointerOffset({ stackPointer }: CodeModel): number {
  return cpuOffsets.registers + 8 * stackPointer;
}

/** Creates an operand reader. `stack` is an operand that is known to be the stack pointer, or null. */
export function operandReader(
  code: Code,
  model: CodeModel,
  layout: RecordLayout,
  stack: string | null,
  flags: FlagLocals,
): Reader {
  const slot = (operand: string): Slot => layout[operand] ?? { at: 0, bytes: 1 };
  const pushAddress = (operand: string, shift: number): void => {
    code.get(commonLocals.record).memory(load32.byte, 0, slot(operand).at);
    code.constant(i32, shift).byte(opcodes[i32].shl).get(commonLocals.cpu).byte(opcodes[i32].add);
  };
  /** Pushes the address of a register, minus the offset that this returns. */
  const pushRegister = (operand: string): number => {
    if (operand === stack) {
      code.get(commonLocals.cpu);
      return stackPointerOffset(model);
    }
    pushAddress(operand, 3);
    return cpuOffsets.registers;
  };
  return {
    readRegister: (operand, type) => {
      const offset = pushRegister(operand);
      if (type === i64) code.memory(loads64[8][0], 3, offset);
      else code.memory(load32.word, 2, offset);
    },
    writeRegister: (operand, push) => {
      const offset = pushRegister(operand);
      push();
      code.memory(stores64[8][0], 3, offset);
    },
    writeFixedRegister: (register, push) => {
      code.get(commonLocals.cpu);
      push();
      code.memory(stores64[8][0], 3, cpuOffsets.registers + 8 * register);
    },
    vectorAddress: (operand) => pushAddress(operand, 4),
    immediate: (operand, type) => pushImmediate(code, slot(operand), type),
    condition: (operand) =>
      model.emitCondition(code, { record: commonLocals.record, flags }, slot(operand).at),
  };
}

/**
 * Opens a block that runs if the operand is the stack pointer and not aligned to 16. If
 * the operand is known to be the stack pointer (`stack`), only the alignment is tested.
 */
export function ifStackMisaligned(
  code: Code,
  model: CodeModel,
  layout: RecordLayout,
  stack: string | null,
  operand: string,
): void {
  code
    .get(commonLocals.cpu)
    .memory(load32.word, 2, stackPointerOffset(model))
    .constant(i32, 15)
    .byte(opcodes[i32].and);
  if (operand !== stack) {
    code.constant(i32, 0).byte(opcodes[i32].ne);
    code.get(commonLocals.record).memory(load32.byte, 0, layout[operand]?.at ?? 0);
    code.constant(i32, model.stackPointer).byte(opcodes[i32].eq).byte(opcodes[i32].and);
  }
  code.if();
}

function pushImmediate(code: Code, { at, bytes }: Slot, type: ScalarType): void {
  code.get(commonLocals.record);
  if (bytes === 1) {
    if (type === i32) code.memory(load32.byte, 0, at);
    else code.memory(loads64[1][0], 0, at);
  } else if (type === i32) code.memory(load32.word, 2, at);
  else if (bytes === 4) code.memory(load64FromSigned32, 2, at);
  else code.memory(loads64[8][0], 3, at);
}

/** Allocates the locals of instructions, by type and number, after the function's first `first` locals. */
export class LocalPool {
  readonly #pools = new Map<ValueType, number[]>();
  readonly #first: number;
  /** In the order of the locals' numbers. */
  readonly types: ValueType[] = [];

  constructor(first: number) {
    this.#first = first;
  }

  local(index: number, type: ValueType): number {
    const pool = this.#pools.get(type) ?? [];
    this.#pools.set(type, pool);
    while (pool.length <= index) {
      pool.push(this.#first + this.types.length);
      this.types.push(type);
    }
    return pool[index] ?? 0;
  }
}
