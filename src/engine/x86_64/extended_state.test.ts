/** XSAVE and its like (Intel SDM, volume 1, chapter 13), and the instructions for the bases of FS and GS. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { vectors } from './events.js';
import { cr0, cr4 } from './regime.js';
import { enterLongMode, setGate, testMachine } from './test_machine.js';
import type { TestMachine } from './test_machine.js';
import type { X86VcpuValue, X86VcpuView } from './vcpu_view.js';

const at = { program: 0x1000, handlers: 0x2000, area: 0x4000, stack: 0x8000 } as const;
const { extendedState, segmentBases, vectorState } = cr4;

interface Outcome {
  readonly vector: number | null;
  readonly view: X86VcpuView;
  readonly machine: TestMachine;
}

function run(
  text: string,
  {
    control = extendedState | vectorState,
    prepare = () => undefined,
  }: { readonly control?: number; prepare?: (machine: TestMachine, view: X86VcpuView) => void } = {},
): Outcome {
  const machine = testMachine();
  const view = enterLongMode(machine);
  for (const vector of [vectors.invalidOpcode, vectors.deviceNotAvailable, vectors.generalProtection]) {
    machine.program(at.handlers + 32 * vector, `mov $${vector}, %eax\nvmmcall`);
    setGate(machine, vector, BigInt(at.handlers + 32 * vector));
  }
  view.setSystem({ cr4: view.system.cr4 | control, xcr0: 3 });
  view.setRegister(4, BigInt(at.stack));
  machine.program(at.program, `${text}\nmov $0xff, %eax\nvmmcall`);
  view.pc = BigInt(at.program);
  prepare(machine, view);
  machine.run();
  const found = machine.heard.at(-1)?.at ?? 0xff;
  return { vector: found === 0xff ? null : found, view, machine };
}

/** Sets EDX:EAX to the components that are asked for. */
const ask = (components: number): string => `xor %edx, %edx\nmov $${components}, %eax`;
const present = (machine: TestMachine): bigint => machine.memory.getBigUint64(at.area + 512, true);

describe('XCR0', () => {
  const write = (value: number, number = 0, high = 0): string =>
    `mov $${number}, %ecx\nmov $${high}, %edx\nmov $${value}, %eax\nxsetbv`;

  it('has the components of x87 and SSE', () => {
    assert.equal(run(write(1)).view.system.xcr0, 1);
    assert.equal(run(write(3)).view.system.xcr0, 3);
    const { view } = run('xor %ecx, %ecx\nxgetbv\nmov %rax, %rbx');
    assert.deepEqual([view.register(3), view.register(2)], [3n, 0n]);
  });

  it('has no others, and x87 always', () => {
    for (const value of [0, 2, 5, 7])
      assert.equal(run(write(value)).vector, vectors.generalProtection, `${value}`);
    assert.equal(run(write(3, 1)).vector, vectors.generalProtection);
    assert.equal(run(write(3, 0, 1)).vector, vectors.generalProtection);
    assert.equal(run('mov $0x1, %ecx\nxgetbv').vector, vectors.generalProtection);
  });

  it('is not there without CR4.OSXSAVE, which CPUID repeats', () => {
    for (const text of ['xgetbv', 'xsetbv', `xsave ${at.area}`, `xrstor ${at.area}`, `xsaveopt ${at.area}`])
      assert.equal(run(`xor %ecx, %ecx\n${text}`, { control: vectorState }).vector, vectors.invalidOpcode, text);
    const bit = (control: number): bigint => (run('mov $0x1, %eax\nxor %ecx, %ecx\ncpuid', { control }).view.register(1) >> 27n) & 1n;
    assert.deepEqual([bit(vectorState), bit(extendedState)], [0n, 1n]);
  }); // prettier-ignore
});

/** The parts of the state that are saved. */
function floatsOf(view: X86VcpuView): Pick<X86VcpuValue, 'vectors' | 'mxcsr'> & { x87: unknown } {
  const { vectors: all, mxcsr, system } = view.save();
  const { control, status, tags, registers } = system.float;
  return { vectors: all, mxcsr, x87: { control, status, tags, registers } };
}

const vector = fc.tuple(
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
);
const numbers = fc.array(fc.integer({ min: -1000, max: 1000 }), { maxLength: 8 });
/** Registers of which many are 0. */
const state = fc.record({
  vectors: fc.array(fc.oneof(fc.constant([0n, 0n] as const), vector), { minLength: 16, maxLength: 16 }),
  mxcsr: fc.constantFrom(0x1f80, 0x1fa0, 0x7f80),
  numbers,
});

/** Gives the CPU a state, with integers that are pushed to x87. */
function setFloats(view: X86VcpuView, wanted: { readonly vectors: readonly (readonly [bigint, bigint])[]; readonly mxcsr: number }): void {
  view.load({ ...view.save(), vectors: wanted.vectors, mxcsr: wanted.mxcsr });
} // prettier-ignore

const pushed = (all: readonly number[]): string =>
  `fninit\n${all.map((number) => `movl $${number}, 0x7000\nfildl 0x7000`).join('\n')}`;

describe('XSAVE', () => {
  for (const instruction of ['xsave64', 'xsaveopt64', 'xsave', 'xsaveopt']) {
    it(`and XRSTOR give back what was there, by ${instruction}`, () => {
      fc.assert(
        fc.property(state, ({ vectors: all, mxcsr, numbers: integers }) => {
          const other = 'fninit\nfldpi\npcmpeqb %xmm0, %xmm0\npcmpeqb %xmm9, %xmm9';
          const save = `${pushed(integers)}\n${ask(3)}\n${instruction} ${at.area}\nvmmcall`;
          const restore = `${other}\n${ask(3)}\nxrstor${instruction.endsWith('64') ? '64' : ''} ${at.area}`;
          const {
            machine,
            view,
            vector: fault,
          } = run(`${save}\n${restore}`, {
            prepare: (_, own) => setFloats(own, { vectors: all, mxcsr }),
          });
          const before = floatsOf(view);
          machine.run();
          assert.equal(fault, 3);
          assert.equal(machine.heard.at(-1)?.at, 0xff);
          assert.deepEqual(floatsOf(view), before);
        }),
        { numRuns: 15 },
      );
    });
  }

  it('says which components are not in their initial state, and changes only the bits that it is asked for', () => {
    const prepare = (machine: TestMachine): void => machine.memory.setBigUint64(at.area + 512, 0xf0n, true);
    const both = run(`fninit\nfldpi\npcmpeqb %xmm1, %xmm1\n${ask(3)}\nxsave ${at.area}`, { prepare });
    assert.equal(present(both.machine), 0xf3n);
    const one = run(`fninit\nfldpi\npcmpeqb %xmm1, %xmm1\n${ask(1)}\nxsave ${at.area}`, { prepare });
    assert.equal(present(one.machine), 0xf1n);
    const none = run(`fninit\n${ask(3)}\nxsave ${at.area}`, { prepare });
    assert.equal(present(none.machine), 0xf0n);
  });

  it('leaves components alone that it is not asked for, or that XCR0 lacks', () => {
    const program = `pcmpeqb %xmm1, %xmm1\n${ask(2)}\nxsave ${at.area}`;
    const word = ({ machine }: Outcome, offset: number): number =>
      machine.memory.getUint32(at.area + offset, true);
    assert.deepEqual([word(run(program), 160 + 16), word(run(program), 0)], [0xffffffff, 0]);
    const without = run(program, { prepare: (_, view) => view.setSystem({ xcr0: 1 }) });
    assert.deepEqual([word(without, 160 + 16), present(without.machine)], [0, 0n]);
  });

  it('counts SSE as in use while MXCSR is not as after a reset', () => {
    const { machine } = run(`fninit\nmovl $0x1f81, 0x7000\nldmxcsr 0x7000\n${ask(3)}\nxsaveopt ${at.area}`);
    assert.equal(present(machine), 2n);
    assert.equal(machine.memory.getUint32(at.area + 24, true), 0x1f81);
  });

  it('needs an aligned area, and no task switch', () => {
    for (const text of ['xsave', 'xrstor', 'xsaveopt']) {
      assert.equal(run(`${text} ${at.area + 16}`).vector, vectors.generalProtection, text);
      const prepare = (_: TestMachine, view: X86VcpuView): void =>
        view.setSystem({ cr0: view.system.cr0 | cr0.taskSwitched });
      assert.equal(run(`${text} ${at.area}`, { prepare }).vector, vectors.deviceNotAvailable, text);
    }
  });
});

describe('XRSTOR', () => {
  const restore = (offset: number, value: bigint): number | null =>
    run(`${ask(3)}\nxrstor ${at.area}`, {
      prepare: (machine) => {
        machine.memory.setUint32(at.area + 24, 0x1f80, true);
        machine.memory.setBigUint64(at.area + offset, value, true);
      },
    }).vector;

  it('refuses components that XCR0 lacks, the compacted form, and what is not 0', () => {
    assert.equal(restore(512, 3n), null);
    assert.equal(restore(512, 4n), vectors.generalProtection);
    assert.equal(restore(520, 1n << 63n), vectors.generalProtection);
    assert.equal(restore(528, 1n), vectors.generalProtection);
  });

  it('refuses reserved bits of MXCSR, also where SSE is in its initial state', () => {
    assert.equal(restore(24, 0x1_1f80n), vectors.generalProtection);
  });

  it('gives components their initial state that the area does not have', () => {
    const { view } = run(
      `fldpi\npcmpeqb %xmm1, %xmm1\nmovl $0x1f80, ${at.area + 24}\n${ask(3)}\nxrstor ${at.area}`,
    );
    const { control, status, tags } = view.system.float;
    assert.deepEqual([control, status, tags, view.vector(1)], [0x37f, 0, 0xffff, [0n, 0n]]);
  });
});

describe('the bases of FS and GS', () => {
  it('are read and written, of 32 bits with zeros above', () => {
    const program = 'movabs $0x123456789abc, %rax\nwrfsbase %rax\nwrgsbase %eax\nrdfsbase %rbx\nrdgsbase %rdx\nrdfsbase %esi';
    const { view } = run(program, { control: segmentBases });
    assert.deepEqual([view.register(3), view.register(2), view.register(6)], [0x1234_5678_9abcn, 0x5678_9abcn, 0x5678_9abcn]);
    assert.equal(view.gsBase, 0x5678_9abcn);
  }); // prettier-ignore

  it('need CR4.FSGSBASE, and canonical addresses', () => {
    for (const text of ['rdfsbase %rax', 'rdgsbase %eax', 'wrfsbase %rax', 'wrgsbase %eax'])
      assert.equal(run(text, { control: 0 }).vector, vectors.invalidOpcode, text);
    assert.equal(run('movabs $0x800000000000, %rax\nwrgsbase %rax', { control: segmentBases }).vector, vectors.generalProtection);
  }); // prettier-ignore
});
