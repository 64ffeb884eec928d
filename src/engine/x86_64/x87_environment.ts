/**
 * x87: its environment in memory (Intel SDM, volume 1, 8.1.10; AMD64 APM, volume 2, 11.4), in four formats: of 14 or 28 bytes, in
 * protected or in real mode. Real mode has linear addresses in the pointers' place.
 */
import type { Accesses } from './accesses.js';
import type { FloatPointer, Vcpu } from './vcpu.js';
import { newFloat } from './float_state.js';
import {
  allEmpty,
  allExceptions,
  controlOf,
  fullTags,
  shortTags,
  stackOrder,
  summarize,
  topOf,
} from './x87_registers.js';

/** A part of an image: a value of 2, 4 or 8 bytes. */
type Part = readonly [offset: number, bytes: 2 | 4 | 8, value: bigint];

const registerBytes = 80;
const opcodeBits = 0x7ff;

const environmentBytes = (bits: number): number => (bits === 16 ? 14 : 28);

/** FNINIT. */
export function initialise(cpu: Vcpu): void {
  Object.assign(cpu.system.float, {
    ...newFloat(),
    control: 0x37f,
    tags: allEmpty,
    registers: cpu.system.float.registers,
  });
  summarize(cpu);
}

/** FNCLEX. */
export function clearExceptions(cpu: Vcpu): void {
  cpu.system.float.status &= 0x7f00;
  summarize(cpu);
}

const linear = ({ offset, selector }: FloatPointer): number =>
  (selector * 16 + Number(offset & 0xffffffffn)) >>> 0;

/** The words of an environment behind the tag word, as protected or real mode has them, of 16 or 32 bits each. */
function pointerWords(cpu: Vcpu, bits: number): readonly number[] {
  const { instruction, operand, opcode } = cpu.system.float;
  const low = ({ offset }: FloatPointer): number => Number(offset & 0xffffffffn);
  if (cpu.isProtected) {
    const code = bits === 16 ? instruction.selector : instruction.selector | (opcode << 16);
    return [low(instruction), code, low(operand), operand.selector];
  }
  const [code, data] = [linear(instruction), linear(operand)];
  // Of the linear addresses 20 or 32 bits are there.
  const above = (address: number): number =>
    bits === 16 ? (address >>> 4) & 0xf000 : (address >>> 16) << 12;
  return [code & 0xffff, above(code) | opcode, data & 0xffff, above(data)];
}

function environmentParts(cpu: Vcpu, bits: number): Part[] {
  const { control, status, tags, registers } = cpu.system.float;
  const words = [control, status, fullTags(shortTags(tags), registers), ...pointerWords(cpu, bits)];
  if (bits === 16) return words.map((word, index): Part => [2 * index, 2, BigInt(word & 0xffff)]);
  // The words that have 16 bits have ones above them, but for those that stand beside an opcode or are parts of an address.
  const isShort = (index: number): boolean => index < 3 || (index === 6 && cpu.isProtected);
  return words.map((word, index): Part => [
    4 * index,
    4,
    BigInt((isShort(index) ? word | 0xffff0000 : word) >>> 0),
  ]);
}

function registerParts({ system: { float } }: Vcpu, at: number): Part[] {
  return stackOrder(float.registers, topOf(float.status)).flatMap(([mantissa, exponent], number): Part[] => [
    [at + 10 * number, 8, mantissa],
    [at + 10 * number + 8, 2, BigInt(exponent)],
  ]);
}

/** Writes an image. A fault comes before anything is written: at the first word, or at the last byte, as on CPUs. */
function writeParts(accesses: Accesses, cpu: Vcpu, bits: number, address: bigint, parts: Part[]): void {
  const [offset, size] = parts.at(-1) ?? [0, 2];
  accesses.probe(cpu, address, bits / 8, cpu.isUser);
  accesses.probe(cpu, address + BigInt(offset + size - 1), 1, cpu.isUser);
  for (const [offset, size, value] of parts)
    accesses.write(cpu, address + BigInt(offset), size, value, cpu.isUser);
}

/** FNSTENV, which masks all exceptions. */
export function storeEnvironment(accesses: Accesses, cpu: Vcpu, bits: number, address: bigint): void {
  writeParts(accesses, cpu, bits, address, environmentParts(cpu, bits));
  cpu.system.float.control |= allExceptions;
  summarize(cpu);
}

/** FNSAVE. */
export function save(accesses: Accesses, cpu: Vcpu, bits: number, address: bigint): void {
  const parts = [...environmentParts(cpu, bits), ...registerParts(cpu, environmentBytes(bits))];
  writeParts(accesses, cpu, bits, address, parts);
  initialise(cpu);
}

type Reader = (offset: number, bytes: 2 | 4 | 8) => bigint;

/** What an environment has, but for the tags, which depend on the registers. */
function readEnvironment(cpu: Vcpu, bits: number, get: Reader) {
  const words = Array.from({ length: 7 }, (_, index) =>
    Number(bits === 16 ? get(2 * index, 2) : get(4 * index, 4)),
  );
  const [control = 0, status = 0, tags = 0, first = 0, second = 0, third = 0, fourth = 0] = words;
  const state = { control: controlOf(control), status: status & 0xffff };
  if (cpu.isProtected) {
    const opcode = bits === 16 ? 0 : (second >>> 16) & opcodeBits;
    const instruction = { offset: BigInt(first), selector: second & 0xffff };
    const operand = { offset: BigInt(third), selector: fourth & 0xffff };
    return { ...state, tags, opcode, instruction, operand };
  }
  const above = (word: number): number =>
    bits === 16 ? (word & 0xf000) << 4 : ((word >>> 12) & 0xffff) << 16;
  const pointer = (low: number, high: number): FloatPointer => ({
    offset: BigInt(((low & 0xffff) | above(high)) >>> 0),
    selector: 0,
  });
  const [instruction, operand] = [pointer(first, second), pointer(third, fourth)];
  return { ...state, tags, opcode: second & opcodeBits, instruction, operand };
}

/** Reads from an image of so many bytes, which faults as a write of it would. */
function readerOf(accesses: Accesses, cpu: Vcpu, bits: number, address: bigint, bytes: number): Reader {
  const get: Reader = (offset, size) => accesses.read(cpu, address + BigInt(offset), size, cpu.isUser);
  get(0, bits === 16 ? 2 : 4);
  accesses.read(cpu, address + BigInt(bytes - 1), 1, cpu.isUser);
  return get;
}

/** FLDENV. Exceptions that are then pending are told of by the next instruction that waits. */
export function loadEnvironment(accesses: Accesses, cpu: Vcpu, bits: number, address: bigint): void {
  const { float } = cpu.system;
  const found = readEnvironment(cpu, bits, readerOf(accesses, cpu, bits, address, environmentBytes(bits)));
  Object.assign(float, { ...found, tags: fullTags(shortTags(found.tags), float.registers) });
  summarize(cpu);
}

/** FRSTOR. */
export function restore(accesses: Accesses, cpu: Vcpu, bits: number, address: bigint): void {
  const get = readerOf(accesses, cpu, bits, address, environmentBytes(bits) + registerBytes);
  const found = readEnvironment(cpu, bits, get);
  const stack = Array.from({ length: 8 }, (_, number) => {
    const at = environmentBytes(bits) + 10 * number;
    return [get(at, 8), Number(get(at + 8, 2))] as const;
  });
  const registers = stackOrder(stack, -topOf(found.status));
  Object.assign(cpu.system.float, { ...found, registers, tags: fullTags(shortTags(found.tags), registers) });
  summarize(cpu);
}
