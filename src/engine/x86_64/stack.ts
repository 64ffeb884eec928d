/** Pushes and pops of the host: of exceptions, far transfers and returns. */
import * as x86_64 from '../../isa/x86_64/index.js';
import type { Accesses } from './accesses.js';
import { isCanonicalAddress } from './accesses.js';
import { exception, raise, vectors } from './events.js';
import { attribute, has, isWithin } from './segments.js';
import type { Segment } from './segments.js';
import type { Vcpu } from './vcpu.js';

const { registerNumber, segments } = x86_64;
const [rsp, rbp] = [registerNumber('rsp'), registerNumber('rbp')];

/** The address of 64-bit code's stack at a pointer. Throws `Raised` with #SS where not all its bytes are at canonical addresses. */
function flatAddress(pointer: bigint, bytes: number, errorCode: number): bigint {
  const isUsable = isCanonicalAddress(pointer) && isCanonicalAddress(pointer + BigInt(bytes - 1));
  if (!isUsable) raise(exception(vectors.stackFault, errorCode));
  return BigInt.asUintN(64, pointer);
}

/** A stack whose pointer reaches the register when everything was pushed or popped (`commit`). */
export class Stack {
  pointer: bigint;
  /** That of #SS where the stack has no room. */
  errorCode = 0;
  readonly #accesses: Accesses;
  readonly #cpu: Vcpu;
  readonly #segment: Segment;
  readonly #mask: bigint;
  readonly #user: boolean | null;
  readonly #isFlat: boolean;

  /** `user` says for whom it is accessed (`Accesses.read`); `segment` is that of another stack than the current one. */
  constructor(
    accesses: Accesses,
    cpu: Vcpu,
    user: boolean | null = cpu.isUser,
    pointer = cpu.block.register(rsp),
    segment = cpu.segment(segments.ss),
  ) {
    this.#accesses = accesses;
    this.#cpu = cpu;
    this.#segment = segment;
    this.#isFlat = cpu.mode === 64;
    this.#mask = this.#isFlat ? ~0n : has(this.#segment, attribute.big) ? 0xffffffffn : 0xffffn;
    this.#user = user;
    this.pointer = pointer;
  }

  #address(pointer: bigint, bytes: number): bigint {
    if (this.#isFlat) return flatAddress(pointer, bytes, this.errorCode);
    const offset = Number(pointer & this.#mask);
    if (!isWithin(this.#segment, offset, bytes)) raise(exception(vectors.stackFault, this.errorCode));
    return (this.#segment.base + BigInt(offset)) & 0xffffffffn;
  }

  push(bytes: 2 | 4 | 8, value: bigint): void {
    this.pointer -= BigInt(bytes);
    this.#accesses.write(this.#cpu, this.#address(this.pointer, bytes), bytes, value, this.#user);
  }

  pop(bytes: 2 | 4 | 8): bigint {
    const value = this.#accesses.read(this.#cpu, this.#address(this.pointer, bytes), bytes, this.#user);
    this.pointer += BigInt(bytes);
    return value;
  }

  /** Faults as a write at the pointer would. */
  probe(bytes: 2 | 4 | 8): void {
    this.#accesses.probe(this.#cpu, this.#address(this.pointer, bytes), bytes, this.#user);
  }

  /** Makes the pointer that of the register, of which other bits stay. */
  commit(): void {
    const { block } = this.#cpu;
    const before = block.register(rsp);
    const kept = this.#isFlat ? 0n : before & ~this.#mask;
    block.setRegister(rsp, BigInt.asUintN(64, kept | (this.pointer & this.#mask)));
  }
}

/** A stack of 64-bit code, whatever code runs now: without a segment. */
export class FlatStack {
  pointer: bigint;
  /** That of #SS where an address is not canonical. */
  errorCode = 0;
  readonly #accesses: Accesses;
  readonly #cpu: Vcpu;
  readonly #user: boolean | null;

  /** `user` says for whom it is accessed (`Accesses.read`). */
  constructor(accesses: Accesses, cpu: Vcpu, user: boolean | null, pointer: bigint) {
    this.#accesses = accesses;
    this.#cpu = cpu;
    this.#user = user;
    this.pointer = pointer;
  }

  push(value: bigint): void {
    this.pointer = BigInt.asUintN(64, this.pointer - 8n);
    this.#accesses.write(this.#cpu, flatAddress(this.pointer, 8, this.errorCode), 8, value, this.#user);
  }

  commit(): void {
    this.#cpu.block.setRegister(rsp, this.pointer);
  }
}

type StackBytes = 2 | 4 | 8;

/** PUSHA: AX, CX, DX, BX, SP as it was before, BP, SI and DI. */
export function pushAll(accesses: Accesses, cpu: Vcpu, bytes: StackBytes): void {
  const stack = new Stack(accesses, cpu);
  for (let number = 0; number < 8; number += 1) stack.push(bytes, cpu.block.register(number));
  stack.commit();
}

/** POPA: the same in the other direction. What was saved of SP is not used. */
export function popAll(accesses: Accesses, cpu: Vcpu, bytes: StackBytes): void {
  const stack = new Stack(accesses, cpu);
  const values = Array.from({ length: 8 }, () => stack.pop(bytes));
  for (const [index, value] of values.entries()) {
    const number = 7 - index;
    if (number !== rsp) setLow(cpu, number, bytes, value);
  }
  stack.commit();
}

/** Writes the low bytes of a register. 32 bits clear what is above them. */
function setLow({ block }: Vcpu, number: number, bytes: StackBytes, value: bigint): void {
  const kept = bytes === 2 ? block.register(number) & ~0xffffn : 0n;
  block.setRegister(number, kept | BigInt.asUintN(8 * bytes, value));
}

/**
 * ENTER with a nesting level of 1 to 31: pushes BP, the frame pointers of the levels outside, and the new one, and makes room. `size`
 * is that of the room, plus 2^16 times the operand size.
 */
export function enterNested(accesses: Accesses, cpu: Vcpu, level: number, size: bigint): void {
  const bytes = (Number(size >> 16n) / 8) as StackBytes;
  const base = cpu.block.register(rbp);
  const stack = new Stack(accesses, cpu);
  stack.push(bytes, base);
  const frame = stack.pointer;
  for (let outer = 1; outer < level; outer += 1) {
    const place = new Stack(accesses, cpu, cpu.isUser, base - BigInt(outer * bytes));
    stack.push(bytes, place.pop(bytes));
  }
  stack.push(bytes, frame);
  stack.pointer -= size & 0xffffn;
  stack.probe(bytes);
  setLow(cpu, rbp, bytes, frame);
  stack.commit();
}
