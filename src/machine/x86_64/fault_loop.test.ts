/** Holds a vCPU that is passed over against one that runs each instruction. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { firstXenVcpu } from '../../identity/index.js';
import { codeReader } from './code.js';
import { FaultLoops } from './fault_loop.js';
import { testGuest } from './test_guest.js';
import type { TestGuest } from './test_guest.js';

type Gates = Readonly<Record<number, string>>;

/** A guest that has run for a while. */
function started(program: string, gates: Gates): TestGuest {
  const guest = testGuest(program, { gates });
  guest.machine.run(6_000, 10_000_000_000n);
  return guest;
}

/** The stack's page, to which exceptions push. */
const stackOf = ({ machine }: TestGuest): Uint8Array | undefined => machine.frames.readable(0x9e)?.slice();

/** Runs the same slices with and without passing over; returns what is known of the loop then. */
function compare(program: string, gates: Gates): readonly bigint[] | null {
  const [one, other] = [started(program, gates), started(program, gates)];
  const { domain, frames } = one.machine;
  const loops = new FaultLoops(
    one.machine.processor,
    codeReader(
      () => domain,
      () => frames,
    ),
  );
  for (const budget of [1500, 2500, 4001]) {
    const [a, b] = [loops.run(0, budget), other.machine.processor.run(0, budget)];
    assert.deepEqual(a, b);
    assert.deepEqual(one.machine.processor.vcpus[0]?.save(), other.machine.processor.vcpus[0]?.save());
    assert.deepEqual(stackOf(one), stackOf(other));
  }
  return loops.loopOf(0);
}

describe('a vCPU that faults for ever', () => {
  const cases: readonly [name: string, program: string, gates: Gates, faults: readonly string[]][] = [
    ['UD2', 'fault: ud2\nhandler: iretq', { 6: 'handler' }, ['fault']],
    [
      'a page fault, behind other instructions',
      'movabs $0x100000000, %rbx\nagain: mov $0x3, %ecx\nadd %ecx, %edx\nfault: mov (%rbx), %rax\n' +
        'handler: add $0x8, %rsp\nxor %edx, %edx\nmov $again, %eax\niretq',
      { 14: 'handler' },
      ['fault'],
    ],
    [
      'code that is zeros: an addition to memory',
      'movabs $0x100000000, %rax\nfault: .byte 0, 0\nhandler: add $0x8, %rsp\niretq',
      { 14: 'handler' },
      ['fault'],
    ],
    [
      'an opcode that is not implemented, which is counted',
      'fault: .byte 0x0f, 0x0a\nhandler: iretq',
      { 6: 'handler' },
      ['fault'],
    ],
    [
      'an exception within the handler of another',
      'fault: ud2\nhandler: nop\ninner: int3\niretq\nback: iretq',
      { 6: 'handler', 3: 'back' },
      ['fault', 'inner'],
    ],
  ];
  for (const [name, program, gates, faults] of cases) {
    it(`is passed over: ${name}`, () => {
      const loop = compare(program, gates);
      const guest = testGuest(program, { gates });
      assert.deepEqual(
        loop === null ? null : [...loop].sort(),
        faults.map((label) => BigInt(guest.address(label))).sort(),
      );
    });
  }

  it('is not passed over where a register or memory changes', () => {
    assert.equal(compare('fault: ud2\nhandler: inc %r15\niretq', { 6: 'handler' }), null);
    assert.equal(compare('fault: ud2\nhandler: incq 0x4000\niretq', { 6: 'handler' }), null);
    assert.equal(compare('fault: ud2\nhandler: rdtsc\niretq', { 6: 'handler' }), null);
  });

  it('lets time pass quickly, and its diagnosis says where it faults', () => {
    const guest = testGuest('fault: ud2\nhandler: iretq', { gates: { 6: 'handler' } });
    assert.equal(guest.machine.run(10_000_000, 10_000_000_000n), 'limit');
    assert.ok(guest.machine.instructions >= 10_000_000);
    const pc = BigInt(guest.address('fault'));
    assert.deepEqual(guest.machine.board.diagnose(firstXenVcpu)?.faultsAt, [pc]);
  });
});
