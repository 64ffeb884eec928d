import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as isa from '../../isa/x86_64/index.js';
import { enterLongMode, places, selectors, setGate, testMachine } from './test_machine.js';
import type { TestMachine } from './test_machine.js';

const number = isa.registerNumber;
const register = ({ cpu }: TestMachine, name: isa.RegisterName): bigint => cpu.register(number(name));
const vector = 0x30;

/** A machine with an interrupt that waits, whose handler has in R8 where it came, in R9 the flags, and counts in R10. */
function machineWith(text: string, at = 0x1000): { machine: TestMachine; label: (name: string) => bigint } {
  const machine = testMachine();
  enterLongMode(machine);
  const label = machine.program(at, text);
  machine.program(0x4000, 'mov (%rsp), %r8\nmov 0x10(%rsp), %r9\ninc %r10\niretq');
  setGate(machine, vector, 0x4000n);
  machine.memory.setBigUint64(places.task + 4, 0xb000n, true); // RSP0
  machine.interrupts.push(vector);
  machine.processor.setInterruptLine(0, 'interrupt', true);
  machine.cpu.pc = BigInt(at);
  machine.cpu.setRegister(number('rsp'), 0x9000n);
  return { machine, label };
}

describe('the shadow of STI', () => {
  it('ends with the next instruction, also where a loop comes back to it', () => {
    const text = 'sti\nagain: cmp $0x0, %r10\nje again\nvmmcall';
    for (const budget of [1, 2, 3, 1000]) {
      const { machine, label } = machineWith(text);
      machine.run(0, budget);
      assert.deepEqual([register(machine, 'r10'), register(machine, 'r8')], [1n, label('again')]);
    }
  });

  it('is kept where a run ends in it, and in a saved processor', () => {
    // STI is the last instruction of a page, and JMP has 5 bytes.
    for (const isSaved of [false, true]) {
      const { machine } = machineWith('sti\njmp next\nnext: vmmcall', 0x1fff);
      const { reason } = machine.processor.run(0, 1);
      assert.deepEqual([reason, machine.cpu.pc], ['budget', 0x2000n]);
      if (isSaved) machine.processor.load(machine.processor.save());
      machine.run(0, 1);
      assert.equal(register(machine, 'r8'), 0x2005n);
    }
  });

  /** CLI looks for interrupts: one that is open is taken before it. */
  const cases: readonly (readonly [text: string, isTaken: boolean])[] = [
    ['sti', false],
    ['sti\nnop', true],
    ['sti\nsti', true],
    ['mov %ss, %eax\nsti\nnop\nmov %eax, %ss', false],
    ['mov %ss, %eax\nsti\nmov %eax, %ss', true],
    ['mov %ss, %eax\nmov %eax, %ss\nsti', false],
    ['mov %ss, %eax\nmov %eax, %ss\nsti\nnop', true],
    ['movw $0x10, 0x8008\nsti\nlss 0x8000, %rsp', true],
    ['sti\nmov 0x10(%rsp), %eax', true],
  ];

  it('and that of a load of SS hold an interrupt back for one instruction; LSS casts none', () => {
    for (const [text, isTaken] of cases) {
      const { machine, label } = machineWith(`${text}\nprobe: cli\nvmmcall`);
      machine.memory.setBigUint64(0x8000, 0x9000n, true);
      machine.run();
      const expected = isTaken ? [1n, label('probe')] : [0n, 0n];
      assert.deepEqual([register(machine, 'r10'), register(machine, 'r8')], expected, text);
    }
  });

  it('ends with an instruction that faults', () => {
    const { machine, label } = machineWith('sti\nud2\nhandler: cli\nvmmcall');
    setGate(machine, 6, label('handler'), { type: 0xf });
    machine.run();
    assert.deepEqual([register(machine, 'r10'), register(machine, 'r8')], [1n, label('handler')]);
  });

  it('lets HLT behind it wait, and the interrupt return behind HLT', () => {
    const { machine, label } = machineWith('sti\nhlt\nbehind: vmmcall');
    assert.equal(machine.processor.run(0, 100).reason, 'waitForInterrupt');
    assert.equal(register(machine, 'r10'), 0n);
    machine.run();
    assert.equal(register(machine, 'r8'), label('behind'));
  });
});

describe('the shadow of a load of SS', () => {
  it('holds back an NMI too', () => {
    // MOV SS is the last instruction of a page.
    const { machine } = machineWith('mov %eax, %ss\njmp next\nnext: vmmcall', 0x1ffe);
    machine.cpu.setRegister(0, BigInt(selectors.data));
    setGate(machine, 2, 0x4000n);
    machine.processor.run(0, 1);
    assert.equal(machine.cpu.pc, 0x2000n);
    machine.processor.setInterruptLine(0, 'nmi', true);
    machine.run(0, 1);
    assert.deepEqual([register(machine, 'r10'), register(machine, 'r8')], [1n, 0x2005n]);
  });

  const debugging =
    'mov $target, %eax\nmov %rax, %db0\nmov $0x8008, %eax\nmov %rax, %db1\nmov $0x70_000a, %eax\n';
  const text = `${debugging.replace('_', '')}mov %rax, %db7\nmov 0x8008, %ss\ntarget: inc %ebx\nbehind: inc %ebx\nvmmcall`;

  it('suppresses a breakpoint of the next instruction, and delays that of its own data', () => {
    const { machine, label } = machineWith(text);
    machine.memory.setUint16(0x8008, selectors.data, true);
    machine.program(0x5000, 'mov (%rsp), %r11\nmov %db6, %r12\nmov %ebx, %r13d\niretq');
    setGate(machine, 1, 0x5000n);
    machine.run();
    const values = (['r11', 'r12', 'r13', 'rbx'] as const).map((name) => register(machine, name));
    assert.deepEqual(values, [label('behind'), 0xffff0ff2n, 1n, 2n]);
  });
});

describe('RFLAGS.RF', () => {
  const resume = 0x10000n;

  /** Goes by IRETQ to `target` with flags. */
  const goes = (flags: string, rest: string): string =>
    `push $0x10\npush $0x9000\npush $${flags}\npush $0x8\npush $target\niretq\ntarget: ${rest}`;

  it('that IRET sets is in the frame of an interrupt before the next instruction, whose breakpoint does not hit', () => {
    for (const enabled of ['0x0', '0x2']) {
      const { machine, label } = machineWith(
        `mov $target, %eax\nmov %rax, %db0\nmov $${enabled}, %eax\nmov %rax, %db7\n${goes('0x10202', 'inc %ebx\nvmmcall')}`,
      );
      machine.program(0x5000, 'inc %r13\nvmmcall');
      setGate(machine, 1, 0x5000n);
      machine.run();
      assert.equal(register(machine, 'r8'), label('target'));
      assert.equal(register(machine, 'r9') & resume, resume);
      assert.deepEqual([register(machine, 'rbx'), register(machine, 'r13')], [1n, 0n]);
    }
  });

  it('is gone behind that instruction', () => {
    const { machine, label } = machineWith(goes('0x10002', 'sti\njmp next\nnext: vmmcall'));
    machine.run();
    assert.deepEqual([register(machine, 'r8'), register(machine, 'r9') & resume], [label('next'), 0n]);
  });

  it('is kept between runs, and set in the frame of a fault', () => {
    const { machine } = machineWith(goes('0x10202', 'ud2'));
    machine.program(0x5000, 'mov 0x10(%rsp), %r11\nvmmcall');
    setGate(machine, 6, 0x5000n);
    machine.processor.setInterruptLine(0, 'interrupt', false);
    while (machine.cpu.pc < 0x1010n) machine.processor.run(0, 1);
    machine.processor.setInterruptLine(0, 'interrupt', true);
    machine.processor.load(machine.processor.save());
    machine.run();
    assert.deepEqual([register(machine, 'r9') & resume, register(machine, 'r11') & resume], [resume, resume]);
  });

  it('is set between the iterations of a string instruction, whose breakpoint hits once', () => {
    const { machine, label } = machineWith(
      'mov $target, %eax\nmov %rax, %db0\nmov $0x2, %eax\nmov %rax, %db7\nmov $0x8000, %edi\nmov $0x5, %ecx\ntarget: rep stos %al,%es:(%rdi)\nvmmcall',
    );
    machine.program(0x5000, 'mov (%rsp), %r11\ninc %r13\norl $0x10000, 0x10(%rsp)\niretq');
    setGate(machine, 1, 0x5000n);
    machine.run();
    assert.deepEqual([register(machine, 'r13'), register(machine, 'r11')], [1n, label('target')]);
    assert.equal(register(machine, 'rcx'), 0n);
  });
});

describe('the error code of an exception that a delivery raises', () => {
  /** A machine whose user code runs `text` with a handler at its own level for #TS and #SS, which has the error code in RBX. */
  function userMachine(text: string, withInterrupt: boolean): TestMachine {
    const { machine } = machineWith(
      `push $0x23\npush $0xa000\npush $${withInterrupt ? '0x202' : '0x2'}\npush $0x2b\npush $0x2000\niretq`,
    );
    machine.program(0x2000, text);
    machine.program(0x3000, 'pop %rbx\nvmmcall');
    setGate(machine, vector, 0x4000n, { level: 3 });
    for (const own of [10, 12]) {
      setGate(machine, own, 0x3000n);
      machine.memory.setUint16(places.interruptTable + 16 * own + 2, selectors.user | 3, true);
    }
    return machine;
  }

  it('has EXT where the event came from outside, and not where the program made it', () => {
    for (const [isExternal, ext] of [
      [true, 1n],
      [false, 0n],
    ] as const) {
      const short = userMachine('int $0x30', isExternal);
      short.cpu.setSystem({ task: { ...short.cpu.system.task, limit: 4 + 6 } });
      short.run();
      assert.equal(register(short, 'rbx'), BigInt(selectors.task) | ext, '#TS');
      const far = userMachine('int $0x30', isExternal);
      far.memory.setBigUint64(places.task + 4, 1n << 47n, true);
      far.run();
      assert.equal(register(far, 'rbx'), ext, '#SS');
    }
  });
});
