import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { RunResult } from '../../engine/index.js';
import { codeReader } from './code.js';
import { FaultLoops } from './fault_loop.js';
import { assemble, entry, powerOff, testGuest, vectors } from '../test_guest.js';
import type { TestGuest } from '../test_guest.js';

const faulting = 0x4000_c000;
const vector = faulting + 0x200;

/** A guest whose vCPU 1 ends in `lost` (default: an endless fault at its own vector) while vCPU 0 runs `program`. */
const twoVcpus = (program: string, lost = 'brk #1'): ReturnType<typeof testGuest> =>
  testGuest(
    `li x0, 0xc4000003
     movz x1, #1
     adr x2, {lost}
     hvc #0
     ${program}
     lost:
     li x1, 0x${faulting.toString(16)}
     msr vbar_el1, x1
     here:
     ${lost}`,
    { vcpus: 2 },
  );

it('a vCPU in a fault loop takes the same turns and time as if every fault were executed', () => {
  const guest = testGuest(`li x1, 0x${vectors.toString(16)}\nmsr vbar_el1, x1\nbrk #1`);
  assert.equal(guest.machine.run(1_000_000_000, 1n << 62n), 'limit');
  const { instructions, nowNs, processor } = guest.machine;
  assert.ok(instructions >= 1_000_000_000 && instructions < 1_001_000_000);
  assert.equal(nowNs, BigInt(instructions));
  const view = processor.vcpus[0]!;
  const before = view.save();
  assert.deepEqual(
    [before.pc, before.systemRegisters['ELR_EL1']],
    [BigInt(vectors + 0x200), BigInt(vectors + 0x200)],
  );
  // Compare with the state that the processor itself reaches.
  processor.run(0, 1000);
  assert.deepEqual(view.save(), before);
});

it('it continues as soon as another vCPU writes an instruction to the vector', () => {
  const guest = twoVcpus(`
     movz x5, #1, lsl #16
     wait:
     sub x5, x5, #1
     cbnz x5, {wait}
     li x1, 0x${vector.toString(16)}
     li x2, 0xd503201f
     str w2, [x1]
     park:
     b {park}`);
  guest.machine.load(BigInt(vector + 4), assemble(powerOff, vector + 4));
  assert.equal(guest.runToEnd(), 'shutdown');
  assert.ok(guest.machine.instructions > 2 ** 17, 'it had stood still until then');
});

it('the order of turns is the same as beside a vCPU that executes every fault', () => {
  const trace = (lost: string): string[] => {
    const program = `li x20, 0x22000000
       again:
       movz x5, #3000
       loop:
       sub x5, x5, #1
       cbnz x5, {loop}
       movz w1, #46
       strb w1, [x20]
       b {again}`;
    const guest = twoVcpus(program, lost);
    return Array.from({ length: 40 }, () => {
      guest.machine.run(10_000, 1n << 62n);
      return `${guest.machine.instructions} ${guest.sent.length} ${guest.machine.nowNs}`;
    });
  };
  assert.deepEqual(trace('brk #1'), trace('b {here}'));
});

/** What its handler does with a synchronous exception at EL1. */
const handlers = {
  returnBehind: 'mrs x1, elr_el1\nadd x1, x1, #4\nmsr elr_el1, x1\neret',
  returnThere: 'eret',
  leave: `b 0x${entry.toString(16)}`,
  count: 'add x9, x9, #1\neret',
  write: 'movz w1, #46\nstrb w1, [x20]\neret',
} as const;

/** X10 points to nowhere, X11 to memory, X20 to the UART. */
const prologue = `
  li x10, 0x1000
  li x11, 0x40004000
  li x20, 0x22000000
  li x1, 0x${vectors.toString(16)}
  msr vbar_el1, x1`;

/** Guests that do the same: one whose vCPU is passed over where it may be, one that is run as it is. */
class Pair {
  readonly #guests: readonly [TestGuest, TestGuest];
  readonly #faultLoops: FaultLoops;
  /** Instructions of all slices: here no machine says that time passes between them. */
  #executed = 0;

  constructor(body: string, handler: string, interrupt = handler) {
    const build = (): TestGuest => {
      const guest = testGuest(`${prologue}\nagain:\n${body}\nb {again}`);
      guest.machine.load(BigInt(vectors + 0x200), assemble(handler, vectors + 0x200));
      guest.machine.load(BigInt(vectors + 0x280), assemble(interrupt, vectors + 0x280));
      // A turn's first slice enters the guest.
      guest.machine.run(1, 1n << 62n);
      return guest;
    };
    this.#guests = [build(), build()];
    const { processor, domain, frames } = this.#guests[0].machine;
    const run = (vcpu: number, budget: number, before = 0): RunResult =>
      processor.run(vcpu, budget, this.#executed + before);
    this.#faultLoops = new FaultLoops(
      { vcpus: processor.vcpus, run },
      codeReader(
        () => domain,
        () => frames,
      ),
    );
  }

  setLine(asserted: boolean): void {
    for (const { machine } of this.#guests) machine.processor.setInterruptLine(0, 'irq', asserted);
  }

  /** Runs both for slices of so many instructions; whether the first was passed over in the last of them. */
  check(budgets: readonly number[]): boolean {
    const [passed, plain] = this.#guests;
    for (const budget of budgets) {
      const result = this.#faultLoops.run(0, budget);
      assert.deepEqual(result, plain.machine.processor.run(0, budget, this.#executed));
      this.#executed += result.executed;
      const [state, expected] = [passed, plain].map(({ machine }) => machine.processor.vcpus[0]?.save());
      assert.deepEqual(state, expected);
      assert.deepEqual(passed.sent, plain.sent);
    }
    return this.#faultLoops.loopOf(0) !== null;
  }
}

describe('a vCPU that takes many exceptions', () => {
  const slices = Array<number>(12).fill(4000);

  for (const [handler, body, isPassed] of [
    ['returnBehind', 'udf #0', true],
    ['returnThere', 'udf #0', true],
    ['leave', 'brk #1', true],
    ['returnThere', 'svc #0', true],
    ['returnBehind', 'ldr x2, [x10]\nstr x2, [x10, #8]', true],
    ['returnBehind', 'msr vbar_el1, x30\nudf #0', true],
    // These change something each time, or may.
    ['count', 'udf #0', false],
    ['write', 'udf #0', false],
    ['returnBehind', 'add x3, x3, #1\nudf #0', false],
    ['returnBehind', 'strb w3, [x20]\nudf #0', false],
    ['returnBehind', 'str x3, [x11]\nudf #0', false],
    ['returnBehind', 'ldr w3, [x20, #24]\nudf #0', false],
    ['returnBehind', 'mrs x3, cntvct_el0\nmovz x3, #0\nudf #0', false],
    ['returnBehind', 'ldp x2, x3, [x10]', false],
    ['returnBehind', 'hvc #0\nudf #0', false],
    ['returnBehind', 'sev\nudf #0', false],
    ['returnBehind', 'ldxr x2, [x11]\nudf #0', false],
  ] as const) {
    it(`is ${isPassed ? '' : 'not '}passed over with "${body.replaceAll('\n', '; ')}" where it would ${handler}`, () => {
      assert.equal(new Pair(body, handlers[handler]).check(slices), isPassed);
    });
  }

  it('is not passed over while an interrupt is taken again and again', () => {
    const pair = new Pair('msr daifclr, #2\nudf #0', handlers.leave, handlers.write);
    assert.equal(pair.check(slices), true);
    pair.setLine(true);
    assert.equal(pair.check(slices), false);
    pair.setLine(false);
    pair.check(slices);
  });

  it('is run anew when another vCPU, or Xen, changes its code', () => {
    const guest = testGuest(`${prologue}\nagain:\nudf #0\nb {again}`);
    guest.machine.load(BigInt(vectors + 0x200), assemble(handlers.returnBehind, vectors + 0x200));
    guest.machine.run(10_000_000, 1n << 62n);
    guest.machine.load(BigInt(vectors + 0x200), assemble(powerOff, vectors + 0x200));
    assert.equal(guest.runToEnd(), 'shutdown');
  });

  it('comes to where it would, whatever it does and wherever its slices end', () => {
    const line = fc.constantFrom(
      'udf #0', 'brk #1', 'svc #0', 'hvc #7', 'ldr x2, [x10]', 'str x2, [x10]', 'ldp x2, x3, [x10]', 'ldr x2, [x11]',
      'str x3, [x11]', 'strb w3, [x20]', 'ldr w2, [x20, #24]', 'add x3, x3, #1', 'and x3, x3, #7', 'movz x3, #0',
      'mrs x4, cntvct_el0', 'mrs x4, elr_el1', 'msr daifclr, #2', 'isb', 'nop', 'clrex', 'cbnz x3, {again}', 'bl {again}',
      'wfe', 'ldxr x2, [x11]', 'stxr w2, x3, [x11]',
    ); // prettier-ignore
    const handler = fc.constantFrom(...Object.values(handlers));
    const budgets = fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 6, maxLength: 12 });
    fc.assert(
      fc.property(fc.array(line, { minLength: 1, maxLength: 6 }), handler, budgets, (lines, how, given) => {
        new Pair(lines.join('\n'), how).check(given);
      }),
      { numRuns: 60 },
    );
  });
});
