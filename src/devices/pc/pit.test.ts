import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { newPit, pitFired, pitHz, readPit, readSpeaker, writePit, writeSpeaker } from './pit.js';
import type { PitState } from './pit.js';

/** System time after that many ticks. */
const after = (ticks: number): bigint => (BigInt(ticks) * 1_000_000_000n + pitHz - 1n) / pitHz;

function load(pit: PitState, channel: number, mode: number, count: number): ReturnType<typeof writePit> {
  writePit(pit, 3, (channel << 6) | 0x30 | (mode << 1), 0n);
  writePit(pit, channel, count & 0xff, 0n);
  return writePit(pit, channel, count >> 8, 0n);
}

function latched(pit: PitState, channel: number, nowNs: bigint): number {
  writePit(pit, 3, channel << 6, nowNs);
  const low = readPit(pit, channel, nowNs);
  return low | (readPit(pit, channel, nowNs) << 8);
}

describe('the 8254', () => {
  test('counts down from its count at 1193182 Hz, and begins anew in periodic modes', () => {
    const pit = newPit();
    load(pit, 0, 2, 1000);
    assert.equal(latched(pit, 0, after(0)), 1000);
    assert.equal(latched(pit, 0, after(400)), 600);
    assert.equal(latched(pit, 0, after(1400)), 600);
    load(pit, 1, 3, 1000);
    assert.equal(latched(pit, 1, after(100)), 800, 'a square wave counts by two');
    load(pit, 2, 0, 1000);
    assert.equal(latched(pit, 2, after(1001)), 0xffff);
  });

  test('keeps a latched count until it is read, and reads bytes as it was told', () => {
    const pit = newPit();
    load(pit, 0, 2, 0x1234);
    writePit(pit, 3, 0, after(4));
    assert.equal(readPit(pit, 0, after(0x100)), 0x30);
    writePit(pit, 3, 0, after(0x200));
    assert.equal(readPit(pit, 0, after(0x200)), 0x12);
    assert.equal(readPit(pit, 0, after(4)), 0x30);
    assert.equal(readPit(pit, 0, after(4)), 0x12);
    writePit(pit, 3, 0x24, after(4));
    assert.equal(readPit(pit, 0, after(4)), 0x12);
  });

  test('tells its status by read-back: output, access, mode', () => {
    const pit = newPit();
    load(pit, 2, 0, 100);
    writePit(pit, 3, 0xe8, after(99));
    assert.equal(readPit(pit, 2, after(99)), 0x30);
    writePit(pit, 3, 0xe8, after(100));
    assert.equal(readPit(pit, 2, after(100)), 0xb0);
    writePit(pit, 3, 0xc8, after(40));
    assert.deepEqual([readPit(pit, 2, 0n), readPit(pit, 2, 0n), readPit(pit, 2, 0n)], [0x30, 60, 0]);
  });

  test('says what becomes of the interrupt of channel 0', () => {
    const pit = newPit();
    assert.deepEqual(load(pit, 0, 2, 11932), { kind: 'periodic', ns: 10_000_151n });
    assert.deepEqual(load(pit, 0, 4, 0), { kind: 'once', ns: 54_925_401n });
    assert.deepEqual(load(pit, 0, 0, 1), { kind: 'stopped' });
    assert.equal(load(pit, 2, 2, 11932), null);
    load(pit, 0, 2, 1000);
    pitFired(pit, after(1500));
    assert.equal(latched(pit, 0, after(1600)), 900, 'the count begins where the interrupt was taken');
  });

  test('shows the output of channel 2 at port 0x61, whose gate lets it count anew', () => {
    const pit = newPit();
    writeSpeaker(pit, 1, 0n);
    load(pit, 2, 0, 100);
    assert.deepEqual([readSpeaker(pit, after(99)) & 0x21, readSpeaker(pit, after(100)) & 0x21], [1, 0x21]);
    load(pit, 2, 1, 100);
    writeSpeaker(pit, 0, after(150));
    writeSpeaker(pit, 3, after(200));
    assert.deepEqual([readSpeaker(pit, after(250)) & 0x23, readSpeaker(pit, after(301)) & 0x23], [0x23, 3]);
    assert.equal(readSpeaker(pit, 1n << 14n) & 0x10, 0x10);
  });

  test('takes any sequence of accesses, and reads bytes', () => {
    const act = fc.tuple(
      fc.integer({ min: 0, max: 9 }),
      fc.integer({ min: 0, max: 255 }),
      fc.bigInt(0n, 1n << 40n),
    );
    fc.assert(
      fc.property(fc.array(act, { maxLength: 100 }), (acts) => {
        const pit = newPit();
        let nowNs = 0n;
        for (const [kind, value, passed] of acts) {
          nowNs += passed;
          if (kind < 4) writePit(pit, kind, value, nowNs);
          else if (kind === 4) writeSpeaker(pit, value, nowNs);
          else {
            const byte = kind === 5 ? readSpeaker(pit, nowNs) : readPit(pit, kind % 3, nowNs);
            assert.ok(Number.isInteger(byte) && byte >= 0 && byte <= 0xff, `${byte}`);
          }
        }
      }),
      { numRuns: 300 },
    );
  });
});
