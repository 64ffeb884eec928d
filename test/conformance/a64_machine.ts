/**
 * Runs A64 words on this project's engine, at EL0 with translation on, and returns the same results as a64_runner.c.
 * The machine's exception vectors call the hypervisor, which is this test.
 */
import { arm64, Processor } from '../../src/engine/index.js';
import type { Arm64Processor, VcpuValue, VcpuView } from '../../src/engine/index.js';
import { stoppingHost } from './a64_host.js';
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

/** How an instruction ended: it completed (perhaps at another address), is not allocated, or faulted. */
export type Ending = 'done' | 'undefined' | 'fault';

export interface Outcome {
  readonly ending: Ending;
  readonly pc: bigint;
  /** X0 to X30, SP, NZCV, FPCR, FPSR. */
  readonly general: readonly bigint[];
  /** Halves of V0 to V31. */
  readonly vectors: readonly bigint[];
  /** The changed part of memory in hexadecimal, and its start. */
  readonly memory: string;
}

const words = {
  /** BRK #1, and the MRS at the start of a slot. */
  breakpoint: 0xd4200020,
  slotEntry: 0xd53bd05e,
  hypervisorCall: 0xd4000002,
  branchToItself: 0x14000000,
};

const page = 4096;
/**
 * Physical addresses: exception vectors, tables of levels 0 to 2, tables of level 3 (one per 2 MiB), then code and
 * memory.
 */
const places = { vectors: 0, level0: page, level1: 2 * page, level2: 3 * page, level3: 4 * page } as const;

/**
 * Descriptor bits (DDI 0487, D8.3): table or page; access flag; inner shareable; readable and writable at EL0; not
 * executable.
 */
const tableBits = 3n;
const pageBits = 3n | (1n << 10n) | (3n << 8n);
const forEl0 = 1n << 6n;
const neverExecuted = (1n << 54n) | (1n << 53n);

/**
 * Translation on, with 48-bit addresses, 4 KiB pages and top byte ignored, as in Linux. EL0 has the same rights as in
 * Linux.
 */
const control: Readonly<Record<string, bigint>> = {
  SCTLR_EL1: 0x34d5d805n & ~0x18n,
  TCR_EL1: (1n << 37n) | (2n << 32n) | (2n << 30n) | (1n << 23n) | (16n << 16n) | 16n,
  MAIR_EL1: 0xffn,
  TTBR0_EL1: BigInt(places.level0),
  VBAR_EL1: BigInt(places.vectors),
  CPACR_EL1: 3n << 20n,
};

/** Exception classes Unknown and trapped system register (DDI 0487, ESR_EL1.EC), which Linux handles alike. */
const notAllowed: readonly bigint[] = [0n, 0x18n];

export class Machine {
  readonly #processor: Arm64Processor;
  readonly #cpu: VcpuView;
  readonly #atReset: VcpuValue;
  readonly #ram: Uint8Array<ArrayBuffer>;
  readonly #view: DataView;
  readonly #codePlace: number;
  readonly #memoryPlace: number;
  readonly #pattern = Buffer.from(memoryPattern());
  readonly #slots: number;

  /** A machine for `slots` words. */
  constructor(slots: number) {
    const codeBytes = Math.ceil(((slots + 1) * slotBytes) / page) * page;
    const codeTables = Math.ceil(codeBytes / (512 * page));
    this.#slots = slots;
    this.#codePlace = places.level3 + (codeTables + 2) * page;
    this.#memoryPlace = this.#codePlace + codeBytes;
    const ramBytes = this.#memoryPlace + memoryBytes;
    this.#processor = new Processor(
      arm64,
      stoppingHost(() => this.#processor, ramBytes),
      {
        vcpus: 1,
        ramBytes,
        decodedPages: codeBytes / page + 4,
      },
    );
    this.#cpu = this.#processor.vcpus[0]!;
    this.#atReset = this.#cpu.save();
    this.#ram = this.#processor.ram;
    this.#view = new DataView(this.#ram.buffer, this.#ram.byteOffset);
    this.#mapAll(codeBytes, codeTables);
    this.#ram.set(this.#pattern, this.#memoryPlace);
    // Every exception vector calls the test and does nothing else.
    for (let vector = 0; vector < 0x800; vector += 0x80) {
      this.#setWord(places.vectors + vector, words.hypervisorCall);
      this.#setWord(places.vectors + vector + 4, words.branchToItself);
    }
  }

  #setWord(place: number, word: number): void {
    this.#view.setUint32(place, word, true);
  }

  #mapAll(codeBytes: number, codeTables: number): void {
    const entry = (table: number, index: number, value: bigint): void =>
      this.#view.setBigUint64(table + 8 * index, value, true);
    entry(places.level0, 0, BigInt(places.level1) | tableBits);
    entry(places.level1, 0, BigInt(places.level2) | tableBits);
    const mapPages = (at: bigint, place: number, bytes: number, firstTable: number, bits: bigint): void => {
      for (let offset = 0; offset < bytes; offset += page) {
        const number = Number(at >> 12n) + offset / page;
        const table = firstTable + Math.floor(offset / (512 * page)) * page;
        entry(places.level2, number >> 9, BigInt(table) | tableBits);
        entry(table, number & 511, BigInt(place + offset) | bits);
      }
    };
    const last = places.level3 + codeTables * page;
    mapPages(slotsStart, this.#codePlace, codeBytes, places.level3, pageBits | forEl0);
    mapPages(memoryStart, this.#memoryPlace, memoryBytes, last, pageBits | forEl0 | neverExecuted);
    mapPages(0n, places.vectors, page, last + page, pageBits | (1n << 54n));
  }

  /** The outcome of each test, at most as many as the machine has slots. Can be called only once. */
  run(states: Uint8Array, tests: readonly WordTest[]): Outcome[] {
    if (tests.length > this.#slots) throw new RangeError(`there are ${this.#slots} slots`);
    for (let at = 0; at < (this.#slots + 1) * slotBytes; at += 4) {
      this.#setWord(this.#codePlace + at, words.breakpoint);
    }
    for (const [index, { word }] of tests.entries()) {
      const slot = this.#codePlace + index * slotBytes;
      this.#setWord(slot, words.slotEntry);
      this.#setWord(slot + wordOffset, word);
    }
    return tests.map((test, index) => this.#runOne(states, test, index));
  }

  #runOne(states: Uint8Array, { state, stores }: WordTest, index: number): Outcome {
    const start = slotsStart + BigInt(index * slotBytes + wordOffset);
    this.#loadState(new DataView(states.buffer, states.byteOffset + state * stateBytes, stateBytes), start);
    this.#processor.run(0, 1_000_000);
    const pc = this.#cpu.systemRegister('ELR_EL1');
    const exception = this.#cpu.systemRegister('ESR_EL1') >> 26n;
    const stayed: Ending = notAllowed.includes(exception) ? 'undefined' : 'fault';
    return {
      ending: pc === start ? stayed : 'done',
      pc,
      general: this.#general(),
      vectors: Array.from({ length: 32 }, (_, number) => this.#cpu.vector(number)).flat(),
      memory: stores ? this.#takeChanges() : '',
    };
  }

  #loadState(state: DataView, pc: bigint): void {
    const get = (offset: number): bigint => state.getBigUint64(offset, true);
    const half = (index: number): bigint => get(stateOffsets.v + 8 * index);
    this.#cpu.load({
      ...this.#atReset,
      registers: Array.from({ length: 31 }, (_, number) => get(8 * number)),
      pc,
      nzcv: Number(get(stateOffsets.nzcv) >> 28n),
      mode: 'EL0t',
      vectors: Array.from({ length: 32 }, (_, number) => [half(2 * number), half(2 * number + 1)] as const),
      stackPointers: [get(stateOffsets.sp), 0n],
      systemRegisters: {
        ...this.#atReset.systemRegisters,
        ...control,
        FPCR: get(stateOffsets.fpcr),
        FPSR: get(stateOffsets.fpsr),
        // The reference passes X30 in this register.
        TPIDR_EL0: get(8 * 30),
      },
    });
  }

  #general(): bigint[] {
    return [
      ...Array.from({ length: 31 }, (_, number) => this.#cpu.register(number)),
      this.#cpu.systemRegister('SP_EL0'),
      BigInt(this.#cpu.nzcv) << 28n,
      this.#cpu.systemRegister('FPCR'),
      this.#cpu.systemRegister('FPSR'),
    ];
  }

  /** The part of memory that differs from the pattern. Restores the pattern. */
  #takeChanges(): string {
    const memory = Buffer.from(this.#ram.buffer, this.#ram.byteOffset + this.#memoryPlace, memoryBytes);
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
