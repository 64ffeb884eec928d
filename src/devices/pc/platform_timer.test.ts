import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  newPlatformTimer,
  platformTimerDueNs,
  platformTimerTaken,
  tickPlatformTimer,
} from './platform_timer.js';

const ms = 1_000_000n;

describe('a platform timer', () => {
  test('ticks once until the guest took the tick, and then delivers what it missed', () => {
    const timer = newPlatformTimer({ source: 'isa', irq: 0, afterNs: ms, periodNs: ms }, 0n);
    assert.equal(tickPlatformTimer(timer, ms - 1n), false);
    assert.equal(tickPlatformTimer(timer, ms), true);
    assert.deepEqual([platformTimerDueNs(timer), tickPlatformTimer(timer, 9n * ms)], [null, false]);
    assert.equal(platformTimerTaken(timer, 4n * ms + 1n), true);
    assert.deepEqual([timer.pending, timer.nextNs], [3, 5n * ms]);
    for (let left = 3; left > 0; left -= 1) platformTimerTaken(timer, 4n * ms + 2n);
    assert.deepEqual([timer.pending, platformTimerDueNs(timer)], [0, 5n * ms]);
  });

  test('ticks a single time where it has no period, and at least every 100 us else', () => {
    const once = newPlatformTimer({ source: 'ioApic', irq: 20, afterNs: ms, periodNs: null }, ms);
    assert.equal(tickPlatformTimer(once, 2n * ms), true);
    assert.equal(platformTimerTaken(once, 2n * ms), false);
    assert.equal(
      newPlatformTimer({ source: 'isa', irq: 0, afterNs: 1n, periodNs: 1n }, 0n).periodNs,
      100_000n,
    );
  });
});
