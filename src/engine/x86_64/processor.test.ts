import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { InputError } from '../../base/index.js';
import * as isa from '../../isa/x86_64/index.js';
import { cr0, efer } from './regime.js';
import { enterLongMode, flatSegment, pageEntry, testMachine } from './test_machine.js';
import type { TestMachine } from './test_machine.js';

const number = isa.registerNumber;
const register = ({ cpu }: TestMachine, name: isa.RegisterName): bigint => cpu.register(number(name));

/** Runs 64-bit code up to its hypercall. */
function run(text: string): TestMachine {
  const machine = testMachine();
  enterLongMode(machine);
  machine.program(0x1000, text);
  machine.cpu.pc = 0x1000n;
  machine.cpu.setRegister(number('rsp'), 0x9000n);
  const { reason } = machine.run();
  assert.equal(reason, 'stopped');
  assert.deepEqual([...machine.cpu.unimplemented], []);
  return machine;
}

describe('an x86-64 processor', () => {
  it('computes, loads, stores and calls', () => {
    const machine = run(`
      movabs $0x123456789abcdef0, %rax
      mov $0x7, %ecx
      lea 0x5(%rax,%rcx,8), %rdx
      mov %rdx, 0x8000
      addl $0x1, 0x8004
      mov 0x8000, %rbx
      call double
      mov $0x10, %ecx
    again:
      add $0x2, %rsi
      dec %ecx
      jne again
      vmmcall
    double:
      add %rbx, %rbx
      ret
    `);
    assert.equal(register(machine, 'rdx'), 0x123456789abcdf2dn);
    assert.equal(register(machine, 'rbx'), 2n * 0x123456799abcdf2dn);
    assert.equal(register(machine, 'rsi'), 32n);
    assert.equal(register(machine, 'rsp'), 0x9000n);
  });

  it('addresses memory relative to the next instruction, also across pages', () => {
    const machine = testMachine();
    enterLongMode(machine);
    machine.program(0x1000, 'mov 0xff9(%rip), %rax\nadd $0x1, %rax\nmov %rax, 0x2000(%rip)\njmp 0x2ff9');
    machine.program(0x2ff9, 'mov 0x1000(%rip), %rbx\nvmmcall');
    machine.memory.setBigUint64(0x2000, 41n, true);
    machine.memory.setBigUint64(0x4000, 43n, true);
    machine.cpu.pc = 0x1000n;
    machine.run();
    assert.equal(register(machine, 'rax'), 42n);
    assert.equal(machine.memory.getBigUint64(0x3012, true), 42n);
    assert.equal(register(machine, 'rbx'), 43n);
  });

  it('runs an instruction and an access across pages', () => {
    const machine = testMachine();
    enterLongMode(machine);
    machine.program(0x1ffc, 'movabs $0x1122334455667788, %rax\nmov %rax, 0x3ffd\nmov 0x3ffd, %rbx\nvmmcall');
    machine.cpu.pc = 0x1ffcn;
    machine.run();
    assert.equal(register(machine, 'rbx'), 0x1122334455667788n);
    assert.equal(machine.memory.getBigUint64(0x3ffd, true), 0x1122334455667788n);
  });

  it('copies and fills memory by repeated instructions', () => {
    const machine = run(`
      mov $0x8000, %edi
      mov $0x55, %eax
      mov $0x200, %ecx
      rep stos %al,%es:(%rdi)
      mov $0x8000, %esi
      mov $0xa001, %edi
      mov $0x40, %ecx
      rep movsq %ds:(%rsi),%es:(%rdi)
      vmmcall
    `);
    assert.equal(register(machine, 'rcx'), 0n);
    assert.equal(register(machine, 'rdi'), 0xa201n);
    assert.equal(machine.memory.getUint8(0xa000), 0);
    assert.equal(machine.memory.getUint8(0xa200), 0x55);
  });

  it('keeps the whole state in a value', () => {
    const text = 'mov $0x64, %ecx\nagain: add $0x3, %rax\nsub $0x1, %ecx\njne again\nvmmcall';
    const one = testMachine();
    enterLongMode(one);
    one.program(0x1000, text);
    one.cpu.pc = 0x1000n;
    one.processor.run(0, 50);
    const value = one.processor.save();
    one.run();
    const expected = one.cpu.save();
    const other = testMachine();
    other.processor.ram.set(one.processor.ram.subarray(0, 1 << 22));
    other.processor.load(value);
    other.run();
    assert.deepEqual(other.cpu.save(), expected);
    assert.equal(register(other, 'rax'), 300n);
  });

  it('is refused with more registers than there are, which would fall on other parts of memory', () => {
    const { cpu } = testMachine();
    const value = cpu.save();
    const { registers, vectors } = value;
    for (const changed of [
      { ...value, registers: [...registers, 1n] },
      { ...value, registers: registers.slice(1) },
      { ...value, vectors: [...vectors, [1n, 1n] as const] },
    ])
      assert.throws(() => cpu.load(changed), InputError);
  });

  it('raises #UD for what is not implemented, and counts it', () => {
    const machine = testMachine();
    enterLongMode(machine);
    machine.processor.ram.set([0x0f, 0xff, 0xc0], 0x1000);
    machine.processor.ram.set([0xc4, 0xe2, 0x79, 0x18, 0x00], 0x1100);
    for (const pc of [0x1000n, 0x1100n]) {
      machine.cpu.pc = pc;
      machine.run();
      machine.cpu.setSystem({});
      machine.cpu.reset();
      enterLongMode(machine);
    }
    assert.equal(machine.heard.filter(({ kind }) => kind === 'shutdown').length, 2);
    // The first is UD0, which is undefined by definition.
    assert.equal(
      [...machine.cpu.unimplemented.values()].reduce((a, b) => a + b, 0),
      1,
    );
  });
});

describe('the entry of a PVH guest', () => {
  it('leads from 32-bit code without paging to a hypercall in long mode', () => {
    const machine = testMachine();
    const { memory, cpu } = machine;
    const labels = machine.program(
      0x1000,
      `
      .code32
      cld
      mov $table, %eax
      lgdtl (%eax)
      mov $0x10, %eax
      mov %eax, %ds
      mov %eax, %es
      mov %eax, %ss
      mov %ebx, %esi
      mov $0x8000, %edi
      mov $0x4, %ecx
      rep movsl %ds:(%esi),%es:(%edi)
      mov %cr4, %eax
      or $0x20, %eax
      mov %eax, %cr4
      mov $0x20000, %eax
      mov %eax, %cr3
      mov $0xc0000080, %ecx
      rdmsr
      bts $0x8, %eax
      bts $0x0, %eax
      wrmsr
      mov $0x80050033, %eax
      mov %eax, %cr0
      .byte 0xea
      .word 0x2000
      .hword 0x8
      .balign 8
    table:
      .hword 0x1f
      .word 0x3000
    `,
      32,
    );
    assert.ok(labels('table') > 0x1000n);
    machine.program(0x2000, 'mov 0x8000, %ebx\nmov $0x22, %eax\nvmmcall');
    memory.setBigUint64(0x3008, 0x00af9b000000ffffn, true);
    memory.setBigUint64(0x3010, 0x00cf93000000ffffn, true);
    memory.setBigUint64(0x20000, 0x21007n, true);
    memory.setBigUint64(0x21000, 0x87n, true); // a page of 1 GiB
    memory.setUint32(0x7000, 0x336ec578, true);
    cpu.setSystem({
      cr0: cr0.protected | cr0.extension,
      segments: (['data', 'code32', 'data', 'data', 'data', 'data'] as const).map((kind) =>
        flatSegment(0, kind),
      ),
      task: { selector: 0, base: 0n, limit: 0x67, attributes: 0x8b },
    });
    cpu.setRegister(number('rbx'), 0x7000n);
    cpu.pc = 0x1000n;
    assert.equal(machine.run().reason, 'stopped');
    assert.deepEqual(machine.heard, [{ kind: 'hypercall', vcpu: 0, at: 0x22 }]);
    assert.equal(register(machine, 'rbx'), 0x336ec578n);
    assert.equal(cpu.codeBits, 64);
    assert.equal(cpu.system.efer, efer.longActive | efer.longEnable | efer.syscall);
    assert.deepEqual([...cpu.unimplemented], []);
  });

  it('can be looked into without marking its page tables', () => {
    const machine = testMachine();
    const cpu = enterLongMode(machine);
    const at = pageEntry(0x8000);
    const accessed = 1n << 5n;
    machine.memory.setBigUint64(at, 0x9001n, true);
    const before = new Uint8Array(machine.memory.buffer).slice();
    assert.equal(cpu.translate(0x8123n), 0x9123n);
    assert.equal(cpu.translate(0x8123n, 'fetch'), 0x9123n);
    assert.equal(cpu.translate(0x8123n, 'write'), null, 'CR0.WP');
    assert.equal(cpu.translate(0x80_0000n), null);
    assert.equal(cpu.translate(1n << 47n), null, 'not canonical');
    assert.deepEqual(new Uint8Array(machine.memory.buffer), before);
    machine.program(0x1000, 'mov 0x8000, %eax\nvmmcall');
    cpu.pc = 0x1000n;
    machine.run();
    assert.equal(machine.memory.getBigUint64(at, true), 0x9001n | accessed);
  });

  it('loads integers into x87 registers exactly, and tells a stack overflow', () => {
    const machine = run(`
      mov $0xfffffff9, %eax
      mov %eax, 0x8000
      movabs $0x8000000000000000, %rax
      mov %rax, 0x8008
      fninit
      fildl 0x8000
      fildll 0x8008
      filds 0x8004
      fxsave 0x8100
      fildl 0x8000
      fildl 0x8000
      fildl 0x8000
      fildl 0x8000
      fildl 0x8000
      fildl 0x8000
      fnstsw %ax
      vmmcall
    `);
    const { memory } = machine;
    const at = (offset: number): readonly [bigint, number] => [
      memory.getBigUint64(0x8100 + offset, true),
      memory.getUint16(0x8108 + offset, true),
    ];
    // -7, -2^63 and 0, the last one on top.
    assert.deepEqual(
      [at(64), at(48), at(32)],
      [
        [0xe000000000000000n, 0xc001],
        [0x8000000000000000n, 0xc03e],
        [0n, 0],
      ],
    );
    assert.equal(memory.getUint8(0x8104), 0b1110_0000);
    // TOP is 7; IE, SF and C1 are set.
    assert.equal(register(machine, 'rax') & 0xffffn, 0x3a41n);
  });
});
