import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as isa from '../../isa/x86_64/index.js';
import { recordLayout } from '../record.js';
import { enterLongMode, pageEntry, setGate, testMachine } from './test_machine.js';
import type { TestMachine } from './test_machine.js';

const number = isa.registerNumber;
const register = ({ cpu }: TestMachine, name: isa.RegisterName): bigint => cpu.register(number(name));
const page = 0x20000;
const [present, writable, accessed, dirty] = [1n, 2n, 0x20n, 0x40n];

/**
 * Runs 64-bit code whose RBX is an address in a page, which has the given bits. RDI is the error code of the page fault, RSI where it
 * was, R8 the instruction; RDI is all ones where there is none.
 */
function runAt(text: string, bits: bigint, offset = 0): TestMachine {
  const machine = testMachine();
  enterLongMode(machine);
  const label = machine.program(
    0x1000,
    `
    mov $-1, %rdi
    mov $${page + offset}, %ebx
  start:
    ${text}
    vmmcall
  fault:
    pop %rdi
    pop %r8
    mov %cr2, %rsi
    vmmcall
  `,
  );
  setGate(machine, 14, label('fault'));
  machine.memory.setBigUint64(pageEntry(page), BigInt(page) | bits, true);
  machine.cpu.pc = 0x1000n;
  machine.cpu.setRegister(number('rsp'), 0x9000n);
  machine.cpu.setRegister(number('rax'), 5n);
  machine.run();
  return machine;
}

const bitsOf = ({ memory }: TestMachine): bigint => memory.getBigUint64(pageEntry(page), true) & 0xfffn;

/** Instructions that read memory and write it back. */
const modifying = [
  'add %eax, (%rbx)',
  'addq $0x1, (%rbx)',
  'incb (%rbx)',
  'lock xadd %eax, (%rbx)',
  'xchg %rax, (%rbx)',
  'cmpxchg %ecx, (%rbx)',
  'cmpxchg8b (%rbx)',
  'bts %eax, (%rbx)',
  'btrl $0x3, (%rbx)',
  'shll $0x1, (%rbx)',
  'rcrb %cl, (%rbx)',
  'shld %cl, %eax, (%rbx)',
  'negl (%rbx)',
];

describe('an access of an x86-64 CPU', () => {
  it('faults as a write where an instruction reads memory and writes it back', () => {
    for (const text of modifying) {
      const absent = runAt(text, 0n);
      assert.equal(register(absent, 'rdi'), 2n, text);
      assert.equal(register(absent, 'rsi'), BigInt(page), text);
      const readOnly = runAt(text, present);
      assert.equal(register(readOnly, 'rdi'), 3n, text);
      assert.equal(bitsOf(readOnly), present, `${text}: nothing was accessed`);
    }
    assert.equal(register(runAt('add (%rbx), %eax', 0n), 'rdi'), 0n, 'a read');
    assert.equal(register(runAt('cmpl $0x1, (%rbx)', 0n), 'rdi'), 0n, 'a comparison');
  });

  it('makes a page dirty by every instruction that may write it, and no other', () => {
    for (const text of modifying) {
      assert.equal(bitsOf(runAt(text, present | writable)), present | writable | accessed | dirty, text);
    }
    for (const text of ['add (%rbx), %eax', 'cmpl $0x1, (%rbx)', 'bt %eax, (%rbx)', 'testb $0x1, (%rbx)']) {
      assert.equal(bitsOf(runAt(text, present | writable)), present | writable | accessed, text);
    }
  });

  it('also does so where the page was read before', () => {
    const machine = runAt('mov (%rbx), %edx\naddl $0x1, (%rbx)\naddl $0x1, (%rbx)', present | writable);
    assert.equal(bitsOf(machine), present | writable | accessed | dirty);
    assert.equal(machine.memory.getUint32(page, true), 2);
    const readOnly = runAt('mov (%rbx), %edx\naddl $0x1, (%rbx)', present);
    assert.equal(register(readOnly, 'rdi'), 3n);
  });

  it('faults at the second page of an access across two, and then writes nothing', () => {
    const machine = runAt('addl $0x1, (%rbx)', present | writable, 4094);
    assert.equal(register(machine, 'rdi'), -1n & 0xffffffffffffffffn);
    const { memory } = machine;
    assert.equal(memory.getUint32(page + 4094, true), 1);
    const broken = runAt(`movq $0x0, ${pageEntry(page + 4096)}\naddl $0x1, (%rbx)`, present | writable, 4094);
    assert.equal(register(broken, 'rdi'), 2n);
    assert.equal(register(broken, 'rsi'), BigInt(page + 4096));
    assert.equal(broken.memory.getUint16(page + 4094, true), 0);
  });
});

describe('a form of an x86-64 instruction', () => {
  it('fits into a record', () => {
    for (const instruction of isa.x86) recordLayout(instruction);
  });
});
