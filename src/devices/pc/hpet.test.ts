import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { hpetFired, newHpet, readHpet, writeHpet } from './hpet.js';
import type { HpetPort, HpetState } from './hpet.js';
import type { TimerStart } from './platform_timer.js';

type Told = readonly [what: string, index: number, interrupt?: TimerStart];

interface Bench {
  readonly hpet: HpetState;
  readonly port: HpetPort;
  readonly told: Told[];
}

function bench(): Bench {
  const told: Told[] = [];
  return {
    hpet: newHpet(),
    told,
    port: {
      start: (index, interrupt) => void told.push(['start', index, interrupt]),
      stop: (index) => void told.push(['stop', index]),
      replacesPit: () => void told.push(['replace', 0]),
      lowerPin: (pin) => void told.push(['lower', pin]),
    },
  };
}

const read = ({ hpet }: Bench, offset: number, nowNs = 0n, bytes = 8): bigint =>
  readHpet(hpet, offset, bytes, nowNs);
const write = ({ hpet, port }: Bench, offset: number, value: bigint, nowNs = 0n, bytes = 8): void =>
  writeHpet(hpet, port, offset, bytes, value, nowNs);

describe('the HPET', () => {
  test('has the observed capabilities, and three 64-bit timers for pins 20 to 23', () => {
    const one = bench();
    assert.equal(read(one, 0), 0x00f4_2400_8086_a201n);
    assert.equal(read(one, 4, 0n, 4), 16_000_000n);
    assert.equal(read(one, 2, 0n, 2), 0x8086n);
    for (const index of [0, 1, 2]) {
      assert.equal(read(one, 0x100 + 0x20 * index), 0x00f0_0000_0000_0030n);
      assert.equal(read(one, 0x108 + 0x20 * index), 0xffff_ffff_ffff_ffffn);
    }
    assert.deepEqual(
      [read(one, 0x160), read(one, 0x3f8), read(one, 2, 0n, 8)],
      [0n, 0n, 0xffff_ffff_ffff_ffffn],
    );
  });

  test('counts 62.5 MHz while it is on, and can be set while it is off', () => {
    const one = bench();
    write(one, 0xf0, 1000n, 500n);
    write(one, 0x10, 1n, 1600n);
    assert.deepEqual([read(one, 0xf0, 1600n), read(one, 0xf0, 3200n)], [1000n, 1100n]);
    write(one, 0xf0, 0n, 3200n);
    assert.equal(read(one, 0xf0, 3200n), 1100n, 'Xen does not move a counter that counts');
    write(one, 0x10, 0n, 4800n);
    assert.equal(read(one, 0xf0, 1n << 50n), 1200n);
  });

  test('starts a single tick when the comparator is reached, in ns', () => {
    const one = bench();
    write(one, 0x10, 1n);
    write(one, 0x120, 4n | (21n << 9n));
    one.told.length = 0;
    write(one, 0x128, 1000n, 1600n);
    const interrupt = { source: 'ioApic', irq: 21, isLevel: false, afterNs: 900n * 16n, periodNs: null };
    assert.deepEqual(one.told, [
      ['stop', 1],
      ['start', 1, interrupt],
    ]);
    one.told.length = 0;
    write(one, 0x128, 0n, 1600n);
    assert.deepEqual(one.told[1], ['start', 1, { ...interrupt, afterNs: 0n }]);
  });

  test('lets a periodic timer tick by its period, and moves its comparator on', () => {
    const one = bench();
    write(one, 0x100, 0x4cn | (20n << 9n));
    write(one, 0x108, 10_000n);
    write(one, 0x108, 62_500n);
    write(one, 0x10, 1n);
    const interrupt = { source: 'ioApic', irq: 20, isLevel: false, afterNs: 160_000n, periodNs: 1_000_000n };
    assert.deepEqual(one.told, [['start', 0, interrupt]]);
    assert.equal(read(one, 0x108, 160_000n), 72_500n);
    assert.equal(read(one, 0x108, 5_000_000n), 322_500n);
    write(one, 0x108, 1n);
    assert.equal(one.hpet.timers[0]?.period, 6250n, 'a shorter period would take all time');
  });

  test('takes the place of 8254 and clock, and gives a level until its status is cleared', () => {
    const one = bench();
    write(one, 0x10, 3n);
    write(one, 0x100, 4n);
    write(one, 0x120, 4n);
    assert.deepEqual(
      one.told.map(([what, index, interrupt]) => [what, index, interrupt?.source, interrupt?.irq]),
      [
        ['replace', 0, undefined, undefined],
        ['start', 0, 'isa', 0],
        ['start', 1, 'isa', 8],
      ],
    );
    write(one, 0x140, 6n | (22n << 9n));
    hpetFired(one.hpet, 2);
    assert.equal(read(one, 0x20), 4n);
    one.told.length = 0;
    write(one, 0x20, 4n);
    assert.deepEqual([one.told, read(one, 0x20)], [[['lower', 22]], 0n]);
  });

  test('gives a timer that is on a pin that it can have', () => {
    const one = bench();
    write(one, 0x100, 5n << 9n);
    assert.equal(read(one, 0x100) & 0x3e00n, 0n);
    write(one, 0x100, 4n | (5n << 9n));
    assert.equal(read(one, 0x100) & 0x3e00n, 20n << 9n);
  });

  test('takes any sequence of accesses', () => {
    const access = fc.record({
      offset: fc.oneof(fc.constantFrom(0x10, 0x20, 0xf0, 0x100, 0x108, 0x120, 0x128, 0x148), fc.nat(0x3ff)),
      bytes: fc.constantFrom(1, 2, 4, 8),
      value: fc.oneof(fc.bigInt(0n, 0xffffn), fc.bigInt(0n, 0xffff_ffff_ffff_ffffn)),
      passed: fc.bigInt(0n, 1n << 62n),
    });
    fc.assert(
      fc.property(fc.array(access, { maxLength: 100 }), (accesses) => {
        const one = bench();
        let nowNs = 0n;
        for (const { offset, bytes, value, passed } of accesses) {
          nowNs += passed;
          write(one, offset, BigInt.asUintN(8 * bytes, value), nowNs, bytes);
          const found = read(one, offset, nowNs, bytes);
          assert.ok(found >= 0n && found < 1n << BigInt(8 * bytes));
          hpetFired(one.hpet, Number(value % 3n));
        }
        for (const [, , interrupt] of one.told) {
          assert.ok(interrupt === undefined || (interrupt.afterNs >= 0n && (interrupt.periodNs ?? 1n) > 0n));
        }
      }),
      { numRuns: 300 },
    );
  });
});
