/**
 * Operands in memory (Intel SDM, volume 1, 3.7.5): base, scaled index, displacement and segment; strings and other addresses that
 * an instruction implies.
 */
import type { FieldValues, ImmediateOperand, RegisterOperand, TextOperand } from '../instruction.js';
import type { AccessBytes, AccessKind, Expr } from '../micro_ops.js';
import type { Semantics } from '../semantics.js';
import { segmentIn } from './encoding.js';
import type { Form, OperandSpec } from './encoding.js';
import { field } from './parser.js';
import {
  registerFile,
  registerName,
  registerNames,
  registerNumber,
  segmentNames,
  segments,
} from './registers.js';
import { derived, hex, immediateRef, sizeIn, widthOf } from './values.js';
import type { Bits, Memory, Place } from './values.js';

const addressNames: Readonly<Record<number, Bits>> = { 16: 16, 32: 32, 64: 64 };

function addressRegister(fields: FieldValues, number: number): string {
  const bits = addressNames[field(fields, 'addressBits')] ?? 64;
  if (number === registerFile.nextInstruction) return bits === 64 ? '%rip' : '%eip';
  return `%${registerName(number, bits)}`;
}

const signedHex = (value: number): string => (value < 0 ? `-${hex(BigInt(-value))}` : hex(BigInt(value)));

/** The index as objdump writes it, with the scale: also one that is absent, where the SIB byte could have been left out. */
function indexText(fields: FieldValues): string {
  const [index, base, scale] = [field(fields, 'index'), field(fields, 'base'), 1 << field(fields, 'scale')];
  const bits = field(fields, 'addressBits');
  if (index === registerFile.zero) {
    const isUsual = (base & 7) === 4 && base < 16 && scale === 1;
    const isPlain = bits === 64 || field(fields, 'mode') === 16;
    const isAbsolute = base === registerFile.zero && scale === 1 && isPlain;
    return field(fields, 'sib') === 0 || isUsual || isAbsolute
      ? ''
      : `,%${bits === 64 ? 'r' : 'e'}iz,${scale}`;
  }
  return `,${addressRegister(fields, index)}${bits === 16 ? '' : `,${scale}`}`;
}

function memoryText(fields: FieldValues): string {
  const [base, displacement] = [field(fields, 'base'), field(fields, 'displacement')];
  const segment = field(fields, 'segment') >= 0 ? `%${segmentNames[field(fields, 'segment')] ?? '?'}:` : '';
  const index = indexText(fields);
  const hasBase = base !== registerFile.zero;
  const bits = field(fields, 'addressBits');
  const absolute = bits === 16 ? signedHex(displacement) : hex(BigInt.asUintN(bits, BigInt(displacement)));
  if (!hasBase && index === '') return segment + absolute;
  const isAbsolute = !hasBase && bits < field(fields, 'mode') && field(fields, 'index') === registerFile.zero;
  const relative = field(fields, 'displacementBytes') === 0 ? '' : signedHex(displacement);
  const offset = isAbsolute ? absolute : relative;
  return `${segment}${offset}(${hasBase ? addressRegister(fields, base) : ''}${index})`;
}

/** Which registers an address adds, and what else. */
interface AddressFields {
  base(fields: FieldValues): number;
  index(fields: FieldValues): number;
  /** Null where the address has none of it. */
  readonly scale: ((fields: FieldValues) => number) | null;
  readonly displacement: ImmediateOperand | null;
  segment(fields: FieldValues): number;
}

const modrmAddress: AddressFields = {
  base: (fields) => field(fields, 'base'),
  index: (fields) => field(fields, 'index'),
  // A scale without an index would shift the base of FS or GS.
  scale: (fields) => (field(fields, 'index') === registerFile.zero ? 0 : field(fields, 'scale')),
  displacement: derived(64, 32, (fields) => field(fields, 'displacement')),
  segment: segmentIn,
};

/** The base of FS or GS, where it has to be added to a flat address. */
function flatSegmentBase(fields: FieldValues): number {
  const segment = field(fields, 'segment');
  return segment === segments.fs
    ? registerFile.fsBase
    : segment === segments.gs
      ? registerFile.gsBase
      : registerFile.zero;
}

/** The bits that an address lacks of 64, by which `maskOf` cuts it. */
const unusedBits = derived(64, 8, (fields) => 64 - field(fields, 'addressBits'));

/** As many ones as an address has bits. */
function maskOf(m: Semantics, key: string): Expr {
  return m.let(m.shift('shrUnsigned', m.constant(64, -1), immediateRef(`${key}Unused`, 64)));
}

const textRegister = (place: (fields: FieldValues) => number): RegisterOperand => ({
  kind: 'register',
  width: 64,
  place,
  print: () => '',
  parse: (rest) => ({ fields: {}, rest }),
});

/** The operands of an address, by suffixes of `key`. */
function addressOperands(key: string, form: Form, address: AddressFields, hasSegment: boolean) {
  const index = (fields: FieldValues): number => {
    const own = address.index(fields);
    return form.flat && hasSegment && own === registerFile.zero ? flatSegmentBase(fields) : own;
  };
  const { scale, displacement } = address;
  return {
    [`${key}Base`]: textRegister((fields) => address.base(fields)),
    [`${key}Index`]: textRegister(index),
    ...(scale === null ? {} : { [`${key}Scale`]: derived(64, 8, scale) }),
    ...(displacement === null ? {} : { [`${key}Displacement`]: displacement }),
    ...(form.flat
      ? {}
      : {
          [`${key}Unused`]: unusedBits,
          [`${key}Segment`]: derived(64, 8, (fields) => address.segment(fields)),
        }),
  };
}

/** How an access that is followed by a write to the same place is made: it faults as the write would. */
export const beforeWrite: AccessKind = 'modify';

/**
 * What an instruction does with memory: whether it writes it, and whether it reads it first in any case. What is only written at times
 * needs to be writable only then.
 */
export type MemoryUse = 'read' | 'written' | 'readAndWrittenAtTimes';

export function asBytes(bits: Bits): AccessBytes {
  return (bits / 8) as AccessBytes;
}

function memoryReference(
  m: Semantics,
  key: string,
  form: Form,
  bits: Bits,
  use: MemoryUse,
  address: AddressFields = modrmAddress,
): Memory {
  const register = (name: string): Expr => m.read({ operand: `${key}${name}`, width: 64 });
  const number = (name: string): Expr => immediateRef(`${key}${name}`, 64);
  const effective = (offset: Expr | null = null): Expr => {
    const index = register('Index');
    const scaled = address.scale === null ? index : m.shift('shl', index, number('Scale'));
    const parts = [
      register('Base'),
      scaled,
      ...(address.displacement === null ? [] : [number('Displacement')]),
      ...(offset === null ? [] : [offset]),
    ];
    const whole = parts.reduce((a, b) => m.add(a, b));
    return form.flat ? whole : m.and(whole, maskOf(m, key));
  };
  const linear = (bytes: number, offset: Expr | null = null, isWritten = use === 'written'): Expr => {
    const within = effective(offset);
    if (form.flat) return m.let(within);
    const access = m.add(number('Segment'), m.constant(64, (isWritten ? 8 : 0) + 16 * bytes));
    return m.ask('linearAddress', [access, within]);
  };
  let own: Expr | null = null;
  const at = (): Expr => (own ??= linear(bits / 8));
  const value = (loaded: Expr): Expr => m.resize(widthOf(bits), loaded);
  return {
    bits,
    get: () => m.let(value(m.load(asBytes(bits), at(), use === 'written' ? beforeWrite : 'plain'))),
    set: (given) => {
      const place = use === 'readAndWrittenAtTimes' ? linear(bits / 8, null, true) : at();
      m.store(asBytes(bits), place, given);
    },
    effective: () => m.let(effective()),
    linear: (bytes, offset) => linear(bytes, offset),
  };
}

const memoryOperandText: TextOperand = { kind: 'text', print: memoryText, parse: parseMemory };

/** The register of an address: its place in the file, and its size. */
function parseAddressRegister(name: string | undefined): { place: number; bits: number } | null {
  if (name === undefined) return { place: registerFile.zero, bits: 0 };
  if (name === 'rip') return { place: registerFile.nextInstruction, bits: 64 };
  const bits = ([64, 32] as const).find((size) =>
    registerNames.some((_, number) => registerName(number, size) === name),
  );
  if (bits === undefined) return null;
  return { place: registerNames.findIndex((_, number) => registerName(number, bits) === name), bits };
}

/** Parses `disp(base,index,scale)` with all but one of displacement, base and index optional. */
function parseMemory(text: string): ReturnType<TextOperand['parse']> {
  const pattern = /^(?:%([c-gs]s):)?(-?0x[0-9a-f]+|-?\d+)?(?:\((?:%(\w+))?(?:,%(\w+)(?:,([1248]))?)?\))?/;
  const [whole = '', segment, offset, baseName, indexName, scale = '1'] = pattern.exec(text) ?? [];
  if (offset === undefined && baseName === undefined && indexName === undefined) return null;
  const [base, index] = [parseAddressRegister(baseName), parseAddressRegister(indexName)];
  if (base === null || index === null) return null;
  const magnitude = BigInt(offset?.replace('-', '') ?? '0');
  // An address of 64 bits may be written with its sign extended.
  const displacement = BigInt.asIntN(64, offset?.startsWith('-') === true ? -magnitude : magnitude);
  const bits = Math.max(base.bits, index.bits);
  const fields = {
    memory: 1,
    ...(bits === 0 ? {} : { addressBits: bits }),
    segment: segmentNames.findIndex((each) => each === segment),
    base: base.place,
    index: index.place,
    scale: Math.log2(Number(scale)),
    displacement: Number(displacement),
  };
  return { fields, rest: text.slice(whole.length) };
}

export function memorySpec(size: Bits | null, use: MemoryUse, hasSegment: boolean): OperandSpec<Memory> {
  return {
    operands: (key, form) => ({
      [key]: memoryOperandText,
      ...addressOperands(key, form, modrmAddress, hasSegment),
    }),
    reference: (m, key, form) => memoryReference(m, key, form, sizeIn(form, size), use),
  };
}

/** The address of 16 bytes. Raises #GP before any other fault of the access if it is not aligned. */
export function alignedAddress(m: Semantics, operand: Memory, { flat }: Form): Expr {
  // Where segments matter, their checks come after that of the alignment.
  const address = operand.linear(flat ? 16 : 0);
  const offset = m.and(address, m.constant(64, 15));
  m.when(m.notEqual(offset, m.constant(64, 0)), () => m.system('misalignedOperand'));
  return flat ? address : operand.linear(16);
}

/** A memory operand that is read. */
export const memory = (size: Bits | null = null): OperandSpec<Memory> => memorySpec(size, 'read', true);

/** A memory operand that is written, or read and written. */
export const writtenMemory = (size: Bits | null = null): OperandSpec<Memory> =>
  memorySpec(size, 'written', true);

/** A memory operand of which only the effective address is used. */
export const addressOnly: OperandSpec<Memory> = memorySpec(64, 'read', false);

/** The memory of POP, whose base RSP counts from behind what is popped. */
export const poppedMemory: OperandSpec<Memory> = {
  operands: (key, form) => {
    const shifted = (fields: FieldValues): number =>
      field(fields, 'displacement') + (field(fields, 'base') === 4 ? sizeIn(form, null) / 8 : 0);
    return {
      ...memorySpec(null, 'written', true).operands(key, form),
      [`${key}Displacement`]: derived(64, 64, shifted),
    };
  },
  reference: (m, key, form) => memoryReference(m, key, form, sizeIn(form, null), 'written'),
};

/** Memory at a register that the instruction implies: a string, or XLAT's table. */
export interface ImpliedMemory extends Memory {
  /** Adds to the register, within the address size. */
  advance(by: Expr): void;
}

/** Memory at register `number` in segment `own`, which an override replaces if it may. */
function impliedMemory(
  number: number,
  own: number,
  overridden: boolean,
  size: Bits | null,
  isWritten: boolean,
): OperandSpec<ImpliedMemory> {
  const address: AddressFields = {
    base: () => number,
    index: () => registerFile.zero,
    scale: null,
    displacement: null,
    segment: (fields) => (overridden && field(fields, 'segment') >= 0 ? field(fields, 'segment') : own),
  };
  const print = (fields: FieldValues): string =>
    `%${segmentNames[address.segment(fields)] ?? '?'}:(${addressRegister(fields, number)})`;
  const text: TextOperand = { kind: 'text', print, parse: (given) => parseString(given, number, own) };
  return {
    operands: (key, form) => ({ [key]: text, ...addressOperands(key, form, address, overridden) }),
    reference: (m, key, form) => ({
      ...memoryReference(m, key, form, sizeIn(form, size), isWritten ? 'written' : 'read', address),
      advance: (by) =>
        writeAddress(m, `${key}Base`, key, form, m.add(m.read({ operand: `${key}Base`, width: 64 }), by)),
    }),
  };
}

/** Memory at RSI or RBX in DS, which may be overridden, or at RDI in ES, which may not. */
export function stringAt(
  name: 'rsi' | 'rdi' | 'rbx',
  size: Bits | null,
  isWritten = false,
): OperandSpec<ImpliedMemory> {
  const overridden = name !== 'rdi';
  return impliedMemory(
    registerNumber(name),
    overridden ? segments.ds : segments.es,
    overridden,
    size,
    isWritten,
  );
}

/** The bytes at RDI in DS, which may be overridden, that MASKMOVDQU writes. */
export const maskedTarget: OperandSpec<ImpliedMemory> = impliedMemory(
  registerNumber('rdi'),
  segments.ds,
  true,
  8,
  true,
);

function parseString(text: string, number: number, own: number): ReturnType<TextOperand['parse']> {
  const [whole = '', segment, name] = /^%(\w\w):\(%(\w+)\)/.exec(text) ?? [];
  const found = segmentNames.findIndex((each) => each === segment);
  const register = parseAddressRegister(name);
  if (register?.place !== number || found < 0) return null;
  const fields = { addressBits: register.bits, ...(found === own ? {} : { segment: found }) };
  return { fields, rest: text.slice(whole.length) };
}

/** Writes an address register: 16 bits of it, or 32 bits and zeros, or all, by the address size. */
function writeAddress(m: Semantics, register: string, key: string, form: Form, value: Expr): void {
  const whole = { operand: register, width: 64 } as const;
  if (form.flat) {
    m.write(whole, value);
    return;
  }
  const mask = maskOf(m, key);
  const isShort = m.equal(mask, m.constant(64, 0xffff));
  const kept = m.select(isShort, m.and(m.read(whole), m.not(mask)), m.constant(64, 0));
  m.write(whole, m.or(kept, m.and(value, mask)));
}

/** RCX as a counter, of the address size. */
export const counter: OperandSpec<Place> = {
  operands: (key, form) => ({
    [key]: textRegister(() => registerNumber('rcx')),
    ...(form.flat ? {} : { [`${key}Unused`]: unusedBits }),
  }),
  reference: (m, key, form) => {
    const whole = m.read({ operand: key, width: 64 });
    return {
      bits: 64,
      get: () => m.let(form.flat ? whole : m.and(whole, maskOf(m, key))),
      set: (value) => writeAddress(m, key, key, form, value),
    };
  },
};

/** Memory at an address in the instruction. */
export function absolute(size: Bits | null, isWritten = false): OperandSpec<Memory> {
  const offset = (fields: FieldValues): bigint =>
    (BigInt(field(fields, 'high')) << 32n) | BigInt(field(fields, 'immediate') >>> 0);
  const wrapped = (fields: FieldValues): bigint =>
    BigInt.asUintN(field(fields, 'addressBits'), offset(fields));
  const address: AddressFields = {
    base: () => registerFile.zero,
    index: () => registerFile.zero,
    scale: null,
    displacement: derived(64, 64, (fields) => BigInt.asIntN(64, wrapped(fields))),
    segment: (fields) => (field(fields, 'segment') >= 0 ? field(fields, 'segment') : segments.ds),
  };
  const print = (fields: FieldValues): string => {
    const segment = field(fields, 'segment');
    return `${segment >= 0 ? `%${segmentNames[segment] ?? '?'}:` : ''}${hex(wrapped(fields))}`;
  };
  const text: TextOperand = { kind: 'text', print, parse: () => null };
  return {
    operands: (key, form) => ({ [key]: text, ...addressOperands(key, form, address, true) }),
    reference: (m, key, form) =>
      memoryReference(m, key, form, sizeIn(form, size), isWritten ? 'written' : 'read', address),
  };
}
