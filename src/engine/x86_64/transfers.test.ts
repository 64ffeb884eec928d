import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as isa from '../../isa/x86_64/index.js';
import { cr0 } from './regime.js';
import { descriptorOf } from './segments.js';
import {
  enterLongMode,
  flatSegment,
  pageEntry,
  places,
  selectors,
  setGate,
  testMachine,
} from './test_machine.js';
import type { TestMachine } from './test_machine.js';

const number = isa.registerNumber;
const register = ({ cpu }: TestMachine, name: isa.RegisterName): bigint => cpu.register(number(name));

/** A machine in 64-bit mode with a program at 0x1000, and one at 0x2000. */
function longMachine(text: string, other = 'hlt', mode: 32 | 64 = 64): TestMachine {
  const machine = testMachine();
  enterLongMode(machine);
  const label = machine.program(0x1000, text);
  machine.program(0x2000, other, mode);
  machine.memory.setBigUint64(places.task + 4, 0xb000n, true); // RSP0
  for (const vector of [6, 13]) setGate(machine, vector, label('fault'));
  machine.cpu.pc = 0x1000n;
  machine.cpu.setRegister(number('rsp'), 0x9000n);
  return machine;
}

/** Puts a machine into 32-bit protected mode without paging, with flat segments and a TSS of 32 bits. Selectors are those of long mode. */
function enter32(machine: TestMachine, level: 0 | 3): void {
  enterLongMode(machine);
  const { memory, cpu } = machine;
  const at = (selector: number): number => places.globalTable + (selector & ~7);
  memory.setBigUint64(at(selectors.code), descriptorOf(flatSegment(0, 'code32')), true);
  memory.setBigUint64(at(selectors.user), descriptorOf(flatSegment(0, 'code32', 3)), true);
  memory.setUint32(places.task + 4, 0xb000, true);
  memory.setUint32(places.task + 8, selectors.data, true);
  const [code, data] =
    level === 0 ? [selectors.code, selectors.data] : [selectors.user | 3, selectors.userData | 3];
  cpu.setSystem({
    cr0: cr0.protected | cr0.extension,
    efer: 0,
    globalTable: { base: BigInt(places.globalTable), limit: 0xff },
    segments: [0, 1, 2, 3, 4, 5].map((segment) =>
      segment === 1 ? flatSegment(code, 'code32', level) : flatSegment(data, 'data', level),
    ),
  });
  cpu.load({ ...cpu.save(), privilege: level });
  memory.setUint32(0x3000, 0, true);
  memory.setUint16(0x3004, 0x43, true);
  cpu.setRegister(number('rsp'), 0x9000n);
}

/** A gate of 8 bytes of 32-bit code. */
function gate32(handler: bigint, type: number, parameters = 0): bigint {
  return (
    (handler & 0xffffn) |
    (BigInt(selectors.code) << 16n) |
    (BigInt(parameters) << 32n) |
    (BigInt(0xe0 | type) << 40n) |
    ((handler >> 16n) << 48n)
  );
}

describe('LAR and LSL', () => {
  it('set ZF where there is something to tell, and only then write their register', () => {
    const machine = longMachine(`
      mov $0x20, %ecx
      lar %ecx, %eax
      sete %bl
      lsl %ecx, %edx
      sete %bh
      mov $0x77, %esi
      mov $0xff0, %ecx
      lar %ecx, %esi
      sete %cl
      lsl %esi, %esi
      sete %ch
      vmmcall
      fault: hlt
    `);
    machine.run();
    assert.equal(register(machine, 'rax'), 0xc0f300n);
    assert.equal(register(machine, 'rdx'), 0xffffffffn);
    assert.equal(register(machine, 'rbx') & 0xffffn, 0x101n);
    assert.equal(register(machine, 'rcx') & 0xffffn, 0n);
    assert.equal(register(machine, 'rsi'), 0x77n);
  });
});

describe('call gates', () => {
  it('lead from user code to the stack of the TSS in long mode, and LRET back', () => {
    const machine = longMachine(
      `
      push $0x23
      push $0xa000
      push $0x2
      push $0x2b
      push $0x2000
      iretq
    fault:
      vmmcall
    `,
      'lcall *0x3000\nmov %cs, %edi\nhlt',
    );
    machine.program(
      0x5000,
      'mov %rsp, %rbx\nmov 0x18(%rsp), %rdx\nmov 0x10(%rsp), %rcx\nmov %ss, %esi\nlretq',
    );
    const at = places.globalTable + 0x40;
    machine.memory.setBigUint64(at, gate32(0x5000n, 0xc), true);
    machine.memory.setBigUint64(at + 8, 0n, true);
    machine.cpu.setSystem({ globalTable: { base: BigInt(places.globalTable), limit: 0x4f } });
    machine.memory.setUint32(0x3000, 0, true);
    machine.memory.setUint16(0x3004, 0x43, true);
    machine.run();
    assert.equal(register(machine, 'rbx'), 0xb000n - 32n);
    assert.equal(register(machine, 'rdx'), BigInt(selectors.userData | 3), 'the stack of the caller');
    assert.equal(register(machine, 'rcx'), 0xa000n);
    assert.equal(register(machine, 'rsi'), 0n, 'a null stack segment');
    assert.equal(register(machine, 'rdi'), BigInt(selectors.user | 3));
  });

  it('copy parameters to the inner stack in 32-bit code, which a return with a count drops from both', () => {
    const machine = testMachine();
    enter32(machine, 3);
    machine.program(0x1000, 'push $0x11\npush $0x22\nlcall *0x3000\nmov %esp, %edi\nud2', 32);
    machine.program(
      0x5000,
      'mov 0x8(%esp), %eax\nmov 0xc(%esp), %ebx\nmov 0x10(%esp), %ecx\nmov %ss, %edx\nlret $8',
      32,
    );
    machine.program(0x6000, 'mov %cs, %esi\nmov 0x10(%esp), %ebp\nvmmcall', 32);
    machine.memory.setBigUint64(places.globalTable + 0x40, gate32(0x5000n, 0xc, 2), true);
    machine.memory.setBigUint64(places.interruptTable + 8 * 6, gate32(0x6000n, 0xe), true);
    machine.cpu.pc = 0x1000n;
    machine.run();
    const values = (['rax', 'rbx', 'rcx', 'rdx', 'rdi'] as const).map((name) => register(machine, name));
    assert.deepEqual(values, [0x22n, 0x11n, 0x9000n - 8n, BigInt(selectors.data), 0x9000n]);
    // #UD of user code took the stack of the TSS.
    assert.equal(register(machine, 'rsi'), BigInt(selectors.code));
    assert.equal(register(machine, 'rbp'), BigInt(selectors.userData | 3));
    assert.equal(register(machine, 'rsp'), 0xb000n - 20n);
  });

  it('need a TSS of 32 bits up to the selector of the stack, and raise #TS where it is shorter', () => {
    for (const [limit, code] of [
      [9, 0x77n],
      [8, BigInt(selectors.task)],
    ] as const) {
      const machine = testMachine();
      enter32(machine, 3);
      machine.program(0x1000, 'lcall *0x3000', 32);
      machine.program(0x5000, 'mov $0x77, %eax\nvmmcall', 32);
      machine.program(0x6000, 'pop %eax\nvmmcall', 32);
      const { globalTable, interruptTable } = places;
      machine.memory.setBigUint64(globalTable + 0x40, gate32(0x5000n, 0xc), true);
      machine.memory.setBigUint64(interruptTable + 8 * 10, gate32(0x6000n, 0xe), true);
      machine.memory.setUint16(interruptTable + 8 * 10 + 2, selectors.user | 3, true);
      machine.cpu.setSystem({ task: { ...machine.cpu.system.task, limit } });
      machine.cpu.pc = 0x1000n;
      machine.run();
      assert.equal(register(machine, 'rax'), code);
    }
  });

  it('raise #TS where the TSS has no stack that fits', () => {
    const machine = testMachine();
    enter32(machine, 3);
    machine.program(0x1000, 'lcall *0x3000', 32);
    machine.memory.setBigUint64(places.globalTable + 0x40, gate32(0x5000n, 0xc), true);
    machine.memory.setUint32(places.task + 8, selectors.userData, true);
    machine.program(0x6000, 'pop %eax\nvmmcall', 32);
    // The handler of #TS runs at the level of the caller.
    const own = gate32(0x6000n, 0xe) & ~0xffff0000n;
    machine.memory.setBigUint64(
      places.interruptTable + 8 * 10,
      own | (BigInt(selectors.user | 3) << 16n),
      true,
    );
    machine.cpu.pc = 0x1000n;
    machine.run();
    assert.equal(register(machine, 'rax'), BigInt(selectors.userData));
  });
});

describe('SYSCALL', () => {
  it('leads from 32-bit user code under long mode to CSTAR, and SYSRET back', () => {
    const machine = longMachine(
      `
      push $0x23
      push $0xa000
      push $0x2
      push $0x1b
      push $0x2000
      iretq
    fault:
      mov 0x10(%rsp), %r9
      vmmcall
    `,
      'syscall\nmov %cs, %esi\nhlt',
      32,
    );
    machine.program(0x5000, 'mov %ecx, %ebx\nmov %cs, %edi\nsysretl');
    machine.cpu.setSystem({
      star: (BigInt(selectors.user32) << 48n) | (BigInt(selectors.code) << 32n),
      lstar: 0x6000n,
      cstar: 0x5000n,
    });
    machine.run();
    const values = (['rbx', 'rdi', 'rsi', 'r9'] as const).map((name) => register(machine, name));
    assert.deepEqual(values, [
      0x2002n,
      BigInt(selectors.code),
      BigInt(selectors.user32 | 3),
      BigInt(selectors.user32 | 3),
    ]);
  });
});

describe('FXSAVE and FXRSTOR', () => {
  it('fault at the first byte that is missing, FXSAVE as a write, before they change anything', () => {
    for (const [text, code] of [
      ['fxsave (%rdi)', 2n],
      ['fxrstor (%rdi)', 0n],
    ] as const) {
      const machine = longMachine(`${text}\nfault: hlt`);
      machine.program(0x5000, 'pop %rax\nmov %cr2, %rbx\nvmmcall');
      setGate(machine, 14, 0x5000n);
      machine.memory.setBigUint64(pageEntry(0x21000), 0n, true);
      machine.memory.setBigUint64(0x20f00, 0x1234n, true);
      machine.cpu.setRegister(number('rdi'), 0x20f00n);
      machine.run();
      assert.equal(register(machine, 'rax'), code);
      assert.equal(register(machine, 'rbx'), 0x21000n);
      assert.equal(machine.memory.getBigUint64(0x20f00, true), 0x1234n);
    }
  });
});

describe('control registers', () => {
  it('refuse what they cannot have in 64-bit mode', () => {
    const values = [
      ['cr0', 'no paging', 0x1_0011n],
      ['cr0', 'no protection', 0x8001_0010n],
      ['cr3', 'beyond the width of addresses', 1n << 45n],
      ['cr4', 'no PAE', 0x80n],
      ['cr4', 'UMIP', 0x8a0n],
      ['cr4', 'LA57', 0x10a0n],
      ['cr4', 'PKE', 0x4000a0n],
      ['cr4', 'upper half', 0x1_0000_00a0n],
    ] as const;
    for (const [name, what, value] of values) {
      const machine = longMachine(`mov %rdi, %${name}\nvmmcall\nfault: pop %rax\nmov $0x66, %ebx\nvmmcall`);
      machine.cpu.setRegister(number('rdi'), value);
      machine.run();
      assert.equal(register(machine, 'rbx'), 0x66n, `${name}: ${what}`);
    }
  });
});
