import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as isa from '../../isa/x86_64/index.js';
import { cr0, cr4 } from './regime.js';
import { attribute } from './segments.js';
import { enterLongMode, pageEntry, selectors, setGate, testMachine } from './test_machine.js';
import type { TestMachine } from './test_machine.js';

const number = isa.registerNumber;
const { present, ordinary, accessed, access, code } = attribute;

/** Runs 64-bit code at 0x1000 whose last label is `end`. R15 is the vector of the exception that ended it, or 0. */
function run(text: string): { machine: TestMachine; label: (name: string) => bigint } {
  const machine = testMachine();
  enterLongMode(machine);
  const handlers = [14, 16].map((vector) => `handler${vector}: mov $${vector}, %r15d\nvmmcall`).join('\n');
  const label = machine.program(0x1000, `start: ${text}\nend: vmmcall\n${handlers}`);
  for (const vector of [14, 16]) setGate(machine, vector, label(`handler${vector}`));
  const { system } = machine.cpu;
  machine.cpu.setSystem({ cr0: system.cr0 | cr0.numericError, cr4: system.cr4 | cr4.vectorState });
  machine.cpu.pc = 0x1000n;
  machine.cpu.setRegister(number('rsp'), 0x9000n);
  // No page is at 0x200000.
  machine.memory.setBigUint64(pageEntry(0x200000), 0n, true);
  machine.memory.setFloat32(0x8000, 1.5, true);
  machine.memory.setUint16(0x8004, 0x33e, true);
  machine.run();
  assert.deepEqual([...machine.cpu.unimplemented], []);
  return { machine, label };
}

const words = (machine: TestMachine, at: number, count = 7): number[] =>
  Array.from({ length: count }, (_, index) => machine.memory.getUint32(at + 4 * index, true));

describe('the environment of x87', () => {
  it('tells of the last instruction and operand, in 28 bytes', () => {
    const { machine, label } = run('fninit\nflds 0x8000\nhere: fld1\nfnstsw %ax\nfnstenv 0x8100');
    assert.deepEqual(words(machine, 0x8100), [
      0xffff037f,
      0xffff3000,
      0xffff0fff,
      Number(label('here')),
      (0x1e8 << 16) | selectors.code,
      0x8000,
      (0xffff0000 | machine.cpu.system.segments[isa.segments.ds]!.selector) >>> 0,
    ]);
    assert.equal(machine.cpu.system.float.control & 0x3f, 0x3f);
  });

  it('has 14 bytes with an operand size of 16 bits', () => {
    const { machine, label } = run('fninit\nhere: flds 0x8000\nfnstenvs 0x8100\nmovl $0x1234, 0x810e');
    const halves = Array.from({ length: 7 }, (_, index) =>
      machine.memory.getUint16(0x8100 + 2 * index, true),
    );
    const data = machine.cpu.system.segments[isa.segments.ds]!.selector;
    assert.deepEqual(halves, [0x37f, 0x3800, 0x3fff, Number(label('here')), selectors.code, 0x8000, data]);
  });

  it('is saved with the registers, initialised and restored', () => {
    const { machine } = run(`
      fninit
      fldpi
      flds 0x8000
      fnsave 0x8100
      fnstenv 0x8200
      frstor 0x8100
      faddp %st,%st(1)
      fstpt 0x8300
    `);
    assert.deepEqual(words(machine, 0x8200), [0xffff037f, 0xffff0000, 0xffffffff, 0, 0, 0, 0xffff0000]);
    assert.equal(machine.memory.getBigUint64(0x811c, true), 0xc000000000000000n, 'ST(0)');
    assert.equal(machine.memory.getUint16(0x8124, true), 0x3fff);
    assert.equal(machine.memory.getBigUint64(0x8300, true), 0x9487ed5110b4611an, 'pi and 1.5');
    assert.equal(machine.memory.getUint16(0x8308, true), 0x4001);
  });

  it('has a summary of what is pending, whatever was loaded', () => {
    const { machine } = run(
      `
      fninit
      fnstenv 0x8100
      movw $0x37e, 0x8100
      movw $0x1, 0x8104
      fldenv 0x8100
      fnstsw %ax
      fnclex
      fnstsw 0x8202
      movw $0x37f, 0x8100
      movw $0x8081, 0x8104
      fldenv 0x8100
      fnstsw 0x8200
    `,
    );
    assert.equal(machine.cpu.register(number('rax')) & 0xffffn, 0x8081n);
    assert.equal(machine.memory.getUint16(0x8202, true), 0);
    assert.equal(machine.memory.getUint16(0x8200, true), 1);
  });

  it('has linear addresses in real mode', () => {
    const machine = testMachine();
    const { cpu, memory } = machine;
    const segment = { base: 0x1000n, limit: 0xffff, attributes: present | ordinary | accessed | access };
    cpu.setSegment(isa.segments.cs, { ...segment, selector: 0x100, attributes: segment.attributes | code });
    cpu.setSegment(isa.segments.ds, { ...segment, selector: 0x2000, base: 0x20000n });
    // fninit; nop; flds 0x8000; fnstenv 0x100; fnstenvl 0x120; fldenvl 0x120; fnstenvl 0x140; vmmcall
    const bytes = 'dbe3 90 d9060080 d9360001 66d9362001 66d9262001 66d9364001 0f01d9'.replaceAll(' ', '');
    machine.processor.ram.set(Buffer.from(bytes, 'hex'), 0x1000);
    memory.setFloat32(0x28000, 1.5, true);
    cpu.pc = 0n;
    machine.run();
    const at = 0x1003;
    const halves = Array.from({ length: 7 }, (_, index) => memory.getUint16(0x20100 + 2 * index, true));
    assert.deepEqual(halves, [0x37f, 0x3800, 0x3fff, at, 0x106, 0x8000, 0x2000]);
    const long = [0xffff037f, 0xffff3800, 0xffff3fff, at, 0x106, 0x8000, 0x2000];
    assert.deepEqual(words(machine, 0x20120), long);
    assert.deepEqual(words(machine, 0x20140), long);
  });
});

describe('an exception of x87 that is pending', () => {
  const pending = 'fninit\nfldcw 0x8004\nfldz\nfldz\nfdivrp %st,%st(1)';
  const vectorOf = (text: string): bigint =>
    run(`${pending}\nmov $0x200000, %ebx\n${text}`).machine.cpu.register(number('r15'));

  it('comes before a fault of the operand in memory', () => {
    for (const text of [
      'flds',
      'fstps',
      'fldt',
      'fstpt',
      'fldcw',
      'fldenv',
      'frstor',
      'fbld',
      'fildl',
      'faddl',
      'fcoms',
    ])
      assert.equal(vectorOf(`${text} (%rbx)`), 16n, text);
  });

  it('does not wait for what stores control registers', () => {
    for (const text of ['fnstenv', 'fnsave', 'fnstcw', 'fnstsw'])
      assert.equal(vectorOf(`${text} (%rbx)`), 14n, text);
  });

  it('lets FXSAVE tell of the instruction, which it does only then', () => {
    const { machine, label } = run(`
      fninit
      fld1
      fxsave64 0x8100
      fnclex
      fldcw 0x8004
      fldz
      fldz
      here: fdivrp %st,%st(1)
      fxsave64 0x8300
    `);
    assert.deepEqual(words(machine, 0x8104, 3), [0x80, 0, 0]);
    assert.equal(machine.memory.getUint16(0x8306, true), 0x6f9);
    assert.equal(machine.memory.getBigUint64(0x8308, true), label('here'));
  });
});
