/** The host's view of a vCPU's block: registers, flags, state. */
import { InputError } from '../base/index.js';
import { cpuOffsets, recordBytes, recordShift } from './layout.js';
import type { EngineMemory } from './memory.js';

export class VcpuBlock {
  readonly memory: EngineMemory;
  /** Byte offset of the block. */
  readonly offset: number;

  constructor(memory: EngineMemory, offset: number) {
    this.memory = memory;
    this.offset = offset;
  }

  /** Reads a register by its index in the register file. */
  register(index: number): bigint {
    return this.memory.view.getBigUint64(this.offset + cpuOffsets.registers + 8 * index, true);
  }

  setRegister(index: number, value: bigint): void {
    this.memory.view.setBigUint64(this.offset + cpuOffsets.registers + 8 * index, value, true);
  }

  /** The low half of a register by its index in the register file, unsigned. */
  registerLow(index: number): number {
    return this.memory.word(this.offset + cpuOffsets.registers + 8 * index);
  }

  /** Sets all 64 bits of a register to an integer between -2^53 and 2^53. */
  setRegisterNumber(index: number, value: number): void {
    const at = this.offset + cpuOffsets.registers + 8 * index;
    this.memory.setWord(at, value);
    this.memory.setWord(at + 4, Math.floor(value / 2 ** 32));
  }

  get pc(): bigint {
    return this.memory.view.getBigUint64(this.offset + cpuOffsets.pc, true);
  }

  set pc(value: bigint) {
    this.memory.view.setBigUint64(this.offset + cpuOffsets.pc, value, true);
  }

  /** The low and the high half of pc. The host uses numbers because BigInts are slow. */
  get pcLow(): number {
    return this.memory.word(this.offset + cpuOffsets.pc);
  }

  get pcHigh(): number {
    return this.memory.word(this.offset + cpuOffsets.pc + 4);
  }

  setPcHalves(low: number, high: number): void {
    this.memory.setWord(this.offset + cpuOffsets.pc, low);
    this.memory.setWord(this.offset + cpuOffsets.pc + 4, high);
  }

  /** Reads a state slot, by index (see isa, statePlace). */
  state(index: number): bigint {
    return this.memory.view.getBigUint64(this.offset + cpuOffsets.state + 8 * index, true);
  }

  setState(index: number, value: bigint): void {
    this.memory.view.setBigUint64(this.offset + cpuOffsets.state + 8 * index, value, true);
  }

  /** The low and the high half of a state slot. */
  low(index: number): number {
    return this.memory.word(this.offset + cpuOffsets.state + 8 * index);
  }

  high(index: number): number {
    return this.memory.word(this.offset + cpuOffsets.state + 8 * index + 4);
  }

  setLow(index: number, value: number): void {
    this.memory.setWord(this.offset + cpuOffsets.state + 8 * index, value);
  }

  /** Sets all 64 bits of a state slot from two halves. */
  setHalves(index: number, low: number, high: number): void {
    this.setLow(index, low);
    this.memory.setWord(this.offset + cpuOffsets.state + 8 * index + 4, high);
  }

  /** The bits of a vector register, low half first. */
  vector(number: number): readonly [bigint, bigint] {
    const at = this.offset + cpuOffsets.vectors + 16 * number;
    return [this.memory.view.getBigUint64(at, true), this.memory.view.getBigUint64(at + 8, true)];
  }

  /** Sets the first `count` vector registers to saved values. Throws InputError if there are more or fewer of these. */
  loadVectors(saved: readonly (readonly [bigint, bigint])[], count: number): void {
    checkCount(saved, count);
    for (const [number, vector] of saved.entries()) this.setVector(number, vector);
  }

  /** As `loadVectors`, for registers. */
  loadRegisters(saved: readonly bigint[], count: number): void {
    checkCount(saved, count);
    for (const [index, value] of saved.entries()) this.setRegister(index, value);
  }

  setVector(number: number, [low, high]: readonly [bigint, bigint]): void {
    const at = this.offset + cpuOffsets.vectors + 16 * number;
    this.memory.view.setBigUint64(at, low, true);
    this.memory.view.setBigUint64(at + 8, high, true);
  }

  /** Sets the result that the instruction of a call receives. */
  answer(value: bigint): void {
    this.memory.view.setBigUint64(this.offset + cpuOffsets.answer, BigInt.asUintN(64, value), true);
  }

  /** The byte offsets of the current TLB sets. */
  get tlb(): number {
    return this.memory.word(this.offset + cpuOffsets.tlb);
  }

  set tlb(set: number) {
    this.memory.setWord(this.offset + cpuOffsets.tlb, set);
  }

  set unprivilegedTlb(set: number) {
    this.memory.setWord(this.offset + cpuOffsets.unprivilegedTlb, set);
  }

  get budget(): number {
    return this.memory.word(this.offset + cpuOffsets.budget) | 0;
  }

  set budget(value: number) {
    this.memory.setWord(this.offset + cpuOffsets.budget, value);
  }

  /** Instructions executed since the time slice began and the rest of the budget, together. */
  set granted(value: number) {
    this.memory.setWord(this.offset + cpuOffsets.granted, value);
  }

  /** Between two runs of the interpreter: the instructions executed since the time slice began. */
  get executed(): number {
    return this.#granted - this.budget;
  }

  /** As `executed`, within a host call: without the current instruction. */
  get executedBefore(): number {
    return this.#granted - this.left;
  }

  get #granted(): number {
    return this.memory.word(this.offset + cpuOffsets.granted) | 0;
  }

  /** Within a host call: the byte offset of the current record. */
  get record(): number {
    return this.memory.word(this.offset + cpuOffsets.record);
  }

  /** Within a host call: the rest of the budget. */
  get left(): number {
    const limit = this.memory.word(this.offset + cpuOffsets.limit);
    return (limit - this.memory.word(this.offset + cpuOffsets.record)) >> recordShift;
  }

  set left(value: number) {
    const record = this.memory.word(this.offset + cpuOffsets.record);
    this.memory.setWord(this.offset + cpuOffsets.limit, record + recordBytes * value);
  }
}

/** More than there are would fall on what lies behind the block. */
function checkCount(saved: readonly unknown[], count: number): void {
  if (saved.length !== count) throw new InputError('a vCPU of it has another number of registers');
}
