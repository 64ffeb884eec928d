import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { calendarTime, secondsOf } from './calendar.js';
import { newRtc, passRtc, readRtc, rtcDueNs, rtcFired, writeRtc } from './rtc.js';
import type { RtcPort, RtcState } from './rtc.js';

const second = 1_000_000_000n;
/** 2026-11-30 01:23:15, a Monday. */
const start = Date.UTC(2026, 10, 30, 1, 23, 15) / 1000;

interface Bench {
  readonly rtc: RtcState;
  readonly port: RtcPort;
  readonly told: string[];
}

function bench(wallclockSec = start): Bench {
  const told: string[] = [];
  const port: RtcPort = {
    raise: () => void told.push('raise'),
    lower: () => void told.push('lower'),
    timeSet: () => void told.push('set'),
    setPeriodic: (timer) => void told.push(timer === null ? 'stop' : `every ${timer.periodNs}`),
  };
  return { rtc: newRtc(wallclockSec, { 0x15: 0x80 }, 0n), port, told };
}

const read = ({ rtc, port }: Bench, index: number, nowNs = 0n): number => {
  writeRtc(rtc, port, 0, index, nowNs);
  return readRtc(rtc, port, 1, nowNs);
};
const write = ({ rtc, port }: Bench, index: number, value: number, nowNs = 0n): void => {
  writeRtc(rtc, port, 0, index, nowNs);
  writeRtc(rtc, port, 1, value, nowNs);
};
const time = (one: Bench, nowNs = 0n): number[] =>
  [9, 8, 7, 6, 4, 2, 0].map((index) => read(one, index, nowNs));

test('the calendar is that of the host', () => {
  fc.assert(
    fc.property(fc.integer({ min: -(2 ** 36), max: 2 ** 36 }), (seconds) => {
      const date = new Date(seconds * 1000);
      const found = calendarTime(seconds);
      assert.deepEqual(found, {
        year: date.getUTCFullYear(),
        month: date.getUTCMonth() + 1,
        day: date.getUTCDate(),
        weekday: date.getUTCDay(),
        hour: date.getUTCHours(),
        minute: date.getUTCMinutes(),
        second: date.getUTCSeconds(),
      });
      assert.equal(secondsOf(found), seconds);
    }),
  );
  assert.equal(
    secondsOf({ year: 2026, month: 13, day: 32, hour: 25, minute: 61, second: 61 }),
    Date.UTC(2026, 12, 32, 25, 61, 61) / 1000,
  );
});

describe('the clock', () => {
  test('shows the time in digits, or in binary and 12 hours', () => {
    const one = bench();
    assert.deepEqual(time(one), [0x26, 0x11, 0x30, 0x01, 0x01, 0x23, 0x15]);
    assert.deepEqual(time(one, 50_445n * second), [0x26, 0x11, 0x30, 0x01, 0x15, 0x24, 0x00]);
    write(one, 11, 4);
    assert.deepEqual(time(one, 50_445n * second), [26, 11, 30, 1, 0x83, 24, 0]);
    assert.deepEqual(
      [read(one, 10), read(one, 13), read(one, 0x15), readRtc(one.rtc, one.port, 0, 0n)],
      [0x26, 0x80, 0x80, 0xff],
    );
  });

  test('says that it is updated in the last 244 us of a second', () => {
    const one = bench();
    assert.deepEqual([read(one, 10, second - 244_001n), read(one, 10, second - 244_000n)], [0x26, 0xa6]);
    write(one, 11, 0x82);
    assert.equal(read(one, 10, second - 1n), 0x26, 'while it is being set');
  });

  test('is set by a field, or as a whole while it stands', () => {
    const one = bench();
    write(one, 4, 0x12);
    assert.deepEqual(time(one, second), [0x26, 0x11, 0x30, 0x01, 0x12, 0x23, 0x16]);
    write(one, 11, 0x82, second);
    for (const [index, value] of [
      [9, 0x27],
      [8, 0x02],
      [7, 0x28],
      [4, 0x23],
      [2, 0x59],
      [0, 0x59],
    ] as const) {
      write(one, index, value, second);
    }
    assert.equal(read(one, 0, 2n * second), 0x59);
    write(one, 11, 2, second);
    assert.deepEqual(time(one, 2n * second), [0x27, 0x03, 0x01, 0x01, 0x00, 0x00, 0x00]);
    assert.deepEqual(one.told, ['set', 'set']);
  });

  test('interrupts at the end of an update, and after it was read again', () => {
    const one = bench();
    assert.equal(rtcDueNs(one.rtc), null);
    write(one, 11, 0x12);
    assert.equal(rtcDueNs(one.rtc), second);
    passRtc(one.rtc, one.port, second);
    passRtc(one.rtc, one.port, 3n * second);
    assert.deepEqual(one.told, ['raise']);
    assert.equal(rtcDueNs(one.rtc), null);
    assert.deepEqual([read(one, 12, 3n * second), read(one, 12, 3n * second)], [0xd0, 0]);
    assert.deepEqual([one.told, rtcDueNs(one.rtc)], [['raise', 'lower'], 4n * second]);
  });

  test('interrupts at an alarm, in which a field may match any value', () => {
    const one = bench();
    write(one, 11, 0x22);
    assert.equal(rtcDueNs(one.rtc), BigInt(86400 - 4995) * second, 'at 00:00:00 tomorrow');
    write(one, 1, 0x20);
    write(one, 3, 0xff);
    write(one, 5, 0xc0);
    assert.equal(rtcDueNs(one.rtc), 5n * second);
    write(one, 3, 0x22);
    assert.equal(rtcDueNs(one.rtc), (3600n - 55n) * second);
    write(one, 5, 0x01);
    assert.equal(rtcDueNs(one.rtc), (86_400n - 55n) * second);
    write(one, 1, 0x7f);
    assert.equal(rtcDueNs(one.rtc), null, 'no second has that number');
  });

  test('has a periodic interrupt, whose flag is set without it too', () => {
    const one = bench();
    // The update's flag is set too, for nobody has read it.
    assert.equal(read(one, 12, 1_000_000n), 0x40);
    write(one, 11, 0x42, 1_000_000n);
    write(one, 10, 0x2f, 1_000_000n);
    write(one, 10, 0x20, 1_000_000n);
    assert.deepEqual(one.told, ['stop', 'every 976563', 'every 500000000', 'stop']);
    rtcFired(one.rtc);
    assert.equal(read(one, 12, 1_000_000n), 0xc0);
  });

  test('takes any sequence of accesses, of which none takes long', () => {
    const act = fc.tuple(
      fc.integer({ min: 0, max: 2 }),
      fc.integer({ min: 0, max: 255 }),
      fc.bigInt(0n, 1n << 45n),
    );
    fc.assert(
      fc.property(fc.array(act, { maxLength: 200 }), (acts) => {
        const one = bench();
        let nowNs = 0n;
        for (const [kind, value, passed] of acts) {
          nowNs += passed;
          if (kind < 2)
            writeRtc(one.rtc, one.port, kind, kind === 0 && value > 128 ? value & 15 : value, nowNs);
          else assert.ok(readRtc(one.rtc, one.port, 1, nowNs) <= 0xff);
          passRtc(one.rtc, one.port, nowNs);
          assert.equal(
            one.rtc.bytes.every((byte) => Number.isInteger(byte) && byte >= 0 && byte <= 0xff),
            true,
          );
        }
        assert.equal(one.rtc.bytes.length, 128);
      }),
      { numRuns: 200 },
    );
  });
});
