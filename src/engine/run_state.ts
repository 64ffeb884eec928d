/**
 * The locals of the interpreter's function that hold the state of the run, and the code that moves them to the vCPU's block and
 * back.
 */
import type { FlagSet } from '../isa/index.js';
import { emitLoadFlags, emitSaveFlags, FunctionLocals, layOutFlags } from './flags.js';
import type { FlagLocals, FlagSlot } from './flags.js';
import { cpuOffsets, recordBytes, recordShift } from './layout.js';
import { LocalPool } from './record_operands.js';
import { Code, i32, i64, load32, loads64, opcodes, store32, stores64 } from './wasm/code.js';
import type { ValueType } from './wasm/code.js';

/** The function's locals. Those of instructions follow. */
export interface RunLocals {
  readonly cpu: number;
  readonly record: number;
  /** The current TLB set. */
  readonly tlb: number;
  /**
   * Within a page: the record at which the budget is used up if execution continues in sequence. Between pages: the budget times
   * the size of a record, as if the current record were at 0. With this, single instructions need not be counted.
   */
  readonly limit: number;
  readonly flags: FlagLocals;
  readonly entry: number;
  /** Within a page: an i64 from which, with the record, the address of the instruction follows (code_layout.ts). */
  readonly base: number;
  /** Between pages: the address of the next instruction, i64. */
  readonly target: number;
  readonly address: number;
  readonly value: number;
}

/** Locals of one type stand together. */
function layOutLocals(slots: readonly FlagSlot[]): { locals: RunLocals; all: FunctionLocals } {
  const all = new FunctionLocals(1);
  const [record, tlb, limit] = [all.add(i32), all.add(i32), all.add(i32)];
  const bits = all.addFlags(slots, i32);
  const entry = all.add(i32);
  const [base, target] = [all.add(i64), all.add(i64)];
  const flags = { ...all.addFlags(slots, i64), ...bits };
  const [address, value] = [all.add(i64), all.add(i64)];
  return { locals: { cpu: 0, record, tlb, limit, flags, entry, base, target, address, value }, all };
}

export class RunState {
  readonly code = new Code();
  readonly local: RunLocals;
  /** The locals of instructions. Shared by all handlers, because only one instruction runs at a time. */
  readonly pool: LocalPool;
  readonly #slots: readonly FlagSlot[];
  readonly #types: readonly ValueType[];

  constructor(flags: FlagSet) {
    this.#slots = layOutFlags(flags);
    const { locals, all } = layOutLocals(this.#slots);
    this.local = locals;
    this.#types = all.types;
    this.pool = new LocalPool(all.end);
  }

  /** Types of all locals after the parameter. */
  get types(): readonly ValueType[] {
    return [...this.#types, ...this.pool.types];
  }

  /** On entry: loads everything. Then the state is that between pages. */
  load(): void {
    const { code, local } = this;
    this.loadFlags();
    code.get(local.cpu).memory(load32.word, 2, cpuOffsets.budget);
    code.constant(i32, recordShift).byte(opcodes[i32].shl).set(local.limit);
    this.#loadWord(cpuOffsets.tlb, local.tlb);
    this.loadLong(cpuOffsets.pc, local.target);
  }

  /** Between pages: saves the flags and the budget. */
  save(): void {
    const { code, local } = this;
    this.saveFlags();
    code.get(local.cpu).get(local.limit).constant(i32, recordShift).byte(opcodes[i32].shrSigned);
    code.memory(store32, 2, cpuOffsets.budget);
  }

  loadFlags(): void {
    emitLoadFlags(this.code, this.local.cpu, this.#slots, this.local.flags);
  }

  saveFlags(): void {
    emitSaveFlags(this.code, this.local.cpu, this.#slots, this.local.flags);
  }

  /** Pops an address and makes it pc in the block; `cpu` must be on the stack below. */
  storePc(): void {
    this.code.memory(stores64[8][0], 3, cpuOffsets.pc);
  }

  /** Within a page: saves the locals to the vCPU's block. */
  saveLocals(): void {
    this.saveFlags();
    const { code, local } = this;
    code.get(local.cpu).get(local.limit).memory(store32, 2, cpuOffsets.limit);
    code.get(local.cpu).get(local.record).memory(store32, 2, cpuOffsets.record);
    code.get(local.cpu).get(local.base).memory(stores64[8][0], 3, cpuOffsets.base);
  }

  /** Reloads the locals after a call. The host may have changed flags and shortened the budget. */
  loadLocals(): void {
    this.loadFlags();
    this.loadPosition();
  }

  /** As `loadLocals`, without the flags. */
  loadPosition(): void {
    const { local } = this;
    this.#loadWord(cpuOffsets.limit, local.limit);
    this.#loadWord(cpuOffsets.record, local.record);
    this.loadLong(cpuOffsets.base, local.base);
    this.#loadWord(cpuOffsets.tlb, local.tlb);
  }

  /** Between pages: saves everything before the host fetches. */
  saveForFetch(): void {
    const { code, local } = this;
    code.get(local.cpu).get(local.target);
    this.storePc();
    this.saveFlags();
    code.get(local.cpu).get(local.limit).memory(store32, 2, cpuOffsets.limit);
    code.get(local.cpu).constant(i32, 0).memory(store32, 2, cpuOffsets.record);
  }

  loadAfterFetch(): void {
    const { local } = this;
    this.loadFlags();
    this.#loadWord(cpuOffsets.limit, local.limit);
    this.#loadWord(cpuOffsets.tlb, local.tlb);
    this.loadLong(cpuOffsets.pc, local.target);
  }

  /** Leaves the page: sets the limit to the budget left after the records up to the current one, and `more` records. */
  leavePage(more: 0 | 1): void {
    const { code, local } = this;
    code.get(local.limit).get(local.record).byte(opcodes[i32].sub);
    if (more !== 0) code.constant(i32, more * recordBytes).byte(opcodes[i32].sub);
    code.set(local.limit);
  }

  /** Loads 64 bits of the block. */
  loadLong(offset: number, into: number): void {
    this.code.get(this.local.cpu).memory(loads64[8][0], 3, offset).set(into);
  }

  #loadWord(offset: number, into: number): void {
    this.code.get(this.local.cpu).memory(load32.word, 2, offset).set(into);
  }
}
