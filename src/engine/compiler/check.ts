/**
 * Compares compiled code with the instructions' own functions. Each stretch of a region between two calls of the host is run again, one
 * instruction after the other (reference.ts), from the state in which it began; then registers, flags, memory and position must be the
 * same. Throws InvariantError where they are not.
 */
import { InvariantError } from '../../base/index.js';
import type { CodeModel } from '../architecture.js';
import { functionStatus } from '../instruction_function.js';
import { blockRoom, cpuOffsets, recordBytes, recordShift } from '../layout.js';
import type { EngineMemory } from '../memory.js';
import type { Tlbs } from '../tlb.js';
import { Reference } from './reference.js';
import type { ReferenceAccess } from './reference.js';
import { unitAt } from './units.js';
import type { UnitSource } from './units.js';

/** Parts of a vCPU's block that compiled code may change, besides the position. */
const compared = {
  'a register': { at: cpuOffsets.registers, bytes: 8 * blockRoom.registers },
  'a flag': { at: cpuOffsets.flags, bytes: 8 * blockRoom.flags },
  'a vector register': { at: cpuOffsets.vectors, bytes: 16 * blockRoom.vectors },
  'a state slot': { at: cpuOffsets.state, bytes: 8 * blockRoom.state },
} as const;

/** Where compiled code has got: behind instructions of its page, or by a jump to an address. */
type Position = { readonly record: number } | { readonly address: bigint };

/** The start of a stretch: the vCPU's block, the record, and the budget left before it. */
interface Start {
  readonly block: Uint8Array;
  readonly record: number;
  readonly left: number;
}

export interface CheckParts {
  readonly memory: EngineMemory;
  readonly tlbs: Tlbs;
  readonly model: CodeModel;
  readonly source: UnitSource;
  prepare(memory: EngineMemory): void;
}

/** The function of an instruction, a region, or the interpreter's function that calls one of them. */
type Call = (cpu: number, record: number, pc: bigint, number: number) => number;

export class Checker {
  readonly #parts: CheckParts;
  readonly #reference: Reference;
  readonly #callFunction: Call;
  /** Null where no compiled code runs. */
  #start: Start | null = null;
  /** The page of the region: its address, and its byte offset in the engine's memory. */
  #page = 0n;
  #memoryPage = 0;
  #cpu = 0;
  /** By byte offset: what compiled code has overwritten, and what the reference has written. */
  readonly #overwritten = new Map<number, number>();
  readonly #written = new Map<number, number>();
  /** How many instructions were compared. */
  compared = 0;

  /** `callFunction` is the function that the interpreter's module exports. */
  constructor(parts: CheckParts, callFunction: unknown) {
    this.#parts = parts;
    this.#callFunction = callFunction as Call;
    this.#reference = new Reference(parts.model, (memory) => parts.prepare(memory), {
      load: (access, into) => this.#load(access, into),
      store: (access, from) => this.#store(access, from),
    });
  }

  /** Runs a region and checks it. */
  run(
    region: (cpu: number, record: number, pc: bigint) => number,
    cpu: number,
    record: number,
    pc: bigint,
  ): number {
    this.#cpu = cpu;
    this.#page = BigInt.asUintN(64, pc) & ~0xfffn;
    this.#memoryPage = (this.#parts.source.instructionOf(record) & ~0xfff) >>> 0;
    this.#begin(record);
    const status = region(cpu, record, pc);
    if (status === functionStatus.nextWithFlags)
      this.#finish({ record: this.#word('record') + recordBytes }, 1);
    else this.#finish({ address: this.#parts.memory.view.getBigUint64(cpu + cpuOffsets.pc, true) }, 1);
    this.#start = null;
    return status;
  }

  /** In place of the interpreter's function of that name: the stretch ends before the call, and another one begins behind it. */
  callFunction(cpu: number, record: number, pc: bigint, number: number): number {
    this.#finish({ record }, 0);
    const status = this.#callFunction(cpu, record, pc, number);
    const goesOn = status === functionStatus.next || status === functionStatus.nextWithFlags;
    if (goesOn) this.#begin(record + recordBytes);
    else this.#start = null;
    return status;
  }

  /** Called before compiled code stores. */
  storing(offset: number, bytes: number): void {
    const { bytes: memory } = this.#parts.memory;
    for (let at = offset >>> 0; at < (offset >>> 0) + bytes; at += 1) {
      if (!this.#overwritten.has(at)) this.#overwritten.set(at, memory[at] ?? 0);
    }
  }

  #word(name: 'record' | 'limit' | 'tlb' | 'unprivilegedTlb'): number {
    return this.#parts.memory.word(this.#cpu + cpuOffsets[name]);
  }

  #block(): Uint8Array {
    return this.#parts.memory.bytes.subarray(this.#cpu, this.#cpu + cpuOffsets.size);
  }

  #begin(record: number): void {
    this.#overwritten.clear();
    this.#written.clear();
    const left = (this.#word('limit') - record) >> recordShift;
    this.#start = { block: this.#block().slice(), record, left };
  }

  /** `more`: how many records the budget in the block counts behind the one that it names. */
  #finish(position: Position, more: 0 | 1): void {
    const start = this.#start;
    if (start === null) return;
    const left = ((this.#word('limit') - this.#word('record')) >> recordShift) - more;
    const steps = start.left - left;
    const reached = this.#repeat(start, steps);
    const same =
      'record' in position
        ? 'record' in reached && reached.record === position.record
        : this.#addressOf(reached) === position.address;
    if (!same) this.#differ(steps, 'it goes on elsewhere');
    this.#compareBlock(steps);
    this.#compareMemory(steps);
    this.compared += steps;
  }

  #addressOf(position: Position): bigint {
    if ('address' in position) return position.address;
    const offset = this.#parts.source.instructionOf(position.record) - this.#memoryPage;
    return BigInt.asUintN(64, this.#page + BigInt(offset));
  }

  /** Runs the instructions of the stretch again. */
  #repeat({ block, record, left }: Start, steps: number): Position {
    this.#reference.begin(block);
    let position: Position = { record };
    for (let step = 0; step < steps; step += 1) {
      if (!('record' in position)) this.#differ(steps, 'it goes on behind a jump out of the page');
      position = this.#step(position.record, left - step, step + 1 === steps);
    }
    return position;
  }

  #step(record: number, left: number, isLast: boolean): Position {
    const { source, memory } = this.#parts;
    const unit = unitAt(source, record);
    if (unit === null) this.#differ(left, 'it runs what is not decoded');
    const pc = this.#page + BigInt(unit.offset);
    const bytes = memory.bytes.subarray(record, record + recordBytes);
    const target = this.#reference.step(unit.instruction, bytes, pc, left);
    if (target === null) return { record: record + recordBytes };
    const { near } = unit;
    if (near === null || this.#addressOf({ record: near }) !== target) return { address: target };
    if (left <= 1 && !isLast) this.#differ(left, 'it goes on with its budget used up');
    return { record: near };
  }

  #compareBlock(steps: number): void {
    const { words } = this.#parts.memory;
    const { memory, blockOffset } = this.#reference;
    const [real, repeated] = [this.#cpu >>> 2, blockOffset >>> 2];
    const { sink } = this.#parts.source.model;
    const ignored = sink === null ? -1 : (cpuOffsets.registers + 8 * sink) >>> 2;
    for (const [name, { at, bytes }] of Object.entries(compared)) {
      for (let word = at >>> 2; word < (at + bytes) >>> 2; word += 1) {
        if (words[real + word] === memory.words[repeated + word] || (word & ~1) === ignored) continue;
        this.#differ(steps, `${name} is another one (${word * 4 - at} bytes behind the first)`);
      }
    }
  }

  #compareMemory(steps: number): void {
    const { bytes } = this.#parts.memory;
    for (const [offset, before] of this.#overwritten) {
      if (bytes[offset] !== (this.#written.get(offset) ?? before))
        this.#differ(steps, 'it stores something else');
    }
    for (const [offset, value] of this.#written) {
      if (bytes[offset] !== value) this.#differ(steps, 'it does not store something');
    }
  }

  #differ(steps: number, what: string): never {
    const at = this.#page + BigInt(this.#parts.source.instructionOf(this.#start?.record ?? 0) & 0xfff);
    throw new InvariantError(
      `compiled code from 0x${at.toString(16)} on does not do what the interpreter does in ${steps} instructions: ${what}`,
    );
  }

  // The memory that the reference sees: as it was before the stretch, with the reference's own stores.

  #place({ kind, address, bytes, unprivileged }: ReferenceAccess): number {
    const set = this.#word(unprivileged ? 'unprivilegedTlb' : 'tlb');
    const [low, high] = [Number(address & 0xffffffffn), Number(address >> 32n)];
    const table = kind === 'load' ? 'read' : 'write';
    const place = this.#parts.tlbs.dataAt(set, table, low, high);
    if (place < 0 || (low & 0xfff) + bytes > 4096) this.#differ(0, 'it accesses what no TLB has');
    return place;
  }

  #load(access: ReferenceAccess, into: Uint8Array): void {
    const place = this.#place(access);
    for (let index = 0; index < access.bytes; index += 1) {
      const at = place + index;
      into[index] = this.#written.get(at) ?? this.#overwritten.get(at) ?? this.#parts.memory.bytes[at] ?? 0;
    }
  }

  #store(access: ReferenceAccess, from: Uint8Array): void {
    const place = this.#place(access);
    if (access.clearsBlock) {
      for (let index = 0; index < 64; index += 1) this.#written.set((place & ~63) + index, 0);
      return;
    }
    for (const [index, byte] of from.entries()) this.#written.set(place + index, byte);
  }
}
