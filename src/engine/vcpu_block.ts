/** The host's view of a vCPU's block: registers, flags, state. */
import { cpuOffsets, recordBytes, recordShift } from './layout.js';
import type { EngineMemory } from './memory.js';

export class VcpuBlock {
  readonly memory: EngineMemory;
  /** Byte offset of the block. */
  readonly place: number;

  constructor(memory: EngineMemory, place: number) {
    this.memory = memory;
    this.place = place;
  }

  /** Reads a register by its index in the register file. */
  register(place: number): bigint {
    return this.memory.view.getBigUint64(this.place + cpuOffsets.registers + 8 * place, true);
  }

  setRegister(place: number, value: bigint): void {
    this.memory.view.setBigUint64(this.place + cpuOffsets.registers + 8 * place, value, true);
  }

  /** The low half of a register by its index in the register file, unsigned. */
  registerLow(place: number): number {
    return this.memory.word(this.place + cpuOffsets.registers + 8 * place);
  }

  /** Sets all 64 bits of a register to an integer between -2^53 and 2^53. */
  setRegisterNumber(place: number, value: number): void {
    const at = this.place + cpuOffsets.registers + 8 * place;
    this.memory.setWord(at, value);
    this.memory.setWord(at + 4, Math.floor(value / 2 ** 32));
  }

  get pc(): bigint {
    return this.memory.view.getBigUint64(this.place + cpuOffsets.pc, true);
  }

  set pc(value: bigint) {
    this.memory.view.setBigUint64(this.place + cpuOffsets.pc, value, true);
  }

  /** The low and the high half of pc. The host uses numbers because BigInts are slow. */
  get pcLow(): number {
    return this.memory.word(this.place + cpuOffsets.pc);
  }

  get pcHigh(): number {
    return this.memory.word(this.place + cpuOffsets.pc + 4);
  }

  setPcHalves(low: number, high: number): void {
    this.memory.setWord(this.place + cpuOffsets.pc, low);
    this.memory.setWord(this.place + cpuOffsets.pc + 4, high);
  }

  /** Reads a state slot, by index (see isa, statePlace). */
  state(place: number): bigint {
    return this.memory.view.getBigUint64(this.place + cpuOffsets.state + 8 * place, true);
  }

  setState(place: number, value: bigint): void {
    this.memory.view.setBigUint64(this.place + cpuOffsets.state + 8 * place, value, true);
  }

  /** The low and the high half of a state slot. */
  low(place: number): number {
    return this.memory.word(this.place + cpuOffsets.state + 8 * place);
  }

  high(place: number): number {
    return this.memory.word(this.place + cpuOffsets.state + 8 * place + 4);
  }

  setLow(place: number, value: number): void {
    this.memory.setWord(this.place + cpuOffsets.state + 8 * place, value);
  }

  /** Sets all 64 bits of a state slot from two halves. */
  setHalves(place: number, low: number, high: number): void {
    this.setLow(place, low);
    this.memory.setWord(this.place + cpuOffsets.state + 8 * place + 4, high);
  }

  /** The bits of a vector register, low half first. */
  vector(number: number): readonly [bigint, bigint] {
    const at = this.place + cpuOffsets.vectors + 16 * number;
    return [this.memory.view.getBigUint64(at, true), this.memory.view.getBigUint64(at + 8, true)];
  }

  setVector(number: number, [low, high]: readonly [bigint, bigint]): void {
    const at = this.place + cpuOffsets.vectors + 16 * number;
    this.memory.view.setBigUint64(at, low, true);
    this.memory.view.setBigUint64(at + 8, high, true);
  }

  /** Sets the result that the instruction of a call receives. */
  answer(value: bigint): void {
    this.memory.view.setBigUint64(this.place + cpuOffsets.answer, BigInt.asUintN(64, value), true);
  }

  /** The byte offsets of the current TLB sets. */
  get tlb(): number {
    return this.memory.word(this.place + cpuOffsets.tlb);
  }

  set tlb(place: number) {
    this.memory.setWord(this.place + cpuOffsets.tlb, place);
  }

  set unprivilegedTlb(place: number) {
    this.memory.setWord(this.place + cpuOffsets.unprivilegedTlb, place);
  }

  get budget(): number {
    return this.memory.word(this.place + cpuOffsets.budget) | 0;
  }

  set budget(value: number) {
    this.memory.setWord(this.place + cpuOffsets.budget, value);
  }

  /** Within a host call: the rest of the budget. */
  get left(): number {
    const limit = this.memory.word(this.place + cpuOffsets.limit);
    return (limit - this.memory.word(this.place + cpuOffsets.record)) >> recordShift;
  }

  set left(value: number) {
    const record = this.memory.word(this.place + cpuOffsets.record);
    this.memory.setWord(this.place + cpuOffsets.limit, record + recordBytes * value);
  }
}
