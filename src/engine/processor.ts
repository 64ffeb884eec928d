/**
 * A set of vCPUs over one WebAssembly memory: their registers, their TLBs, the decoded pages, and the calls that the
 * interpreter makes to its host. What memory means (translation, faults, devices) is the address space's affair.
 */
import { invariant } from '../base/index.js';
import { extractFields, makeDecoder } from '../isa/index.js';
import type { Decoder, Instruction } from '../isa/index.js';
import { conditionRows, conditionTable } from './conditions.js';
import { specialCount, specialHandlers } from './handlers.js';
import { floatCalls } from './float/index.js';
import { buildInterpreter } from './interpreter.js';
import type { InterpreterPlan } from './interpreter.js';
import {
  codeTlbEntries,
  cpuOffsets,
  dataTlbEntries,
  exits,
  instructionsPerPage,
  noPage,
  pageRecords,
  recordBytes,
} from './layout.js';
import { fillRecord } from './record.js';
import { webAssembly } from './wasm/host_api.js';
import type { WasmMemory } from './wasm/host_api.js';

/** What a vCPU's accesses meet. Places are byte offsets in the engine's memory. */
export interface AddressSpace {
  /** The place of the page at a page-aligned address, for that kind of access; null when it faults. */
  page(cpu: number, address: bigint, access: 'fetch' | 'read' | 'write'): number | null;
  /** Told of an instruction that nobody defined; the run has stopped at it. */
  undefinedInstruction(cpu: number): void;
  system(cpu: number, name: number, a: bigint, b: bigint): bigint;
}

/** Runs the vCPU whose block is there; an exit's number. */
type Run = (cpu: number) => number;

const tableBytes = 4096;

/** The decoded pages, by the place of their code. */
interface CodePages {
  readonly byPlace: Map<number, number>;
  next: number;
}

export class Processor {
  readonly memory: WasmMemory;
  readonly #plan: InterpreterPlan;
  readonly #decoder: Decoder;
  readonly #space: AddressSpace;
  readonly #view: DataView;
  readonly #run: Run;
  readonly #pages: CodePages;
  readonly #blocks: readonly number[];

  /** `vcpus` vCPUs; `memoryBytes` of memory from `memoryStart` on are the space's; `decodedPages` can be kept decoded. */
  constructor(
    instructions: readonly Instruction[],
    space: AddressSpace,
    sizes: { readonly vcpus: number; readonly memoryBytes: number; readonly decodedPages: number },
  ) {
    const blocksEnd = tableBytes + sizes.vcpus * cpuOffsets.size;
    const recordsEnd = blocksEnd + sizes.decodedPages * pageRecords * recordBytes;
    this.memoryStart = Math.ceil(recordsEnd / 65536) * 65536;
    const pages = (this.memoryStart + sizes.memoryBytes) / 65536;
    this.memory = new webAssembly.Memory({ initial: Math.ceil(pages) });
    this.#view = new DataView(this.memory.buffer);
    this.#space = space;
    this.#decoder = makeDecoder(instructions);
    this.#plan = buildInterpreter(instructions, 1);
    this.#pages = { byPlace: new Map(), next: blocksEnd };
    this.#blocks = Array.from({ length: sizes.vcpus }, (_, vcpu) => tableBytes + vcpu * cpuOffsets.size);
    for (const [code, row] of conditionRows().entries()) {
      this.#view.setUint16(conditionTable + 2 * code, row, true);
    }
    for (const vcpu of this.#blocks.keys()) this.flushTlb(vcpu);
    this.#run = this.#instantiate();
  }

  /** Where the space's memory begins. */
  readonly memoryStart: number;

  #instantiate(): Run {
    const vcpuOf = (block: number): number => (block - tableBytes) / cpuOffsets.size;
    const module = new webAssembly.Module(this.#plan.module);
    const { exports } = new webAssembly.Instance(module, {
      host: {
        memory: this.memory,
        fetch: (block: number, address: bigint) => this.#fetch(vcpuOf(block), BigInt.asUintN(64, address)),
        decode: (_block: number, record: number, address: bigint) => this.#decode(record, address),
        slowLoad: (block: number, address: bigint, bytes: number) =>
          this.#slowLoad(vcpuOf(block), BigInt.asUintN(64, address), bytes),
        slowStore: (block: number, address: bigint, bytes: number, value: bigint) =>
          this.#slowStore(vcpuOf(block), BigInt.asUintN(64, address), bytes, value),
        system: (block: number, name: number, a: bigint, b: bigint) =>
          this.#space.system(vcpuOf(block), name, a, b),
        float: floatCalls(this.#view, this.#plan.floatOperations),
        undefinedInstruction: (block: number) => this.#space.undefinedInstruction(vcpuOf(block)),
      },
    });
    return exports['run'] as Run;
  }

  /** Runs `vcpu` until about `budget` instructions are done or the host stops it; the exit's number, and how many ran. */
  run(vcpu: number, budget: number): { exit: number; executed: number } {
    const at = this.#block(vcpu) + cpuOffsets.budget;
    this.#view.setInt32(at, budget, true);
    const exit = this.#run(this.#block(vcpu));
    return { exit, executed: budget - this.#view.getInt32(at, true) };
  }

  register(vcpu: number, place: number): bigint {
    return this.#view.getBigUint64(this.#block(vcpu) + cpuOffsets.registers + 8 * place, true);
  }

  setRegister(vcpu: number, place: number, value: bigint): void {
    this.#view.setBigUint64(this.#block(vcpu) + cpuOffsets.registers + 8 * place, value, true);
  }

  pc(vcpu: number): bigint {
    return this.#view.getBigUint64(this.#block(vcpu) + cpuOffsets.pc, true);
  }

  setPc(vcpu: number, value: bigint): void {
    this.#view.setBigUint64(this.#block(vcpu) + cpuOffsets.pc, value, true);
  }

  /** The flags as four bits, N highest. */
  nzcv(vcpu: number): number {
    const block = this.#block(vcpu);
    const n = Number(this.#view.getBigUint64(block + cpuOffsets.n, true) >> 63n);
    const z = this.#view.getBigUint64(block + cpuOffsets.z, true) === 0n ? 1 : 0;
    const c = this.#view.getUint32(block + cpuOffsets.c, true);
    const v = Number(this.#view.getBigUint64(block + cpuOffsets.v, true) >> 63n);
    return (n << 3) | (z << 2) | (c << 1) | v;
  }

  setNzcv(vcpu: number, nzcv: number): void {
    const block = this.#block(vcpu);
    const sign = (bit: number): bigint => ((nzcv & bit) !== 0 ? 1n << 63n : 0n);
    this.#view.setBigUint64(block + cpuOffsets.n, sign(8), true);
    this.#view.setBigUint64(block + cpuOffsets.z, (nzcv & 4) !== 0 ? 0n : 1n, true);
    this.#view.setUint32(block + cpuOffsets.c, (nzcv >> 1) & 1, true);
    this.#view.setBigUint64(block + cpuOffsets.v, sign(1), true);
  }

  /** Forgets every translation that `vcpu` has cached. */
  flushTlb(vcpu: number): void {
    const block = this.#block(vcpu);
    const tables = [
      [cpuOffsets.codeTlb, codeTlbEntries],
      [cpuOffsets.readTlb, dataTlbEntries],
      [cpuOffsets.writeTlb, dataTlbEntries],
    ] as const;
    for (const [start, entries] of tables) {
      for (let entry = 0; entry < entries; entry += 1) {
        this.#view.setBigUint64(block + start + entry * 16, noPage, true);
      }
    }
  }

  #block(vcpu: number): number {
    const block = this.#blocks[vcpu];
    invariant(block !== undefined, `there is no vCPU ${vcpu}`);
    return block;
  }

  #fetch(vcpu: number, address: bigint): number {
    if ((address & 3n) !== 0n) return -1;
    const page = address & ~0xfffn;
    const place = this.#space.page(vcpu, page, 'fetch');
    if (place === null) return -1;
    const records = this.#recordsOf(place);
    const entry =
      this.#block(vcpu) + cpuOffsets.codeTlb + (Number(address >> 12n) & (codeTlbEntries - 1)) * 16;
    this.#view.setBigUint64(entry, page, true);
    this.#view.setUint32(entry + 8, records, true);
    return records;
  }

  #recordsOf(place: number): number {
    const known = this.#pages.byPlace.get(place);
    if (known !== undefined) return known;
    const records = this.#pages.next;
    const bytes = pageRecords * recordBytes;
    invariant(records + bytes <= this.memoryStart, 'no room for more decoded pages');
    this.#pages.next += bytes;
    this.#pages.byPlace.set(place, records);
    this.#codeOf.set(records, place);
    this.#view.setUint16(records + instructionsPerPage * recordBytes, specialHandlers.nextPage, true);
    return records;
  }

  readonly #codeOf = new Map<number, number>();

  #decode(record: number, address: bigint): void {
    const index = Number(address & 0xfffn) >> 2;
    const records = record - index * recordBytes;
    const word = this.#view.getUint32((this.#codeOf.get(records) ?? 0) + 4 * index, true);
    const found = this.#decoder.decode(word);
    if (found === null) {
      this.#view.setUint16(record, specialHandlers.undefined, true);
      return;
    }
    const fields = extractFields(found.pattern, word);
    const { far, near, operand } = this.#handlersOf(found);
    const to = found.operands[operand ?? ''];
    const offset = to?.kind === 'immediate' ? Number(to.value(fields)) : 0;
    const inPage = operand !== null && index * 4 + offset >= 0 && index * 4 + offset < 4096;
    const number = inPage ? near : far;
    this.#view.setUint16(record, number, true);
    const handler = this.#plan.handlers[number - specialCount];
    if (handler !== undefined) fillRecord(this.#view, record, found, handler.layout, fields);
  }

  #handlersOf(found: Instruction): { far: number; near: number; operand: string | null } {
    const far = this.#plan.handlerOf(found, false);
    const near = this.#plan.handlerOf(found, true);
    return { far, near, operand: this.#plan.handlers[near - specialCount]?.near ?? null };
  }

  #slowLoad(vcpu: number, address: bigint, bytes: number): number {
    const place = this.#cache(vcpu, address, 'read');
    if (place === null) return -1;
    if (Number(address & 0xfffn) + bytes <= 4096) return place;
    const scratch = this.#block(vcpu) + cpuOffsets.scratch;
    for (let i = 0; i < bytes; i += 1) {
      const each = this.#cache(vcpu, address + BigInt(i), 'read');
      if (each === null) return -1;
      this.#view.setUint8(scratch + i, this.#view.getUint8(each));
    }
    return scratch;
  }

  #slowStore(vcpu: number, address: bigint, bytes: number, value: bigint): number {
    const places: number[] = [];
    for (let i = 0; i < bytes; i += 1) {
      const place = this.#cache(vcpu, address + BigInt(i), 'write');
      if (place === null) return -1;
      places.push(place);
    }
    for (const [i, place] of places.entries()) {
      this.#view.setUint8(place, Number((value >> BigInt(8 * i)) & 0xffn));
    }
    return 0;
  }

  /** The place of the byte at `address`, its page put into the TLB. */
  #cache(vcpu: number, address: bigint, access: 'read' | 'write'): number | null {
    const page = address & ~0xfffn;
    const place = this.#space.page(vcpu, page, access);
    if (place === null) return null;
    const table = access === 'read' ? cpuOffsets.readTlb : cpuOffsets.writeTlb;
    const entry = this.#block(vcpu) + table + (Number(address >> 12n) & (dataTlbEntries - 1)) * 16;
    this.#view.setBigUint64(entry, page, true);
    this.#view.setInt32(entry + 8, Number(BigInt.asIntN(32, BigInt(place) - page)), true);
    return place + Number(address & 0xfffn);
  }
}

export { exits };
