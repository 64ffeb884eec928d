import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as isa from '../../isa/x86_64/index.js';
import { cr0 } from './regime.js';
import { enterLongMode, flatSegment, setGate, testMachine } from './test_machine.js';
import type { TestMachine } from './test_machine.js';

const number = isa.registerNumber;
const register = ({ cpu }: TestMachine, name: isa.RegisterName): bigint => cpu.register(number(name));

function run64(text: string): { machine: TestMachine; label: (name: string) => bigint } {
  const machine = testMachine();
  enterLongMode(machine);
  const label = machine.program(0x1000, text);
  machine.cpu.pc = 0x1000n;
  machine.cpu.setRegister(number('rsp'), 0x9000n);
  setGate(machine, 13, label('protection'));
  machine.run();
  assert.deepEqual([...machine.cpu.unimplemented], []);
  return { machine, label };
}

describe('the stack', () => {
  it('keeps the frame pointers of the outer levels by ENTER', () => {
    const { machine } = run64(`
      mov $0x8800, %ebp
      movq $0x11, 0x87f8
      movq $0x22, 0x87f0
      enter $0x20,$0x3
      vmmcall
    protection: vmmcall
    `);
    const slots = [0x8ff8, 0x8ff0, 0x8fe8, 0x8fe0].map((at) => machine.memory.getBigUint64(at, true));
    assert.deepEqual(slots, [0x8800n, 0x11n, 0x22n, 0x8ff8n]);
    assert.equal(register(machine, 'rbp'), 0x8ff8n);
    assert.equal(register(machine, 'rsp'), 0x8fe0n - 0x20n);
  });

  it('saves and restores all registers by PUSHA and POPA', () => {
    const machine = testMachine();
    machine.program(
      0x1000,
      `
      .code32
      pusha
      mov $0x1, %edi
      mov $0x2, %ebp
      mov $0x3, %eax
      popa
      vmmcall
      `,
      32,
    );
    machine.cpu.setSystem({
      cr0: cr0.protected | cr0.extension,
      segments: (['data', 'code32', 'data', 'data', 'data', 'data'] as const).map((kind) =>
        flatSegment(0, kind),
      ),
    });
    const values = [0x10n, 0x11n, 0x12n, 0x13n, 0x9000n, 0x15n, 0x16n, 0x17n];
    for (const [index, value] of values.entries()) machine.cpu.setRegister(index, value);
    machine.cpu.pc = 0x1000n;
    machine.run();
    assert.deepEqual(
      values.map((_, index) => machine.cpu.register(index)),
      values,
    );
    const saved = values.map((_, index) => BigInt(machine.memory.getUint32(0x8ffc - 4 * index, true)));
    assert.deepEqual(saved, values);
  });

  it('is as before where a return or a call leads to an address that is not canonical', () => {
    for (const text of [
      'push %rbx\nbad: ret',
      'bad: call *%rbx',
      'bad: jmp *%rbx',
      'push %rbx\nbad: ret $0x10',
    ]) {
      const { machine, label } = run64(`
        mov $0x8800, %ebp
        movabs $0x800000000000, %rbx
        movq $0x0, 0x8ff0
        ${text}
        nop
      protection:
        pop %rax
        pop %rdi
        mov 0x10(%rsp), %rsi
        vmmcall
      `);
      assert.equal(register(machine, 'rax'), 0n, text);
      assert.equal(register(machine, 'rdi'), label('bad'), text);
      assert.equal(register(machine, 'rsi'), text.startsWith('push') ? 0x8ff8n : 0x9000n, text);
    }
  });
});

describe('INT n', () => {
  it('is returned to where its gate does not let user code in, and INT1 is let in', () => {
    const machine = testMachine();
    enterLongMode(machine);
    const label = machine.program(
      0x1000,
      `
      push $0x23
      push $0xa000
      push $0x202
      push $0x2b
      push $0x2000
      iretq
    protection:
      pop %rax
      mov (%rsp), %rdi
      vmmcall
    debug:
      mov (%rsp), %rdi
      vmmcall
      `,
    );
    setGate(machine, 13, label('protection'));
    setGate(machine, 1, label('debug'));
    setGate(machine, 0x30, label('debug'));
    machine.memory.setBigUint64(0x11_2004, 0xb000n, true);
    const runUser = (text: string): void => {
      machine.program(0x2000, text);
      machine.cpu.pc = 0x1000n;
      machine.cpu.setRegister(number('rsp'), 0x9000n);
      machine.run();
    };
    runUser('int $0x30');
    assert.equal(register(machine, 'rax'), BigInt(0x30 * 8 + 2));
    assert.equal(register(machine, 'rdi'), 0x2000n);
    enterLongMode(machine);
    runUser('int1');
    assert.equal(register(machine, 'rdi'), 0x2001n);
  });
});
