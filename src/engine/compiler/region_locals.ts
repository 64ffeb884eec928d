/** The locals of a region's function, and the code that moves them to the vCPU's block and back. */
import type { FlagSet } from '../../isa/index.js';
import { emitLoadFlags, emitSaveFlags, FunctionLocals, layOutFlags } from '../flags.js';
import type { FlagLocals, FlagSlot } from '../flags.js';
import { functionType } from '../instruction_function.js';
import { blockRoom, cpuOffsets } from '../layout.js';
import { LocalPool } from '../record_operands.js';
import { i32, i64, load32, loads64, store32, v128 } from '../wasm/code.js';
import type { Code, ValueType } from '../wasm/code.js';

export class RegionLocals {
  /** The parameters, as those of an instruction's own function. */
  readonly cpu = 0;
  /** On entry the record where the region is entered; at an exit the record where execution goes on. */
  readonly record = 1;
  /** The address of the page with the region's instructions. */
  readonly page = 2;
  /** As in the interpreter (run_state.ts): the record at which the budget is used up, if execution goes on in sequence. */
  readonly limit: number;
  readonly tlb: number;
  readonly entry: number;
  /** At an exit: the status to return, and the number of the function to call. */
  readonly status: number;
  readonly called: number;
  /** Which node the root goes to (structure.ts). */
  readonly selector: number;
  /** At an exit: the address where execution goes on. */
  readonly target: number;
  readonly address: number;
  readonly value: number;
  readonly vector: number;
  readonly flags: FlagLocals;
  readonly pool: LocalPool;
  readonly #first: number;
  readonly #all: FunctionLocals;
  readonly #slots: readonly FlagSlot[];

  constructor(flags: FlagSet) {
    const all = new FunctionLocals(functionType.parameters.length);
    this.#all = all;
    this.#slots = layOutFlags(flags);
    this.limit = all.add(i32);
    this.tlb = all.add(i32);
    this.entry = all.add(i32);
    this.status = all.add(i32);
    this.called = all.add(i32);
    this.selector = all.add(i32);
    this.target = all.add(i64);
    this.address = all.add(i64);
    this.value = all.add(i64);
    this.vector = all.add(v128);
    this.flags = { ...all.addFlags(this.#slots, i64), ...all.addFlags(this.#slots, i32) };
    this.#first = all.end;
    for (let register = 0; register < blockRoom.registers; register += 1) all.add(i64);
    this.pool = new LocalPool(all.end);
  }

  /** The local that holds a register, by its index in the register file. */
  register(index: number): number {
    return this.#first + index;
  }

  /** Types of all locals after the parameters. */
  get types(): readonly ValueType[] {
    return [...this.#all.types, ...this.pool.types];
  }

  loadRegisters(code: Code, registers: Iterable<number>): void {
    for (const index of registers) {
      code.get(this.cpu).memory(loads64[8][0], 3, cpuOffsets.registers + 8 * index);
      code.set(this.register(index));
    }
  }

  /** Loads what a call may have changed of the run. */
  loadPosition(code: Code): void {
    code.get(this.cpu).memory(load32.word, 2, cpuOffsets.limit).set(this.limit);
    code.get(this.cpu).memory(load32.word, 2, cpuOffsets.tlb).set(this.tlb);
  }

  loadFlags(code: Code): void {
    emitLoadFlags(code, this.cpu, this.#slots, this.flags);
  }

  saveFlags(code: Code): void {
    emitSaveFlags(code, this.cpu, this.#slots, this.flags);
  }

  saveLimit(code: Code): void {
    code.get(this.cpu).get(this.limit).memory(store32, 2, cpuOffsets.limit);
  }
}
