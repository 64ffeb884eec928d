/** x87: what instructions do with its registers (Intel SDM, volume 1, chapter 8). */
import { invariant } from '../../base/index.js';
import * as x86_64 from '../../isa/x86_64/index.js';
import type { Vcpu } from './vcpu.js';
import {
  compare,
  compute,
  extend,
  extendedOfInteger,
  indefinite,
  integerOf,
  isNegative,
  kindOf,
  narrow,
  raised,
} from './x87_numbers.js';
import type { Extended, Kind, Order, Result } from './x87_numbers.js';
import { toDecimal } from './x87_exact.js';
import {
  begin,
  controlOf,
  finish,
  modesOf,
  note,
  push,
  Registers,
  setConditions,
  stackFault,
  status,
  summarize,
  underflow,
} from './x87_registers.js';

const { x87Changes, x87Flags, x87Formats, x87Operations } = x86_64;

export function pushExtended(cpu: Vcpu, mantissa: bigint, exponent: bigint): void {
  begin(cpu);
  push(cpu, [BigInt.asUintN(64, mantissa), Number(exponent & 0xffffn)]);
}

export function pushInteger(cpu: Vcpu, value: bigint): void {
  begin(cpu);
  push(cpu, extendedOfInteger(BigInt.asIntN(64, value)));
}

/** A value from memory in one of `x87Formats`. */
function loaded(format: number, bits: bigint): { value: Extended; isDenormal: boolean } {
  const name = x87Formats[format];
  invariant(name !== undefined && name !== 'extended' && name !== 'decimal', `format ${format} of x87`);
  if (name === 'float32' || name === 'float64') return extend(name, bits);
  return { value: extendedOfInteger(BigInt.asIntN(Number(name.slice(3)), bits)), isDenormal: false };
}

export function pushValue(cpu: Vcpu, format: bigint, bits: bigint): void {
  begin(cpu);
  const { value, isDenormal } = loaded(Number(format), bits);
  if (kindOf(value) === 'signalling') push(cpu, [value[0] | (1n << 62n), value[1]], raised.invalid);
  else push(cpu, value, isDenormal ? raised.denormal : 0);
}

export function pushCopy(cpu: Vcpu, index: bigint): void {
  begin(cpu);
  const registers = new Registers(cpu);
  if (!registers.isEmpty(Number(index))) push(cpu, registers.raw(Number(index)));
  else if (note(cpu, underflow, false)) {
    registers.top -= 1;
    registers.set(0, indefinite);
  }
}

export function exchange(cpu: Vcpu, index: bigint): void {
  begin(cpu);
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
  begin(cpu);
  const registers = new Registers(cpu);
  const isFault = registers.isEmpty(0);
  if (!note(cpu, isFault ? underflow : 0, false)) return;
  registers.set(Number(index), isFault ? indefinite : registers.raw(0));
}

export function free(cpu: Vcpu, index: bigint): void {
  begin(cpu);
  note(cpu, 0, false);
  new Registers(cpu).free(Number(index));
}

/** FINCSTP and FDECSTP. */
export function rotate(cpu: Vcpu, by: bigint): void {
  begin(cpu);
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

/** FABS, FCHS, FTST and FXAM. */
export function change(cpu: Vcpu, which: bigint): void {
  begin(cpu);
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

/** Arithmetic on ST(0) and ST(i): the destination is the first operand. */
export function computeRegisters(cpu: Vcpu, call: bigint, index: bigint): void {
  begin(cpu);
  const [flags, other] = [Number(call), Number(index)];
  const operation = x87Operations[flags & 0xf];
  invariant(operation !== undefined, `operation ${flags} of x87`);
  const registers = new Registers(cpu);
  const [destination, source] = (flags & x87Flags.toOther) === 0 ? [0, other] : [other, 0];
  const isFault = registers.isEmpty(0) || registers.isEmpty(other);
  const result = isFault
    ? stackFault
    : compute(operation, registers.raw(destination), registers.raw(source), modesOf(cpu));
  if (finish(cpu, destination, result)) popTimes(registers, pops(flags));
}

/** Arithmetic on ST(0) and a value from memory. */
export function computeMemory(cpu: Vcpu, call: bigint, bits: bigint): void {
  begin(cpu);
  const operation = x87Operations[Number(call & 0xfn)];
  invariant(operation !== undefined, `operation ${call} of x87`);
  const { value, isDenormal } = loaded(Number(call >> 8n), bits);
  const registers = new Registers(cpu);
  const result = registers.isEmpty(0)
    ? stackFault
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
  begin(cpu);
  const [flags, other] = [Number(call), Number(index)];
  const registers = new Registers(cpu);
  const isFault = registers.isEmpty(0) || registers.isEmpty(other);
  const goesOn = compareWith(cpu, registers.raw(other), (flags & x87Flags.quiet) !== 0, isFault);
  if (goesOn) popTimes(registers, pops(flags));
}

export function compareMemory(cpu: Vcpu, call: bigint, bits: bigint): void {
  begin(cpu);
  const { value, isDenormal } = loaded(Number(call >> 8n), bits);
  const registers = new Registers(cpu);
  const goesOn = compareWith(cpu, value, false, registers.isEmpty(0), isDenormal);
  if (goesOn) popTimes(registers, pops(Number(call & 0xffn)));
}

/** CF, PF and ZF for each order. */
const flagsOf: Readonly<Record<Order, bigint>> = { greater: 0n, less: 1n, equal: 0x40n, unordered: 0x45n };

/** FCOMI and the like: the arithmetic flags as bits of RFLAGS. */
export function compareFlags(cpu: Vcpu, call: bigint, index: bigint): bigint {
  begin(cpu);
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
export function convert(cpu: Vcpu, format: bigint, truncates: boolean): void {
  begin(cpu);
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
  const modes = truncates ? { ...modesOf(cpu), rounding: 'zero' as const } : modesOf(cpu);
  if (name === 'decimal') {
    const { value, raised: bits, up } = toDecimal(number, modes);
    cpu.converted = [BigInt.asUintN(64, value), Number(value >> 64n)];
    note(cpu, isFault ? underflow : bits, up);
    return;
  }
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

/** FLDCW. */
export function writeControl(cpu: Vcpu, value: bigint): void {
  cpu.system.float.control = controlOf(Number(value));
  summarize(cpu);
}
