import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as isa from '../../isa/x86_64/index.js';
import { cr0, cr4 } from './regime.js';
import { enterLongMode, pageEntry, places, setGate, testMachine } from './test_machine.js';
import type { TestMachine } from './test_machine.js';

const number = isa.registerNumber;
const register = ({ cpu }: TestMachine, name: isa.RegisterName): bigint => cpu.register(number(name));
const supervisor = { floatingPoint: 16, simd: 19, undefined: 6, notAvailable: 7 } as const;

/** Runs 64-bit code. R15 is the vector of the exception that ended it, R14 where that was; R15 is 0 where none did. */
function run(
  text: string,
  { control0 = 0, control4 = cr4.vectorState | cr4.simdExceptions } = {},
): TestMachine {
  const machine = testMachine();
  enterLongMode(machine);
  const handlers = Object.values(supervisor).map(
    (vector) => `handler${vector}: mov $${vector}, %r15d\nmov (%rsp), %r14\nvmmcall`,
  );
  const label = machine.program(0x1000, `start: ${text}\nvmmcall\n${handlers.join('\n')}`);
  for (const vector of Object.values(supervisor)) setGate(machine, vector, label(`handler${vector}`));
  const { system } = machine.cpu;
  machine.cpu.setSystem({ cr0: system.cr0 | cr0.numericError | control0, cr4: system.cr4 | control4 });
  machine.memory.setBigUint64(places.task + 4, 0xb000n, true);
  machine.cpu.pc = 0x1000n;
  machine.cpu.setRegister(number('rsp'), 0x9000n);
  machine.run();
  assert.deepEqual([...machine.cpu.unimplemented], []);
  return machine;
}

describe('x87', () => {
  it('computes with 80 bits, loads and stores', () => {
    const machine = run(`
      movl $0x3, 0x8000
      movabs $0x3fe0000000000000, %rax
      mov %rax, 0x8008
      fninit
      fld1
      fildl 0x8000
      fdivrp %st,%st(1)
      fstpt 0x8010
      fldl 0x8008
      fldt 0x8010
      faddp %st,%st(1)
      fstpl 0x8020
      fnstsw %ax
    `);
    const { memory } = machine;
    assert.equal(memory.getUint16(0x8018, true), 0x3ffd);
    assert.equal(memory.getBigUint64(0x8010, true), 0xaaaa_aaaa_aaaa_aaabn, 'a third');
    assert.equal(memory.getFloat64(0x8020, true), 5 / 6, 'more digits than a sum of doubles has');
    assert.equal(register(machine, 'rax') & 0x38ffn, 0x20n, 'inexact, and the stack is empty');
  });

  it('compares by flags, and examines', () => {
    const machine = run(`
      fninit
      fldz
      fld1
      fucomip %st(1),%st
      seta %bl
      fxam
      fnstsw %ax
    `);
    assert.equal(register(machine, 'rbx') & 0xffn, 1n);
    assert.equal(register(machine, 'rax') & 0x4700n, 0x4000n, 'a zero');
  });

  it('raises #MF at the next instruction that waits, and not at FNSTSW', () => {
    const machine = run(`
      fninit
      movw $0x37b, 0x8000
      fldcw 0x8000
      fld1
      fldz
      fdivrp %st,%st(1)
      fnstsw %ax
      fwait
    `);
    assert.equal(register(machine, 'r15'), BigInt(supervisor.floatingPoint));
    assert.equal(register(machine, 'rax') & 0x80ffn, 0x8084n);
  });
});

describe('an instruction of x87 or SSE', () => {
  const vectorOf = (text: string, controls: Parameters<typeof run>[1] = {}): bigint =>
    register(run(text, controls), 'r15');
  const { undefined: invalid, notAvailable } = supervisor;

  it('traps by CR0.EM, CR0.TS and CR4.OSFXSR', () => {
    const x87 = ['fninit', 'fld1', 'fnstsw %ax'];
    const sse = [
      'movaps %xmm0,%xmm1',
      'movups (%rbx),%xmm1',
      'ldmxcsr (%rbx)',
      'addsd %xmm0,%xmm1',
      'pmovmskb %xmm0,%eax',
    ];
    const [switched, emulated] = [{ control0: cr0.taskSwitched }, { control0: cr0.emulated }];
    for (const text of x87) {
      assert.equal(vectorOf(text), 0n, text);
      assert.equal(vectorOf(text, switched), BigInt(notAvailable), text);
      assert.equal(vectorOf(text, emulated), BigInt(notAvailable), text);
      assert.equal(vectorOf(text, { control4: 0 }), 0n, text);
    }
    for (const text of ['fxsave 0x8000', 'emms'])
      assert.equal(vectorOf(text, switched), BigInt(notAvailable), text);
    assert.equal(vectorOf('fxsave 0x8000', emulated), BigInt(notAvailable));
    assert.equal(vectorOf('emms', emulated), BigInt(invalid));
    for (const text of sse) {
      assert.equal(vectorOf(text, switched), BigInt(notAvailable), text);
      assert.equal(vectorOf(text, emulated), BigInt(invalid), text);
      assert.equal(vectorOf(text, { control4: 0 }), BigInt(invalid), text);
      assert.equal(vectorOf(text, { control0: cr0.taskSwitched, control4: 0 }), BigInt(invalid), text);
    }
    for (const text of ['lfence', 'movnti %eax, 0x8000'])
      assert.equal(vectorOf(text, { control0: cr0.emulated | cr0.taskSwitched, control4: 0 }), 0n, text);
  });

  it('traps also where its translation is gone from the tables, but not from the TLB', () => {
    const machine = testMachine();
    enterLongMode(machine);
    machine.program(
      0x1000,
      `mov %cr0, %rax\nor $0x8, %eax\nmov %rax, %cr0\nmovq $0x0, 0x${pageEntry(0x1000).toString(16)}\nfld1`,
    );
    machine.program(0x5000, 'mov $0x7, %ebx\nvmmcall');
    setGate(machine, 7, 0x5000n);
    machine.cpu.pc = 0x1000n;
    machine.cpu.setRegister(number('rsp'), 0x9000n);
    machine.run();
    assert.equal(register(machine, 'rbx'), 7n);
  });

  it('traps as FWAIT only with CR0.MP too', () => {
    assert.equal(vectorOf('fwait', { control0: cr0.taskSwitched }), 0n);
    assert.equal(vectorOf('fwait', { control0: cr0.taskSwitched | cr0.monitor }), BigInt(notAvailable));
    assert.equal(vectorOf('fwait', { control0: cr0.emulated }), 0n);
  });

  it('is left at an exception of SSE that is not masked: by #XM, or #UD without CR4.OSXMMEXCPT', () => {
    const divide = `
      movl $0x1d80, 0x8000
      ldmxcsr 0x8000
      mov $0x3f800000, %eax
      movd %eax, %xmm0
      pxor %xmm1, %xmm1
      divss %xmm1, %xmm0
    `;
    const machine = run(divide);
    assert.equal(register(machine, 'r15'), BigInt(supervisor.simd));
    assert.equal(machine.cpu.vector(0)[0], 0x3f800000n, 'nothing was written');
    assert.equal(machine.cpu.save().mxcsr, 0x1d84);
    assert.equal(vectorOf(divide, { control4: cr4.vectorState }), BigInt(invalid));
    assert.equal(vectorOf(divide.replace('0x1d80', '0x1f80')), 0n, 'a masked one');
    assert.equal(vectorOf(divide.replace('0x1d80', '0x1f00')), 0n, 'another one');
  });

  it('raises #GP where 16 bytes are not aligned', () => {
    const machine = testMachine();
    enterLongMode(machine);
    machine.cpu.setSystem({ cr4: machine.cpu.system.cr4 | cr4.vectorState });
    for (const [text, isFault] of [
      ['movaps 0x8008, %xmm0', true],
      ['addps 0x8008, %xmm0', true],
      ['movntdq %xmm0, 0x8008', true],
      ['movups 0x8008, %xmm0', false],
      ['addss 0x8009, %xmm0', false],
    ] as const) {
      const label = machine.program(
        0x1000,
        `${text}\nmov $0x1, %r15d\nvmmcall\nprotection: mov $0xd, %r15d\nvmmcall`,
      );
      setGate(machine, 13, label('protection'));
      machine.cpu.pc = 0x1000n;
      machine.cpu.setRegister(number('rsp'), 0x9000n);
      machine.run();
      assert.equal(register(machine, 'r15'), isFault ? 13n : 1n, text);
    }
  });
});
