/** The image of FXSAVE and FXRSTOR (Intel SDM, volume 1, 10.5.1), and MXCSR. */
import * as x86_64 from '../../isa/x86_64/index.js';
import type { Accesses } from './accesses.js';
import { exception, generalProtection, invalidOpcode, raise, vectors } from './events.js';
import { mxcsr } from './float_registers.js';
import { cr4 } from './regime.js';
import type { FloatPointer, FloatSystem, Vcpu } from './vcpu.js';
import { controlOf, fullTags, shortTags, stackOrder, status, summarize, topOf } from './x87_registers.js';

const { x86State } = x86_64;
/** The image has the XMM registers. */
const savesVectors = cr4.vectorState;

const imageBytes = 512;
const image = {
  control: 0,
  status: 2,
  tags: 4,
  opcode: 6,
  instruction: 8,
  operand: 16,
  mxcsr: 24,
  mask: 28,
  registers: 32,
  vectors: 160,
} as const;

export function newFloat(): FloatSystem {
  return {
    control: 0x40,
    status: 0,
    tags: 0x5555,
    registers: Array.from({ length: 8 }, () => [0n, 0] as const),
    opcode: 0,
    instruction: { offset: 0n, selector: 0 },
    operand: { offset: 0n, selector: 0 },
  };
}

/** Vector registers in an image: 8, or 16 in 64-bit code. */
const vectorsIn = (cpu: Vcpu): number =>
  (cpu.system.cr4 & savesVectors) === 0 ? 0 : cpu.mode === 64 ? 16 : 8;

function requireAligned(address: bigint): void {
  if ((address & 15n) !== 0n) raise(generalProtection());
}

/** The first address of an image in each page that it lies in: what a fault tells of. */
function partsOf(address: bigint): readonly bigint[] {
  const second = (address | 0xfffn) + 1n;
  return second < address + BigInt(imageBytes) ? [address, second] : [address];
}

/** A pointer as an image has it: 64 bits of the offset with REX.W, else 32 with the selector above them. */
function pointerBits({ offset, selector }: FloatPointer, bits: number): bigint {
  return bits === 64 ? offset : (offset & 0xffffffffn) | (BigInt(selector) << 32n);
}

function pointerOf(value: bigint, bits: number): FloatPointer {
  if (bits === 64) return { offset: value, selector: 0 };
  return { offset: value & 0xffffffffn, selector: Number((value >> 32n) & 0xffffn) };
}

/** Writes a number at an offset of an image, and reads one. */
export type PutNumber = (offset: number, bytes: 2 | 4 | 8, value: number | bigint) => void;
export type GetNumber = (offset: number, bytes: 2 | 4 | 8) => bigint;

/**
 * The part of x87. The opcode and the pointers are 0 where no exception is pending, as on AMD's CPUs (APM, volume 2, 11.4.4, and CPUID
 * 8000_0008 EBX bit 2).
 */
export function putX87({ system: { float } }: Vcpu, bits: number, put: PutNumber): void {
  put(image.control, 2, float.control);
  put(image.status, 2, float.status);
  put(image.tags, 2, shortTags(float.tags));
  const isPending = (float.status & status.summary) !== 0;
  put(image.opcode, 2, isPending ? float.opcode : 0);
  put(image.instruction, 8, isPending ? pointerBits(float.instruction, bits) : 0);
  put(image.operand, 8, isPending ? pointerBits(float.operand, bits) : 0);
  for (const [number, [mantissa, exponent]] of stackOrder(float.registers, topOf(float.status)).entries()) {
    put(image.registers + 16 * number, 8, mantissa);
    put(image.registers + 16 * number + 8, 8, exponent);
  }
}

export function putMxcsr(cpu: Vcpu, put: PutNumber): void {
  put(image.mxcsr, 4, readMxcsr(cpu));
  put(image.mask, 4, mxcsr.writable);
}

/** The XMM registers from 0 up to `count`. */
export function putVectors(cpu: Vcpu, count: number, put: PutNumber): void {
  for (let number = 0; number < count; number += 1) {
    const [low, high] = cpu.block.vector(number);
    put(image.vectors + 16 * number, 8, low);
    put(image.vectors + 16 * number + 8, 8, high);
  }
}

/** What an image has of x87. */
export function getX87(bits: number, get: GetNumber): FloatSystem {
  const restored = Number(get(image.status, 2));
  const stack = Array.from({ length: 8 }, (_, number) => {
    const at = image.registers + 16 * number;
    return [get(at, 8), Number(get(at + 8, 2))] as const;
  });
  const registers = stackOrder(stack, -topOf(restored));
  return {
    control: controlOf(Number(get(image.control, 2))),
    status: restored,
    opcode: Number(get(image.opcode, 2)) & 0x7ff,
    instruction: pointerOf(get(image.instruction, 8), bits),
    operand: pointerOf(get(image.operand, 8), bits),
    registers,
    tags: fullTags(Number(get(image.tags, 2)) & 0xff, registers),
  };
}

export function getMxcsr(get: GetNumber): number {
  return Number(get(image.mxcsr, 4));
}

export function getVectors(count: number, get: GetNumber): readonly (readonly [bigint, bigint])[] {
  return Array.from({ length: count }, (_, number) => {
    const at = image.vectors + 16 * number;
    return [get(at, 8), get(at + 8, 8)] as const;
  });
}

export function setX87(cpu: Vcpu, state: FloatSystem): void {
  cpu.system.float = state;
  summarize(cpu);
}

export function saveFloat(accesses: Accesses, cpu: Vcpu, bits: number, address: bigint): void {
  requireAligned(address);
  // A fault must come before anything is written.
  for (const part of partsOf(address)) accesses.probe(cpu, part, 1, cpu.isUser);
  const put: PutNumber = (offset, bytes, value) =>
    accesses.write(cpu, address + BigInt(offset), bytes, BigInt(value), cpu.isUser);
  putX87(cpu, bits, put);
  putMxcsr(cpu, put);
  putVectors(cpu, vectorsIn(cpu), put);
}

export function restoreFloat(accesses: Accesses, cpu: Vcpu, bits: number, address: bigint): void {
  requireAligned(address);
  for (const part of partsOf(address)) accesses.read(cpu, part, 1, cpu.isUser);
  const get: GetNumber = (offset, bytes) => accesses.read(cpu, address + BigInt(offset), bytes, cpu.isUser);
  const [state, vectors, wanted] = [getX87(bits, get), getVectors(vectorsIn(cpu), get), getMxcsr(get)];
  if ((cpu.system.cr4 & savesVectors) !== 0) writeMxcsr(cpu, wanted);
  setX87(cpu, state);
  for (const [number, vector] of vectors.entries()) cpu.block.setVector(number, vector);
}

/** MXCSR: its control bits and its cumulative ones are in two state slots. */
export function readMxcsr({ block }: Vcpu): number {
  return (block.low(x86State.control) & ~mxcsr.status) | (block.low(x86State.status) & mxcsr.status);
}

export function writeMxcsr({ block }: Vcpu, value: number): void {
  if ((value & ~mxcsr.writable) !== 0) raise(generalProtection());
  block.setHalves(x86State.control, value & ~mxcsr.status, 0);
  block.setHalves(x86State.status, value & mxcsr.status, 0);
}

/** Before operations with exceptions that are not masked: from here on the status slot has what these raise. */
export function beginUnmaskedFloat(cpu: Vcpu): void {
  const { block } = cpu;
  cpu.statusBefore = block.low(x86State.status);
  block.setHalves(x86State.status, 0, 0);
  block.setHalves(x86State.control, block.low(x86State.control) | mxcsr.unmasked, 0);
}

/** Exceptions that are found before an operation is carried out: Invalid, Denormal and Divide by Zero. */
const beforeOperation = 7;

/**
 * Behind them: raises #XM, or #UD if CR4.OSXMMEXCPT is 0, for an exception that is not masked. If that was found before an operation,
 * none is carried out, and only such exceptions are told of (SDM, volume 1, 4.9.1 and 11.5.2).
 */
export function endUnmaskedFloat(cpu: Vcpu): void {
  const { block } = cpu;
  const control = block.low(x86State.control) & ~mxcsr.unmasked;
  const raised = block.low(x86State.status) & mxcsr.status;
  const unmasked = raised & ~((control & mxcsr.masks) >> mxcsr.masksAt);
  const told = (unmasked & beforeOperation) === 0 ? raised : raised & beforeOperation;
  block.setHalves(x86State.control, control, 0);
  block.setHalves(x86State.status, cpu.statusBefore | told, 0);
  if (unmasked === 0) return;
  raise((cpu.system.cr4 & cr4.simdExceptions) === 0 ? invalidOpcode() : exception(vectors.simdFloat));
}
