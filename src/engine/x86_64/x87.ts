/** x87: the stack of registers, and what instructions do with it (Intel SDM, volume 1, chapter 8). */
import { invariant } from '../../base/index.js';
import * as x86_64 from '../../isa/x86_64/index.js';
import { exception, raise, vectors } from './events.js';
import { cr0 } from './regime.js';
import type { Vcpu } from './vcpu.js';
import {
  compare,
  compute,
  extend,
  indefinite,
  integerOf,
  isNegative,
  kindOf,
  narrow,
  raised,
} from './x87_numbers.js';
import type { Extended, Kind, Modes, Order, Result } from './x87_numbers.js';

const { x87Changes, x87Flags, x87Formats, x87Operations } = x86_64;

/** Bits of the status word above the exceptions. */
const status = {
  stackFault: 0x40,
  summary: 0x80,
  c0: 0x100,
  c1: 0x200,
  c2: 0x400,
  topAt: 11,
  c3: 0x4000,
  busy: 0x8000,
};
const allExceptions = 0x3f;
/** Exceptions that are found before an operation is carried out. */
const beforeOperation = raised.invalid | raised.denormal | raised.zeroDivide;
const empty = 3;

const roundings = ['nearest', 'down', 'up', 'zero'] as const;

function modesOf({ system: { float } }: Vcpu): Modes {
  return {
    rounding: roundings[(float.control >> 10) & 3] ?? 'nearest',
    digits: [24, 64, 53, 64][(float.control >> 8) & 3] ?? 64,
    masks: float.control & allExceptions,
  };
}

/** The tag of a register that is not empty. */
function tagOf(register: Extended): number {
  const kind = kindOf(register);
  return kind === 'zero' ? 1 : kind === 'normal' ? 0 : 2;
}

class Registers {
  readonly #cpu: Vcpu;

  constructor(cpu: Vcpu) {
    this.#cpu = cpu;
  }

  get #float() {
    return this.#cpu.system.float;
  }

  get top(): number {
    return (this.#float.status >> status.topAt) & 7;
  }

  set top(value: number) {
    this.#float.status = (this.#float.status & ~(7 << status.topAt)) | ((value & 7) << status.topAt);
  }

  #number(index: number): number {
    return (this.top + index) & 7;
  }

  isEmpty(index: number): boolean {
    return ((this.#float.tags >> (2 * this.#number(index))) & 3) === empty;
  }

  /** ST(index), whatever its tag says. */
  raw(index: number): Extended {
    return this.#float.registers[this.#number(index)] ?? [0n, 0];
  }

  set(index: number, register: Extended): void {
    this.#float.registers[this.#number(index)] = register;
    this.#tag(index, tagOf(register));
  }

  free(index: number): void {
    this.#tag(index, empty);
  }

  #tag(index: number, tag: number): void {
    const at = 2 * this.#number(index);
    this.#float.tags = (this.#float.tags & ~(3 << at)) | (tag << at);
  }

  pop(): void {
    this.free(0);
    this.top += 1;
  }
}

/** Sets bit ES, and B with it, where an exception that was raised is not masked. */
function summarize({ system: { float } }: Vcpu): void {
  const isPending = (float.status & ~float.control & allExceptions) !== 0;
  const bits = status.summary | status.busy;
  float.status = isPending ? float.status | bits : float.status & ~bits;
}

/** Waits for what instructions before raised: #MF where an exception is pending. */
export function waitX87(cpu: Vcpu): void {
  const { float, cr0: control } = cpu.system;
  if ((float.status & status.summary) === 0) return;
  // Without CR0.NE an interrupt controller is to be asked, which no guest here has.
  if ((control & cr0.numericError) === 0) cpu.countUnimplemented('x87 exception without CR0.NE');
  raise(exception(vectors.floatingPoint));
}

/**
 * Notes exceptions and C1. Returns whether the instruction goes on: it ends where one that is not masked was found before its
 * operation, and then tells of no others.
 */
function note(cpu: Vcpu, bits: number, c1: boolean): boolean {
  const { float } = cpu.system;
  const isStopped = (bits & ~float.control & beforeOperation) !== 0;
  // Of what is not computed C1 does not tell how it was rounded, but which stack fault there was.
  const isTold = !isStopped || (bits & status.stackFault) !== 0;
  const told = isStopped ? bits & (beforeOperation | status.stackFault) : bits;
  float.status = (float.status & ~status.c1) | told | (c1 && isTold ? status.c1 : 0);
  summarize(cpu);
  if (isStopped) cpu.pending = { kind: 'completed' };
  return !isStopped;
}

const underflow = raised.invalid | status.stackFault;

/** Pushes a register, or the indefinite NaN where the stack is full. `bits` are exceptions of the value. */
function push(cpu: Vcpu, value: Extended, bits = 0): void {
  const registers = new Registers(cpu);
  const isFull = !registers.isEmpty(7);
  if (!note(cpu, isFull ? underflow : bits, isFull)) return;
  registers.top -= 1;
  registers.set(0, isFull ? indefinite : value);
}

export function pushExtended(cpu: Vcpu, mantissa: bigint, exponent: bigint): void {
  waitX87(cpu);
  push(cpu, [BigInt.asUintN(64, mantissa), Number(exponent & 0xffffn)]);
}

/** A signed integer of 64 bits, which 80 bits have exactly. */
export function extendedOfInteger(value: bigint): Extended {
  if (value === 0n) return [0n, 0];
  const magnitude = value < 0n ? -value : value;
  const shift = 64 - magnitude.toString(2).length;
  return [magnitude << BigInt(shift), (16383 + 63 - shift) | (value < 0n ? 0x8000 : 0)];
}

export function pushInteger(cpu: Vcpu, value: bigint): void {
  waitX87(cpu);
  push(cpu, extendedOfInteger(BigInt.asIntN(64, value)));
}

/** A value from memory in one of `x87Formats`. */
function loaded(format: number, bits: bigint): { value: Extended; isDenormal: boolean } {
  const name = x87Formats[format];
  invariant(name !== undefined && name !== 'extended', `format ${format} of x87`);
  if (name === 'float32' || name === 'float64') return extend(name, bits);
  return { value: extendedOfInteger(BigInt.asIntN(Number(name.slice(3)), bits)), isDenormal: false };
}

export function pushValue(cpu: Vcpu, format: bigint, bits: bigint): void {
  waitX87(cpu);
  const { value, isDenormal } = loaded(Number(format), bits);
  if (kindOf(value) === 'signalling') push(cpu, [value[0] | (1n << 62n), value[1]], raised.invalid);
  else push(cpu, value, isDenormal ? raised.denormal : 0);
}

export function pushCopy(cpu: Vcpu, index: bigint): void {
  waitX87(cpu);
  const registers = new Registers(cpu);
  if (!registers.isEmpty(Number(index))) push(cpu, registers.raw(Number(index)));
  else if (note(cpu, underflow, false)) {
    registers.top -= 1;
    registers.set(0, indefinite);
  }
}

export function exchange(cpu: Vcpu, index: bigint): void {
  waitX87(cpu);
  const registers = new Registers(cpu);
  const places = [0, Number(index)] as const;
  const isFault = places.some((place) => registers.isEmpty(place));
  if (!note(cpu, isFault ? underflow : 0, false)) return;
  const [first, second] = places.map((place) =>
    registers.isEmpty(place) ? indefinite : registers.raw(place),
  );
  invariant(first !== undefined && second !== undefined, 'two registers');
  registers.set(0, second);
  registers.set(Number(index), first);
}

/** FST and FSTP to a register. */
export function store(cpu: Vcpu, index: bigint): void {
  waitX87(cpu);
  const registers = new Registers(cpu);
  const isFault = registers.isEmpty(0);
  if (!note(cpu, isFault ? underflow : 0, false)) return;
  registers.set(Number(index), isFault ? indefinite : registers.raw(0));
}

export function free(cpu: Vcpu, index: bigint): void {
  waitX87(cpu);
  note(cpu, 0, false);
  new Registers(cpu).free(Number(index));
}

/** FINCSTP and FDECSTP. */
export function rotate(cpu: Vcpu, by: bigint): void {
  waitX87(cpu);
  new Registers(cpu).top += Number(BigInt.asIntN(8, by));
  note(cpu, 0, false);
}

export function pop(cpu: Vcpu): void {
  new Registers(cpu).pop();
}

const examined: Readonly<Record<Kind, number>> = {
  unsupported: 0,
  quiet: status.c0,
  signalling: status.c0,
  normal: status.c2,
  infinity: status.c2 | status.c0,
  zero: status.c3,
  denormal: status.c3 | status.c2,
};

function setConditions({ system: { float } }: Vcpu, bits: number): void {
  float.status = (float.status & ~(status.c0 | status.c2 | status.c3)) | bits;
}

/** FABS, FCHS, FTST and FXAM. */
export function change(cpu: Vcpu, which: bigint): void {
  waitX87(cpu);
  const name = x87Changes[Number(which)];
  const registers = new Registers(cpu);
  const isEmpty = registers.isEmpty(0);
  const before = registers.raw(0);
  if (name === 'examine') {
    note(cpu, 0, isNegative(before));
    setConditions(cpu, isEmpty ? status.c3 | status.c0 : examined[kindOf(before)]);
    return;
  }
  if (name === 'test') {
    compareWith(cpu, [0n, 0], false, isEmpty);
    return;
  }
  if (!note(cpu, isEmpty ? underflow : 0, false)) return;
  const [mantissa, exponent] = before;
  registers.set(0, isEmpty ? indefinite : [mantissa, name === 'abs' ? exponent & 0x7fff : exponent ^ 0x8000]);
}

const pops = (flags: number): number =>
  (flags & x87Flags.popsTwice) !== 0 ? 2 : (flags & x87Flags.pops) !== 0 ? 1 : 0;

function popTimes(registers: Registers, times: number): void {
  for (let done = 0; done < times; done += 1) registers.pop();
}

/** Writes a result to ST(index). */
function finish(cpu: Vcpu, index: number, { value, raised: bits, up }: Result<Extended>): boolean {
  if (!note(cpu, bits, up)) return false;
  new Registers(cpu).set(index, value);
  return true;
}

/** Arithmetic on ST(0) and ST(i): the destination is the first operand. */
export function computeRegisters(cpu: Vcpu, call: bigint, index: bigint): void {
  waitX87(cpu);
  const [flags, other] = [Number(call), Number(index)];
  const operation = x87Operations[flags & 0xf];
  invariant(operation !== undefined, `operation ${flags} of x87`);
  const registers = new Registers(cpu);
  const [destination, source] = (flags & x87Flags.toOther) === 0 ? [0, other] : [other, 0];
  const isFault = registers.isEmpty(0) || registers.isEmpty(other);
  const result = isFault
    ? { value: indefinite, raised: underflow, up: false }
    : compute(operation, registers.raw(destination), registers.raw(source), modesOf(cpu));
  if (finish(cpu, destination, result)) popTimes(registers, pops(flags));
}

/** Arithmetic on ST(0) and a value from memory. */
export function computeMemory(cpu: Vcpu, call: bigint, bits: bigint): void {
  waitX87(cpu);
  const operation = x87Operations[Number(call & 0xfn)];
  invariant(operation !== undefined, `operation ${call} of x87`);
  const { value, isDenormal } = loaded(Number(call >> 8n), bits);
  const registers = new Registers(cpu);
  const result = registers.isEmpty(0)
    ? { value: indefinite, raised: underflow, up: false }
    : compute(operation, registers.raw(0), value, modesOf(cpu), isDenormal);
  finish(cpu, 0, result);
}

const conditions: Readonly<Record<Order, number>> = {
  greater: 0,
  less: status.c0,
  equal: status.c3,
  unordered: status.c3 | status.c2 | status.c0,
};

const unorderedByFault: Result<Order> = { value: 'unordered', raised: underflow, up: false };

/** Compares ST(0) with a number and sets C3, C2 and C0. Returns whether the instruction goes on. */
function compareWith(
  cpu: Vcpu,
  value: Extended,
  quiet: boolean,
  isFault: boolean,
  isDenormal = false,
): boolean {
  const found = isFault ? unorderedByFault : compare(new Registers(cpu).raw(0), value, quiet, isDenormal);
  setConditions(cpu, conditions[found.value]);
  return note(cpu, found.raised, false);
}

export function compareRegisters(cpu: Vcpu, call: bigint, index: bigint): void {
  waitX87(cpu);
  const [flags, other] = [Number(call), Number(index)];
  const registers = new Registers(cpu);
  const isFault = registers.isEmpty(0) || registers.isEmpty(other);
  const goesOn = compareWith(cpu, registers.raw(other), (flags & x87Flags.quiet) !== 0, isFault);
  if (goesOn) popTimes(registers, pops(flags));
}

export function compareMemory(cpu: Vcpu, call: bigint, bits: bigint): void {
  waitX87(cpu);
  const { value, isDenormal } = loaded(Number(call >> 8n), bits);
  const registers = new Registers(cpu);
  const goesOn = compareWith(cpu, value, false, registers.isEmpty(0), isDenormal);
  if (goesOn) popTimes(registers, pops(Number(call & 0xffn)));
}

/** CF, PF and ZF for each order. */
const flagsOf: Readonly<Record<Order, bigint>> = { greater: 0n, less: 1n, equal: 0x40n, unordered: 0x45n };

/** FCOMI and the like: the arithmetic flags as bits of RFLAGS. */
export function compareFlags(cpu: Vcpu, call: bigint, index: bigint): bigint {
  waitX87(cpu);
  const [flags, other] = [Number(call), Number(index)];
  const registers = new Registers(cpu);
  const isFault = registers.isEmpty(0) || registers.isEmpty(other);
  const found = isFault
    ? unorderedByFault
    : compare(registers.raw(0), registers.raw(other), (flags & x87Flags.quiet) !== 0);
  const { float } = cpu.system;
  // C1 stays, also where an exception is not masked (as on the CPUs of the comparison), unless a register was empty.
  const c1 = isFault ? 0 : float.status & status.c1;
  const goesOn = note(cpu, found.raised, false);
  float.status |= c1;
  if (goesOn) popTimes(registers, pops(flags));
  // The flags are set in any case.
  cpu.pending = null;
  return flagsOf[found.value];
}

/** Converts ST(0) to a format, for a store that comes next. Ends the instruction where nothing is to be stored. */
export function convert(cpu: Vcpu, format: bigint): void {
  waitX87(cpu);
  const name = x87Formats[Number(format)];
  invariant(name !== undefined, `format ${format} of x87`);
  const registers = new Registers(cpu);
  const isFault = registers.isEmpty(0);
  const number = isFault ? indefinite : registers.raw(0);
  cpu.converted = number;
  if (name === 'extended') {
    note(cpu, isFault ? underflow : 0, false);
    return;
  }
  const modes = modesOf(cpu);
  const isFloat = name === 'float32' || name === 'float64';
  const result = isFloat
    ? narrow(name, number, modes)
    : integerOf(Number(name.slice(3)) as 16 | 32 | 64, number, modes);
  cpu.converted = [BigInt.asUintN(64, result.value), 0];
  // What is not stored is not rounded either.
  const unstored = result.raised & ~modes.masks & (raised.overflow | raised.underflow);
  const bits = isFault ? underflow : unstored !== 0 ? unstored : result.raised;
  if (note(cpu, bits, result.up && unstored === 0) && unstored !== 0) cpu.pending = { kind: 'completed' };
}

/** FLDCW. Bit 6 always reads as 1. */
export function writeControl(cpu: Vcpu, value: bigint): void {
  waitX87(cpu);
  cpu.system.float.control = (Number(value) & 0x1f3f) | 0x40;
  summarize(cpu);
}
