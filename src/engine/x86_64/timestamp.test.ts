import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as isa from '../../isa/x86_64/index.js';
import { cr4 } from './regime.js';
import { enterLongMode, testMachine } from './test_machine.js';
import type { TestMachine } from './test_machine.js';

/** Reads the counter 200 times into memory from 0x8000 on: behind branches, in two pages, and around a call of the host. */
const program = `
    mov $0x8000, %edi
    mov $0x28, %ecx
  again:
    rdtsc
    mov %eax, (%rdi)
    mov %edx, 0x4(%rdi)
    test $0x1, %cl
    je even
    nop
  even:
    rdtsc
    mov %eax, 0x8(%rdi)
    mov %edx, 0xc(%rdi)
    mov %cr4, %rax
    rdtsc
    mov %eax, 0x10(%rdi)
    mov %edx, 0x14(%rdi)
    call 0x2000
    add $0x28, %rdi
    dec %ecx
    jne again
    vmmcall
`;
const otherPage = `
    rdtsc
    mov %eax, 0x18(%rdi)
    mov %edx, 0x1c(%rdi)
    lfence
    rdtsc
    mov %eax, 0x20(%rdi)
    mov %edx, 0x24(%rdi)
    ret
`;

function counters(
  budget: number,
  { asksTime, more = 0 }: { readonly asksTime: boolean; readonly more?: number },
): { readonly seen: bigint[]; readonly machine: TestMachine } {
  const machine = testMachine({ asksTime });
  const view = enterLongMode(machine);
  const { system } = view;
  view.setSystem({ ...system, cr4: system.cr4 | more });
  machine.program(0x1000, program);
  machine.program(0x2000, otherPage);
  view.pc = 0x1000n;
  view.setRegister(isa.registerNumber('rsp'), 0x7000n);
  assert.equal(machine.run(0, budget).reason, 'stopped');
  const seen = Array.from({ length: 200 }, (_, index) =>
    machine.memory.getBigUint64(0x8000 + 8 * index, true),
  );
  return { seen, machine };
}

describe('the time-stamp counter', () => {
  it('is read without the host as the host would say it, in time slices of any length', () => {
    const { seen: whole } = counters(100_000, { asksTime: true });
    assert.ok(whole.every((value, index) => index === 0 || value > (whole[index - 1] ?? 0n)));
    for (const budget of [1, 2, 3, 7, 100, 1000, 100_000]) {
      const asked = counters(budget, { asksTime: true });
      assert.equal(asked.machine.timestampsAsked, 200);
      const { seen, machine } = counters(budget, { asksTime: false });
      assert.deepEqual(seen, asked.seen, `slices of ${budget}`);
      assert.deepEqual(seen, whole, `slices of ${budget}`);
      assert.equal(machine.timestampsAsked, 0);
    }
  });

  it('goes on as before where the host lets the run end soon', () => {
    const seen = [true, false].map((asksTime) => {
      const machine = testMachine({ asksTime });
      const view = enterLongMode(machine);
      const read = (to: string): string => `rdtsc\nmov %eax, %${to}\n`;
      machine.program(0x1000, `sti\n${read('ebx')}vmmcall\n${read('ecx')}jmp 0x1800`);
      machine.program(0x1800, `${read('esi')}inc %edi\nvmmcall`);
      machine.reaction = () => {
        machine.processor.setInterruptLine(0, 'interrupt', true);
        return view.register(isa.registerNumber('rdi')) !== 0n;
      };
      view.pc = 0x1000n;
      machine.run();
      return (['rbx', 'rcx', 'rsi'] as const).map((name) => view.register(isa.registerNumber(name)));
    });
    assert.deepEqual(seen[1], seen[0]);
    assert.equal(new Set(seen[0]).size, 3);
  });

  it('is asked for by each RDTSC where CR4.TSD may refuse it', () => {
    const { seen, machine } = counters(100, { asksTime: false, more: cr4.timestampDisable });
    assert.equal(machine.timestampsAsked, 200);
    assert.deepEqual(seen, counters(100, { asksTime: false }).seen);
  });
});
