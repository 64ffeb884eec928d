import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { cloneValue, InputError, present } from '../base/index.js';
import { EngineMemory } from './memory.js';
import { packWords, unpackWords } from './packed_words.js';
import { Processor } from './processor.js';
import type { ProcessorValue } from './processor.js';
import { crossesPage, StraightRuns } from './straight_runs.js';
import { hostileTlbs } from './test_hostile_tlbs.js';
import { numbers } from './test_numbers.js';
import { toy } from './test_toy_cpu.js';
import { toyInstructions } from './test_toy_instructions.js';
import type { ToyHost, ToyView } from './test_toy_cpu.js';
import { ToyReference } from './test_toy_reference.js';
import { Tlbs, tlbBytes } from './tlb.js';

const pages = 8;
const memoryBytes = pages * 4096;

interface Pair {
  readonly processor: Processor<ToyView, ToyHost, never>;
  readonly references: readonly ToyReference[];
  /** The memory of the references. */
  readonly memory: Uint8Array;
  readonly pageTable: (number | null)[];
}

/** A processor and a reference of each vCPU. Addresses are those of memory until the page table is changed. */
function pair(vcpus: number, decodedPages: number): Pair {
  const pageTable: (number | null)[] = Array.from({ length: 2 * pages }, (_, page) =>
    page < pages ? page : null,
  );
  const memory = new Uint8Array(memoryBytes);
  const host: ToyHost = {
    pageTable,
    memory: {
      frame: (address) => (address < memoryBytes ? processor.ramStart + address : -1),
      read: () => null,
      write: () => false,
    },
  };
  const sizes = { vcpus, ramBytes: memoryBytes, decodedPages };
  const processor = new Processor<ToyView, ToyHost, never>(toy, host, sizes);
  const references = Array.from({ length: vcpus }, () => new ToyReference(memory, pageTable));
  return { processor, references, memory, pageTable };
}

function write({ processor, memory }: Pair, offset: number, bytes: readonly number[]): void {
  memory.set(bytes, offset);
  processor.ram.set(bytes, offset);
  processor.wrote(processor.ramStart + offset, bytes.length);
}

/** Sets the registers and pc of a vCPU and of its reference. */
function start(
  { processor, references }: Pair,
  index: number,
  pc: number,
  registers: readonly bigint[],
): void {
  const reference = present(references[index], 'a reference');
  const { block } = present(processor.vcpus[index], 'a vCPU');
  reference.pc = BigInt(pc);
  block.pc = BigInt(pc);
  reference.registers = [...registers];
  for (const [register, value] of registers.entries()) block.setRegister(register, value);
}

/** Runs the reference as a processor must: up to the first scheduling point at or behind the budget. */
function runReference(reference: ToyReference, budget: number): string {
  for (let executed = 1; ; executed += 1) {
    const outcome = reference.step();
    if (typeof outcome === 'object') return `${executed}, ${text(outcome)}`;
    if (executed >= budget && outcome === 'schedulingPoint') return `${executed}, budget`;
  }
}

function text(value: object): string {
  return JSON.stringify(value, (_key, each: unknown) =>
    typeof each === 'bigint' ? `0x${each.toString(16)}` : each,
  );
}

/** Runs a vCPU and its reference with a budget, and compares everything. Returns whether the run was stopped. */
function runBoth(both: Pair, index: number, budget: number): boolean {
  const { processor, references, memory } = both;
  const reference = present(references[index], 'a reference');
  const view = present(processor.vcpus[index], 'a vCPU');
  const from = view.block.pc.toString(16);
  const { executed, reason } = processor.run(index, budget);
  const how = reason === 'stopped' ? text(present(view.stop, 'why it stopped')) : reason;
  assert.equal(`${executed}, ${how}`, runReference(reference, budget), `vCPU ${index} from ${from}`);
  const state = (of: {
    registers: bigint[];
    flags: Record<string, number>;
    calls: readonly number[];
  }): object => ({
    registers: of.registers,
    flags: { ...of.flags },
    calls: [...of.calls],
  });
  assert.deepEqual(state(view), state(reference), `vCPU ${index} from ${from}`);
  assert.equal(view.block.pc, reference.pc);
  assert.ok(
    Buffer.from(processor.ram.buffer, processor.ramStart, memoryBytes).equals(memory),
    'memory differs',
  );
  return reason === 'stopped';
}

/** The bytes of a random instruction. */
function randomInstruction(next: () => number): number[] {
  if (next() % 60 === 0) return [next() & 0xff];
  const chosen = present(toyInstructions[next() % toyInstructions.length], 'an instruction');
  const bytes = [chosen.opcode | (next() & chosen.inOpcode)];
  if (chosen.registers) bytes.push(next() & 0x33);
  // Small distances and displacements of either sign, and sometimes any.
  const value = next() % 8 === 0 ? next() : ((next() % 64) - 24) >>> 0;
  for (let index = 0; index < chosen.immediate; index += 1) bytes.push((value >>> (8 * index)) & 0xff);
  return bytes;
}

function randomRegisters(next: () => number): bigint[] {
  return Array.from({ length: 4 }, () => {
    const kind = next() % 8;
    return kind < 6
      ? BigInt(next() % memoryBytes)
      : kind === 6
        ? BigInt(next() & 0xff)
        : BigInt(next()) << 32n;
  });
}

/** Two vCPUs with a random program, about to run it. */
function randomProgram(next: () => number, decodedPages: number): Pair {
  const both = pair(2, decodedPages);
  for (let offset = 0; offset < memoryBytes - 8;) {
    const bytes = randomInstruction(next);
    write(both, offset, bytes);
    offset += bytes.length;
  }
  for (const index of [0, 1]) start(both, index, next() % memoryBytes, randomRegisters(next));
  return both;
}

/** One run of one of the vCPUs. Before some runs, pages are mapped elsewhere or memory is written. */
function randomRun(both: Pair, next: () => number): void {
  const { processor, pageTable } = both;
  const index = next() % 2;
  const kind = next() % 12;
  if (kind === 0) {
    const [one, other] = [next() % pages, next() % pageTable.length];
    [pageTable[one], pageTable[other]] = [pageTable[other] ?? null, pageTable[one] ?? null];
    processor.flushTranslations();
  }
  if (kind === 1) write(both, next() % (memoryBytes - 8), randomInstruction(next));
  // Often at the end of a page.
  const pc = next() % 2 === 0 ? next() % memoryBytes : (next() % pages) * 4096 + 4080 + (next() % 16);
  if (runBoth(both, index, 1 + (next() % 60))) start(both, index, pc, randomRegisters(next));
}

function compareRandomProgram(seed: number, decodedPages: number): void {
  const next = numbers(seed);
  const both = randomProgram(next, decodedPages);
  for (let run = 0; run < 120; run += 1) randomRun(both, next);
}

/** A pair in the state of another one. */
function restored({ processor, references, memory, pageTable }: Pair, decodedPages: number): Pair {
  const copy = pair(2, decodedPages);
  copy.memory.set(memory);
  copy.processor.ram.set(memory);
  copy.pageTable.splice(0, pageTable.length, ...pageTable);
  for (const [index, reference] of references.entries()) {
    const { pc, registers, flags, calls } = reference;
    const other = present(copy.references[index], 'a reference');
    Object.assign(other, { pc, registers: [...registers], flags: { ...flags } });
    other.calls.push(...calls);
  }
  const saved = processor.save();
  copy.processor.load(saved);
  assert.deepEqual(copy.processor.save(), saved);
  return copy;
}

describe('straight runs of the toy CPU', () => {
  it('do as a direct interpreter does, for random programs that modify themselves', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 0x7fffffff }),
        fc.integer({ min: 1, max: 9 }),
        compareRandomProgram,
      ),
      { numRuns: 40 },
    );
  });

  it('go on after they were saved and restored as if they had not been', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 0x7fffffff }),
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 0, max: 60 }),
        (seed, decodedPages, cut) => {
          const next = numbers(seed);
          const both = randomProgram(next, decodedPages);
          for (let run = 0; run < cut; run += 1) randomRun(both, next);
          const copy = restored(both, decodedPages);
          const after = next() | 1;
          for (const each of [both, copy]) {
            const same = numbers(after);
            for (let run = 0; run < 40; run += 1) randomRun(each, same);
          }
          assert.deepEqual(copy.processor.save(), both.processor.save());
        },
      ),
      { numRuns: 25 },
    );
  });

  // mov32 r0, VALUE in the last two bytes of page 0 and the first three of page 1; then system 200.
  const crossing = (value: number): number[] => [0x14, value & 0xff, value >> 8, 0, 0, 0x60, 200];
  const at = 4094;

  function crossingPair(): Pair {
    const both = pair(2, 4);
    write(both, at - 2, [0x01, 0x01, ...crossing(0x1234)]);
    start(both, 0, at - 2, [0n, 0n, 0n, 0n]);
    runBoth(both, 0, 100);
    assert.equal(present(both.references[0], 'a reference').registers[0], 0x1234n);
    start(both, 0, at - 2, [0n, 0n, 0n, 0n]);
    return both;
  }
  const result = ({ processor }: Pair): bigint | undefined => processor.vcpus[0]?.registers[0];

  it('decode a crossing instruction again when the machine writes its second part', () => {
    const both = crossingPair();
    for (let value = 1; value < 600; value += 1) {
      write(both, 4096, [value & 0xff]);
      start(both, 0, at, [0n, 0n, 0n, 0n]);
      runBoth(both, 0, 100);
      assert.equal(result(both), BigInt(0x34 | ((value & 0xff) << 8)));
    }
  });

  it('decode a crossing instruction again when another vCPU stores to its second part', () => {
    const both = crossingPair();
    // store byte r0 -> [r1]; system 200
    write(both, 0x2000, [0x32, 0x01, 0x60, 200]);
    for (let value = 1; value < 300; value += 1) {
      start(both, 1, 0x2000, [BigInt(value), 4096n, 0n, 0n]);
      runBoth(both, 1, 100);
      start(both, 0, at, [0n, 0n, 0n, 0n]);
      runBoth(both, 0, 100);
      assert.equal(result(both), BigInt(0x34 | ((value & 0xff) << 8)));
    }
  });

  it('decode a crossing instruction that stores over its own second part with its own operands', () => {
    const both = pair(1, 4);
    // store [r1 + 0x000c], r0 in the last three bytes of page 0 and the first of page 1, to that page.
    write(both, 4093, [0x31, 0x01, 0x0c, 0x00, 0x24, 0x60, 200]);
    start(both, 0, 4093, [0x0101010101010101n, 4096n - 12n, 0n, 0n]);
    runBoth(both, 0, 1);
    runBoth(both, 0, 1);
  });

  it('take the second part of a crossing instruction from where the page is mapped now', () => {
    const both = crossingPair();
    const { pageTable, processor } = both;
    write(both, 5 * 4096, [0x77, 0, 0, 0x60, 200]);
    pageTable[1] = 5;
    processor.flushTranslations();
    runBoth(both, 0, 100);
    assert.equal(result(both), 0x7734n);
    pageTable[1] = null;
    processor.flushTranslations();
    start(both, 0, at - 2, [0n, 0n, 0n, 0n]);
    runBoth(both, 0, 100);
    assert.deepEqual(processor.vcpus[0]?.stop, { kind: 'fault', access: 'fetch', address: 4096n });
    assert.equal(processor.vcpus[0].block.pc, BigInt(at));
    pageTable[1] = 1;
    processor.flushTranslations();
    runBoth(both, 0, 100);
    assert.equal(result(both), 0x1234n);
  });

  it('decode a crossing instruction again when its first part was stored over before it was run', () => {
    const both = crossingPair();
    const { pageTable, processor } = both;
    const stop = processor.vcpus[0];
    // store byte r0 -> [r1]; system 200
    write(both, 0x2000, [0x32, 0x01, 0x60, 200]);
    for (const from of [at - 2, at]) {
      write(both, at - 2, [0x01, 0x01, ...crossing(0x1234)]);
      pageTable[1] = null;
      processor.flushTranslations();
      start(both, 0, from, [0n, 0n, 0n, 0n]);
      runBoth(both, 0, 100);
      assert.deepEqual(stop?.stop, { kind: 'fault', access: 'fetch', address: 4096n });
      // In place of its first byte: inc r0, which is alone.
      start(both, 1, 0x2000, [0x24n, BigInt(at), 0n, 0n]);
      runBoth(both, 1, 100);
      pageTable[1] = 1;
      processor.flushTranslations();
      start(both, 0, at, [6n, 0n, 0n, 0n]);
      runBoth(both, 0, 100);
      assert.equal(result(both), 7n);
    }
  });

  it('end a slice at the end of a page also where the last instruction stores to that page', () => {
    for (const budget of [1, 2, 3]) {
      const both = pair(1, 4);
      // inc r0; then, up to the end of the page, store byte r0 -> [r1], over the first of them; inc r0; system 200.
      write(both, 4093, [0x24, 0x32, 0x01, 0x24, 0x60, 200]);
      start(both, 0, 4093, [0n, 4093n, 0n, 0n]);
      while (!runBoth(both, 0, budget));
      assert.equal(result(both), 2n);
    }
  });

  it('find a crossing instruction again after its pages were evicted', () => {
    const both = crossingPair();
    for (let round = 0; round < 10; round += 1) {
      for (let page = 2; page < pages; page += 1) {
        write(both, page * 4096, [0x24, 0x60, 200]);
        start(both, 1, page * 4096, [0n, 0n, 0n, 0n]);
        runBoth(both, 1, 100);
      }
      write(both, 4096, [round]);
      start(both, 0, at - 2, [0n, 0n, 0n, 0n]);
      runBoth(both, 0, 100);
      assert.equal(result(both), BigInt(0x34 | (round << 8)));
    }
  });

  it('run loops by their links, and end slices at the right branch', () => {
    const both = pair(1, 4);
    // loop: inc r0; compare r0, r1; jump if not z to loop; system 200. Condition 6 is "not z".
    write(both, 0x100, [0x24, 0x22, 0x01, 0x56, 0xfd, 0x60, 200]);
    start(both, 0, 0x100, [0n, 5000n, 0n, 0n]);
    while (!runBoth(both, 0, 37));
    assert.equal(result(both), 5000n);
  });
});

describe('the room for records', () => {
  /** Records of one-byte instructions, each the end of a run: the most records that a page can have. */
  function crowded(
    capacity: number,
    span: number,
  ): { cache: StraightRuns; memory: EngineMemory; start: number } {
    const first = 1 << 20;
    const start = Math.ceil((first + StraightRuns.bytes(capacity)) / 4096) * 4096;
    const memory = new EngineMemory(start + span * 4096);
    assert.ok(tlbBytes(1) <= first);
    const tlbs = new Tlbs(memory, 0, 1, 0xffffffff);
    const cache = new StraightRuns(
      memory,
      tlbs,
      { start: first, pages: capacity },
      start + span * 4096,
      ({ record }) => {
        memory.view.setUint16(record, 99, true);
        return { bytes: 1, fallsThrough: false };
      },
    );
    return { cache, memory, start };
  }

  it('suffices for the fullest page, in every capacity, and no record is given twice', () => {
    for (const capacity of [1, 2, 10]) {
      const { cache, memory, start } = crowded(capacity, 12);
      for (let page = 0; page < 12; page += 1) {
        const seen = new Set<number>();
        for (let offset = 4095; offset >= 0; offset -= 1) {
          const instruction = start + page * 4096 + offset;
          const record = cache.find(instruction, 0);
          assert.notEqual(record, crossesPage);
          assert.equal(cache.instructionOf(record), instruction);
          assert.equal(cache.find(instruction, 0), record);
          seen.add(record);
        }
        assert.equal(seen.size, 4096);
        for (const record of seen) assert.equal(memory.view.getUint16(record, true), 99);
      }
    }
  });

  it('holds each variant of a page for itself, and a store drops all of them', () => {
    const { cache, memory, start } = crowded(10, 2);
    const records = [0, 1, 2].map((variant) => cache.find(start + 7, variant));
    assert.equal(new Set(records).size, 3);
    cache.stored(start + 8, 1);
    assert.ok(records.every((record) => memory.view.getUint16(record, true) === 99));
    cache.stored(start + 6, 2);
    assert.ok(records.every((record) => memory.view.getUint16(record, true) === 0));
  });
});

describe('a state that no processor saved', () => {
  interface Code {
    pages: { table: number; page: number; order: Uint8Array }[];
    freeTables: Uint8Array;
    codeBytes: { page: number }[];
  }

  function savedPair(): { processor: Pair['processor']; value: ProcessorValue } {
    const next = numbers(3);
    const both = randomProgram(next, 6);
    both.pageTable.splice(0, pages, ...Array(pages).keys());
    both.processor.flushTranslations();
    for (let run = 0; run < 40; run += 1) randomRun(both, next);
    write(both, 0x100, [0x30, 0x01, 0, 0x60, 200]);
    start(both, 0, 0x100, [0x800n, 0x800n, 0x800n, 0x800n]);
    runBoth(both, 0, 100);
    return { processor: both.processor, value: both.processor.save() };
  }

  const { processor, value } = savedPair();
  const refused = (changed: ProcessorValue, what: string): void => {
    assert.throws(() => pair(2, 6).processor.load(changed), InputError, what);
  };

  it('is refused where a translation leads elsewhere than to memory and decoded code', () => {
    pair(2, 6).processor.load(value);
    for (const [what, changed] of hostileTlbs(value, processor.ramStart)) refused(changed, what);
  });

  it('is refused where decoded code lies elsewhere than in the room for it, or comes from elsewhere than memory', () => {
    const { ramStart } = processor;
    const page = ramStart / 4096;
    const changes: Readonly<Record<string, (code: Code) => void>> = {
      'a table in memory': ({ pages: [first] }) => (first!.table = ramStart),
      'one table twice': ({ pages: [first, second] }) => (first!.table = second!.table),
      'a table that is free': (code) =>
        (code.freeTables = packWords([...unpackWords(code.freeTables), code.pages[0]!.table])),
      'a table too few': (code) => void code.pages.pop(),
      'a page behind memory': ({ pages: [first] }) => (first!.page = page + pages),
      'a page of the engine': ({ pages: [first] }) => (first!.page = 1),
      'half a page': ({ pages: [first] }) => (first!.page += 0.5),
      'an instruction behind its page': ({ pages: [first] }) => (first!.order = packWords([4096, 0])),
      'an instruction that ends behind memory': ({ pages: [first] }) =>
        (first!.order = packWords([0, 2 ** 20])),
      'marks behind memory': ({ codeBytes: [first] }) => (first!.page = page + pages),
    };
    for (const [what, change] of Object.entries(changes)) {
      const changed = cloneValue(value);
      change((changed.cpus as { code: Code }).code);
      refused(changed, what);
    }
  });
});
