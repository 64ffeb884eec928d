/**
 * MMX registers and memory in their place (Intel SDM, volume 1, 9.2). They are the mantissas of the x87 registers, by their physical
 * numbers, so the host keeps them.
 */
import type { FieldValues, ImmediateOperand } from '../../instruction.js';
import type { Expr } from '../../micro_ops.js';
import type { Semantics } from '../../semantics.js';
import { instruction } from '../encoding.js';
import type { Definition, OperandSpec, Specs, X86Instruction } from '../encoding.js';
import { memorySpec } from '../memory.js';
import { field } from '../parser.js';
import { derived, immediateRef } from '../values.js';
import { waitForX87 } from '../x87_common.js';

/** 64 bits that an instruction reads. */
export interface Quad {
  /** Reads them here, once. */
  get(): Expr;
}

/** 64 bits that an instruction writes. */
export interface WrittenQuad {
  set(value: Expr): void;
}

/** An MMX register. */
export interface Mm extends Quad, WrittenQuad {}

/** A register's number, of which REX has no part. */
function registerOperand(slot: 'reg' | 'rm'): ImmediateOperand {
  const number = (fields: FieldValues): number => field(fields, slot) & 7;
  return {
    ...derived(64, 8, number),
    print: (fields) => `%mm${number(fields)}`,
    parse: (text) => {
      const [whole = '', digit = ''] = /^%mm([0-7])/.exec(text) ?? [];
      return whole === '' ? null : { fields: { [slot]: Number(digit) }, rest: text.slice(whole.length) };
    },
  };
}

function registerReference(m: Semantics, key: string): Mm {
  const number = immediateRef(key, 64);
  return {
    get: () => m.ask('readMmx', [number]),
    set: (value) => m.system('writeMmx', [number, value]),
  };
}

function registerSpec(slot: 'reg' | 'rm'): OperandSpec<Mm> {
  return {
    operands: (key) => ({ [key]: registerOperand(slot) }),
    reference: (m, key) => registerReference(m, key),
  };
}

/** The MMX register of ModRM.reg. */
export const mm: OperandSpec<Mm> = registerSpec('reg');

/** The MMX register of ModRM.rm, for instructions that have no memory there. */
export const mmRm: OperandSpec<Mm> = registerSpec('rm');

function registerOrMemory(bits: 32 | 64, use: 'read' | 'written'): OperandSpec<Mm> {
  const [register, memory] = [registerSpec('rm'), memorySpec(bits, use, true)];
  return {
    operands: (key, form) => (form.memory ? memory : register).operands(key, form),
    reference: (m, key, form) => {
      if (!form.memory) return register.reference(m, key, form);
      const place = memory.reference(m, key, form);
      return { get: () => m.resize(64, place.get()), set: (value) => place.set(value) };
    },
  };
}

/** An MMX register or memory of 64 bits, or of the 32 low ones, that are read. */
export const mmOrMemory = (bits: 32 | 64 = 64): OperandSpec<Quad> => registerOrMemory(bits, 'read');

/** An MMX register or memory of 64 bits that are written. */
export const writtenMmOrMemory: OperandSpec<WrittenQuad> = registerOrMemory(64, 'written');

/** Features by what brought them: those of SSE and its successors are about MMX registers too. */
export type MmxFeature = 'mmx' | 'mmx+sse' | 'mmx+sse2' | 'mmx+ssse3';

type MmxDefinition<S extends Specs> = Omit<Definition<S>, 'feature' | 'cold'>;

/**
 * Instructions of a definition with MMX registers. An x87 exception that is pending comes first; behind the instruction all x87 registers
 * are valid, and register 0 is the top.
 */
export function mmxInstruction<const S extends Specs>(
  feature: MmxFeature,
  definition: MmxDefinition<S>,
): readonly X86Instruction[] {
  return enteringInstruction<S>(feature, {
    ...definition,
    semantics: (m, operands, form) => {
      definition.semantics(m, operands, form);
      m.system('enterMmx');
    },
  });
}

/** As `mmxInstruction`, where the semantics say when the x87 registers become valid: it may fault after that. */
export function enteringInstruction<const S extends Specs>(
  feature: MmxFeature,
  definition: MmxDefinition<S>,
): readonly X86Instruction[] {
  return instruction<S>({
    ...definition,
    feature,
    cold: true,
    semantics: (m, operands, form) => {
      waitForX87(m);
      definition.semantics(m, operands, form);
    },
  });
}
