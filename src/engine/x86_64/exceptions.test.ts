import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as isa from '../../isa/x86_64/index.js';
import { enterLongMode, pageEntry, places, selectors, setGate, testMachine } from './test_machine.js';
import type { TestMachine } from './test_machine.js';
import { mostUnimplemented, otherUnimplemented } from './vcpu.js';

const number = isa.registerNumber;
const register = ({ cpu }: TestMachine, name: isa.RegisterName): bigint => cpu.register(number(name));

function machineWith(text: string): { machine: TestMachine; label: (name: string) => bigint } {
  const machine = testMachine();
  enterLongMode(machine);
  const label = machine.program(0x1000, text);
  machine.memory.setBigUint64(places.task + 4, 0xb000n, true); // RSP0
  machine.memory.setBigUint64(places.task + 0x24, 0xc000n, true); // IST1
  machine.cpu.pc = 0x1000n;
  machine.cpu.setRegister(number('rsp'), 0x9000n);
  return { machine, label };
}

describe('exceptions in long mode', () => {
  it('let a handler repair a page, after which the instruction runs again', () => {
    const { machine, label } = machineWith(`
      mov $0x55, %eax
      mov %eax, 0x20010
      mov 0x20010, %ebx
      vmmcall
    fault:
      mov %cr2, %rsi
      pop %rdi
      orq $0x3, 0x${pageEntry(0x20000).toString(16)}
      invlpg (%rsi)
      iretq
    `);
    setGate(machine, 14, label('fault'));
    machine.memory.setBigUint64(pageEntry(0x20000), 0x20000n, true);
    machine.run();
    assert.equal(register(machine, 'rbx'), 0x55n);
    assert.equal(register(machine, 'rsi'), 0x20010n);
    assert.equal(register(machine, 'rdi'), 2n, 'the error code of a write to a page that is not there');
    assert.equal(machine.memory.getUint32(pageEntry(0x20000), true) & 0x60, 0x60, 'accessed and dirty');
    assert.equal(register(machine, 'rsp'), 0x9000n);
  });

  it('are #UD of RSM outside system-management mode, which is not counted', () => {
    const { machine, label } = machineWith('bad: rsm\nundefined: mov (%rsp), %r12\nvmmcall');
    setGate(machine, 6, label('undefined'));
    machine.run();
    assert.equal(register(machine, 'r12'), label('bad'));
    assert.deepEqual([...machine.cpu.unimplemented], []);
  });

  it('return behind INT3, and to the instruction that a protection fault left', () => {
    const { machine, label } = machineWith(`
      int3
    after:
      movabs $0x8000000000000000, %rax
    bad:
      mov (%rax), %rbx
      nop
    trap:
      mov (%rsp), %r12
      iretq
    protection:
      mov (%rsp), %r13
      mov 0x8(%rsp), %r14
      vmmcall
    `);
    setGate(machine, 3, label('trap'), { type: 0xf });
    setGate(machine, 13, label('protection'), { stack: 1 });
    machine.run();
    assert.equal(register(machine, 'r12'), label('after'));
    assert.equal(register(machine, 'r13'), 0n);
    assert.equal(register(machine, 'r14'), label('bad'));
    assert.equal(register(machine, 'rsp'), 0xc000n - 48n, 'the stack of the interrupt stack table');
  });

  it('go to user code by IRETQ, back by SYSCALL, and there again by SYSRET', () => {
    const { machine, label } = machineWith(`
      push $0x23
      push $0xa000
      push $0x202
      push $0x2b
      push $0x2000
      iretq
    entry:
      cmp $0x1, %eax
      jne done
      mov %cs, %r8
      sysretq
    done:
      vmmcall
    protection:
      mov 0x10(%rsp), %r15
      vmmcall
    `);
    machine.program(0x2000, 'mov %cs, %r9\nmov $0x1, %eax\nsyscall\nmov %ss, %r10\nhlt');
    setGate(machine, 13, label('protection'));
    machine.cpu.setSystem({
      star: (BigInt(selectors.user32) << 48n) | (BigInt(selectors.code) << 32n),
      lstar: label('entry'),
      fmask: 0x200n,
    });
    machine.run();
    assert.equal(register(machine, 'r8'), BigInt(selectors.code));
    assert.equal(register(machine, 'r9'), BigInt(selectors.user | 3));
    assert.equal(register(machine, 'r10'), BigInt(selectors.userData | 3));
    assert.equal(register(machine, 'r11') & 0x202n, 0x202n);
    assert.equal(
      register(machine, 'r15'),
      BigInt(selectors.user | 3),
      'HLT is a protection fault outside the kernel',
    );
    assert.equal(register(machine, 'rsp'), 0xb000n - 48n);
  });

  it('end the vCPU when neither they nor a double fault can be delivered', () => {
    const { machine } = machineWith('ud2');
    assert.equal(machine.run().reason, 'stopped');
    assert.deepEqual(machine.heard, [{ kind: 'shutdown', vcpu: 0, at: 0 }]);
    assert.ok(machine.cpu.isShutDown);
  });

  it('take an interrupt behind the instruction after STI', () => {
    const { machine, label } = machineWith(`
      mov $0x1, %eax
      sti
      inc %eax
      jmp next
    next:
      inc %eax
      vmmcall
    interrupt:
      mov %eax, %ebx
      iretq
    `);
    setGate(machine, 0x30, label('interrupt'));
    machine.interrupts.push(0x30);
    machine.processor.setInterruptLine(0, 'interrupt', true);
    machine.run();
    assert.equal(register(machine, 'rbx'), 2n);
    assert.equal(register(machine, 'rax'), 3n);
  });
});

describe('an interrupt that waits', () => {
  it('is taken between STI with an instruction behind it and CLI, and not before a CLI right behind STI', () => {
    const { machine, label } = machineWith(`
      sti
      cli
      mov %ebx, %ecx
      sti
      nop
      cli
      mov %ebx, %edx
      vmmcall
    interrupt:
      inc %ebx
      iretq
    `);
    setGate(machine, 0x30, label('interrupt'));
    machine.interrupts.push(0x30);
    machine.processor.setInterruptLine(0, 'interrupt', true);
    machine.run();
    assert.equal(register(machine, 'rcx'), 0n);
    assert.equal(register(machine, 'rdx'), 1n);
  });
});

describe('opcodes that are not implemented', () => {
  it('are counted by name, and beyond a number of names as one', () => {
    const count = mostUnimplemented + 44;
    const { machine, label } = machineWith('jmp 0x20000\ninvalid: addq $0x10, (%rsp)\niretq');
    setGate(machine, 6, label('invalid'));
    for (let index = 0; index < count; index += 1) {
      machine.processor.ram.set([0xc4, 0xe2, index & 0xff, index >> 8], 0x20000 + 16 * index);
    }
    machine.program(0x20000 + 16 * count, 'vmmcall');
    machine.run();
    const { unimplemented } = machine.cpu;
    assert.equal(unimplemented.size, mostUnimplemented + 1);
    assert.equal(unimplemented.get(otherUnimplemented), 44);
  });
});

describe('code that changes itself', () => {
  it('runs as it was changed, through another address too', () => {
    const { machine } = machineWith(`
      mov $0x2, %ecx
    again:
      mov $0x1, %eax
      add %eax, %ebx
      movb $0x5, 0x31006
      dec %ecx
      jne again
      vmmcall
    `);
    machine.memory.setBigUint64(pageEntry(0x31000), 0x1007n, true);
    machine.run();
    assert.equal(register(machine, 'rbx'), 6n);
  });
});
