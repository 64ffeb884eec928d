/**
 * Runs instructions one by one for the check of compiled code: each by its own function (instruction_function.ts), on a copy of the
 * vCPU's block in a memory of its own. Its TLB is empty there, so every access comes to the caller, who says what memory holds.
 */
import { InvariantError } from '../../base/index.js';
import type { Instruction } from '../../isa/index.js';
import { accessFunctionNames, importAccessFunctions } from '../access_functions.js';
import type { CodeModel } from '../architecture.js';
import { importHost } from '../host_functions.js';
import { buildFunction, functionStatus, functionType } from '../instruction_function.js';
import { accessFlags, accessResults, cpuOffsets, recordBytes, tlbOffsets } from '../layout.js';
import { EngineMemory } from '../memory.js';
import { webAssembly } from '../wasm/host_api.js';
import { WasmModule } from '../wasm/module.js';

/** An access of an instruction. */
export interface ReferenceAccess {
  readonly kind: 'load' | 'store' | 'modify';
  readonly address: bigint;
  readonly bytes: number;
  readonly unprivileged: boolean;
  /** Whether the aligned block of 64 bytes around the address is cleared. */
  readonly clearsBlock: boolean;
}

/** What the accesses of instructions find. */
export interface ReferenceMemory {
  /** Puts what a load finds into `into`. */
  load(access: ReferenceAccess, into: Uint8Array): void;
  store(access: ReferenceAccess, from: Uint8Array): void;
}

/** Byte offsets in the memory. The block comes behind the tables of the architecture, as in a processor. */
const places = { block: 4096, record: 12288, data: 12304, tlb: 16384, end: 16384 + tlbOffsets.size } as const;

type InstructionCode = (cpu: number, record: number, pc: bigint) => number;

export class Reference {
  readonly memory = new EngineMemory(places.end);
  readonly #model: CodeModel;
  readonly #accesses: ReferenceMemory;
  readonly #functions = new Map<Instruction, InstructionCode>();

  constructor(model: CodeModel, prepare: (memory: EngineMemory) => void, accesses: ReferenceMemory) {
    this.#model = model;
    this.#accesses = accesses;
    prepare(this.memory);
    this.memory.bytes.fill(0xff, places.tlb, places.end);
  }

  /** Where the vCPU's block is in the memory. */
  get blockOffset(): number {
    return places.block;
  }

  /** Takes a vCPU's block over. */
  begin(block: Uint8Array): void {
    this.memory.bytes.set(block, places.block);
    this.memory.setWord(places.block + cpuOffsets.tlb, places.tlb);
    this.memory.setWord(places.block + cpuOffsets.unprivilegedTlb, places.tlb);
  }

  /** Runs an instruction, with `left` instructions of the budget left before it. Null if execution goes on behind it, else where. */
  step(instruction: Instruction, record: Uint8Array, pc: bigint, left: number): bigint | null {
    const { memory } = this;
    memory.bytes.set(record, places.record);
    memory.setWord(places.block + cpuOffsets.limit, places.record + left * recordBytes);
    const status = this.#functionOf(instruction)(places.block, places.record, pc);
    if (status === functionStatus.next || status === functionStatus.nextWithFlags) return null;
    if (status === functionStatus.stopped) throw new InvariantError(`${instruction.name} was left`);
    return memory.view.getBigUint64(places.block + cpuOffsets.pc, true);
  }

  #functionOf(instruction: Instruction): InstructionCode {
    const found = this.#functions.get(instruction) ?? this.#build(instruction);
    this.#functions.set(instruction, found);
    return found;
  }

  #build(instruction: Instruction): InstructionCode {
    const refuse = (): never => {
      throw new InvariantError(`${instruction.name} called the host in compiled code`);
    };
    const module = new WasmModule(1);
    const host = { ...importHost(module), ...importAccessFunctions(module), floatFunction: refuse };
    const { locals, code } = buildFunction(instruction, this.#model, host);
    module.addFunction(functionType, locals, code, 'run');
    const own = Object.fromEntries(
      ['fetch', 'decode', 'slowLoad', 'slowStore', 'system', 'float'].map((name) => [name, refuse]),
    );
    const kinds = { missedLoad: 'load', missedStore: 'store', missedModify: 'modify' } as const;
    const accesses = Object.fromEntries(
      accessFunctionNames.map((name) => [
        name,
        (_cpu: number, _tlb: number, address: bigint, flags: number) =>
          this.#access(kinds[name], address, flags),
      ]),
    );
    const { exports } = new webAssembly.Instance(new webAssembly.Module(module.encode()), {
      host: { memory: this.memory.wasm, ...own, ...accesses },
    });
    return exports['run'] as InstructionCode;
  }

  #access(kind: ReferenceAccess['kind'], address: bigint, flags: number): number {
    const clearsBlock = (flags & accessFlags.clearBlock) !== 0;
    const access = {
      kind,
      address: BigInt.asUintN(64, address),
      bytes: flags & accessFlags.bytes,
      unprivileged: (flags & accessFlags.unprivileged) !== 0,
      clearsBlock,
    };
    const { bytes } = this.memory;
    if (kind === 'store') {
      const from = places.block + cpuOffsets.scratch;
      this.#accesses.store(access, bytes.subarray(from, from + access.bytes));
      return accessResults.done;
    }
    this.#accesses.load(access, bytes.subarray(places.data, places.data + access.bytes));
    return places.data;
  }
}
