import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  compareOfValue,
  counterAt,
  fireTimers,
  newGenericTimer,
  nextTimerNs,
  physicalTimerIntid,
  readPhysicalControl,
  readVirtualControl,
  setPhysicalCompare,
  setVirtualCompare,
  timeOfCount,
  timerValue,
  virtualTimerIntid,
  writePhysicalControl,
  writeVirtualControl,
} from './generic_timer.js';
import type { GenericTimerState } from './generic_timer.js';

const frequency = fc.constantFrom(1, 1_000_000, 24_000_000, 62_500_000, 1_000_000_000);
const time = fc.bigInt({ min: 0n, max: 1n << 62n });
const u64 = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
const virtualBit = 1 << virtualTimerIntid;
const physicalBit = 1 << physicalTimerIntid;

test('the counter of a 62.5 MHz clock ticks every 16 ns', () => {
  assert.equal(counterAt(15n, 62_500_000), 0n);
  assert.equal(counterAt(16n, 62_500_000), 1n);
  assert.equal(counterAt(1_000_000_000n, 62_500_000), 62_500_000n);
});

test('timeOfCount gives the first time at which the counter has reached the count', () => {
  fc.assert(
    fc.property(time, frequency, (count, hz) => {
      const at = timeOfCount(count, hz);
      assert.ok(counterAt(at, hz) >= count);
      if (at > 0n) assert.ok(counterAt(at - 1n, hz) < count);
    }),
  );
});

test('the counter never decreases', () => {
  fc.assert(
    fc.property(time, time, frequency, (a, b, hz) => {
      assert.ok(a > b || counterAt(a, hz) <= counterAt(b, hz));
    }),
  );
});

test('the virtual timer fires once, at its tick or later, and is then masked', () => {
  const timers = newGenericTimer();
  setVirtualCompare(timers.virtual, 100n);
  writeVirtualControl(timers.virtual, 1n);
  assert.equal(fireTimers(timers, 99n), 0);
  assert.equal(readVirtualControl(timers.virtual, 99n), 1n);
  assert.equal(fireTimers(timers, 100n), virtualBit);
  // ENABLE, IMASK and ISTATUS: Xen has set IMASK.
  assert.equal(readVirtualControl(timers.virtual, 101n), 7n);
  assert.equal(fireTimers(timers, 101n), 0);
  writeVirtualControl(timers.virtual, 1n);
  assert.equal(fireTimers(timers, 101n), virtualBit, 'unmasked, it fires again');
  setVirtualCompare(timers.virtual, 500n);
  assert.equal(readVirtualControl(timers.virtual, 101n), 3n, 'ISTATUS follows the counter');
});

test('a masked or disabled virtual timer does not fire', () => {
  for (const control of [0n, 2n, 3n]) {
    const timers = newGenericTimer();
    writeVirtualControl(timers.virtual, control);
    assert.equal(fireTimers(timers, 1n << 63n), 0);
    assert.equal(nextTimerNs(timers, 62_500_000), null);
  }
});

test('the physical timer fires once each time it is set, and keeps its status', () => {
  const timers = newGenericTimer();
  setPhysicalCompare(timers.physical, 100n);
  assert.equal(fireTimers(timers, 200n), 0, 'it is disabled');
  writePhysicalControl(timers.physical, 1n);
  assert.equal(readPhysicalControl(timers.physical), 1n, 'nothing is pending before it went off');
  assert.equal(fireTimers(timers, 200n), physicalBit);
  assert.equal(readPhysicalControl(timers.physical), 5n, 'IMASK is left alone');
  assert.equal(fireTimers(timers, 300n), 0);
  writePhysicalControl(timers.physical, 3n);
  assert.equal(readPhysicalControl(timers.physical), 7n, 'a write with ENABLE keeps the status');
  assert.equal(fireTimers(timers, 300n), 0, 'masked, it goes off without an interrupt');
  setPhysicalCompare(timers.physical, 1000n);
  assert.equal(readPhysicalControl(timers.physical), 3n, 'a new tick clears it');
  writePhysicalControl(timers.physical, 0n);
  assert.equal(fireTimers(timers, 2000n), 0);
});

test('disabling the physical timer clears its status', () => {
  const timers = newGenericTimer();
  writePhysicalControl(timers.physical, 1n);
  fireTimers(timers, 0n);
  writePhysicalControl(timers.physical, 0n);
  assert.equal(readPhysicalControl(timers.physical), 0n);
});

test('a timer value is a signed 32-bit difference', () => {
  const { virtual } = newGenericTimer();
  const write = (value: bigint, counter: bigint): void =>
    setVirtualCompare(virtual, compareOfValue(value, counter));
  write(0xffff_ffffn, 1000n);
  assert.equal(virtual.compare, 999n);
  write(0x7fff_ffffn, 1000n);
  assert.equal(virtual.compare, 1000n + 0x7fff_ffffn);
  write(0xffff_ffffn, 0n);
  assert.equal(virtual.compare, (1n << 64n) - 1n, 'a time before the first tick is far ahead');
  fc.assert(
    fc.property(u64, u64, fc.bigInt({ min: 0n, max: 0xffff_ffffn }), (value, counter, later) => {
      write(value, counter);
      assert.equal(timerValue(virtual.compare, counter), BigInt.asUintN(32, value));
      assert.equal(timerValue(virtual.compare, counter + later), BigInt.asUintN(32, value - later));
      assert.equal(BigInt.asUintN(64, virtual.compare), virtual.compare);
    }),
  );
});

const compare = fc.oneof(u64, fc.bigInt({ min: 0n, max: 1n << 40n }));
const timer = { enabled: fc.boolean(), masked: fc.boolean(), compare };
const plain = { noNullPrototype: true } as const;
const timerStates: fc.Arbitrary<GenericTimerState> = fc.record(
  {
    physical: fc.record({ ...timer, pending: fc.boolean(), armed: fc.boolean() }, plain),
    virtual: fc.record(timer, plain),
    kernelControl: fc.constant(0n),
  },
  plain,
);

/** Whether fireTimers does anything at the given time. */
function fires(state: GenericTimerState, nowNs: bigint, hz: number): boolean {
  const copy = structuredClone(state);
  fireTimers(copy, counterAt(nowNs, hz));
  return copy.virtual.masked !== state.virtual.masked || copy.physical.armed !== state.physical.armed;
}

test('nextTimerNs gives the first time at which a timer fires', () => {
  fc.assert(
    fc.property(timerStates, frequency, (state, hz) => {
      const next = nextTimerNs(state, hz);
      if (next === null) {
        assert.ok(!fires(state, 1n << 100n, hz));
        return;
      }
      assert.ok(fires(state, next, hz));
      assert.ok(next === 0n || !fires(state, next - 1n, hz));
    }),
  );
});

test('after reset both timers are off', () => {
  const state = newGenericTimer();
  assert.equal(nextTimerNs(state, 62_500_000), null);
  assert.equal(readVirtualControl(state.virtual, 1n << 63n), 0n);
  assert.equal(readPhysicalControl(state.physical), 0n);
});
