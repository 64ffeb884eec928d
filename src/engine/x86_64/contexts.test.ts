/** PCID and INVPCID (Intel SDM, volume 3, 4.10.1; volume 2, INVPCID), and the bits of CR4 that a CPU without a feature lacks. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { CpuModel } from '../../isa/x86_64/index.js';
import { vectors } from './events.js';
import { cr4 } from './regime.js';
import { enterLongMode, pageEntry, places, setGate, testMachine } from './test_machine.js';
import type { TestMachine } from './test_machine.js';
import type { X86VcpuView } from './vcpu_view.js';

const at = { program: 0x1000, handler: 0x2000, operand: 0x3000, data: 0x4000, other: 0x5000, stack: 0x8000 } as const; // prettier-ignore

interface Outcome {
  readonly refused: boolean;
  readonly view: X86VcpuView;
  readonly machine: TestMachine;
}

/** Runs a program of the kernel; `operand` is the 16 bytes for INVPCID. */
function run(
  text: string,
  { cpu = 'v2', control = 0, operand = [0n, 0n] }: { cpu?: CpuModel; control?: number; operand?: readonly [bigint, bigint] } = {},
): Outcome {
  const machine = testMachine({ cpu });
  const view = enterLongMode(machine);
  machine.program(at.handler, 'mov $0xd, %eax\nvmmcall');
  setGate(machine, vectors.generalProtection, BigInt(at.handler));
  for (const [index, value] of operand.entries()) machine.memory.setBigUint64(at.operand + 8 * index, value, true);
  machine.memory.setBigUint64(at.data, 0x11n, true);
  machine.memory.setBigUint64(at.other, 0x22n, true);
  view.setSystem({ cr4: view.system.cr4 | control });
  view.setRegister(4, BigInt(at.stack));
  machine.program(at.program, `${text}\nmov $0xff, %eax\nvmmcall`);
  view.pc = BigInt(at.program);
  machine.run();
  return { refused: machine.heard.at(-1)?.at === 0xd, view, machine };
} // prettier-ignore

const setBit = (bit: number): string => `mov %cr4, %rax\nbts $${bit}, %rax\nmov %rax, %cr4`;
const { contexts } = cr4;
const toCr3 = (value: bigint): string => `movabs $0x${value.toString(16)}, %rax\nmov %rax, %cr3`;

describe('CR4', () => {
  it('has the bits of features that the CPU has', () => {
    for (const bit of [16, 17, 18, 20, 21]) {
      assert.equal(run(setBit(bit)).refused, false, `bit ${bit}`);
      assert.equal(run(setBit(bit), { cpu: 'minimal' }).refused, true, `bit ${bit} of the minimal model`);
    }
    for (const bit of [11, 12, 13, 14, 19, 22, 23])
      assert.equal(run(setBit(bit)).refused, true, `bit ${bit}`);
  });
});

describe('a control or debug register', () => {
  it('takes 64 bits as an unsigned number', () => {
    const top = 'movabs $0xffff888000001000, %rax';
    for (const to of ['cr3', 'cr8', 'db7']) assert.equal(run(`${top}\nmov %rax, %${to}`).refused, true, to);
    const { view } = run(`${top}\nmov %rax, %cr2\nmov %rax, %db0`);
    assert.deepEqual(
      [view.system.cr2, view.system.debug[0]],
      [0xffff_8880_0000_1000n, 0xffff_8880_0000_1000n],
    );
  });
});

describe('PCID', () => {
  it('is turned on in context 0 alone', () => {
    const root = BigInt(places.tables);
    assert.equal(run(`${toCr3(root | 0x10n)}\n${setBit(17)}`).refused, true);
    assert.equal(run(setBit(17)).view.system.cr4 & contexts, contexts);
  });

  it('numbers contexts by the low bits of CR3, and stores no bit 63', () => {
    const value = BigInt(places.tables) | 0xabcn;
    const { refused, view } = run(toCr3(value | (1n << 63n)), { control: contexts });
    assert.deepEqual([refused, view.system.cr3], [false, value]);
    assert.equal(run(toCr3(value | (1n << 63n))).refused, true);
    assert.equal(run(toCr3(value | (1n << 62n)), { control: contexts }).refused, true);
  });

  it('is off before paging is', () => {
    const compatible = `mov %cr0, %rax\nbtr $0x1f, %rax\nmov %rax, %cr0`;
    assert.equal(run(compatible, { control: contexts }).refused, true);
  });
});

describe('INVPCID', () => {
  const call = (kind: number | bigint): string =>
    `movabs $0x${kind.toString(16)}, %rbx\ninvpcid ${at.operand}, %rbx`;

  it('drops what was known of a page', () => {
    for (const kind of [0, 1, 2, 3]) {
      // Its entry leads to the other page, which only an invalidation makes known.
      const change = `mov ${at.data}, %rcx\nmovq $${at.other | 7}, ${pageEntry(at.data)}\n${call(kind)}\nmov ${at.data}, %rdx`;
      const { refused, view } = run(change, { operand: [0n, BigInt(at.data)], control: contexts });
      assert.deepEqual([refused, view.register(1), view.register(2)], [false, 0x11n, 0x22n], `kind ${kind}`);
    }
  });

  it('refuses unknown kinds, reserved bits, and addresses that are not canonical', () => {
    for (const kind of [4, 2n ** 32n, 2n ** 63n]) assert.equal(run(call(kind)).refused, true, `kind ${kind}`);
    for (const kind of [0, 1, 2, 3]) {
      assert.equal(run(call(kind), { operand: [0x1000n, 0n], control: contexts }).refused, true);
      assert.equal(run(call(kind), { operand: [0n, 1n << 47n] }).refused, kind === 0);
    }
  });

  it('needs PCID for another context than 0', () => {
    for (const kind of [0, 1, 2, 3]) {
      assert.equal(run(call(kind), { operand: [5n, 0n] }).refused, kind < 2, `kind ${kind}`);
      assert.equal(run(call(kind), { operand: [5n, 0n], control: contexts }).refused, false, `kind ${kind}`);
    }
  });
});
