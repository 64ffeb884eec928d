import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RecordPages, recordPageBytes } from './code_cache.js';
import { InputError } from '../../base/index.js';
import { recordBytes } from '../layout.js';
import { EngineMemory } from '../memory.js';
import { hostileTlbs } from '../test_hostile_tlbs.js';
import { Tlbs, tlbBytes } from '../tlb.js';
import { assemble, testMachine, vcpuOf } from './test_machine.js';

/** Record pages start at 1 MiB; the guest's memory is 4 MiB to 5 MiB. */
const recordsStart = 1 << 20;
const codeStart = 4 << 20;

function codePages(capacity: number): { pages: RecordPages; memory: EngineMemory } {
  const memory = new EngineMemory(5 << 20);
  const tlbs = new Tlbs(memory, 0, 1, 0xffffffff);
  assert.ok(tlbBytes(1) <= recordsStart);
  return { memory, pages: new RecordPages(memory, tlbs, recordsStart, capacity, 5 << 20) };
}

test('a code page has one record page per variant, and keeps it', () => {
  const { pages } = codePages(8);
  const first = pages.records(codeStart, 0);
  const second = pages.records(codeStart, 1);
  assert.notEqual(first, second);
  assert.notEqual(pages.records(codeStart + 4096, 0), first);
  assert.equal(pages.records(codeStart, 0), first);
  assert.equal(pages.records(codeStart, 1), second);
  const sixth = second + 5 * recordBytes;
  assert.deepEqual([pages.instructionOf(sixth), pages.variantOf(sixth)], [codeStart + 20, 1]);
  assert.equal(pages.find(codeStart + 20, 1), sixth);
});

test('under random requests, no two code pages share records, and lookups stay right', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(30), fc.nat(2)), { maxLength: 200 }), (asked) => {
      const { pages } = codePages(9);
      for (const [page, variant] of asked) {
        const records = pages.records(codeStart + page * 4096, variant);
        assert.equal((records - recordsStart) % recordPageBytes, 0);
        assert.deepEqual(
          [pages.instructionOf(records), pages.variantOf(records)],
          [codeStart + page * 4096, variant],
        );
      }
    }),
    { numRuns: 50 },
  );
});

test('a store resets the records of the stored words in every variant, and no other records', () => {
  const { pages, memory } = codePages(8);
  const variants = [0, 1].map((variant) => pages.records(codeStart, variant));
  const fill = (): void => {
    for (const records of variants) {
      for (let index = 0; index < 1024; index += 1) memory.setWord(records + index * recordBytes, 99);
      pages.watch(records);
    }
  };
  const decoding = (records: number): number[] =>
    [...Array(1024).keys()].filter(
      (index) => memory.view.getUint16(records + index * recordBytes, true) === 0,
    );
  for (const [at, bytes, expected] of [
    [0, 4, [0]],
    [7, 1, [1]],
    [6, 4, [1, 2]],
    [4088, 8, [1022, 1023]],
    [16, 16, [4, 5, 6, 7]],
  ] as const) {
    fill();
    pages.stored(codeStart + at, bytes);
    for (const records of variants) assert.deepEqual(decoding(records), expected);
  }
});

test('a page with decoded code is not writable through the TLB until stores have dropped its records', () => {
  const { pages } = codePages(8);
  assert.equal(pages.watched.letWrite(codeStart), true);
  const records = pages.records(codeStart, 0);
  assert.equal(pages.watched.letWrite(codeStart), true);
  pages.watch(records);
  assert.equal(pages.watched.letWrite(codeStart), false);
  let stores = 0;
  while (!pages.watched.letWrite(codeStart)) {
    pages.stored(codeStart + 8, 4);
    stores += 1;
    assert.ok(stores < 1000);
  }
  assert.ok(stores > 1);
  // The second time, more stores are needed.
  pages.watch(records);
  let again = 0;
  while (!pages.watched.letWrite(codeStart)) {
    pages.stored(codeStart + 8, 4);
    again += 1;
  }
  assert.ok(again > stores);
});

test('code that the machine writes is decoded again', () => {
  const machine = testMachine();
  const cpu = vcpuOf(machine);
  for (let value = 0; value < 5; value += 1) {
    machine.program(0x1000, `movz x0, #${value}\nhvc #0`);
    cpu.pc = 0x1000n;
    machine.runToCall();
    assert.equal(cpu.register(0), BigInt(value));
  }
});

test('code that another vCPU writes is decoded again, even if its TLB had the page for writing before', () => {
  const machine = testMachine({ vcpus: 2 });
  const [runner, writer] = [vcpuOf(machine), vcpuOf(machine, 1)];
  machine.program(0x3000, 'str w0, [x1]\nhvc #0');
  writer.setRegister(1, 0x1000n);
  for (let value = 0; value < 300; value += 1) {
    writer.setRegister(0, BigInt(assemble(`movz x0, #${value}`, 0)));
    writer.pc = 0x3000n;
    machine.runToCall(1);
    if (value === 0) machine.program(0x1004, 'hvc #0');
    runner.pc = 0x1000n;
    machine.runToCall();
    assert.equal(runner.register(0), BigInt(value));
  }
});

test('code that modifies its own page runs the modified code', () => {
  const machine = testMachine();
  const cpu = vcpuOf(machine);
  machine.program(
    0x1000,
    `movz x2, #0
     movz x3, #500
     str w0, [x1]
     add x0, x0, #32
     isb
     nop
     add x2, x2, x4
     sub x3, x3, #1
     cbnz x3, 0x1008
     hvc #0`,
  );
  cpu.setRegister(0, BigInt(assemble('movz x4, #1', 0)));
  cpu.setRegister(1, 0x1014n);
  cpu.pc = 0x1000n;
  machine.runToCall();
  // 1 + 2 + ... + 500: each round executes another MOVZ in place of the NOP.
  assert.equal(cpu.register(2), 125250n);
});

test('an instruction that stores to its own page completes with its own operands', () => {
  // After some stores, all records of the page are dropped, among them the record of the storing instruction.
  for (const [store, last] of [
    ['str x5, [x7], #16', 0],
    ['stp x4, x5, [x7], #16', 8],
    ['str q1, [x7], #16', null],
  ] as const) {
    const machine = testMachine();
    const cpu = vcpuOf(machine);
    machine.program(0x1000, `${store}\nsub x3, x3, #1\ncbnz x3, 0x1000\nhvc #0`);
    cpu.setRegister(3, 200n);
    cpu.setRegister(5, 0x5555n);
    cpu.setRegister(7, 0x1100n);
    cpu.pc = 0x1000n;
    machine.runToCall();
    assert.equal(cpu.register(7), 0x1100n + 3200n, store);
    const memory = new DataView(machine.processor.ram.buffer, machine.processor.ramStart);
    for (let at = 0x1100; last !== null && at < 0x1100 + 3200; at += 16) {
      assert.equal(memory.getBigUint64(at + last, true), 0x5555n, store);
    }
  }
});

test('an instruction that stores over itself completes with its own operands', () => {
  const machine = testMachine();
  const cpu = vcpuOf(machine);
  machine.program(0x1000, 'nop\nstp x4, x5, [x7], #16\nhvc #0');
  cpu.setRegister(4, 0xd503201fd503201fn);
  cpu.setRegister(5, 0x5555n);
  cpu.setRegister(7, 0x1000n);
  cpu.pc = 0x1004n;
  machine.processor.run(0, 1);
  assert.equal(cpu.register(7), 0x1010n);
  const memory = new DataView(machine.processor.ram.buffer, machine.processor.ramStart);
  assert.equal(memory.getBigUint64(0x1008, true), 0x5555n);
});

test('code that exceeds the capacity of decoded pages runs correctly', () => {
  const machine = testMachine({ decodedPages: 5 });
  const cpu = vcpuOf(machine);
  // 40 pages that call one another, each at the middle of the next.
  for (let page = 0; page < 40; page += 1) {
    const here = 0x10000 + page * 4096;
    const next = page === 39 ? '' : `bl 0x${(here + 4096).toString(16)}`;
    machine.program(
      here,
      `str x30, [sp, #-16]!\n${next}\nadd x0, x0, #${page}\nldr x30, [sp], #16\nret x30`.replace(
        '\n\n',
        '\n',
      ),
    );
  }
  machine.program(0x1000, 'bl 0x10000\nsub x5, x5, #1\ncbnz x5, 0x1000\nhvc #0');
  cpu.setRegister(5, 20n);
  cpu.stackPointer = 0x8000n;
  cpu.pc = 0x1000n;
  machine.runToCall(0, 37);
  assert.equal(cpu.register(0), 20n * 780n);
});

test('a saved processor whose translations lead elsewhere than to memory and decoded code is refused', () => {
  const machine = testMachine();
  const cpu = vcpuOf(machine);
  machine.program(0x1000, 'ldr x0, [x1]\nhvc #0');
  cpu.pc = 0x1000n;
  machine.runToCall();
  const value = machine.processor.save();
  testMachine().processor.load(value);
  for (const [what, changed] of hostileTlbs(value, machine.processor.ramStart))
    assert.throws(() => testMachine().processor.load(changed), InputError, what);
});
