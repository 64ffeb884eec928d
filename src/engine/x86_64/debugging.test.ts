import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as isa from '../../isa/x86_64/index.js';
import { enterLongMode, places, setGate, testMachine } from './test_machine.js';
import type { TestMachine } from './test_machine.js';

const number = isa.registerNumber;

/** A machine whose handler of #DB notes in R8 and up where it came, and in R15 the bits of DR6. */
function machineWith(text: string, more = ''): TestMachine {
  const machine = testMachine();
  enterLongMode(machine);
  machine.program(0x1000, text);
  machine.program(
    0x2000,
    `
    mov %r10, %r11
    mov %r9, %r10
    mov %r8, %r9
    mov (%rsp), %r8
    mov %db6, %r14
    or %r14, %r15
    xor %r14d, %r14d
    mov %r14, %db6
    inc %r13
    ${more}
    iretq
  `,
  );
  setGate(machine, 1, 0x2000n);
  machine.cpu.pc = 0x1000n;
  machine.cpu.setRegister(number('rsp'), 0x9000n);
  return machine;
}

const values = ({ cpu }: TestMachine, ...names: isa.RegisterName[]): bigint[] =>
  names.map((name) => cpu.register(number(name)));

describe('RFLAGS.TF', () => {
  it('traps behind each instruction from the one after POPF on, also behind jumps, and not behind a load of SS', () => {
    const machine = machineWith(`
      mov %ss, %eax
      push $0x102
      popf
      nop
      jmp next
      nop
    next:
      mov %eax, %ss
      inc %ebx
      push $0x2
      popf
      vmmcall
    `);
    machine.run(0, 1);
    // Behind NOP, JMP, INC (not MOV SS), PUSH and POPF.
    assert.deepEqual(values(machine, 'r13', 'rbx'), [5n, 1n]);
    assert.deepEqual(values(machine, 'r8', 'r9', 'r10', 'r11'), [0x1016n, 0x1015n, 0x1013n, 0x100fn]);
    assert.equal(values(machine, 'r15')[0], 0xffff4ff0n);
    assert.deepEqual([...machine.cpu.unimplemented], []);
  });

  it('traps behind an instruction that stores over itself', () => {
    const machine = machineWith('push $0x102\npopf\nmov %bl, 0x1007\npush $0x2\npopf\nvmmcall');
    machine.run(0, 1);
    // Behind the store, PUSH and POPF.
    assert.deepEqual(values(machine, 'r13', 'r10', 'r9', 'r8'), [3n, 0x100dn, 0x100fn, 0x1010n]);
  });

  it('gives the same run whatever the budget is, and the same number of instructions', () => {
    const text = 'push $0x102\npopf\nmov $3, %ecx\nagain: nop\ndec %ecx\njne again\npush $0x2\npopf\nvmmcall';
    const runs = [1, 2, 7, 1000].map((budget) => {
      const machine = machineWith(text);
      const { executed } = machine.run(0, budget);
      return { executed, values: values(machine, 'r8', 'r9', 'r10', 'r11', 'r13', 'r15') };
    });
    for (const run of runs) assert.deepEqual(run, runs[0]);
    assert.equal(runs[0]?.values[4], 12n);
    // 15 instructions, and 10 in each of 12 handlers.
    assert.equal(runs[0].executed, 15 + 12 * 10);
  });
});

describe('breakpoints', () => {
  it('of code are faults before their instruction, which runs with RF set', () => {
    const machine = machineWith(
      'mov $target, %eax\nmov %rax, %db1\nmov $0x404, %eax\nmov %rax, %db7\ninc %ebx\ntarget: inc %ebx\ninc %ebx\nvmmcall',
      'orl $0x10000, 0x10(%rsp)\nmov %ebx, %r12d',
    );
    machine.run();
    assert.deepEqual(values(machine, 'r13', 'r12', 'rbx', 'r15'), [1n, 1n, 3n, 0xffff0ff2n]);
  });

  it('of data are traps behind the instruction that writes, or accesses, one of their bytes', () => {
    for (const [control, count] of [
      [0xd_0401n, 2n],
      [0xf_0401n, 3n],
      [0x1_0401n, 1n],
    ] as const) {
      const machine = machineWith(`
        mov $0x30004, %eax
        mov %rax, %db0
        mov %rdi, %db7
        mov 0x30007, %bl
        mov %bl, 0x30008
        mov %rbx, 0x2fffe
        mov %bl, 0x30006
        mov 0x30008, %bl
        mov $0x400, %edi
        mov %rdi, %db7
        mov %bl, 0x30004
        vmmcall
      `);
      machine.cpu.setRegister(number('rdi'), control);
      machine.run();
      assert.deepEqual(values(machine, 'r13', 'r15'), [count, 0xffff0ff1n], `DR7 ${control.toString(16)}`);
    }
  });

  it('are guarded by DR7.GD, which #DB clears', () => {
    const machine = machineWith('mov $0x2400, %eax\nmov %rax, %db7\nmov %db0, %rbx\nmov %db7, %rcx\nvmmcall');
    machine.run();
    assert.deepEqual(values(machine, 'r13', 'r15', 'rcx'), [1n, 0xffff2ff0n, 0x400n]);
  });
});

describe('a breakpoint at the first instruction of the handler of #DB', () => {
  it('uses up the budget, and comes again and again', () => {
    const machine = testMachine();
    enterLongMode(machine);
    machine.program(0x1000, 'mov $0x2000, %eax\nmov %rax, %db0\nmov $0x2, %eax\nmov %rax, %db7\njmp 0x2000');
    machine.program(0x2000, 'nop\nvmmcall');
    // Each frame overwrites the one before.
    machine.memory.setBigUint64(places.task + 0x24, 0x9000n, true);
    setGate(machine, 1, 0x2000n, { stack: 1 });
    machine.cpu.pc = 0x1000n;
    machine.cpu.setRegister(number('rsp'), 0x8000n);
    const { reason, executed } = machine.processor.run(0, 1000);
    assert.deepEqual([reason, executed], ['budget', 1000]);
    assert.equal(machine.cpu.pc, 0x2000n);
  });
});
