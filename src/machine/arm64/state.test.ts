/** Tests a machine as a value: a guest that is saved and restored goes on as if it had not been. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { InvariantError, valueFromJson, valueToJson } from '../../base/index.js';
import { cloneSaved, equalSaved, hashSaved } from '../state.js';
import type { SavedMachine } from '../state.js';
import { enableInterrupts, powerOff, ramStart, results, testGuest, translationOn } from '../test_guest.js';
import type { GuestShape, TestGuest } from '../test_guest.js';

const hex = (value: number | bigint): string => `0x${value.toString(16)}`;
const untilNs = 10_000_000_000n;

/** As a file would hold it. */
function written({ state, frames }: SavedMachine): SavedMachine {
  return { state: valueFromJson(valueToJson(state)) as SavedMachine['state'], frames };
}

interface Watched {
  readonly guest: TestGuest;
  /** What its listener was told, in order. */
  readonly told: string[];
}

type Make = (shape?: GuestShape) => TestGuest;

function watch(make: Make, listener: GuestShape['listener'] = {}): Watched {
  const told: string[] = [];
  const guest: TestGuest = make({
    listener: {
      uart: (byte) => void told.push(`uart ${byte}`),
      started: (vcpu) => void told.push(`started ${vcpu}`),
      hypercall: (vcpu, { op, returned }) => void told.push(`${vcpu} ${op} ${returned}`),
      power: (vcpu, record) => void told.push(`${vcpu} ${record.kind}`),
      sliceEnded: (vcpu) => void told.push(`${vcpu} at ${guest.machine.nowNs}`),
      ...listener,
    },
  });
  return { guest, told };
}

/** Runs a guest to its end, in pieces of so many instructions, each in a machine of its own. */
function runInPieces(make: Make, pieces: readonly number[]): { told: string[]; end: string; hash: string } {
  const told: string[] = [];
  let saved: SavedMachine | null = null;
  for (const piece of [...pieces, Infinity]) {
    const now = watch(make);
    const { machine } = now.guest;
    if (saved !== null) {
      machine.restore(saved);
      assert.ok(equalSaved(machine.save(), saved), 'it is what was saved');
      assert.equal(hashSaved(machine.save()), hashSaved(saved));
    }
    const end = machine.run(piece === Infinity ? 100_000_000 : piece, untilNs);
    told.push(...now.told);
    saved = written(machine.save());
    if (end !== 'limit' || piece === Infinity) {
      return { told, end: `${end} ${machine.nowNs} ${machine.instructions}`, hash: hashSaved(saved) };
    }
  }
  assert.fail('the last piece ends the run');
}

function checkCuts(make: Make, longest: number, numRuns: number): void {
  const whole = runInPieces(make, []);
  const pieces = fc.array(fc.integer({ min: 1, max: longest }), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(pieces, (cuts) => assert.deepEqual(runInPieces(make, cuts), whole)),
    { numRuns },
  );
}

const cpuOn = (mpidr: number): string => `
  li x0, 0xc4000003
  movz x1, #${mpidr}
  adr x2, {other}
  movz x3, #${mpidr}
  hvc #0`;

/**
 * Three vCPUs with timers, interrupts, a UART that is typed at, hypercalls that wait, exclusives, and a routine that is
 * written while it is in use.
 */
const busy: Make = (shape) => {
  const guest = testGuest(
    `${cpuOn(1)}
     ${cpuOn(2)}
     movz x0, #0
     other:
     add x21, x0, #97
     cbnz x0, {ready}
     ${enableInterrupts(1 << 27)}
     ready:
     li x20, 0x22000000
     movz x5, #6
     round:
     str w21, [x20]
     movz x6, #3000
     delay:
     sub x6, x6, #1
     cbnz x6, {delay}
     movz x1, #5000
     msr cntv_tval_el0, x1
     movz x1, #1
     msr cntv_ctl_el0, x1
     movz x0, #0
     movz x16, #29
     hvc #0xea1
     ldr w7, [x20]
     str w7, [x20]
     li x9, ${hex(results)}
     count:
     ldxr x7, [x9]
     add x7, x7, #1
     stxr w8, x7, [x9]
     cbnz w8, {count}
     adr x2, {routine}
     ldr w3, [x2]
     add w3, w3, #32
     str w3, [x2]
     routine:
     movz x4, #7
     sub x5, x5, #1
     cbnz x5, {round}
     ldr x7, [x9]
     subs xzr, x7, #18
     b.ne {park}
     ${powerOff}
     park:
     wfi
     b {park}`,
    { ...shape, vcpus: 3, seed: 3 },
  );
  guest.machine.input(
    'uart',
    Uint8Array.from({ length: 60 }, (_, i) => i),
    50_000n,
  );
  return guest;
};

const [tables, level2, level3, first, second] = [0x2000, 0x3000, 0x5000, 0x6000, 0x7000].map(
  (offset) => ramStart + offset,
) as [number, number, number, number, number];
const seen = 0x8000_0000;
const put = (address: number, value: number): string => `
  li x1, ${hex(address)}
  li x2, ${hex(value)}
  str x2, [x1]`;
/** A descriptor of a page or block: access flag, attribute index 0. */
const mapping = (address: number, type: number): number => address + 0x400 + type;

/**
 * Reads a page 20,000 times after its descriptor was changed to another page, without a TLB invalidation: every read is by the
 * translation that the TLB holds.
 */
const stale: Make = (shape) =>
  testGuest(
    `${put(first, 1)}
     ${put(second, 2)}
     ${put(tables, mapping(0, 1))}
     ${put(tables + 8, mapping(0x4000_0000, 1))}
     ${put(tables + 16, level2 + 3)}
     ${put(level2, level3 + 3)}
     ${put(level3, mapping(first, 3))}
     ${translationOn(tables)}
     li x20, ${hex(seen)}
     ldr x4, [x20]
     ${put(level3, mapping(second, 3))}
     movz x9, #0
     movz x5, #20000
     again:
     ldr x4, [x20]
     add x9, x9, x4
     sub x5, x5, #1
     cbnz x5, {again}
     li x1, ${hex(results)}
     str x9, [x1]
     ${powerOff}`,
    shape,
  );

describe('a machine as a value', () => {
  it('goes on as if it had not been saved, wherever it is cut', () => checkCuts(busy, 40_000, 12));

  it('keeps translations that the guest has not invalidated', () => {
    const guest = stale();
    guest.machine.run(20_000, untilNs);
    const resumed = stale();
    resumed.machine.restore(written(guest.machine.save()));
    assert.equal(resumed.runToEnd(), 'shutdown');
    assert.equal(resumed.result(0), 20_000n, 'it read the page that the TLB knew');
    checkCuts(stale, 30_000, 6);
  });

  it('can be restored several times, in the machine where it was saved and in others', () => {
    const { guest, told } = watch(busy);
    guest.machine.run(60_000, untilNs);
    const saved = cloneSaved(guest.machine.save());
    const before = told.length;
    const ends = [1, 2, 3].map(() => {
      const start = told.length;
      assert.equal(guest.machine.run(100_000_000, untilNs), 'shutdown');
      const end = { told: told.slice(start), hash: hashSaved(guest.machine.save()) };
      guest.machine.restore(saved);
      return end;
    });
    assert.ok(before > 0 && (ends[0]?.told.length ?? 0) > 0);
    assert.deepEqual(ends[1], ends[0]);
    assert.deepEqual(ends[2], ends[0]);
  });

  it('is paused between turns without a change of the run', () => {
    const whole = watch(busy);
    assert.equal(whole.guest.runToEnd(), 'shutdown');
    const paused: Watched = watch(busy, {
      sliceEnded: (vcpu) => {
        paused.told.push(`${vcpu} at ${paused.guest.machine.nowNs}`);
        paused.guest.machine.pause();
      },
    });
    let pauses = 0;
    let end = paused.guest.machine.run(100_000_000, untilNs);
    for (; end === 'paused'; end = paused.guest.machine.run(100_000_000, untilNs)) pauses += 1;
    assert.equal(end, 'shutdown');
    assert.ok(pauses > 10, `${pauses} pauses`);
    assert.deepEqual(paused.told, whole.told);
  });

  it('is not paused by a call that comes while it does not run', () => {
    const { machine } = busy();
    machine.pause();
    assert.equal(machine.run(10_000, untilNs), 'limit');
  });

  it('differs in its hash where a byte of memory or of the state differs', () => {
    const { machine } = busy();
    machine.run(30_000, untilNs);
    const saved = machine.save();
    const other = cloneSaved(saved);
    assert.ok(equalSaved(saved, other));
    other.state.clock.instructions += 1;
    assert.ok(!equalSaved(saved, other));
    assert.notEqual(hashSaved(saved), hashSaved(other));
    machine.load(BigInt(results), Uint8Array.of(0xaa));
    const written = machine.save();
    assert.ok(!equalSaved(saved, written));
    assert.notEqual(hashSaved(saved), hashSaved(written));
  });

  it('is neither saved within a turn nor restored into a machine of other options', () => {
    const inside: Watched = watch(busy, {
      sliceEnded: () => assert.throws(() => inside.guest.machine.save(), InvariantError),
    });
    inside.guest.machine.run(10_000, untilNs);
    const saved = inside.guest.machine.save();
    assert.throws(() => testGuest(powerOff, { vcpus: 2, seed: 3 }).machine.restore(saved), InvariantError);
  });
});
