/** Runs A64 words on this project's own engine, and gives what a64_runner.c gives. */
import { Processor } from '../../src/engine/processor.js';
import { cpuOffsets } from '../../src/engine/layout.js';
import { registerFile } from '../../src/isa/index.js';
import type { Instruction } from '../../src/isa/index.js';
import {
  memoryBytes,
  memoryPattern,
  memoryStart,
  slotBytes,
  slotsStart,
  stateBytes,
  stateOffsets,
  wordOffset,
} from './a64_layout.js';
import type { WordTest } from './a64_reference.js';

/** How an instruction ended: it was done (perhaps somewhere else than behind it), or it is not allocated, or an access faulted. */
export type Ending = 'done' | 'undefined' | 'fault';

export interface Outcome {
  readonly ending: Ending;
  readonly pc: bigint;
  /** X0 to X30, SP, NZCV, FPCR, FPSR. */
  readonly general: readonly bigint[];
  /** Halves of V0 to V31. */
  readonly vectors: readonly bigint[];
  /** The changed part of memory, hexadecimal, with where it begins. */
  readonly memory: string;
}

/** BRK #1, and the MRS that begins a slot. */
const breakpoint = 0xd4200020;
const slotEntry = 0xd53bd05e;
const pageBytes = 4096n;
const vcpu = 0;

/** Linux lets user addresses (bit 55 is 0) carry a tag in their top byte, which a branch takes off. */
function untagged(address: bigint): bigint {
  return (address >> 55n) % 2n === 0n ? BigInt.asUintN(56, address) : address;
}

export class Machine {
  readonly #processor: Processor;
  readonly #view: DataView;
  readonly #memoryPlace: number;
  readonly #codePlace: number;
  readonly #pattern = Buffer.from(memoryPattern());
  readonly #slots: number;
  readonly #codeBytes: number;
  #undefined = false;

  /** A machine for `slots` words, which knows `instructions`. */
  constructor(instructions: readonly Instruction[], slots: number) {
    this.#slots = slots;
    this.#codeBytes = Math.ceil(((slots + 1) * slotBytes) / 4096) * 4096;
    this.#processor = new Processor(
      instructions,
      {
        page: (_cpu, address, access) => this.#page(address, access),
        undefinedInstruction: () => {
          this.#undefined = true;
        },
        system: () => 0n,
      },
      { vcpus: 1, memoryBytes: memoryBytes + this.#codeBytes, decodedPages: this.#codeBytes / 4096 },
    );
    this.#view = new DataView(this.#processor.memory.buffer);
    this.#memoryPlace = this.#processor.memoryStart;
    this.#codePlace = this.#memoryPlace + memoryBytes;
    this.#bytes(this.#memoryPlace, memoryBytes).set(this.#pattern);
  }

  #bytes(place: number, length: number): Uint8Array {
    return new Uint8Array(this.#view.buffer, place, length);
  }

  #page(address: bigint, access: 'fetch' | 'read' | 'write'): number | null {
    const page = untagged(address);
    const inCode = page - slotsStart;
    if (inCode >= 0n && inCode < BigInt(this.#codeBytes)) {
      return this.#codePlace + Number(inCode - (inCode % pageBytes));
    }
    const inMemory = page - memoryStart;
    const there = inMemory >= 0n && inMemory < BigInt(memoryBytes) && access !== 'fetch';
    return there ? this.#memoryPlace + Number(inMemory - (inMemory % pageBytes)) : null;
  }

  /** What becomes of each test. There may be as many as the machine has slots; it can be asked once. */
  run(states: Uint8Array, tests: readonly WordTest[]): Outcome[] {
    if (tests.length > this.#slots) throw new RangeError(`there are ${this.#slots} slots`);
    // As the reference's slots, but that behind the word stands something that stops the run.
    for (let at = 0; at < (this.#slots + 1) * slotBytes; at += 4) this.#setCode(at, breakpoint);
    for (const [index, { word }] of tests.entries()) {
      this.#setCode(index * slotBytes, slotEntry);
      this.#setCode(index * slotBytes + wordOffset, word);
      this.#setCode(index * slotBytes + wordOffset + 4, 0);
    }
    return tests.map((test, index) => this.#runOne(states, test, index));
  }

  #setCode(offset: number, word: number): void {
    this.#view.setUint32(this.#codePlace + offset, word, true);
  }

  #runOne(states: Uint8Array, { state, stores }: WordTest, index: number): Outcome {
    const processor = this.#processor;
    this.#loadState(new DataView(states.buffer, states.byteOffset + state * stateBytes, stateBytes));
    const start = slotsStart + BigInt(index * slotBytes + wordOffset);
    processor.setPc(vcpu, start);
    this.#undefined = false;
    processor.run(vcpu, 1_000_000);
    const pc = untagged(processor.pc(vcpu));
    const stayed = pc === start;
    return {
      ending: stayed ? (this.#undefined ? 'undefined' : 'fault') : 'done',
      pc,
      general: this.#general(),
      vectors: this.#vectors(),
      memory: stores ? this.#takeChanges() : '',
    };
  }

  #loadState(state: DataView): void {
    const processor = this.#processor;
    const get = (offset: number): bigint => state.getBigUint64(offset, true);
    for (let number = 0; number < 31; number += 1) processor.setRegister(vcpu, number, get(8 * number));
    processor.setRegister(vcpu, registerFile.stackPointer, get(stateOffsets.sp));
    processor.setNzcv(vcpu, Number(get(stateOffsets.nzcv) >> 28n));
    const block = processor.blockAddress(vcpu);
    this.#view.setUint32(block + cpuOffsets.fpcr, Number(get(stateOffsets.fpcr)), true);
    this.#view.setUint32(block + cpuOffsets.fpsr, Number(get(stateOffsets.fpsr)), true);
    for (let half = 0; half < 64; half += 1) {
      this.#view.setBigUint64(block + cpuOffsets.vectors + 8 * half, get(stateOffsets.v + 8 * half), true);
    }
  }

  #general(): bigint[] {
    const processor = this.#processor;
    const block = processor.blockAddress(vcpu);
    return [
      ...Array.from({ length: 31 }, (_, number) => processor.register(vcpu, number)),
      processor.register(vcpu, registerFile.stackPointer),
      BigInt(processor.nzcv(vcpu)) << 28n,
      BigInt(this.#view.getUint32(block + cpuOffsets.fpcr, true)),
      BigInt(this.#view.getUint32(block + cpuOffsets.fpsr, true)),
    ];
  }

  #vectors(): bigint[] {
    const at = this.#processor.blockAddress(vcpu) + cpuOffsets.vectors;
    return Array.from({ length: 64 }, (_, half) => this.#view.getBigUint64(at + 8 * half, true));
  }

  /** The part of memory that differs from the pattern, which is put back. */
  #takeChanges(): string {
    const memory = Buffer.from(this.#view.buffer, this.#memoryPlace, memoryBytes);
    if (memory.equals(this.#pattern)) return '';
    let first = 0;
    while (memory[first] === this.#pattern[first]) first += 1;
    let last = memoryBytes - 1;
    while (memory[last] === this.#pattern[last]) last -= 1;
    const changed = `${first}: ${memory.subarray(first, last + 1).toString('hex')}`;
    this.#pattern.copy(memory, first, first, last + 1);
    return changed;
  }
}
