/**
 * Operands of x86-64 instructions: what an engine must know of them, their text in AT&T syntax, and how semantics reach them
 * (Intel SDM, volume 1, 3.7). Those in memory are in memory.ts.
 */
import type { FieldValues, ImmediateOperand, RegisterOperand, TextOperand } from '../instruction.js';
import type { Expr } from '../micro_ops.js';
import type { Semantics } from '../semantics.js';
import { suffixOf } from './encoding.js';
import type { Form, OperandSpec } from './encoding.js';
import { memorySpec } from './memory.js';
import type { MemoryUse } from './memory.js';
import { field } from './parser.js';
import { low8, registerName, registerNames, registerNumber, segmentNames, x86State } from './registers.js';
import type { RegisterName } from './registers.js';
import { derived, hex, immediateRef, noForm, sizeIn, widthOf } from './values.js';
import type { Bits, Place, Value } from './values.js';

export * from './memory.js';
export * from './values.js';

// Registers

/** Where the encoding has a register's number, and how a number goes back there. */
interface Slot {
  number(fields: FieldValues): number;
  readonly parsed: 'reg' | 'rm' | 'opcodeRegister' | null;
}

const regSlot: Slot = { number: (fields) => field(fields, 'reg'), parsed: 'reg' };
const rmSlot: Slot = { number: (fields) => field(fields, 'rm'), parsed: 'rm' };
const opcodeSlot: Slot = {
  number: (fields) => (field(fields, 'opcode') & 7) | (field(fields, 'extension') << 3),
  parsed: 'opcodeRegister',
};

const isHigh = (fields: FieldValues, number: number): boolean =>
  field(fields, 'rex') === 0 && number >= 4 && number < 8;

function registerOperand(slot: Slot, bits: Bits): RegisterOperand {
  const place = (fields: FieldValues): number => {
    const number = slot.number(fields);
    return bits === 8 && isHigh(fields, number) ? number - 4 : number;
  };
  const print = (fields: FieldValues): string =>
    `%${registerName(slot.number(fields), bits, field(fields, 'rex') === 1)}`;
  return { kind: 'register', width: 64, place, print, parse: (text) => parseRegister(text, slot, bits) };
}

function parseRegister(text: string, { parsed }: Slot, bits: Bits): ReturnType<RegisterOperand['parse']> {
  const name = /^%(\w+)/.exec(text)?.[1] ?? '';
  const rest = text.slice(name.length + 1);
  const isHighByte = bits === 8 && low8.indexOf(name) >= 4;
  const number = isHighByte
    ? low8.indexOf(name)
    : registerNames.findIndex((_, each) => registerName(each, bits) === name);
  if (number < 0 || parsed === null) return null;
  const rex = bits !== 8 || number < 4 || number >= 8 ? {} : isHighByte ? { noRex: 1 } : { rex: 1 };
  return { fields: { [parsed]: number, ...rex }, rest };
}

/** Reads and writes `bits` bits of the register of operand `key`. `high` is 8 for AH, CH, DH and BH, else 0. */
function registerPlace(m: Semantics, key: string, bits: Bits, high: Expr | null): Place {
  const whole = { operand: key, width: 64 } as const;
  if (bits >= 32) {
    const register = { operand: key, width: widthOf(bits) };
    return { bits, get: () => m.let(m.read(register)), set: (value) => m.write(register, value) };
  }
  const mask = m.constant(64, 2 ** bits - 1);
  const place = high ?? m.constant(64, 0);
  const shifted = (value: Expr, kind: 'shl' | 'shrUnsigned'): Expr =>
    high === null ? value : m.shift(kind, value, place);
  return {
    bits,
    get: () => m.let(m.resize(32, m.and(shifted(m.read(whole), 'shrUnsigned'), mask))),
    set: (value) => {
      const kept = m.and(m.read(whole), m.not(shifted(mask, 'shl')));
      m.write(whole, m.or(kept, shifted(m.and(m.resize(64, value), mask), 'shl')));
    },
  };
}

function registerSpec(slot: Slot, size: Bits | null): OperandSpec<Place> {
  const hasHigh = (form: Form): boolean => sizeIn(form, size) === 8;
  return {
    operands: (key, form) => ({
      [key]: registerOperand(slot, sizeIn(form, size)),
      ...(hasHigh(form)
        ? { [`${key}High`]: derived(64, 8, (fields) => (isHigh(fields, slot.number(fields)) ? 8 : 0)) }
        : {}),
    }),
    reference: (m, key, form) =>
      registerPlace(m, key, sizeIn(form, size), hasHigh(form) ? immediateRef(`${key}High`, 64) : null),
  };
}

/** The register of ModRM.reg, of the operand size or of `size` bits. */
export const reg = (size: Bits | null = null): OperandSpec<Place> => registerSpec(regSlot, size);

/** The register in the low bits of the opcode. */
export const opcodeReg = (size: Bits | null = null): OperandSpec<Place> => registerSpec(opcodeSlot, size);

/** A register that the instruction implies, of the operand size or of `size` bits. */
export function fixed(name: RegisterName, size: Bits | null = null): OperandSpec<Place> {
  const number = registerNumber(name);
  const slot: Slot = { number: () => number, parsed: null };
  return {
    operands: (key, form) => {
      const text = `%${registerName(number, sizeIn(form, size), false)}`;
      const parse = (given: string) =>
        given.startsWith(text) ? { fields: {}, rest: given.slice(text.length) } : null;
      return {
        [key]: {
          ...registerOperand(slot, sizeIn(form, size)),
          print: () => text,
          place: () => number,
          parse,
        },
      };
    },
    reference: (m, key, form) => registerPlace(m, key, sizeIn(form, size), null),
  };
}

/** AH, for the instructions that imply it. */
export const ah: OperandSpec<Place> = {
  operands: (key) => fixed('rax', 8).operands(key, noForm),
  reference: (m, key) => registerPlace(m, key, 8, m.constant(64, 8)),
};

// Registers or memory

function rmSpec(size: Bits | null, use: MemoryUse): OperandSpec<Place> {
  const [register, inMemory] = [registerSpec(rmSlot, size), memorySpec(size, use, true)];
  return {
    operands: (key, form) => (form.memory ? inMemory : register).operands(key, form),
    reference: (m, key, form) => (form.memory ? inMemory : register).reference(m, key, form),
    suffix: (form) => (form.memory ? suffixOf(sizeIn(form, size)) : ''),
  };
}

/** A register or memory that is read. */
export const rm = (size: Bits | null = null): OperandSpec<Place> => rmSpec(size, 'read');

/** A register or memory that is written, or read and written. */
export const writtenRm = (size: Bits | null = null): OperandSpec<Place> => rmSpec(size, 'written');

/** A register or memory that is read, and written only where it changes. */
export const changedRm = (size: Bits | null = null): OperandSpec<Place> =>
  rmSpec(size, 'readAndWrittenAtTimes');

// Numbers

function parseNumber(text: string): { value: bigint; rest: string } | null {
  const [whole, sign, digits = '0'] = /^(-?)(0x[0-9a-f]+|\d+)/.exec(text) ?? [];
  if (whole === undefined) return null;
  return { value: sign === '-' ? -BigInt(digits) : BigInt(digits), rest: text.slice(whole.length) };
}

/** An immediate, sign-extended to the operand size or to `size` bits. `which` is the field that has it. */
function immediateSpec(
  size: Bits | null,
  which: 'immediate' | 'second',
  signed: boolean,
): OperandSpec<Value> {
  const raw = (fields: FieldValues, bits: Bits): bigint => BigInt.asUintN(bits, BigInt(field(fields, which)));
  return {
    operands: (key, form) => {
      const bits = sizeIn(form, size);
      const value = (fields: FieldValues): bigint =>
        bits >= 32 && signed ? BigInt.asIntN(64, BigInt.asIntN(bits, raw(fields, bits))) : raw(fields, bits);
      return {
        [key]: {
          kind: 'immediate',
          width: widthOf(bits),
          bits: bits === 8 ? 8 : 32,
          value,
          print: (fields: FieldValues) => `$${hex(raw(fields, bits))}`,
          parse: (text: string) => {
            const found = text.startsWith('$') ? parseNumber(text.slice(1)) : null;
            const isWithin =
              found !== null && found.value >= -(2n ** BigInt(bits - 1)) && found.value < 2n ** BigInt(bits);
            return !isWithin
              ? null
              : { fields: { [which]: Number(BigInt.asIntN(bits, found.value)) }, rest: found.rest };
          },
        } satisfies ImmediateOperand,
      };
    },
    reference: (_, key, form) => {
      const bits = sizeIn(form, size);
      return { bits, get: () => immediateRef(key, widthOf(bits)) };
    },
  };
}

/** An immediate, sign-extended to the operand size or to `size` bits. */
export const imm = (size: Bits | null = null): OperandSpec<Value> => immediateSpec(size, 'immediate', true);

/** The second immediate. */
export const secondImm = (size: Bits): OperandSpec<Value> => immediateSpec(size, 'second', true);

/** The immediate of MOV, as long as the operand. */
export const wholeImm: OperandSpec<Value> = {
  operands: (key, form) => {
    if (form.bits !== 64) return imm().operands(key, form);
    const value = (fields: FieldValues): bigint =>
      (BigInt(field(fields, 'high') >>> 0) << 32n) | BigInt(field(fields, 'immediate') >>> 0);
    return {
      [key]: {
        kind: 'immediate',
        width: 64,
        bits: 64,
        value: (fields: FieldValues) => BigInt.asIntN(64, value(fields)),
        print: (fields: FieldValues) => `$${hex(value(fields))}`,
        parse: (text: string) => {
          const found = text.startsWith('$') ? parseNumber(text.slice(1)) : null;
          if (found === null) return null;
          const [high, low] = [BigInt.asIntN(32, found.value >> 32n), BigInt.asIntN(32, found.value)];
          return { fields: { immediate: Number(low), high: Number(high) }, rest: found.rest };
        },
      } satisfies ImmediateOperand,
    };
  },
  reference: (m, key, form) => imm().reference(m, key, form),
};

/** The target of a near branch. */
export interface Target {
  /** The address behind the instruction plus the offset, within the operand size. */
  jump(): void;
}

/** The target of a near branch, relative to the next instruction. */
export const relative: OperandSpec<Target> = {
  operands: (key, form) => {
    const value = (fields: FieldValues): bigint =>
      BigInt(field(fields, 'length') + field(fields, 'immediate'));
    const bits = (fields: FieldValues): number =>
      form.bits === 0 ? field(fields, 'operandBits') : form.bits;
    return {
      [key]: {
        kind: 'immediate',
        width: 64,
        bits: 64,
        value,
        print: (fields: FieldValues, pc: bigint) => hex(BigInt.asUintN(bits(fields), pc + value(fields))),
        parse: (text: string) => {
          const found = parseNumber(text);
          return found === null ? null : { fields: { target: Number(found.value) }, rest: found.rest };
        },
      } satisfies ImmediateOperand,
    };
  },
  reference: (m, key, form) => ({
    jump: () => {
      const offset = immediateRef(key, 64);
      if (form.flat && form.bits === 64) m.jumpNear(offset);
      else m.jump(m.and(m.add(m.pc(), offset), m.constant(64, 2n ** BigInt(sizeIn(form, null)) - 1n)));
    },
  }),
};

/** The address of the next instruction. */
export const nextInstruction: OperandSpec<Value> = {
  operands: (key) => ({ [key]: derived(64, 8, (fields) => field(fields, 'length')) }),
  reference: (m, key) => ({ bits: 64, get: () => m.let(m.add(m.pc(), immediateRef(key, 64))) }),
};

/** A number that the encoding has in ModRM.reg, for the semantics: that of a control or debug register, of which there are `count`. */
export function numbered(names: (number: number) => string, count = 16): OperandSpec<Value> {
  const numberIn = (fields: FieldValues): number => field(fields, 'reg') % count;
  return {
    operands: (key) => ({
      [key]: {
        ...derived(64, 8, numberIn),
        print: (fields: FieldValues) => `%${names(numberIn(fields))}`,
        parse: (text: string) => {
          const found = Array.from({ length: count }, (_, number) => number).find((number) =>
            text.startsWith(`%${names(number)}`),
          );
          return found === undefined
            ? null
            : { fields: { reg: found }, rest: text.slice(names(found).length + 1) };
        },
      } satisfies ImmediateOperand,
    }),
    reference: (_, key) => ({ bits: 64, get: () => immediateRef(key, 64) }),
  };
}

/** The number of the segment register in ModRM.reg. REX.R is ignored (Intel SDM volume 2, 2.2.1.2). */
export const segmentNumberIn = ({ reg }: { readonly reg: number }): number => reg % 8;

export const segmentNumber = numbered((number) => segmentNames[number] ?? '?', 8);

/** The selector of that segment register. */
export const segmentSelector: OperandSpec<Value> = {
  operands: (key) => ({
    ...segmentNumber.operands(key, noForm),
    [`${key}Slot`]: derived(64, 8, (fields) => x86State.selectors + (field(fields, 'reg') % 8)),
  }),
  reference: (m, key) => ({
    bits: 16,
    get: () => m.let(m.resize(32, m.stateAt(immediateRef(`${key}Slot`, 64)))),
  }),
};

/** The selector and the offset of a far branch. */
export const farPointer: OperandSpec<{ selector: Value; offset: Value }> = {
  operands: (key, form) => {
    const bits = sizeIn(form, null);
    const offset = (fields: FieldValues): bigint => BigInt.asUintN(bits, BigInt(field(fields, 'immediate')));
    const selector = (fields: FieldValues): number => field(fields, 'second') & 0xffff;
    const text: TextOperand = {
      kind: 'text',
      print: (fields) => `$${hex(BigInt(selector(fields)))},$${hex(offset(fields))}`,
      parse: () => null,
    };
    return {
      [key]: text,
      [`${key}Selector`]: derived(64, 32, selector),
      // As a signed number of 32 bits, so that both fit into an engine's record.
      [`${key}Offset`]: derived(64, 32, (fields) => BigInt.asIntN(32, offset(fields))),
    };
  },
  reference: (m, key) => ({
    selector: { bits: 64, get: () => immediateRef(`${key}Selector`, 64) },
    offset: { bits: 64, get: () => m.and(immediateRef(`${key}Offset`, 64), m.constant(64, 0xffffffff)) },
  }),
};
