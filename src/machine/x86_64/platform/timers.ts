/**
 * The platform timers of an HVM guest: the 8254's, the clock's and the HPET's. All tick for one vCPU, the one that takes the
 * interrupts of the 8259 pair; while it is down, none is asserted (Xen 4.17 arch/x86/hvm/vpt.c, pt_update_irq and pt_intr_post;
 * as observed in a crash kernel whose vCPU 0 was down).
 */
import { earlier } from '../../../base/index.js';
import {
  hpetTimers,
  newPlatformTimer,
  platformTimerDueNs,
  platformTimerLag,
  platformTimerTaken,
  tickPlatformTimer,
} from '../../../devices/index.js';
import type { PlatformTimerState, TimerStart } from '../../../devices/index.js';

/** The places of the timers in the list. The HPET's follow each other. */
export const timerOf = { pit: 0, rtc: 1, hpet: 2 } as const;

/** By place; null for a timer that does not run. */
export type TimersState = (PlatformTimerState | null)[];

/** The controller that passed an interrupt on to a vCPU. */
export type InterruptSource = 'pic' | 'localApic';

/** What the timers' interrupts lead to. */
export interface TimersPort {
  /** Whether the vCPU for which the timers tick can run. */
  isTargetUp(): boolean;
  /** A timer has ticked: the vCPU does not wait any longer. */
  wakeTarget(): void;
  /** Whether a timer's interrupt reaches no CPU because it is masked. */
  isMasked(timer: PlatformTimerState): boolean;
  /** Asserts it. An ISA interrupt is lowered first. */
  assert(timer: PlatformTimerState): void;
  /** Whether the local APIC of the vCPU for which the timers tick has the request of a pin's interrupt. */
  isRequested(timer: PlatformTimerState): boolean;
  /** The vector by which that vCPU knows it; null for none. */
  vectorOf(timer: PlatformTimerState, source: InterruptSource): number | null;
  /** The vCPU has taken the interrupt of the timer at that place. */
  taken(place: number): void;
}

export function newTimers(): TimersState {
  return Array.from({ length: timerOf.hpet + hpetTimers }, () => null);
}

export function startTimer(timers: TimersState, place: number, start: TimerStart, nowNs: bigint): void {
  timers[place] = newPlatformTimer(start, nowNs);
}

export function stopTimer(timers: TimersState, place: number): void {
  timers[place] = null;
}

/** When the next timer ticks; null if none will. */
export function timersDue(timers: TimersState): bigint | null {
  let first: bigint | null = null;
  for (const timer of timers) if (timer !== null) first = earlier(first, platformTimerDueNs(timer));
  return first;
}

/** Lets the timers tick that are due. */
export function tickTimers(timers: TimersState, port: TimersPort, nowNs: bigint): void {
  let ticked = false;
  for (const timer of timers) if (timer !== null && tickPlatformTimer(timer, nowNs)) ticked = true;
  if (!ticked) return;
  port.wakeTarget();
  assertTimers(timers, port, nowNs);
}

function take(
  timers: TimersState,
  port: TimersPort,
  place: number,
  timer: PlatformTimerState,
  nowNs: bigint,
): void {
  if (!platformTimerTaken(timer, nowNs)) timers[place] = null;
  port.taken(place);
}

/**
 * The pending tick that is longest overdue. One whose interrupt is masked waits until it is unmasked; not the clock's, which decides
 * itself, nor a level-triggered one, which the device remembers.
 */
function longestOverdue(timers: TimersState, port: TimersPort): [number, PlatformTimerState] | null {
  let first: [number, PlatformTimerState] | null = null;
  for (const [place, timer] of timers.entries()) {
    if (timer === null || timer.pending === 0 || timer.suspended) continue;
    if (place !== timerOf.rtc && !timer.isLevel && port.isMasked(timer)) timer.suspended = true;
    else if (first === null || platformTimerLag(timer) < platformTimerLag(first[1])) first = [place, timer];
  }
  return first;
}

/** The vCPU is about to run: asserts the interrupt of a pending tick. */
export function assertTimers(timers: TimersState, port: TimersPort, nowNs: bigint): void {
  const first = port.isTargetUp() ? longestOverdue(timers, port) : null;
  if (first === null) return;
  const [place, timer] = first;
  if (timer.isLevel && timer.issued) return;
  timer.issued = true;
  port.assert(timer);
  if (timer.isLevel && !port.isRequested(timer)) take(timers, port, place, timer, nowNs);
}

/** Something may be unmasked: ticks that waited for that are asserted. */
export function resumeTimers(timers: TimersState, port: TimersPort, nowNs: bigint): void {
  let resumed = false;
  for (const timer of timers) {
    if (timer?.suspended !== true) continue;
    timer.suspended = false;
    resumed = true;
  }
  if (!resumed) return;
  port.wakeTarget();
  assertTimers(timers, port, nowNs);
}

/** The vCPU for which the timers tick took the interrupt of a vector from a controller. */
export function timerTaken(
  timers: TimersState,
  port: TimersPort,
  vector: number,
  source: InterruptSource,
  nowNs: bigint,
): void {
  for (const [place, timer] of timers.entries()) {
    if (timer === null || timer.pending === 0 || !timer.issued) continue;
    if (port.vectorOf(timer, source) !== vector) continue;
    take(timers, port, place, timer, nowNs);
    return;
  }
}
