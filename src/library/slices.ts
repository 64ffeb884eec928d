/** How a guest runs in slices, between which the host can process output, input and signals. */
import type { Boot, BootProgress } from '../boot/index.js';

/**
 * How long a slice is, ms of host time, and after how many instructions the clock is looked at: what an instruction takes is between a
 * few ns and many µs (FPATAN), and the guest chooses. No turn of a vCPU is longer than that.
 */
const slice = { ms: 100, instructions: 20_000 } as const;

/**
 * Runs the guest for a slice, up to system time `untilNs` at most, or until something happens. The division of a run into slices does
 * not change it. `nowMs` is the time of the host.
 */
export function runSlice(
  boot: Pick<Boot, 'step'>,
  untilNs?: bigint,
  nowMs = (): number => performance.now(),
): BootProgress {
  const endMs = nowMs() + slice.ms;
  for (;;) {
    const state = boot.step(slice.instructions, untilNs);
    if (state !== 'running' || nowMs() >= endMs) return state;
  }
}
