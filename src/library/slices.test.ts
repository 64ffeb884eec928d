import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Boot, BootProgress } from '../boot/index.js';
import { reach } from './crash_run.js';
import { runSlice } from './slices.js';

/** A guest whose steps take `stepMs` of host time; it has ended after `steps` of them. */
class SlowGuest {
  ms = 0;
  readonly asked: number[] = [];
  readonly limits: (bigint | undefined)[] = [];
  readonly #stepMs: number;
  readonly #steps: number;

  constructor(stepMs: number, steps: number) {
    this.#stepMs = stepMs;
    this.#steps = steps;
  }

  step(instructions: number, untilNs?: bigint): BootProgress {
    this.asked.push(instructions);
    this.limits.push(untilNs);
    this.ms += this.#stepMs;
    return this.asked.length < this.#steps ? 'running' : 'ended';
  }
}

void test('a slice ends by the time of the host, whatever an instruction takes', () => {
  for (const [stepMs, steps] of [
    [1000, 1],
    [60, 2],
    [1, 100],
  ] as const) {
    const guest = new SlowGuest(stepMs, Infinity);
    assert.equal(
      runSlice(guest, 5n, () => guest.ms),
      'running',
    );
    assert.equal(guest.asked.length, steps);
    assert.ok(guest.limits.every((limit) => limit === 5n));
  }
});

void test('a slice ends when something happens', () => {
  const guest = new SlowGuest(1, 3);
  assert.equal(
    runSlice(guest, undefined, () => guest.ms),
    'ended',
  );
  assert.equal(guest.asked.length, 3);
});

void test('a guest that goes on to its crash is asked for no more than a turn at once', async () => {
  const guest = new SlowGuest(0, 3);
  const boot = Object.assign(guest, { pauseAt: () => undefined, machine: { instructions: 0, nowNs: 0n } });
  assert.equal(await reach(boot as unknown as Boot, /never/, {}), null);
  // The longest turn (machine/scheduler.ts).
  assert.ok(Math.max(...guest.asked) <= 20_000, guest.asked.join(', '));
});
