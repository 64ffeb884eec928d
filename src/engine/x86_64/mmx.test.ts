import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as isa from '../../isa/x86_64/index.js';
import { cr0, cr4 } from './regime.js';
import { enterLongMode, pageEntry, setGate, testMachine } from './test_machine.js';
import type { TestMachine } from './test_machine.js';

const number = isa.registerNumber;
const register = ({ cpu }: TestMachine, name: isa.RegisterName): bigint => cpu.register(number(name));
const vectors = { undefined: 6, notAvailable: 7, page: 14, floatingPoint: 16, simd: 19 } as const;

/** Runs 64-bit code. R15 is the vector of the exception that ended it, 0 where none did. */
function run(
  text: string,
  { control0 = 0, control4 = cr4.vectorState | cr4.simdExceptions } = {},
): TestMachine {
  const machine = testMachine();
  enterLongMode(machine);
  const handlers = Object.values(vectors).map((vector) => `handler${vector}: mov $${vector}, %r15d\nvmmcall`);
  const label = machine.program(0x1000, `${text}\nvmmcall\n${handlers.join('\n')}`);
  for (const vector of Object.values(vectors)) setGate(machine, vector, label(`handler${vector}`));
  const { system } = machine.cpu;
  machine.cpu.setSystem({ cr0: system.cr0 | cr0.numericError | control0, cr4: system.cr4 | control4 });
  machine.memory.setBigUint64(pageEntry(0x30000), 0n, true);
  machine.cpu.pc = 0x1000n;
  machine.cpu.setRegister(number('rsp'), 0x9000n);
  machine.run();
  assert.deepEqual([...machine.cpu.unimplemented], []);
  return machine;
}

/** The tags and the top of x87, with what else is asked for. */
const x87Of = ({ cpu: { system } }: TestMachine): readonly [tags: number, top: number] => [
  system.float.tags,
  (system.float.status >> 11) & 7,
];

const vectorOf = (...given: Parameters<typeof run>): number => Number(register(run(...given), 'r15'));

describe('MMX registers', () => {
  it('are the mantissas of the x87 registers by physical number, whose exponents become all ones', () => {
    const machine = run(`
      fninit
      fld1
      mov $0x11223344, %eax
      movd %eax, %mm6
      movq %mm7, %rbx
      movq %mm6, %rcx
    `);
    // FLD1 went to register 7.
    assert.deepEqual([register(machine, 'rbx'), register(machine, 'rcx')], [1n << 63n, 0x11223344n]);
    const { registers } = machine.cpu.system.float;
    assert.deepEqual([registers[6], registers[7]], [[0x11223344n, 0xffff], [1n << 63n, 0x3fff]]); // prettier-ignore
  });

  it('are all valid and the first is the top behind each instruction; EMMS empties them', () => {
    assert.deepEqual(x87Of(run('fninit\nfld1\nmovd %mm0, %eax')), [0, 0]);
    assert.deepEqual(x87Of(run('fninit\nfld1\nmovq %mm0, 0x8000')), [0, 0]);
    assert.deepEqual(x87Of(run('fninit\nfld1\npxor %mm1, %mm1\nemms')), [0xffff, 0]);
    // With integers in memory this one is about XMM registers alone.
    assert.deepEqual(x87Of(run('fninit\nfld1\ncvtpi2ps 0x8000, %xmm0')), [0x3fff, 7]);
    assert.deepEqual(x87Of(run('fninit\nfld1\ncvtpi2ps %mm0, %xmm0')), [0, 0]);
  });

  it('stay where memory faults', () => {
    for (const text of ['paddb 0x30000, %mm1', 'movq %mm1, 0x30000', 'movq 0x30000, %mm1']) {
      const machine = run(`fninit\nfld1\n${text}`);
      assert.equal(register(machine, 'r15'), BigInt(vectors.page), text);
      assert.deepEqual(x87Of(machine), [0x3fff, 7], text);
    }
  });
});

describe('an instruction of MMX', () => {
  const raise = 'movw $0x37b, 0x8000\nfninit\nfldcw 0x8000\nfld1\nfldz\nfdivrp %st,%st(1)\n';
  const own = ['paddb %mm0,%mm1', 'pavgb %mm0,%mm1', 'pshufw $0x1,%mm0,%mm1', 'movq 0x30000,%mm1', 'emms'];
  const both = ['cvtpi2ps %mm0,%xmm1', 'cvttpd2pi %xmm0,%mm1', 'movq2dq %mm0,%xmm1', 'movdq2q %xmm0,%mm1'];

  it('raises #MF first where an exception of x87 is pending, but not with memory alone', () => {
    for (const text of [...own, ...both]) assert.equal(vectorOf(raise + text), vectors.floatingPoint, text);
    assert.equal(vectorOf(`${raise}cvtpi2pd 0x8000,%xmm1`), 0);
  });

  it('traps by CR0.TS and CR0.EM, and with XMM registers also by CR4.OSFXSR', () => {
    for (const text of [...own, ...both]) {
      assert.equal(vectorOf(text, { control0: cr0.taskSwitched }), vectors.notAvailable, text);
      assert.equal(vectorOf(text, { control0: cr0.emulated }), vectors.undefined, text);
    }
    for (const text of both) assert.equal(vectorOf(text, { control4: 0 }), vectors.undefined, text);
    for (const text of own)
      assert.equal(vectorOf(text, { control4: 0 }), text.includes('0x30000') ? vectors.page : 0, text);
  });

  it('and SSE raises #XM for a conversion that is not masked', () => {
    const text =
      'movl $0x1f00, 0x8000\nldmxcsr 0x8000\nmov $0x7f800000, %eax\nmovd %eax, %xmm0\ncvtps2pi %xmm0, %mm0';
    assert.equal(vectorOf(text), vectors.simd);
  });
});

describe('MASKMOVQ', () => {
  it('stores the bytes whose mask has its top bit set', () => {
    const machine = run(`
      movabs $0x1122334455667788, %rax
      movq %rax, %mm0
      movabs $0x80007f00ff000080, %rax
      movq %rax, %mm1
      mov $0x8100, %edi
      maskmovq %mm1, %mm0
    `);
    assert.equal(machine.memory.getBigUint64(0x8100, true), 0x1100000055000088n);
  });
});
