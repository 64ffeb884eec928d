/** x87: its stack of registers, its status, and the pointers to its last instruction (Intel SDM, volume 1, 8.1). */
import * as x86_64 from '../../isa/x86_64/index.js';
import { exception, raise, vectors } from './events.js';
import { cr0 } from './regime.js';
import type { Vcpu } from './vcpu.js';
import { indefinite, kindOf, raised } from './x87_numbers.js';
import type { Extended, Modes, Result } from './x87_numbers.js';

const { segments, x86State, x87Opcode } = x86_64;

/** Bits of the status word above the exceptions. */
export const status = {
  stackFault: 0x40,
  summary: 0x80,
  c0: 0x100,
  c1: 0x200,
  c2: 0x400,
  top: 0x3800,
  topAt: 11,
  c3: 0x4000,
  busy: 0x8000,
};
export const allExceptions = 0x3f;
/** Exceptions that are found before an operation is carried out. */
const beforeOperation = raised.invalid | raised.denormal | raised.zeroDivide;
/** The tag of an empty register, and the tags of eight. */
const empty = 3;
export const allEmpty = 0xffff;

const roundings = ['nearest', 'down', 'up', 'zero'] as const;

export function modesOf({ system: { float } }: Vcpu): Modes {
  return {
    rounding: roundings[(float.control >> 10) & 3] ?? 'nearest',
    digits: [24, 64, 53, 64][(float.control >> 8) & 3] ?? 64,
    masks: float.control & allExceptions,
  };
}

/** Which register is ST(0), by a status word. */
export const topOf = (word: number): number => (word >> status.topAt) & 7;

/** The control word that a value becomes: bit 6 always reads as 1. */
export const controlOf = (value: number): number => (value & 0x1f3f) | 0x40;

/** ST(0) to ST(7) of the registers by physical number; with minus the top, the registers of ST(0) to ST(7). */
export function stackOrder(registers: readonly Extended[], top: number): Extended[] {
  return Array.from({ length: 8 }, (_, number) => registers[(top + number) & 7] ?? [0n, 0]);
}

/** The tag of a register that is not empty. */
function tagOf(register: Extended): number {
  const kind = kindOf(register);
  return kind === 'zero' ? 1 : kind === 'normal' ? 0 : 2;
}

/** One bit for each register: whether it is not empty. */
export function shortTags(tags: number): number {
  let short = 0;
  for (let number = 0; number < 8; number += 1)
    if (((tags >> (2 * number)) & 3) !== empty) short |= 1 << number;
  return short;
}

/** The full tag word: valid, zero, special or empty, by each register's contents. */
export function fullTags(short: number, registers: readonly Extended[]): number {
  let tags = 0;
  for (let number = 0; number < 8; number += 1) {
    tags |= (((short >> number) & 1) === 0 ? empty : tagOf(registers[number] ?? [0n, 0])) << (2 * number);
  }
  return tags;
}

export class Registers {
  readonly #cpu: Vcpu;

  constructor(cpu: Vcpu) {
    this.#cpu = cpu;
  }

  get #float() {
    return this.#cpu.system.float;
  }

  get top(): number {
    return topOf(this.#float.status);
  }

  set top(value: number) {
    this.#float.status = (this.#float.status & ~status.top) | ((value & 7) << status.topAt);
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

/** Sets bit ES, and B with it, where an exception that was raised is not masked. To be called when either is changed. */
export function summarize({ block, system: { float } }: Vcpu): void {
  const isPending = (float.status & ~float.control & allExceptions) !== 0;
  const bits = status.summary | status.busy;
  float.status = isPending ? float.status | bits : float.status & ~bits;
  block.setHalves(x86State.x87Pending, isPending ? 1 : 0, 0);
}

/** Waits for what instructions before raised: #MF where an exception is pending. */
export function waitX87(cpu: Vcpu): void {
  const { float, cr0: control } = cpu.system;
  if ((float.status & status.summary) === 0) return;
  // Without CR0.NE an interrupt controller is to be asked, which no guest here has.
  if ((control & cr0.numericError) === 0) cpu.countUnimplemented('x87 exception without CR0.NE');
  raise(exception(vectors.floatingPoint));
}

/** Takes note of the instruction that runs, and of its operand in memory if it has one: what the environment tells of. */
export function begin(cpu: Vcpu): void {
  const { block } = cpu;
  const { float } = cpu.system;
  const code = block.low(x86State.x87Opcode);
  float.opcode = code & x87Opcode.bits;
  float.instruction = { offset: block.pc, selector: cpu.segment(segments.cs).selector };
  if ((code & x87Opcode.memory) === 0) return;
  const number = (code >> x87Opcode.segmentAt) & 7;
  const isBased = number === segments.fs || number === segments.gs;
  const base = isBased && (code & x87Opcode.flat) !== 0 ? cpu.dataBase(number) : 0n;
  float.operand = {
    offset: BigInt.asUintN(64, block.state(x86State.x87Operand) - base),
    selector: cpu.segment(number).selector,
  };
}

/**
 * Notes exceptions and C1. Returns whether the instruction goes on: it ends where one that is not masked was found before its
 * operation, and then tells of no others.
 */
export function note(cpu: Vcpu, bits: number, c1: boolean): boolean {
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

/** What an empty register raises. */
export const underflow = raised.invalid | status.stackFault;
/** The result of an operation on one. */
export const stackFault: Result<Extended> = { value: indefinite, raised: underflow, up: false };

/** Pushes a register, or the indefinite NaN where the stack is full. `bits` are exceptions of the value. */
export function push(cpu: Vcpu, value: Extended, bits = 0): void {
  const registers = new Registers(cpu);
  const isFull = !registers.isEmpty(7);
  if (!note(cpu, isFull ? underflow : bits, isFull)) return;
  registers.top -= 1;
  registers.set(0, isFull ? indefinite : value);
}

/** Writes a result to ST(index). */
export function finish(cpu: Vcpu, index: number, { value, raised: bits, up }: Result<Extended>): boolean {
  if (!note(cpu, bits, up)) return false;
  new Registers(cpu).set(index, value);
  return true;
}

export function setConditions({ system: { float } }: Vcpu, bits: number): void {
  float.status = (float.status & ~(status.c0 | status.c2 | status.c3)) | bits;
}
