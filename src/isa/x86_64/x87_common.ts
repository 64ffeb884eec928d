/** What all x87 instructions have in common, but for those that only read or write its control registers. */
import type { Semantics } from '../semantics.js';
import { instruction, segmentIn } from './encoding.js';
import type { Definition, Form, OperandSpec, Specs, X86Instruction } from './encoding.js';
import type { Memory, Value } from './values.js';
import { derived, immediateRef } from './values.js';
import { field } from './parser.js';
import { x86State } from './registers.js';

/** What is computed of two registers, or of ST(0) and memory. `subr` and `divr` take their operands in the other order. */
export const x87Operations = ['add', 'mul', 'sub', 'subr', 'div', 'divr'] as const;
export type X87Operation = (typeof x87Operations)[number];

/** What is done to ST(0) alone. */
export const x87Changes = ['abs', 'chs', 'examine', 'test'] as const;

/** What is computed of ST(0), or of ST(0) and ST(1). */
export const x87Functions = [
  'sqrt', 'round', 'scale', 'extract', 'remainder', 'nearestRemainder',
  'powerMinusOne', 'logarithm', 'logarithmOfSum', 'tangent', 'arctangent', 'sine', 'cosine', 'sineAndCosine',
] as const; // prettier-ignore
export type X87Function = (typeof x87Functions)[number];

/** What can be pushed, in the order of the opcodes: 1, log2 of 10 and of e, pi, log10 of 2, the natural logarithm of 2, and 0. */
export const x87Constants = ['one', 'log2Of10', 'log2OfE', 'pi', 'log10Of2', 'lnOf2', 'zero'] as const;
export type X87Constant = (typeof x87Constants)[number];

/** Formats in memory, by the number that calls of the host have for them. */
export const x87Formats = ['float32', 'float64', 'extended', 'int16', 'int32', 'int64', 'decimal'] as const;
export type X87Format = (typeof x87Formats)[number];

/** Bits of a call beside the number of an operation: the result goes to ST(i), it pops, and NaNs are no invalid operands. */
export const x87Flags = { toOther: 0x10, pops: 0x20, popsTwice: 0x40, quiet: 0x80 } as const;

/**
 * What an instruction writes to the state slot `x87Opcode`: its last 11 bits (Intel SDM, volume 1, 8.1.9), the segment of its operand
 * in memory, whether it has one, and whether the address includes the base of FS or GS.
 */
export const x87Opcode = { bits: 0x7ff, segmentAt: 11, memory: 1 << 14, flat: 1 << 15 } as const;

const opcodeSpec: OperandSpec<Value> = {
  operands: (key, form: Form) => ({
    [key]: derived(64, 32, (fields) => {
      const opcode = ((field(fields, 'opcode') & 7) << 8) | field(fields, 'modrm');
      if (!form.memory) return opcode;
      return (
        opcode |
        (segmentIn(fields) << x87Opcode.segmentAt) |
        x87Opcode.memory |
        (form.flat ? x87Opcode.flat : 0)
      );
    }),
  }),
  reference: (_, key) => ({ bits: 64, get: () => immediateRef(key, 64) }),
};

const common = { cold: true, feature: 'fpu' } as const;

/** #MF where an exception is pending: it comes before the faults of an operand in memory. */
export function waitForX87(m: Semantics): void {
  m.when(
    m.isZero(m.state(x86State.x87Pending)),
    () => undefined,
    () => m.system('waitX87'),
  );
}

const isMemory = (reference: unknown): reference is Memory =>
  typeof reference === 'object' && reference !== null && 'effective' in reference;

/**
 * The instructions of a definition. Each waits for exceptions first, and says which instruction with which operand it is, for the
 * pointers that the environment has. The host takes note of that in the call that does its work.
 */
export function x87<const S extends Specs>(
  definition: Omit<Definition<S>, 'cold'>,
): readonly X86Instruction[] {
  const all: Definition<Specs> = {
    ...common,
    ...definition,
    operands: { ...definition.operands, x87Opcode: opcodeSpec },
    semantics: (m, references, form) => {
      waitForX87(m);
      m.setState(x86State.x87Opcode, immediateRef('x87Opcode', 64));
      const operand = Object.values(references).find(isMemory);
      if (operand !== undefined) m.setState(x86State.x87Operand, operand.effective());
      (definition as unknown as Definition<Specs>).semantics(m, references, form);
    },
  };
  return instruction(all);
}

/** The same without all that, for instructions that only read or write control registers. */
export function x87Control<const S extends Specs>(
  definition: Omit<Definition<S>, 'cold' | 'feature'>,
): readonly X86Instruction[] {
  return instruction({ ...definition, ...common });
}
