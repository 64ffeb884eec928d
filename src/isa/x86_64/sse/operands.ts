/**
 * Operands of SSE instructions: XMM registers, and memory in their place (Intel SDM, volume 1, 10.2.2). 16 bytes of memory must be
 * aligned, unless the instruction says otherwise.
 */
import type { FieldValues, TextOperand, VectorOperand } from '../../instruction.js';
import type { Expr } from '../../micro_ops.js';
import type { Semantics } from '../../semantics.js';
import { fromLow } from '../../vector_expr.js';
import type { LaneBits, VectorExpr } from '../../vector_micro_ops.js';
import type { Form, OperandSpec } from '../encoding.js';
import { alignedAddress, asBytes, memorySpec } from '../memory.js';
import { field } from '../parser.js';
import { derived, hex, immediateRef, widthOf } from '../values.js';
import type { Bits, Memory } from '../values.js';

/** 16 bytes that an instruction reads. */
export interface Vector {
  get(): VectorExpr;
}

/** 16 bytes that an instruction writes. */
export interface WrittenVector {
  set(value: VectorExpr): void;
}

/** An XMM register. */
export interface Xmm extends Vector, WrittenVector {
  /** A lane, zero-extended to 64 bits for lanes of 64 bits, else to 32. */
  lane(lane: LaneBits, index: Expr | number): Expr;
  /** Writes a lane and keeps the others. */
  setLane(lane: LaneBits, index: Expr | number, value: Expr): void;
}

/** The low bits of an XMM register, or memory. */
export interface Low {
  /** Reads them here, once: 64 bits wide if they are 64, else 32. */
  get(): Expr;
}

function registerOperand(slot: 'reg' | 'rm'): VectorOperand {
  return {
    kind: 'vector',
    place: (fields) => field(fields, slot),
    print: (fields) => `%xmm${field(fields, slot)}`,
    parse: (text) => {
      const [whole = '', number = '16'] = /^%xmm(\d+)/.exec(text) ?? [];
      return Number(number) < 16
        ? { fields: { [slot]: Number(number) }, rest: text.slice(whole.length) }
        : null;
    },
  };
}

function registerReference(m: Semantics, operand: string): Xmm {
  const register = { operand, vector: true } as const;
  return {
    get: () => m.readVector(register),
    set: (value) => m.writeVector(register, value),
    lane: (lane, index) => m.readElement(register, lane, index),
    setLane: (lane, index, value) => m.writeElement(register, lane, index, value),
  };
}

function registerSpec(slot: 'reg' | 'rm'): OperandSpec<Xmm> {
  return {
    operands: (key) => ({ [key]: registerOperand(slot) }),
    reference: (m, key) => registerReference(m, key),
  };
}

/** The XMM register of ModRM.reg. */
export const xmm: OperandSpec<Xmm> = registerSpec('reg');

/** The XMM register of ModRM.rm, for instructions that have no memory there. */
export const xmmRm: OperandSpec<Xmm> = registerSpec('rm');

/** The address of 16 bytes. */
function addressOf(m: Semantics, memory: Memory, aligned: boolean, form: Form): Expr {
  return aligned ? alignedAddress(m, memory, form) : memory.linear(16);
}

function registerOrMemory<R>(
  isWritten: boolean,
  ofRegister: (register: Xmm) => R,
  ofMemory: (m: Semantics, memory: Memory, form: Form) => R,
  size: Bits = 64,
): OperandSpec<R> {
  const [register, memory] = [registerSpec('rm'), memorySpec(size, isWritten ? 'written' : 'read', true)];
  return {
    operands: (key, form) => (form.memory ? memory : register).operands(key, form),
    reference: (m, key, form) =>
      form.memory
        ? ofMemory(m, memory.reference(m, key, form), form)
        : ofRegister(register.reference(m, key, form)),
  };
}

/** An XMM register or 16 bytes of memory that are read. */
export const xmmOrMemory = (aligned = true): OperandSpec<Vector> =>
  registerOrMemory<Vector>(
    false,
    (register) => register,
    (m, memory, form) => ({ get: () => m.loadVector(addressOf(m, memory, aligned, form)) }),
  );

/** An XMM register or 16 bytes of memory that are written. */
export const writtenXmmOrMemory = (aligned = true): OperandSpec<WrittenVector> =>
  registerOrMemory<WrittenVector>(
    true,
    (register) => register,
    (m, memory, form) => ({ set: (value) => m.storeVector(addressOf(m, memory, aligned, form), value) }),
  );

/** The low bits of an XMM register, or as many of memory, aligned or not. They are read. */
export const lowOrMemory = (bits: 16 | 32 | 64): OperandSpec<Low> =>
  registerOrMemory<Low>(
    false,
    (register) => ({ get: () => register.lane(bits, 0) }),
    (m, memory) => ({
      get: () => m.let(m.resize(widthOf(bits), m.load(asBytes(bits), memory.linear(bits / 8)))),
    }),
    bits,
  );

/** An XMM register of which the low 64 bits are written and the rest is cleared, or 64 bits of memory. */
export const writtenLowOrMemory: OperandSpec<{ set(value: Expr): void }> = registerOrMemory<{
  set(value: Expr): void;
}>(
  true,
  (register) => ({ set: (value) => register.set(fromLow(value)) }),
  (_, memory) => ({ set: (value) => memory.set(value) }),
);

/** r/m without a suffix for its size. */
export function quiet<R>(spec: R): R {
  return { ...spec, suffix: () => '' };
}

// Immediates of which the semantics use something else than their value

function immediateText(): TextOperand {
  return {
    kind: 'text',
    print: (fields) => `$${hex(BigInt.asUintN(8, BigInt(field(fields, 'immediate'))))}`,
    parse: (text) => {
      const [whole = '', digits = '0x100'] = /^\$(0x[0-9a-f]+|\d+)/.exec(text) ?? [];
      const value = Number(digits);
      return value > 0xff
        ? null
        : { fields: { immediate: (value << 24) >> 24 }, rest: text.slice(whole.length) };
    },
  };
}

/** An immediate byte whose text is itself. The semantics get a number of 32 bits that `value` makes of it. */
export function immediateAs(bits: 8 | 32, value: (immediate: number) => number): OperandSpec<Expr> {
  return {
    operands: (key) => ({
      [key]: immediateText(),
      [`${key}Value`]: derived(
        32,
        bits,
        (fields: FieldValues) => value(field(fields, 'immediate') & 0xff) | 0,
      ),
    }),
    reference: (_, key) => immediateRef(`${key}Value`, 32),
  };
}
