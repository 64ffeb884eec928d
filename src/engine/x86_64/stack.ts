/** Pushes and pops of the host: of exceptions, far transfers and returns. */
import * as x86_64 from '../../isa/x86_64/index.js';
import type { Accesses } from './accesses.js';
import { exception, raise, vectors } from './events.js';
import { attribute, has, isWithin } from './segments.js';
import type { Segment } from './segments.js';
import type { Vcpu } from './vcpu.js';

const { registerNumber, segments } = x86_64;
const rsp = registerNumber('rsp');

/** A stack whose pointer reaches the register when everything was pushed or popped (`commit`). */
export class Stack {
  pointer: bigint;
  readonly #accesses: Accesses;
  readonly #cpu: Vcpu;
  readonly #segment: Segment;
  readonly #mask: bigint;
  readonly #user: boolean;
  readonly #isFlat: boolean;

  /** `user` says with whose rights it is accessed. */
  constructor(accesses: Accesses, cpu: Vcpu, user = cpu.isUser, pointer = cpu.block.register(rsp)) {
    this.#accesses = accesses;
    this.#cpu = cpu;
    this.#segment = cpu.segment(segments.ss);
    this.#isFlat = cpu.mode === 64;
    this.#mask = this.#isFlat ? ~0n : has(this.#segment, attribute.big) ? 0xffffffffn : 0xffffn;
    this.#user = user;
    this.pointer = pointer;
  }

  #address(pointer: bigint, bytes: number): bigint {
    if (this.#isFlat) return BigInt.asUintN(64, pointer);
    const offset = Number(pointer & this.#mask);
    if (!isWithin(this.#segment, offset, bytes)) raise(exception(vectors.stackFault, 0));
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
  readonly #accesses: Accesses;
  readonly #cpu: Vcpu;
  readonly #user: boolean;

  constructor(accesses: Accesses, cpu: Vcpu, user: boolean, pointer: bigint) {
    this.#accesses = accesses;
    this.#cpu = cpu;
    this.#user = user;
    this.pointer = pointer;
  }

  push(value: bigint): void {
    this.pointer = BigInt.asUintN(64, this.pointer - 8n);
    this.#accesses.write(this.#cpu, this.pointer, 8, value, this.#user);
  }

  commit(): void {
    this.#cpu.block.setRegister(rsp, this.pointer);
  }
}
