import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  counterAt,
  newGenericTimer,
  nextTimerNs,
  readTimerControl,
  readTimerValue,
  timeOfCount,
  timerAsserted,
  timerFired,
  writeTimerControl,
  writeTimerValue,
} from './generic_timer.js';
import type { TimerState } from './generic_timer.js';

const frequency = fc.constantFrom(1, 1_000_000, 24_000_000, 62_500_000, 1_000_000_000);
const time = fc.bigInt({ min: 0n, max: 1n << 62n });
const u64 = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });

test('the counter of a 62.5 MHz clock ticks every 16 ns', () => {
  assert.equal(counterAt(15n, 62_500_000), 0n);
  assert.equal(counterAt(16n, 62_500_000), 1n);
  assert.equal(counterAt(1_000_000_000n, 62_500_000), 62_500_000n);
});

test('the time of a count is the first at which the counter has reached it', () => {
  fc.assert(
    fc.property(time, frequency, (count, hz) => {
      const at = timeOfCount(count, hz);
      assert.ok(counterAt(at, hz) >= count);
      if (at > 0n) assert.ok(counterAt(at - 1n, hz) < count);
    }),
  );
});

test('the counter never goes back', () => {
  fc.assert(
    fc.property(time, time, frequency, (a, b, hz) => {
      assert.ok(a > b || counterAt(a, hz) <= counterAt(b, hz));
    }),
  );
});

function timer(enabled: boolean, masked: boolean, compare: bigint): TimerState {
  return { enabled, masked, compare };
}

test('a timer fires from the tick on that it names, and is heard unless masked', () => {
  for (const [counter, fired] of [
    [99n, false],
    [100n, true],
    [101n, true],
  ] as const) {
    assert.equal(timerFired(timer(true, false, 100n), counter), fired);
    assert.equal(timerAsserted(timer(true, false, 100n), counter), fired);
    assert.equal(timerAsserted(timer(true, true, 100n), counter), false);
    assert.equal(timerFired(timer(false, false, 100n), counter), false);
  }
});

test('the control register keeps two bits and shows the condition in the third', () => {
  fc.assert(
    fc.property(u64, u64, u64, (value, compare, counter) => {
      const state = timer(false, false, compare);
      writeTimerControl(state, value);
      const status = (value & 1n) === 1n && counter >= compare ? 4n : 0n;
      assert.equal(readTimerControl(state, counter), (value & 3n) | status);
    }),
  );
});

test('a timer value is a signed distance of 32 bits', () => {
  const state = timer(true, false, 0n);
  writeTimerValue(state, 0xffff_ffffn, 1000n);
  assert.equal(state.compare, 999n);
  writeTimerValue(state, 0x7fff_ffffn, 1000n);
  assert.equal(state.compare, 1000n + 0x7fff_ffffn);
  writeTimerValue(state, 0xffff_ffffn, 0n);
  assert.equal(state.compare, (1n << 64n) - 1n, 'a time before the first tick is far ahead');
  fc.assert(
    fc.property(u64, u64, fc.bigInt({ min: 0n, max: 0xffff_ffffn }), (value, counter, later) => {
      writeTimerValue(state, value, counter);
      assert.equal(readTimerValue(state, counter), BigInt.asUintN(32, value));
      assert.equal(readTimerValue(state, counter + later), BigInt.asUintN(32, value - later));
      assert.equal(BigInt.asUintN(64, state.compare), state.compare);
    }),
  );
});

const timerState = fc.record(
  {
    enabled: fc.boolean(),
    masked: fc.boolean(),
    compare: fc.oneof(u64, fc.bigInt({ min: 0n, max: 1n << 40n })),
  },
  { noNullPrototype: true },
);

test('the next event is the first time at which a line rises that is low now', () => {
  fc.assert(
    fc.property(
      timerState,
      timerState,
      fc.bigInt({ min: 0n, max: 1n << 45n }),
      frequency,
      (a, b, now, hz) => {
        const both = { physical: a, virtual: b, kernelControl: 0n };
        const low = [a, b].filter((each) => !timerAsserted(each, counterAt(now, hz)));
        const next = nextTimerNs(both, now, hz);
        if (next === null) {
          // The counter has 64 bits, and so does the last tick that a timer can name.
          for (const each of low) assert.ok(!timerAsserted(each, (1n << 64n) - 1n));
          return;
        }
        assert.ok(next > now);
        assert.ok(low.some((each) => timerAsserted(each, counterAt(next, hz))));
        assert.ok(low.every((each) => !timerAsserted(each, counterAt(next - 1n, hz))));
      },
    ),
  );
});

test('after reset both timers are off', () => {
  const state = newGenericTimer();
  assert.equal(nextTimerNs(state, 5n, 62_500_000), null);
  assert.equal(readTimerControl(state.virtual, 1n << 63n), 0n);
});
