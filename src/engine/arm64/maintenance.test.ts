import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testMachine, vcpuOf } from './test_machine.js';
import type { TestMachine } from './test_machine.js';

const root = 0x20000;
const page = 0x400000n;
/** The two pages that the tests map `page` to. Each holds a different number. */
const targets = [0x50000, 0x60000] as const;
const leaf = 0x23000;

/** Maps the first 2 MiB one to one, and one page of 4 KiB at `page`. */
function translating(vcpus: number): TestMachine {
  const machine = testMachine({ vcpus });
  machine.setWord(root, 0x21003n);
  machine.setWord(0x21000, 0x22003n);
  // Normal memory for EL1 only, and the same memory for EL0 2 MiB higher.
  machine.setWord(0x22000, 0x0n | 1n | (1n << 2n) | (1n << 10n) | (1n << 54n));
  machine.setWord(0x22008, 0x0n | 1n | (1n << 2n) | (1n << 10n) | (3n << 6n) | (1n << 53n));
  machine.setWord(0x22010, BigInt(leaf) | 3n);
  for (const [index, target] of targets.entries()) machine.setWord(target, BigInt(100 + index));
  point(machine, targets[0]);
  for (const cpu of machine.processor.vcpus) {
    cpu.setSystemRegister('MAIR_EL1', 0xff00n);
    // 48-bit addresses, 44-bit physical addresses, no TTBR1.
    cpu.setSystemRegister('TCR_EL1', 16n | (1n << 23n) | (4n << 32n));
    cpu.setSystemRegister('TTBR0_EL1', BigInt(root));
    cpu.setSystemRegister('SCTLR_EL1', 0x30d00801n);
  }
  return machine;
}

/** Maps `page` to another page. */
function point(machine: TestMachine, target: number): void {
  machine.setWord(
    leaf,
    BigInt(target) | 3n | (1n << 2n) | (1n << 6n) | (1n << 10n) | (1n << 11n) | (3n << 53n),
  );
}

function run(machine: TestMachine, vcpu: number, pc: number): bigint {
  const cpu = vcpuOf(machine, vcpu);
  cpu.pc = BigInt(pc);
  machine.runToCall(vcpu);
  return cpu.register(0);
}

test('a broadcast TLBI makes every vCPU translate again: by address, by ASID, and for all entries', () => {
  const instructions = ['tlbi vae1is, x2', 'tlbi vale1is, x2', 'tlbi vaae1is, x2', 'tlbi vaale1is, x2', 'tlbi aside1is, x3', 'tlbi vmalle1is']; // prettier-ignore
  for (const [index, instruction] of instructions.entries()) {
    const machine = translating(3);
    machine.program(0x1000, 'ldr x0, [x1]\nhvc #0');
    machine.program(0x1100, 'ldtr x0, [x1]\nhvc #0');
    machine.program(0x2000, `${instruction}\nhvc #0`);
    for (const cpu of machine.processor.vcpus) {
      cpu.setRegister(1, page);
      cpu.setRegister(2, page >> 12n);
      cpu.setRegister(3, 0n);
    }
    for (const vcpu of [0, 1, 2]) assert.equal(run(machine, vcpu, 0x1000), 100n);
    assert.equal(run(machine, 2, 0x1100), 100n);
    point(machine, targets[1]);
    run(machine, index % 3, 0x2000);
    for (const vcpu of [0, 1, 2]) {
      assert.equal(run(machine, vcpu, 0x1000), 101n, instruction);
      assert.equal(run(machine, vcpu, 0x1100), 101n, instruction);
    }
  }
});

test('EL0 reads only its own memory and keeps its own stack pointer', () => {
  const machine = translating(1);
  const cpu = vcpuOf(machine);
  const user = 0x200000;
  machine.program(0x1000, 'msr elr_el1, x1\nmsr spsr_el1, xzr\nmsr sp_el0, x2\neret');
  // At EL0: loads a word of its own, then a word of EL1.
  machine.program(0x3000, 'ldr x0, [x3]\nadd x5, sp, #0\nldr x4, [x6]');
  machine.program(0x8000 + 0x400, 'add x7, sp, #0\nhvc #1');
  cpu.setSystemRegister('VBAR_EL1', 0x8000n);
  cpu.setRegister(1, BigInt(user + 0x3000));
  cpu.setRegister(2, 0x4321n);
  cpu.setRegister(3, page);
  cpu.setRegister(6, 0x3000n);
  cpu.stackPointer = 0x7000n;
  cpu.pc = 0x1000n;
  machine.runToCall();
  assert.deepEqual(
    [0, 5, 7].map((number) => cpu.register(number)),
    [100n, 0x4321n, 0x7000n],
  );
  assert.equal(cpu.systemRegister('ESR_EL1'), 0x9200000en);
  assert.equal(cpu.systemRegister('FAR_EL1'), 0x3000n);
  assert.equal(cpu.systemRegister('SP_EL0'), 0x4321n);
  assert.equal(cpu.mode, 'EL1h');
});

test('translate() answers for each kind of access and each exception level', () => {
  const machine = translating(1);
  const cpu = vcpuOf(machine);
  assert.equal(cpu.translate(page + 0x123n), BigInt(targets[0] + 0x123));
  assert.equal(cpu.translate(page, 'write', 0), BigInt(targets[0]));
  assert.equal(cpu.translate(page, 'fetch', 0), null);
  assert.equal(cpu.translate(0x3000n, 'read', 0), null);
  assert.equal(cpu.translate(0x203000n, 'fetch', 0), 0x3000n);
  assert.equal(cpu.translate(0x203000n, 'write', 0), null);
  assert.equal(cpu.translate(page + 0x1000n), null);
});

test('a change of the physical memory map takes effect once the engine is told', () => {
  const machine = translating(1);
  machine.program(0x1000, 'ldr x0, [x1]\nhvc #0');
  vcpuOf(machine).setRegister(1, page);
  assert.equal(run(machine, 0, 0x1000), 100n);
  point(machine, targets[1]);
  machine.processor.flushTranslations();
  assert.equal(run(machine, 0, 0x1000), 101n);
});

test('unaligned accesses work in normal memory, also across pages, and fault in Device memory', () => {
  const machine = translating(1);
  const cpu = vcpuOf(machine);
  machine.program(0x8000 + 0x200, 'hvc #2');
  machine.program(0x1000, 'ldr x0, [x1]\nldur w2, [x1, #1]\nldurh w3, [x1, #3]\nldur q0, [x1, #2]\nhvc #1');
  cpu.setSystemRegister('VBAR_EL1', 0x8000n);
  for (let at = 0; at < 64; at += 8) machine.setWord(0x50000 + at, BigInt(at) * 0x0101010101010101n);
  cpu.setRegister(1, 0x5000dn);
  for (const turn of [0, 1]) {
    assert.equal(run(machine, 0, 0x1000), 0x1010101010080808n, `${turn}`);
    assert.equal(cpu.register(2), 0x10100808n);
    assert.equal(cpu.register(3), 0x1010n);
  }
  cpu.setRegister(1, 0x50ffdn);
  machine.setWord(0x50ff8, 0x1122334455667788n);
  machine.setWord(0x51000, 0x99aabbccddeeff00n);
  assert.equal(run(machine, 0, 0x1000), 0xccddeeff00112233n);
  // Map the same page as Device memory.
  point(machine, targets[0]);
  machine.setWord(leaf, 0x50000n | 3n | (1n << 10n) | (1n << 11n));
  machine.processor.flushTranslations();
  cpu.setRegister(1, page);
  machine.program(0x1000, 'ldr x0, [x1]\nldr x0, [x1, #8]\nldur x0, [x1, #4]\nhvc #1');
  run(machine, 0, 0x1000);
  assert.equal(cpu.systemRegister('ESR_EL1'), 0x96000021n);
  assert.equal(cpu.systemRegister('ELR_EL1'), 0x1008n);
});
