import assert from 'node:assert/strict';
import { it } from 'node:test';
import { assemble, powerOff, testGuest, vectors } from './test_guest.js';

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
