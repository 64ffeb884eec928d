import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { InputError } from '../../base/index.js';
import { deviceAddress, passingCall, testMachine, vcpuOf } from './test_machine.js';
import type { TestMachine } from './test_machine.js';

/** Installs exception vectors at 0x8000. Each calls the hypervisor with its number. */
function withVectors(machine: TestMachine): TestMachine {
  for (let vector = 0; vector < 16; vector += 1) {
    machine.program(0x8000 + vector * 0x80, `hvc #${0x100 + vector}\neret`);
  }
  vcpuOf(machine).setSystemRegister('VBAR_EL1', 0x8000n);
  return machine;
}

const irqVector = 0x100 + 5;
const fiqVector = 0x100 + 6;
const syncVector = 0x100 + 4;

/** The immediate of the last call. */
function lastCall({ heard }: TestMachine): number | undefined {
  return heard.findLast(({ kind }) => kind === 'hvc')?.at;
}

test('a call passes its immediate and registers, with pc past it, and may change registers', () => {
  const machine = testMachine();
  const cpu = vcpuOf(machine);
  machine.program(0x1000, 'movz x0, #5\nhvc #0xea1\nadd x0, x0, #1\nhvc #2');
  cpu.pc = 0x1000n;
  machine.reaction = () => {
    assert.equal(cpu.register(0), machine.heard.length === 1 ? 5n : 43n);
    cpu.setRegister(0, 42n);
  };
  machine.runToCall();
  assert.equal(cpu.pc, 0x1008n);
  machine.runToCall();
  assert.deepEqual(
    machine.heard.map(({ kind, at }) => [kind, at]),
    [
      ['hvc', 0xea1],
      ['hvc', 2],
    ],
  );
});

test('a call that the machine refuses is Undefined at that instruction', () => {
  const machine = withVectors(testMachine());
  const cpu = vcpuOf(machine);
  machine.program(0x1000, 'nop\nsmc #7');
  cpu.pc = 0x1000n;
  machine.runToCall();
  assert.equal(machine.heard[0]?.kind, 'smc');
  assert.equal(lastCall(machine), syncVector);
  assert.equal(cpu.systemRegister('ESR_EL1'), 0x2000000n);
  assert.equal(cpu.systemRegister('ELR_EL1'), 0x1004n);
});

test('a device sees sizes and values; 16 bytes are two accesses', () => {
  const machine = testMachine();
  const cpu = vcpuOf(machine);
  machine.answer = 0x8182838485868788n;
  machine.program(
    0x1000,
    `strb w1, [x0, #1]
     strh w1, [x0, #2]
     str w1, [x0, #4]
     str x1, [x0, #8]
     stp x1, x2, [x0, #16]
     str q0, [x0, #32]
     ldrb w3, [x0]
     ldrsh x4, [x0, #2]
     ldr w5, [x0, #4]
     ldr x6, [x0, #8]
     ldr q1, [x0, #48]
     dc zva, x0
     hvc #0`,
  );
  cpu.pc = 0x1000n;
  cpu.setRegister(0, BigInt(deviceAddress));
  cpu.setRegister(1, 0x1122334455667788n);
  cpu.setRegister(2, 0x99n);
  cpu.setVector(0, [1n, 2n]);
  // With translation on, this would be Device memory. With translation off, DC ZVA takes an alignment fault.
  withVectors(machine);
  machine.runToCall();
  const accesses = machine.heard.filter(({ kind }) => kind === 'read' || kind === 'write');
  assert.deepEqual(
    accesses.map(({ kind, at, bytes, value }) => [kind, at, bytes, value]),
    [
      ['write', 1, 1, 0x88n],
      ['write', 2, 2, 0x7788n],
      ['write', 4, 4, 0x55667788n],
      ['write', 8, 8, 0x1122334455667788n],
      ['write', 16, 8, 0x1122334455667788n],
      ['write', 24, 8, 0x99n],
      ['write', 32, 8, 1n],
      ['write', 40, 8, 2n],
      ['read', 0, 1, undefined],
      ['read', 2, 2, undefined],
      ['read', 4, 4, undefined],
      ['read', 8, 8, undefined],
      ['read', 48, 8, undefined],
      ['read', 56, 8, undefined],
    ],
  );
  assert.equal(cpu.register(3), 0x88n);
  assert.equal(cpu.register(4), BigInt.asUintN(64, BigInt.asIntN(16, 0x8788n)));
  assert.equal(cpu.register(5), 0x85868788n);
  assert.equal(cpu.register(6), 0x8182838485868788n);
  assert.deepEqual(cpu.vector(1), [0x8182838485868788n, 0x8182838485868788n]);
  assert.equal(lastCall(machine), syncVector);
  assert.equal(cpu.systemRegister('ESR_EL1'), 0x96000061n);
});

test('an access that nothing answers is an external abort, or the fault that the machine chooses', () => {
  for (const [unanswered, load, store, fetch] of [
    [undefined, 0x96000010n, 0x96000050n, 0x86000010n],
    [0, 0x96000000n, 0x96000000n, 0x86000000n],
  ] as const) {
    const machine = withVectors(testMachine(unanswered === undefined ? {} : { unanswered }));
    const cpu = vcpuOf(machine);
    machine.program(0x1000, 'ldr x1, [x0]\nstr x1, [x0]\nbr x0');
    cpu.setRegister(0, 0x20000000n);
    for (const [pc, esr] of [
      [0x1000n, load],
      [0x1004n, store],
      [0x1008n, fetch],
    ] as const) {
      cpu.pc = pc;
      machine.runToCall();
      assert.equal(cpu.systemRegister('ESR_EL1'), esr);
      assert.equal(cpu.systemRegister('FAR_EL1'), 0x20000000n);
    }
  }
});

test('an interrupt is taken on entry, unless it is masked; FIQ before IRQ', () => {
  const machine = withVectors(testMachine());
  const cpu = vcpuOf(machine);
  machine.program(0x1000, 'nop\nhvc #1');
  const enter = (masks: bigint): number | undefined => {
    cpu.setSystemRegister('DAIF', masks);
    cpu.pc = 0x1000n;
    machine.runToCall();
    return lastCall(machine);
  };
  assert.equal(enter(0n), 1);
  machine.processor.setInterruptLine(0, 'irq', true);
  assert.equal(enter(0n), irqVector);
  assert.equal(cpu.systemRegister('ELR_EL1'), 0x1000n);
  assert.equal(cpu.systemRegister('DAIF'), 0x3c0n);
  assert.equal(enter(0x80n), 1);
  machine.processor.setInterruptLine(0, 'fiq', true);
  assert.equal(enter(0n), fiqVector);
  assert.equal(enter(0x40n), irqVector);
  assert.equal(enter(0xc0n), 1);
  machine.processor.setInterruptLine(0, 'irq', false);
  assert.equal(enter(0x80n), fiqVector);
});

test('an interrupt is taken immediately after the instruction that unmasks it', () => {
  const unmaskings = [
    ['msr daifclr, #2', 'msr daifset, #2'],
    ['msr daif, x1', 'msr daif, x2'],
  ] as const;
  for (const [unmask, mask] of unmaskings) {
    const machine = withVectors(testMachine());
    const cpu = vcpuOf(machine);
    machine.program(0x1000, `movz x1, #0\nmovz x2, #0x3c0\n${unmask}\n${mask}\nhvc #1`);
    cpu.pc = 0x1000n;
    machine.processor.setInterruptLine(0, 'irq', true);
    machine.runToCall();
    assert.equal(lastCall(machine), irqVector, unmask);
    assert.equal(cpu.systemRegister('ELR_EL1'), 0x100cn, unmask);
  }
  // ERET to a state in which the interrupt is not masked.
  const machine = withVectors(testMachine());
  const cpu = vcpuOf(machine);
  machine.program(0x1000, 'msr elr_el1, x1\nmsr spsr_el1, x2\neret');
  cpu.setRegister(1, 0x2000n);
  cpu.setRegister(2, 0x5n);
  cpu.pc = 0x1000n;
  machine.processor.setInterruptLine(0, 'irq', true);
  machine.runToCall();
  assert.equal(lastCall(machine), irqVector);
  assert.equal(cpu.systemRegister('ELR_EL1'), 0x2000n);
});

test('an interrupt raised by a register write is taken at once, one raised by a device at the next branch', () => {
  const machine = withVectors(testMachine());
  const cpu = vcpuOf(machine);
  machine.program(
    0x1000,
    `msr icc_sgi1r_el1, x1
     nop
     hvc #1`,
  );
  machine.program(
    0x2000,
    `str w1, [x0]
     nop
     b 0x2010
     nop
     hvc #1`,
  );
  machine.reaction = ({ kind }) => {
    if (kind === 'write' || kind === 'writeRegister') machine.processor.setInterruptLine(0, 'irq', true);
  };
  for (const [pc, elr] of [
    [0x1000n, 0x1004n],
    [0x2000n, 0x2010n],
  ] as const) {
    machine.processor.setInterruptLine(0, 'irq', false);
    cpu.setSystemRegister('DAIF', 0n);
    cpu.setRegister(0, BigInt(deviceAddress));
    cpu.pc = pc;
    const { executed } = machine.runToCall();
    assert.equal(lastCall(machine), irqVector);
    assert.equal(cpu.systemRegister('ELR_EL1'), elr);
    assert.equal(executed, pc === 0x1000n ? 2 : 4);
  }
});

test('a wait instruction ends the run, unless it need not wait', () => {
  const machine = testMachine({ vcpus: 2 });
  const [cpu, other] = [vcpuOf(machine), vcpuOf(machine, 1)];
  machine.program(0x1000, 'wfi\nwfe\nyield\nsevl\nwfe\nwfi\nhvc #0');
  machine.program(0x2000, 'sev\nhvc #0');
  cpu.pc = 0x1000n;
  const next = (): string => machine.processor.run(0, 100).reason;
  assert.equal(next(), 'waitForInterrupt');
  assert.equal(next(), 'waitForEvent');
  assert.equal(next(), 'yield');
  // WFE does not wait, because the event is set. For WFI, a masked interrupt is enough.
  machine.processor.setInterruptLine(0, 'irq', true);
  assert.equal(next(), 'stopped');
  cpu.pc = 0x1004n;
  other.pc = 0x2000n;
  machine.runToCall(1);
  assert.equal(next(), 'yield');
});

test('counts what it executes, also while it runs', () => {
  const machine = testMachine();
  const cpu = vcpuOf(machine);
  machine.program(
    0x1000,
    `movz x2, #3
     str w1, [x0]
     mrs x3, cntvct_el0
     sub x2, x2, #1
     cbnz x2, 0x1004
     dc cvac, xzr
     svc #0
     hvc #1`,
  );
  withVectors(machine);
  cpu.pc = 0x1000n;
  cpu.setRegister(0, BigInt(deviceAddress));
  const { executed } = machine.runToCall();
  assert.deepEqual(
    machine.heard.map(({ kind, executed: before }) => [kind, before]),
    [
      ['write', 1],
      ['readRegister', 2],
      ['write', 5],
      ['readRegister', 6],
      ['write', 9],
      ['readRegister', 10],
      // The call itself counts: it completes after the interpreter has returned.
      ['hvc', 16],
    ],
  );
  assert.equal(executed, 16);
});

/** A program that branches, stores, calls and counts, with occasional interrupts. The result is in x0. */
const busyProgram = `movz x0, #0
  movz x1, #200
  movz x9, #0x4000
  add x0, x0, x1
  str x0, [x9]
  ldr x2, [x9]
  eor x0, x0, x2, lsl #7
  bl 0x1030
  sub x1, x1, #1
  cbnz x1, 0x100c
  hvc #1
  nop
  add x0, x0, #3
  ret`;

test('the result does not depend on how the budget is divided', () => {
  const run = (budgets: readonly number[]): { total: number; value: unknown } => {
    const machine = testMachine();
    const cpu = vcpuOf(machine);
    machine.program(0x1000, busyProgram.replaceAll('ret', 'ret x30'));
    cpu.pc = 0x1000n;
    let total = 0;
    for (let turn = 0; ; turn += 1) {
      const { reason, executed } = machine.processor.run(0, budgets[turn % budgets.length] ?? 1);
      total += executed;
      if (reason === 'stopped') return { total, value: cpu.save() };
    }
  };
  const whole = run([1_000_000]);
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 8 }), (budgets) => {
      assert.deepEqual(run(budgets), whole);
    }),
    { numRuns: 20 },
  );
});

test('a run overshoots its budget by less than a page, up to the next branch', () => {
  const machine = testMachine();
  const cpu = vcpuOf(machine);
  // NOPs over several pages, then a branch back.
  machine.program(0x1000, 'nop\n'.repeat(3000) + 'b 0x1000');
  cpu.pc = 0x1000n;
  for (let turn = 0; turn < 50; turn += 1) {
    const { reason, executed } = machine.processor.run(0, 10);
    assert.equal(reason, 'budget');
    assert.ok(executed >= 10 && executed <= 1024, `${executed}`);
  }
});

test('a fetch fault loop uses up its budget', () => {
  const machine = testMachine();
  const cpu = vcpuOf(machine);
  cpu.setSystemRegister('VBAR_EL1', 0x30000000n);
  cpu.pc = 0x20000000n;
  assert.deepEqual(machine.processor.run(0, 1000), { reason: 'budget', executed: 1000 });
});

test('stack pointer alignment is checked where it is a base register, if the check is enabled', () => {
  const forms = [
    'ldr x1, [sp]', 'str w1, [sp, #8]', 'ldrb w1, [sp, #3]', 'ldp x1, x2, [sp], #16', 'stp w1, w2, [sp, #-16]!',
    'ldr x1, [sp, #16]!', 'ldr x1, [sp, x2]', 'ldtr x1, [sp]', 'ldxr x1, [sp]', 'ldar x1, [sp]', 'ldr q0, [sp]',
    'ld1 {v0.16b}, [sp]', 'stur x1, [sp, #5]', 'ldpsw x1, x2, [sp]',
  ]; // prettier-ignore
  const check = (bits: bigint, stack: bigint, form: string): number | undefined => {
    const machine = withVectors(testMachine());
    const cpu = vcpuOf(machine);
    const control = cpu.systemRegister('SCTLR_EL1') & ~0x18n;
    cpu.setSystemRegister('SCTLR_EL1', control | bits);
    machine.program(0x1000, `${form}\nhvc #1`);
    cpu.pc = 0x1000n;
    cpu.setRegister(2, 0n);
    cpu.stackPointer = stack;
    machine.runToCall();
    const call = lastCall(machine);
    if (call === syncVector && stack % 16n === 8n) {
      // Where the stack pointer is not checked, an address that is aligned for the access works.
      assert.equal(cpu.systemRegister('ESR_EL1'), 0x9a000000n, form);
      assert.equal(cpu.systemRegister('ELR_EL1'), 0x1000n, form);
    }
    return call;
  };
  for (const form of forms) {
    assert.equal(check(0x8n, 0x4008n, form), syncVector, form);
    // With bits 0x18 of SCTLR_EL1 clear, nothing is checked. Device memory (translation is off) still has alignment
    // faults.
    if (!/q0|16b|stur/.test(form)) assert.equal(check(0x10n, 0x4008n, form), 1, form);
    if (!form.startsWith('stur')) assert.equal(check(0x18n, 0x4010n, form), 1, form);
  }
});

test('the exclusive monitor is cleared between runs', () => {
  const machine = testMachine();
  const cpu = vcpuOf(machine);
  machine.program(
    0x1000,
    'ldxr x1, [x0]\nyield\nstxr w2, x1, [x0]\nldxr x1, [x0]\nstxr w3, x1, [x0]\nhvc #0',
  );
  cpu.setRegister(0, 0x4000n);
  cpu.pc = 0x1000n;
  machine.processor.run(0, 100);
  machine.processor.run(0, 100);
  assert.deepEqual([cpu.register(2), cpu.register(3)], [1n, 0n]);
});

test('a call clears the monitor and sets the event, like the exception return that ends it', () => {
  const machine = testMachine();
  const cpu = vcpuOf(machine);
  machine.program(
    0x1000,
    `sevl\nwfe\nldxr x1, [x0]\nhvc #${passingCall}\nstxr w2, x1, [x0]\nwfe\nmovz x3, #1\nhvc #0`,
  );
  cpu.setRegister(0, 0x4000n);
  cpu.pc = 0x1000n;
  assert.equal(machine.processor.run(0, 100).reason, 'stopped');
  assert.deepEqual([cpu.register(2), cpu.register(3)], [1n, 1n]);
});

test('a vCPU continues identically after save and load', () => {
  const machine = testMachine();
  const cpu = vcpuOf(machine);
  machine.program(0x1000, busyProgram.replaceAll('ret', 'ret x30'));
  cpu.pc = 0x1000n;
  cpu.setVector(31, [5n, 6n]);
  machine.processor.run(0, 300);
  const value = cpu.save();
  machine.runToCall();
  const end = cpu.save();
  cpu.reset();
  cpu.load(value);
  assert.deepEqual(cpu.save(), value);
  machine.runToCall();
  assert.deepEqual(cpu.save(), end);
  assert.deepEqual(cpu.vector(31), [5n, 6n]);
});

test('a vCPU with more vectors than there are is refused, for they would fall on other parts of memory', () => {
  const cpu = vcpuOf(testMachine());
  const value = cpu.save();
  for (const vectors of [[...value.vectors, [1n, 1n] as const], value.vectors.slice(1)])
    assert.throws(() => cpu.load({ ...value, vectors }), InputError);
});

test('the machine sets identification registers, and a reset keeps them', () => {
  const machine = testMachine({ vcpus: 2 });
  const cpu = vcpuOf(machine, 1);
  cpu.setSystemRegister('MPIDR_EL1', 0x80000001n);
  cpu.reset();
  machine.program(0x1000, 'mrs x0, mpidr_el1\nmrs x1, midr_el1\nmrs x2, currentel\nhvc #0');
  cpu.pc = 0x1000n;
  machine.runToCall(1);
  assert.deepEqual(
    [0, 1, 2].map((number) => cpu.register(number)),
    [0x80000001n, 0x411fd070n, 4n],
  );
});
